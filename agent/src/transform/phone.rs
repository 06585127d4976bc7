//! The step `phone`: a telephone number as `+` and digits (E.164), valid in its country's plan.

use phonenumber::Mode;
use phonenumber::country::Id;
use unicode_normalization::UnicodeNormalization;

/// Longest text that is looked at.
const MAX_CHARACTERS: usize = 64;

const REASON: &str = "the text is no telephone number";
const REASON_LETTERS: &str = "a telephone number has digits only, an extension has no place in it";
const REASON_INVALID: &str = "the number is not valid in its country";

/// The number in E.164, or what is wrong with it. `region` is the country of one without a code.
pub fn normalise(text: &str, region: Option<&str>) -> Result<String, &'static str> {
    let region = match region.map(str::parse::<Id>) {
        None => None,
        Some(Ok(region)) => Some(region),
        Some(Err(_)) => return Err("the country is not known"),
    };
    let clean = clean(text)?;
    if region.is_none() && !clean.starts_with('+') {
        return Err("the number has no country code");
    }
    // With a country code the number's own country says what its digits mean.
    let region = region.filter(|_| !clean.starts_with('+'));
    let number = phonenumber::parse(region, &clean).map_err(|_| REASON)?;
    if number.extension().is_some() {
        return Err(REASON_LETTERS);
    }
    if !number.is_valid() {
        return Err(REASON_INVALID);
    }
    Ok(number.format().mode(Mode::E164).to_string())
}

/// Digits and what people put between them, as ASCII. Nothing else reaches the parser.
fn clean(text: &str) -> Result<String, &'static str> {
    if text.chars().nth(MAX_CHARACTERS).is_some() {
        return Err(REASON);
    }
    let mut clean = String::with_capacity(text.len());
    for letter in text.nfkc() {
        match letter {
            '0'..='9' | '+' | '-' | '.' | '(' | ')' | '/' => clean.push(letter),
            // Hyphens, dashes and the minus sign.
            '\u{2010}'..='\u{2015}' | '\u{2212}' => clean.push('-'),
            // Marks of direction and widths of nothing, as address books add them.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => {}
            '\u{feff}' => {}
            letter if letter.is_whitespace() => clean.push(' '),
            _ => return Err(REASON_LETTERS),
        }
    }
    Ok(clean.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proto::domain::rules::PHONE_REGIONS;

    #[test]
    fn numbers_become_plus_and_digits() {
        let cases = [
            ("(202) 555-0123", Some("US"), "+12025550123"),
            ("1 202.555.0123", Some("US"), "+12025550123"),
            ("+49 (0)30 901820", Some("US"), "+4930901820"),
            ("030/901820", Some("DE"), "+4930901820"),
            ("0049 30 901820", Some("DE"), "+4930901820"),
            ("02 1234 5678", Some("IT"), "+390212345678"),
            ("+44 20 7946 0958", None, "+442079460958"),
            (
                "\u{202a}+44\u{a0}20\u{2011}7946\u{2013}0958\u{202c}",
                None,
                "+442079460958",
            ),
            (
                "\u{ff0b}\u{ff14}\u{ff14} 20 7946 0958",
                None,
                "+442079460958",
            ),
        ];
        for (text, region, number) in cases {
            assert_eq!(normalise(text, region).as_deref(), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_of_its_country_is_refused() {
        let cases = [
            ("", Some("US")),
            ("n/a", Some("US")),
            ("911", Some("US")),
            ("123 456 7890", Some("US")),
            ("202 555 0123 x5", Some("US")),
            ("202 555 0123, 202 555 0124", Some("US")),
            ("202 555 0123", None),
            ("+0 202 555 0123", None),
            ("1-800-FLOWERS", Some("US")),
            ("202 555 0123", Some("XX")),
        ];
        for (text, region) in cases {
            assert!(normalise(text, region).is_err(), "{text}");
        }
    }

    #[test]
    fn every_country_of_the_language_is_known() {
        for region in PHONE_REGIONS.split(' ') {
            assert!(region.parse::<Id>().is_ok(), "{region}");
        }
    }

    proptest! {
        #[test]
        fn a_number_stays_the_same_when_it_is_read_again(
            text in "\\+?[0-9 ().-]{3,20}",
            region in proptest::sample::select(vec!["US", "DE", "FR", "GB"]),
        ) {
            if let Ok(number) = normalise(&text, Some(region)) {
                prop_assert!(number.len() <= 16 && number.starts_with('+'));
                prop_assert_eq!(normalise(&number, None), Ok(number));
            }
        }

        #[test]
        fn any_text_is_a_number_or_refused(text in any::<String>()) {
            let _ = normalise(&text, Some("US"));
        }
    }
}
