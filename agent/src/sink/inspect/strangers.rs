//! Rows of a table that are in no id map of this migration.

use proto::domain::failure::Failure;
use proto::domain::frame::{Comparison, Finding, FindingCounts, FindingKind};
use sqlx::postgres::PgConnection;

use super::survey::table_state;
use super::{TOLD, key_text, mapped};
use crate::failure::During;
use crate::patience::{InTime, READ};
use crate::run::{EntityContext, RunContext};

const LOOKING: &str = "look for rows of others";

/// Counts them and names the first; none where another entity of the same table counts them, or where the id
/// map does not tell.
pub async fn strangers(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
) -> Result<Comparison, Failure> {
    let mapped_in_all = sqlx::query_scalar(&format!(
        "select count(*) from drover.id_map_{} m where m.is_active",
        entity.entity_no
    ))
    .fetch_one(&mut *connection)
    .in_time(READ)
    .await
    .during(LOOKING)?;
    let table = &entity.compiled.destination;
    let mut writers: Vec<&EntityContext> = run.entities_of((&table.schema, &table.name)).collect();
    writers.sort_by_key(|writer| writer.entity_no);
    let is_first = writers
        .first()
        .is_some_and(|first| first.entity_no == entity.entity_no);
    let tests = writers.iter().map(|writer| {
        let test = mapped(&writer.compiled, "t")?;
        let number = writer.entity_no;
        Some(format!(
            "not exists (select from drover.id_map_{number} m where {test} and m.is_active)"
        ))
    });
    let tests: Option<Vec<String>> = tests.collect();
    let (Some(tests), true) = (tests, is_first) else {
        return Ok(Comparison {
            mapped_in_all: Some(mapped_in_all),
            ..Comparison::default()
        });
    };
    let state = table_state(&mut *connection, entity).await?;
    let rows = format!("from {} t where {}", table.quoted(), tests.join(" and "));
    let count: i64 = sqlx::query_scalar(&format!("select count(*) {rows}"))
        .fetch_one(&mut *connection)
        .in_time(READ)
        .await
        .during(LOOKING)?;
    let mut found = Comparison {
        counts: FindingCounts {
            extra: count,
            warnings: if state.had_rows { count } else { 0 },
            ..FindingCounts::default()
        },
        mapped_in_all: Some(mapped_in_all),
        ..Comparison::default()
    };
    // Those that were there before are no news, and may be many.
    if count == 0 || state.had_rows {
        return Ok(found);
    }
    let key = key_text(&entity.compiled, "t");
    let keys: Vec<String> = sqlx::query_scalar(&format!("select {key} {rows} limit {TOLD}"))
        .fetch_all(connection)
        .in_time(READ)
        .await
        .during(LOOKING)?;
    found.findings = keys.into_iter().map(stranger).collect();
    Ok(found)
}

fn stranger(key: String) -> Finding {
    Finding {
        kind: FindingKind::Extra,
        source_id: None,
        destination_id: Some(key),
        columns: Vec::new(),
        note: "this migration did not write it".to_owned(),
        is_warning: false,
    }
}
