//! The one form of jsonb: members by name, the last of several, numbers by value, white space gone. Pure.

/// Version of jsonb's binary form.
const VERSION: u8 = 1;
/// Deeper values are compared by their text.
const MAX_DEPTH: u32 = 500;

/// Appends the one form; none where the bytes are no jsonb.
pub fn write(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (version, text) = value.split_first()?;
    if *version != VERSION {
        return None;
    }
    let mut reader = Reader {
        text: std::str::from_utf8(text).ok()?,
        at: 0,
    };
    reader.value(out, 0)?;
    reader.space();
    (reader.at == text.len()).then_some(())
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        let is_it = self.peek()? == byte;
        self.at += usize::from(is_it);
        is_it.then_some(())
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: u32) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        match self.peek()? {
            b'{' => self.object(out, depth),
            b'[' => self.array(out, depth),
            b'"' => {
                let text = self.string()?;
                out.push(b'"');
                put(out, text.as_bytes());
                Some(())
            }
            b't' => self.word("true", out),
            b'f' => self.word("false", out),
            b'n' => self.word("null", out),
            _ => self.number(out),
        }
    }

    fn word(&mut self, word: &str, out: &mut Vec<u8>) -> Option<()> {
        let is_it = self.text[self.at..].starts_with(word);
        self.at += word.len();
        out.push(word.as_bytes()[0]);
        is_it.then_some(())
    }

    fn object(&mut self, out: &mut Vec<u8>, depth: u32) -> Option<()> {
        self.take(b'{')?;
        let mut members: Vec<(String, Vec<u8>)> = Vec::new();
        if self.take(b'}').is_none() {
            loop {
                self.space();
                let name = self.string()?;
                self.take(b':')?;
                let mut value = Vec::new();
                self.value(&mut value, depth + 1)?;
                members.push((name, value));
                if self.take(b'}').is_some() {
                    break;
                }
                self.take(b',')?;
            }
        }
        // Stable: of members of one name the last stays.
        members.sort_by(|one, other| one.0.cmp(&other.0));
        let is_last = |at: &usize| {
            members
                .get(at + 1)
                .is_none_or(|next| next.0 != members[*at].0)
        };
        let kept: Vec<usize> = (0..members.len()).filter(is_last).collect();
        out.push(b'{');
        out.extend_from_slice(&(kept.len() as u64).to_be_bytes());
        for at in kept {
            put(out, members[at].0.as_bytes());
            out.extend_from_slice(&members[at].1);
        }
        Some(())
    }

    fn array(&mut self, out: &mut Vec<u8>, depth: u32) -> Option<()> {
        self.take(b'[')?;
        out.push(b'[');
        if self.take(b']').is_none() {
            loop {
                self.value(out, depth + 1)?;
                if self.take(b']').is_some() {
                    break;
                }
                self.take(b',')?;
            }
        }
        out.push(b']');
        Some(())
    }

    /// The text of a string, escapes resolved.
    fn string(&mut self) -> Option<String> {
        let start = self.at;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let mut has_escape = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    has_escape = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
        self.at += 1;
        let quoted = self.text.get(start..self.at)?;
        match has_escape {
            true => serde_json::from_str(quoted).ok(),
            false => Some(quoted[1..quoted.len() - 1].to_owned()),
        }
    }

    /// Sign, digits without zeroes at the ends, and the power of ten of the last one.
    fn number(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let rest = &self.text[self.at..];
        let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        let length = rest
            .bytes()
            .position(|byte| !is_part(byte))
            .unwrap_or(rest.len());
        let text = rest.get(..length).filter(|text| !text.is_empty())?;
        self.at += length;
        let (text, is_negative) = match text.strip_prefix('-') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole.bytes().chain(part.bytes()).collect();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let Some(first) = digits.iter().position(|digit| *digit != b'0') else {
            out.push(b'0');
            return Some(());
        };
        let last = digits.iter().rposition(|digit| *digit != b'0')?;
        let cut = i64::try_from(digits.len() - 1 - last).ok()?;
        let power = exponent
            .checked_sub(i64::try_from(part.len()).ok()?)?
            .checked_add(cut)?;
        out.push(if is_negative { b'-' } else { b'+' });
        put(out, &digits[first..=last]);
        out.extend_from_slice(&power.to_be_bytes());
        Some(())
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let bytes = [&[VERSION], text.as_bytes()].concat();
        write(&bytes, &mut out).map(|()| out)
    }

    #[test]
    fn texts_of_one_value_have_one_form() {
        for (one, other) in [
            (r#"{"b":1,"a":2}"#, r#"{ "a" : 2 , "b" : 1 }"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            ("1.50", "1.5"),
            ("1e2", "100"),
            ("0.10e-1", "0.01"),
            ("-0", "0.000"),
            (r#""\u00e9\/""#, r#""é/""#),
            ("[1, 2,3]", "[1,2,3]"),
            (r#"{"a\"":null}"#, r#"{ "a\"" : null }"#),
        ] {
            assert_eq!(form(one).unwrap(), form(other).unwrap(), "{one} {other}");
        }
    }

    #[test]
    fn other_values_have_another() {
        let values = [
            "1",
            "-1",
            "10",
            "0.1",
            "\"1\"",
            "null",
            "true",
            "false",
            "[]",
            "{}",
            "[[]]",
            "[[],[]]",
            "[1,[2]]",
            "[[1],2]",
            "[1,2]",
            r#"{"a":1}"#,
            r#"{"a":"1"}"#,
            r#"{"b":1}"#,
            r#"{"a":1,"b":1}"#,
            "\"\"",
            "[\"\"]",
            "\"a\"",
        ];
        for (at, one) in values.iter().enumerate() {
            for other in &values[at + 1..] {
                assert_ne!(form(one).unwrap(), form(other).unwrap(), "{one} {other}");
            }
        }
    }

    #[test]
    fn what_is_no_json_has_none() {
        for text in [
            "", "{", "[1", "tru", "1 2", "{\"a\"}", "\"a", "-", "1e", "[1,]",
        ] {
            assert_eq!(form(text), None, "{text}");
        }
        assert_eq!(form(&"[".repeat(100_000)), None);
    }
}
