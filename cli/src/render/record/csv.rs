//! Errors as comma-separated values: RFC 4180, one header, one line per error.

use chrono::SecondsFormat;
use proto::domain::record::MigrationError;

const HEADER: &str = "id,entity,error_type,error_code,error_message,source_record_id,source_data,context,\
                      occurred_at,is_resolved,resolution_notes\r\n";

/// Errors with a header.
pub fn errors(errors: &[MigrationError]) -> String {
    let mut text = HEADER.to_owned();
    for error in errors {
        let fields = [
            error.id.to_string(),
            error.entity.clone().unwrap_or_default(),
            error.error_type.to_string(),
            error.error_code.clone(),
            error.error_message.clone(),
            error.source_record_id.clone().unwrap_or_default(),
            error.source_data.to_string(),
            error.context.to_string(),
            error
                .occurred_at
                .to_rfc3339_opts(SecondsFormat::Micros, true),
            error.is_resolved.to_string(),
            error.resolution_notes.clone().unwrap_or_default(),
        ];
        text.push_str(&fields.map(|field| quoted(&field)).join(","));
        text.push_str("\r\n");
    }
    text
}

/// A field; quoted where it must be. One that a spreadsheet would take for a formula is shown as a text.
fn quoted(field: &str) -> String {
    let is_formula = field.starts_with(['=', '+', '@', '\t']);
    let mark = if is_formula { "'" } else { "" };
    if is_formula || field.contains([',', '"', '\n', '\r']) {
        format!("\"{mark}{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_would_break_the_line_or_run_is_quoted() {
        for (field, expected) in [
            ("plain", "plain"),
            ("-5", "-5"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "\"'=1+1\""),
        ] {
            assert_eq!(quoted(field), expected);
        }
        assert_eq!(HEADER.split(',').count(), 11);
        assert_eq!(errors(&[]), HEADER);
    }
}
