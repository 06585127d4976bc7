//! Times as people write them: `500ms`, `15s`, `10m`, `2h`.

use std::time::Duration;

/// A time with its unit; 0 is refused.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => 0,
    };
    let milliseconds = number
        .parse::<u32>()
        .ok()
        .map(|number| u64::from(number) * factor);
    match milliseconds {
        Some(some) if some > 0 => Ok(Duration::from_millis(some)),
        _ => Err("a time above 0 with its unit, such as 500ms, 15s, 10m or 2h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_needs_a_unit_and_is_more_than_nothing() {
        for (text, seconds) in [
            ("15s", 15.0),
            ("500ms", 0.5),
            ("10m", 600.0),
            ("2h", 7200.0),
        ] {
            assert_eq!(parse(text).unwrap().as_secs_f64(), seconds);
        }
        for text in [
            "",
            "15",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "1d",
            "99999999999s",
            "1 s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
