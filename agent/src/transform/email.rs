//! The step `email`: trim, NFC, lower case, exactly one `@` with something on both sides.

use unicode_normalization::UnicodeNormalization;

/// The e-mail address in its normal form, or what is wrong with it.
pub fn normalise(text: &str) -> Result<String, &'static str> {
    let address: String = text.trim().nfc().collect::<String>().to_lowercase();
    let mut halves = address.split('@');
    match (halves.next(), halves.next(), halves.next()) {
        (Some(local), Some(domain), None)
            if !local.is_empty()
                && !domain.is_empty()
                && !address.contains(|c: char| c.is_whitespace() || c.is_control()) =>
        {
            Ok(address)
        }
        (Some(_), None, _) => Err("an e-mail address needs an @"),
        _ => Err("an e-mail address has one @, something on both sides and no blank"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised() {
        assert_eq!(
            normalise("  Ann.O'Neil@Example.ORG "),
            Ok("ann.o'neil@example.org".into())
        );
        assert_eq!(normalise("zoe\u{308}@x.de"), Ok("zo\u{eb}@x.de".into()));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            "no at sign",
            "a@b\nc@d",
        ] {
            assert!(normalise(text).is_err(), "{text}");
        }
    }
}
