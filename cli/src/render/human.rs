//! Numbers, rates, durations and texts as people read them.

use chrono::{DateTime, Utc};

/// A rate: `8.4k/s`; `-` where it is not known.
pub fn rate(per_second: Option<f64>) -> String {
    match per_second {
        Some(rate) if rate.is_finite() && rate > 0.0 => format!("{}/s", short(rate)),
        _ => "-".to_owned(),
    }
}

fn short(number: f64) -> String {
    for (limit, unit) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if number >= limit * 0.9995 {
            let scaled = number / limit;
            return if scaled < 99.95 {
                format!("{scaled:.1}{unit}")
            } else {
                format!("{scaled:.0}{unit}")
            };
        }
    }
    format!("{number:.0}")
}

/// A number of seconds in its two largest units: `3d4h`, `2m05s`, `17s`.
pub fn seconds(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m{rest:02}s"),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// A number of milliseconds: `340ms`, `1.2s`, `2m05s`.
pub fn milliseconds(milliseconds: i64) -> String {
    let milliseconds = milliseconds.max(0);
    match milliseconds {
        0..1_000 => format!("{milliseconds}ms"),
        1_000..60_000 => format!("{}.{}s", milliseconds / 1_000, milliseconds / 100 % 10),
        _ => seconds(milliseconds / 1_000),
    }
}

/// How long ago something was.
pub fn age(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    seconds((now - then).num_seconds())
}

/// A share in percent with one decimal. 100 is only said of all of it, 0 only of nothing.
pub fn percent(part: i64, whole: i64) -> String {
    if whole <= 0 {
        return "-".to_owned();
    }
    #[allow(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let share = part as f64 * 100.0 / whole as f64;
    match part {
        0 => "0%".to_owned(),
        _ if part >= whole => "100%".to_owned(),
        _ => format!("{:.1}%", share.clamp(0.1, 99.9)),
    }
}

/// A text of at most `limit` characters on one line; what was cut is marked.
pub fn clip(text: &str, limit: usize) -> String {
    let line: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if line.chars().count() <= limit {
        return line;
    }
    let kept: String = line.chars().take(limit.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_short_and_never_zero_when_unknown() {
        let cases = [
            (None, "-"),
            (Some(0.0), "-"),
            (Some(f64::NAN), "-"),
            (Some(3.4), "3/s"),
            (Some(999.6), "1.0k/s"),
            (Some(8_412.0), "8.4k/s"),
            (Some(312_000.0), "312k/s"),
            (Some(1_500_000.0), "1.5M/s"),
        ];
        for (given, expected) in cases {
            assert_eq!(rate(given), expected, "{given:?}");
        }
    }

    #[test]
    fn durations_have_two_units() {
        let cases = [
            (-5, "0s"),
            (17, "17s"),
            (125, "2m05s"),
            (7_260, "2h01m"),
            (273_600, "3d4h"),
        ];
        for (given, expected) in cases {
            assert_eq!(seconds(given), expected);
        }
    }

    #[test]
    fn short_times_are_milliseconds() {
        for (given, expected) in [
            (-1, "0ms"),
            (340, "340ms"),
            (1_299, "1.2s"),
            (125_000, "2m05s"),
        ] {
            assert_eq!(milliseconds(given), expected);
        }
    }

    #[test]
    fn a_percentage_says_100_only_when_all_is_done() {
        let cases = [
            ((0, 0), "-"),
            ((0, 9), "0%"),
            ((1, 1_000_000), "0.1%"),
            ((999_999, 1_000_000), "99.9%"),
            ((9, 9), "100%"),
        ];
        for ((part, whole), expected) in cases {
            assert_eq!(percent(part, whole), expected);
        }
    }

    #[test]
    fn long_texts_are_cut_and_stay_on_one_line() {
        assert_eq!(clip("a\nb\tc", 10), "a b c");
        assert_eq!(clip("żółć gęślą jaźń", 6), "żółć…");
    }
}
