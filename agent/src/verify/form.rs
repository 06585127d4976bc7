//! The one form of a value that is compared: what the destination makes of it is undone, whatever side it
//! comes from. Pure.
//!
//! A value is compared in its binary form, which is the destination's own but for what its type changes when
//! it stores one: the scale of a number, padding, parts of a second, the text of jsonb.

use super::json_form;

/// How values of a column are brought to one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueForm {
    /// The bytes as they are.
    Plain,
    /// `numeric`: by value; the scale is how it is shown.
    Numeric,
    /// `character(n)`: trailing spaces are none.
    Padded,
    /// `character varying(n)`: spaces behind the n-th character are cut.
    Cut(usize),
    /// A time in microseconds, of so many fraction digits, in its first eight bytes.
    Rounded(u32),
    /// `jsonb`: by its values.
    Jsonb,
    /// An array: element by element.
    Array(Box<ValueForm>),
}

/// What the catalog says of a column's type; domains are seen through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnType {
    /// Type oid; of an array, of its elements.
    pub oid: u32,
    /// Type modifier, -1 where it has none.
    pub modifier: i32,
    /// It is an array of them.
    pub is_array: bool,
}

const BPCHAR: u32 = 1042;
const VARCHAR: u32 = 1043;
const TIME: u32 = 1083;
const TIMESTAMP: u32 = 1114;
const TIMESTAMPTZ: u32 = 1184;
const TIMETZ: u32 = 1266;
const NUMERIC: u32 = 1700;
const JSONB: u32 = 3802;
/// What a length modifier counts beside the length.
const HEADER: i32 = 4;

impl ValueForm {
    /// The form of a column's values.
    pub fn of(column: ColumnType) -> Self {
        let modifier = column.modifier;
        let one = match column.oid {
            NUMERIC => Self::Numeric,
            BPCHAR => Self::Padded,
            VARCHAR => match usize::try_from(modifier - HEADER) {
                Ok(length) if modifier > HEADER => Self::Cut(length),
                _ => Self::Plain,
            },
            TIME | TIMESTAMP | TIMESTAMPTZ | TIMETZ => match u32::try_from(modifier) {
                Ok(digits @ 0..6) => Self::Rounded(digits),
                _ => Self::Plain,
            },
            JSONB => Self::Jsonb,
            _ => Self::Plain,
        };
        match (column.is_array, one) {
            (true, Self::Plain) => Self::Array(Box::new(Self::Plain)),
            (true, one) => Self::Array(Box::new(one)),
            (false, one) => one,
        }
    }

    /// Appends the value's one form; bytes that are no value of the type stay as they are.
    pub fn write(&self, value: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let is_written = match self {
            Self::Plain => None,
            Self::Numeric => numeric(value, out),
            Self::Padded => {
                let kept = value.iter().rposition(|byte| *byte != b' ');
                out.extend_from_slice(&value[..kept.map_or(0, |at| at + 1)]);
                Some(())
            }
            Self::Cut(length) => cut(value, *length, out),
            Self::Rounded(digits) => rounded(value, *digits, out),
            Self::Jsonb => json_form::write(value, out),
            Self::Array(element) => array(value, element, out),
        };
        if is_written.is_none() {
            out.truncate(start);
            out.extend_from_slice(value);
        }
    }
}

/// Digits to the base 10,000 without zeroes at the ends; the scale is left out.
fn numeric(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let word = |at: usize| Some(i16::from_be_bytes(value.get(at..at + 2)?.try_into().ok()?));
    let (weight, sign) = (word(2)?, value.get(4..6)?);
    let digits = value.get(8..)?;
    if digits.len() != usize::try_from(word(0)?).ok()? * 2 {
        return None;
    }
    let is_some = |digit: &[u8]| digit != [0, 0];
    let mut pairs = digits.chunks(2);
    let Some(first) = pairs.position(is_some) else {
        // Zero, or what is no number: NaN and the infinities differ in the sign alone.
        let is_number = matches!(sign, [0 | 0x40, 0]);
        out.extend_from_slice(if is_number { &[0, 0] } else { sign });
        return Some(());
    };
    let last = digits.chunks(2).rposition(is_some)?;
    let weight = i32::from(weight) - i32::try_from(first).ok()?;
    out.extend_from_slice(sign);
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(digits.get(first * 2..last * 2 + 2)?);
    Some(())
}

fn cut(value: &[u8], length: usize, out: &mut Vec<u8>) -> Option<()> {
    if value.len() <= length {
        out.extend_from_slice(value);
        return Some(());
    }
    let text = std::str::from_utf8(value).ok()?;
    let end = text
        .char_indices()
        .nth(length)
        .map_or(text.len(), |(at, _)| at);
    let is_blank = text[end..].bytes().all(|byte| byte == b' ');
    let kept = if is_blank { end } else { text.len() };
    out.extend_from_slice(&value[..kept]);
    Some(())
}

/// As the destination rounds: halves away from zero.
fn rounded(value: &[u8], digits: u32, out: &mut Vec<u8>) -> Option<()> {
    let micros = i64::from_be_bytes(value.get(..8)?.try_into().ok()?);
    let scale = 10_i64.pow(6 - digits);
    let half = scale / 2;
    let is_infinite = micros == i64::MAX || micros == i64::MIN;
    let near = match micros {
        _ if is_infinite => micros,
        0.. => micros.saturating_add(half) / scale * scale,
        _ => -(micros.saturating_neg().saturating_add(half) / scale * scale),
    };
    out.extend_from_slice(&near.to_be_bytes());
    out.extend_from_slice(value.get(8..)?);
    Some(())
}

/// Dimensions and elements; whether it may hold NULLs is how it is stored.
fn array(value: &[u8], element: &ValueForm, out: &mut Vec<u8>) -> Option<()> {
    let word = |at: usize| Some(i32::from_be_bytes(value.get(at..at + 4)?.try_into().ok()?));
    let dimensions = usize::try_from(word(0)?).ok().filter(|count| *count <= 6)?;
    out.extend_from_slice(value.get(..4)?);
    out.extend_from_slice(value.get(8..12 + dimensions * 8)?);
    let mut at = 12 + dimensions * 8;
    while at < value.len() {
        let length = word(at)?;
        at += 4;
        let Ok(length) = usize::try_from(length) else {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            continue;
        };
        put_sized(out, |out| {
            element.write(value.get(at..at + length)?, out);
            Some(())
        })?;
        at += length;
    }
    Some(())
}

/// Appends what `write` appends behind its length.
pub(super) fn put_sized(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Option<()>,
) -> Option<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let length = i32::try_from(out.len() - start - 4).ok()?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Some(())
}

#[cfg(test)]
#[path = "form_tests.rs"]
mod tests;
