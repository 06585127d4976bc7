//! The redacted snapshot of failed rows: read again by key, sensitive values masked before they
//! leave the agent.

use std::collections::HashMap;

use proto::domain::compiled::SnapshotColumn;
use proto::domain::failure::Failure;
use proto::domain::key::KeyValue;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sqlx::postgres::PgConnection;
use sqlx::postgres::PgRow;
use sqlx::{Row, ValueRef};

use super::read::begin;
use crate::failure::{During, read_refusal};
use crate::patience::{InTime, READ};
use crate::run::{EntityContext, RunContext};

/// Rows of one query.
const CHUNK: usize = 500;
/// Longest text that is kept whole, in bytes.
const MAX_TEXT: usize = 1024;

/// Snapshots by record id; a row that is no longer there has none. The connection, in a transaction
/// of the run, is kept for the next batch.
pub async fn read_snapshots(
    run: &RunContext,
    entity: &EntityContext,
    keys: &[KeyValue],
    kept: &mut Option<PgConnection>,
) -> Result<HashMap<String, Value>, Failure> {
    let mut snapshots = HashMap::new();
    if keys.is_empty() {
        return Ok(snapshots);
    }
    let read = &entity.compiled.read;
    let width = read.key.len();
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => begin(run, None).await?,
    };
    let mut chunks: Vec<&[KeyValue]> = keys.chunks(CHUNK).collect();
    while let Some(chunk) = chunks.pop() {
        let sql = read.select_rows(chunk);
        let rows = match sqlx::query(&sql)
            .fetch_all(&mut connection)
            .in_time(READ)
            .await
        {
            Ok(rows) => rows,
            // A row that cannot even be shown: its chunk goes one by one, and it alone without.
            Err(error) if read_refusal(&error).is_some() => {
                connection = begin(run, None).await?;
                match chunk {
                    [only] => drop(snapshots.insert(only.to_record_id(), unreadable())),
                    several => chunks.extend(several.chunks(1)),
                }
                continue;
            }
            Err(error) => return Err(error).during("read failed rows again"),
        };
        for row in rows {
            let key: Result<Vec<String>, _> = (0..width).map(|at| row.try_get(at)).collect();
            let id = KeyValue(key.during("read failed rows again")?).to_record_id();
            let text = json_text(&row, width).during("read failed rows again")?;
            snapshots.insert(id, redact(&entity.compiled.snapshot, &text));
        }
    }
    *kept = Some(connection);
    Ok(snapshots)
}

/// A row of which not even this can be shown.
fn unreadable() -> Value {
    json!({ "unreadable": true })
}

/// The text of a column; bytes that are no UTF-8 are replaced in it.
fn json_text(row: &PgRow, column: usize) -> Result<String, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok("null".to_owned());
    }
    let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// Keeps the listed columns, masks the sensitive ones, cuts long texts. A column is parsed by itself, since
/// one may hold what is no JSON to us: a number beyond all bounds, a thousand brackets.
fn redact(columns: &[SnapshotColumn], row: &str) -> Value {
    let Ok(mut row) = serde_json::from_str::<HashMap<String, &RawValue>>(row) else {
        return unreadable();
    };
    let mut kept = Map::new();
    for column in columns {
        let Some(value) = row.remove(&column.name) else {
            continue;
        };
        let value = if column.is_sensitive {
            mask(value.get())
        } else {
            shown(value.get())
        };
        kept.insert(column.name.clone(), value);
    }
    Value::Object(kept)
}

/// What may be told of a sensitive value: whether it is there, and how long its text is.
fn mask(json: &str) -> Value {
    match serde_json::from_str(json) {
        Ok(Value::Null) => Value::Null,
        Ok(Value::String(text)) => json!({ "redacted": true, "length": text.chars().count() }),
        Ok(_) | Err(_) => json!({ "redacted": true }),
    }
}

/// A value as it is told: whole, or how long it is.
fn shown(json: &str) -> Value {
    let omitted = |bytes: usize| json!({ "omitted": true, "bytes": bytes });
    if json.len() > MAX_TEXT && !json.starts_with('"') {
        return omitted(json.len());
    }
    match serde_json::from_str(json) {
        Ok(Value::String(text)) if text.len() > MAX_TEXT => omitted(text.len()),
        // Digits that a number of ours would lose stay as a text.
        Ok(Value::Number(number)) if number.to_string() != json => Value::from(json),
        // jsonb has no NUL, wherever it stands.
        Ok(value) if !json.contains("\\u0000") => value,
        Ok(_) | Err(_) => omitted(json.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_columns_stay_and_sensitive_ones_are_masked() {
        let column = |name: &str, is_sensitive| SnapshotColumn {
            name: name.into(),
            is_sensitive,
        };
        let columns = [
            column("id", false),
            column("email", true),
            column("note", false),
            column("fax", true),
        ];
        let long = "x".repeat(2000);
        let row = json!({"id": 7, "email": "a@b", "note": long, "fax": null, "password": "p"});
        assert_eq!(
            redact(&columns, &row.to_string()),
            json!({"id": 7, "email": {"redacted": true, "length": 3},
                   "note": {"omitted": true, "bytes": 2000}, "fax": null})
        );
    }

    #[test]
    fn what_is_no_json_to_us_is_told_by_its_length_and_hides_nothing_else() {
        let columns = ["n", "exact", "deep", "nul", "half", "text"].map(|name| SnapshotColumn {
            name: name.into(),
            is_sensitive: false,
        });
        let (digits, deep) = (
            "9".repeat(400),
            format!("{}{}", "[".repeat(300), "]".repeat(300)),
        );
        let row = format!(
            r#"{{"n":{digits},"exact":12345678901234567890.5,"deep":{deep},"nul":{{"a":"\u0000"}},"half":"\ud800","text":"x"}}"#
        );
        assert_eq!(
            redact(&columns, &row),
            json!({"n": {"omitted": true, "bytes": 400}, "exact": "12345678901234567890.5",
                   "deep": {"omitted": true, "bytes": 600}, "nul": {"omitted": true, "bytes": 14},
                   "half": {"omitted": true, "bytes": 8}, "text": "x"})
        );
        assert_eq!(redact(&columns, r#"{"n": "#), unreadable());
        assert_eq!(mask("1e999"), json!({ "redacted": true }));
    }
}
