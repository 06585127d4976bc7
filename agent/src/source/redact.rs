//! The redacted snapshot of failed rows: read again by key, sensitive values masked before they
//! leave the agent.

use std::collections::HashMap;

use proto::domain::compiled::SnapshotColumn;
use proto::domain::failure::{Failure, SqlAction, sql_action};
use proto::domain::key::KeyValue;
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::postgres::PgConnection;

use super::read::begin;
use crate::failure::{During, sqlstate};
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
            Err(error) if sqlstate(&error).map(sql_action) == Some(SqlAction::Row) => {
                connection = begin(run, None).await?;
                match chunk {
                    [only] => {
                        drop(snapshots.insert(only.to_record_id(), json!({ "unreadable": true })))
                    }
                    several => chunks.extend(several.chunks(1)),
                }
                continue;
            }
            Err(error) => return Err(error).during("read failed rows again"),
        };
        for row in rows {
            let key: Result<Vec<String>, _> = (0..width).map(|at| row.try_get(at)).collect();
            let value: Value = row.try_get(width).during("read failed rows again")?;
            let id = KeyValue(key.during("read failed rows again")?).to_record_id();
            snapshots.insert(id, redact(&entity.compiled.snapshot, value));
        }
    }
    *kept = Some(connection);
    Ok(snapshots)
}

/// Keeps the listed columns, masks the sensitive ones, cuts long texts.
fn redact(columns: &[SnapshotColumn], row: Value) -> Value {
    let Value::Object(mut row) = row else {
        return json!({});
    };
    let mut kept = Map::new();
    for column in columns {
        let Some(value) = row.remove(&column.name) else {
            continue;
        };
        let value = if column.is_sensitive {
            mask(&value)
        } else {
            shorten(value)
        };
        kept.insert(column.name.clone(), value);
    }
    Value::Object(kept)
}

/// What may be told of a sensitive value: whether it is there, and how long its text is.
fn mask(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::String(text) => json!({ "redacted": true, "length": text.chars().count() }),
        _ => json!({ "redacted": true }),
    }
}

fn shorten(value: Value) -> Value {
    let length = match &value {
        Value::String(text) => text.len(),
        Value::Array(_) | Value::Object(_) => value.to_string().len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    if length > MAX_TEXT {
        json!({ "omitted": true, "bytes": length })
    } else {
        value
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
            redact(&columns, row),
            json!({"id": 7, "email": {"redacted": true, "length": 3},
                   "note": {"omitted": true, "bytes": 2000}, "fax": null})
        );
    }
}
