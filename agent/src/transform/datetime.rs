//! text → date, timestamp and timestamptz in PostgreSQL's binary form.
//!
//! Strict ISO 8601: nothing is guessed, an impossible day is refused. Values count from 2000-01-01.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};

const FORMATS: [&str; 4] = [
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
];
const REASON_DATE: &str = "the text is not a date (YYYY-MM-DD)";
const REASON_TIMESTAMP: &str = "the text is not a timestamp (ISO 8601)";
const REASON_TIMESTAMPTZ: &str = "the text is not a timestamp with an offset (ISO 8601)";

/// Days since 2000-01-01.
pub fn date(text: &str) -> Result<[u8; 4], &'static str> {
    let day = parse_day(text.trim()).ok_or(REASON_DATE)?;
    let epoch = NaiveDate::from_ymd_opt(2000, 1, 1).ok_or(REASON_DATE)?;
    let days = i32::try_from((day - epoch).num_days()).map_err(|_| REASON_DATE)?;
    Ok(days.to_be_bytes())
}

/// Microseconds since 2000-01-01 00:00, of a naive timestamp; a date alone is its midnight.
pub fn timestamp(text: &str) -> Result<[u8; 8], &'static str> {
    let text = text.trim();
    let naive = parse_naive(text).ok_or(REASON_TIMESTAMP)?;
    micros(naive).ok_or(REASON_TIMESTAMP)
}

/// Microseconds since 2000-01-01 00:00 UTC.
pub fn timestamptz(text: &str) -> Result<[u8; 8], &'static str> {
    let text = text.trim().replacen(' ', "T", 1);
    let parsed = DateTime::parse_from_rfc3339(&text)
        .or_else(|_| DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%#z"))
        .map_err(|_| REASON_TIMESTAMPTZ)?;
    if !is_plain(&text, parsed.naive_local().date()) {
        return Err(REASON_TIMESTAMPTZ);
    }
    micros(parsed.naive_utc()).ok_or(REASON_TIMESTAMPTZ)
}

fn parse_naive(text: &str) -> Option<NaiveDateTime> {
    FORMATS
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .filter(|at| is_plain(text, at.date()))
        .or_else(|| parse_day(text)?.and_hms_opt(0, 0, 0))
}

fn parse_day(text: &str) -> Option<NaiveDate> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    day.filter(|day| is_plain(text, *day))
}

/// PostgreSQL has no year 0 and no signed years: 1 BC is written with its era.
fn is_plain(text: &str, day: NaiveDate) -> bool {
    day.year() > 0 && !text.starts_with(['+', '-'])
}

fn micros(at: NaiveDateTime) -> Option<[u8; 8]> {
    // PostgreSQL keeps microseconds; a longer fraction would be cut in silence.
    if !at.and_utc().timestamp_subsec_nanos().is_multiple_of(1000) {
        return None;
    }
    let epoch = NaiveDate::from_ymd_opt(2000, 1, 1)?.and_hms_opt(0, 0, 0)?;
    Some((at - epoch).num_microseconds()?.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_from_the_year_2000() {
        assert_eq!(date("2000-01-02"), Ok(1i32.to_be_bytes()));
        assert_eq!(date(" 1999-12-31 "), Ok((-1i32).to_be_bytes()));
        for text in ["0000-01-01", "-0044-03-15", "+10000-01-01"] {
            assert!(date(text).is_err(), "{text}");
            assert!(timestamp(&format!("{text} 00:00")).is_err(), "{text}");
            assert!(timestamptz(&format!("{text}T00:00:00Z")).is_err(), "{text}");
        }
        for text in ["2021-02-30", "20210101", "01/02/2021", "", "2021-1-1x"] {
            assert!(date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn timestamps_keep_microseconds_and_refuse_more() {
        assert_eq!(
            timestamp("2000-01-01 00:00:01.000001"),
            Ok(1_000_001i64.to_be_bytes())
        );
        assert_eq!(
            timestamp("2000-01-01T00:01"),
            Ok(60_000_000i64.to_be_bytes())
        );
        assert_eq!(timestamp("2000-01-02"), Ok(86_400_000_000i64.to_be_bytes()));
        assert!(timestamp("2000-01-01 00:00:01.0000001").is_err());
        assert!(timestamp("2000-01-01 25:00").is_err());
    }

    #[test]
    fn an_offset_is_needed_and_applied() {
        assert_eq!(
            timestamptz("2000-01-01 01:00:00+01"),
            Ok(0i64.to_be_bytes())
        );
        assert_eq!(timestamptz("2000-01-01T00:00:00Z"), Ok(0i64.to_be_bytes()));
        assert!(timestamptz("2000-01-01 01:00:00").is_err());
    }
}
