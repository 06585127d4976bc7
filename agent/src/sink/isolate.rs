//! Finds the rows of a batch that the destination refuses, in a transaction that is rolled back.
//!
//! The server names the line of a COPY that failed: jump there. Where it names none, halve. A line
//! can hide an earlier fault (COPY buffers up to 1,000 rows), so what stands before it is tried again.

use std::collections::VecDeque;

use proto::domain::failure::SqlAction;
use serde_json::json;
use sqlx::postgres::{PgConnection, PgDatabaseError};

use super::copy::{CopyStatements, copy_rows};
use super::fence::Fence;
use crate::batch::Batch;
use crate::connect::run_sql;
use crate::failure::{column, constraint, database_error, describe};
use crate::patience::{InTime, WRITE};
use crate::run::EntityContext;

/// Code of a row that the destination took and did not keep.
const NOT_WRITTEN: &str = "DROVER_NOT_WRITTEN";

/// Rows that are tried at once behind a bad one, so that a batch full of them stays cheap.
const SMALLEST_WINDOW: usize = 16;

/// A refused row: its place, SQLSTATE, words and context.
pub type BadRow = (usize, String, String, serde_json::Value);

/// The refused rows, in order. The transaction is gone when this returns.
///
/// # Errors
/// The driver's, for everything that is no row fault; the connection must then be closed.
pub async fn find_bad_rows(
    connection: &mut PgConnection,
    entity: &EntityContext,
    fence: &Fence,
    batch: &Batch,
) -> Result<Vec<BadRow>, sqlx::Error> {
    // Deferred constraints speak up at their row, not at a COMMIT that never comes.
    let mut begin = format!(
        "begin; set local application_name = '{}'; set constraints all immediate",
        fence.marker()
    );
    if let Some(make) = entity.copy.make_stages() {
        begin.push_str("; ");
        begin.push_str(make);
    }
    run_sql(&mut *connection, &begin).in_time(WRITE).await?;
    let bad = refused_rows(connection, entity, fence, batch).await?;
    run_sql(connection, "rollback").in_time(WRITE).await?;
    Ok(bad)
}

/// The refused rows, in order, within a transaction that is open; the others are in the target behind it.
///
/// # Errors
/// Those of [`find_bad_rows`].
pub async fn refused_rows(
    connection: &mut PgConnection,
    entity: &EntityContext,
    fence: &Fence,
    batch: &Batch,
) -> Result<Vec<BadRow>, sqlx::Error> {
    let mut bad = Vec::new();
    let mut window = batch.rows.len();
    let mut pending = VecDeque::from([(0, batch.rows.len())]);
    while let Some((from, end)) = pending.pop_front() {
        let to = end.min(from + window);
        if to < end {
            pending.push_front((to, end));
        }
        if from == to {
            continue;
        }
        run_sql(&mut *connection, "savepoint probe")
            .in_time(WRITE)
            .await?;
        let rows = (batch.rows.rows(from, to), to - from);
        let refusal = match probe(connection, entity, fence, rows).await {
            Ok(true) => {
                run_sql(&mut *connection, "release savepoint probe")
                    .in_time(WRITE)
                    .await?;
                window = (window * 2).min(batch.rows.len());
                continue;
            }
            Ok(false) => None,
            Err(error) => Some(row_refusal(&entity.copy, error)?),
        };
        run_sql(&mut *connection, "rollback to savepoint probe")
            .in_time(WRITE)
            .await?;
        match place_of(refusal.as_deref(), &entity.copy.relation, from, to) {
            Some(place) => {
                bad.push(bad_row(place, refusal.as_deref(), entity));
                pending.push_front((place + 1, to));
                pending.push_front((from, place));
                window = SMALLEST_WINDOW.max(2 * (place - from));
            }
            None => {
                let middle = from.midpoint(to);
                pending.push_front((middle, to));
                pending.push_front((from, middle));
            }
        }
    }
    bad.sort_by_key(|(place, ..)| *place);
    Ok(bad)
}

/// Writes rows as the batch would; what it staged is gone again behind it. False: some were dropped
/// without an error.
async fn probe(
    connection: &mut PgConnection,
    entity: &EntityContext,
    fence: &Fence,
    (rows, count): (&[u8], usize),
) -> Result<bool, sqlx::Error> {
    let kept = copy_rows(connection, &entity.copy.rows, rows)
        .in_time(WRITE)
        .await?;
    let is_whole = kept == count as u64;
    match (&entity.copy.conflict, &entity.copy.stage) {
        (Some(conflict), _) => Ok(conflict.probe(connection, fence).await? == 0 && is_whole),
        (None, Some(stage)) => Ok(stage.probe(connection).await? == count as u64 && is_whole),
        (None, None) => Ok(is_whole),
    }
}

/// What the server says of a row; everything else ends the search.
fn row_refusal(
    copy: &CopyStatements,
    error: sqlx::Error,
) -> Result<Box<PgDatabaseError>, sqlx::Error> {
    match database_error(&error) {
        Some(refusal) if copy.action(refusal.code()) == SqlAction::Row => {}
        _ => return Err(error),
    }
    match error {
        sqlx::Error::Database(refusal) => refusal
            .try_downcast::<PgDatabaseError>()
            .map_err(sqlx::Error::Database),
        other => Err(other),
    }
}

/// The row at fault: the named line, or the only row there is.
fn place_of(
    refusal: Option<&PgDatabaseError>,
    relation: &str,
    from: usize,
    to: usize,
) -> Option<usize> {
    let named = refusal
        .and_then(PgDatabaseError::r#where)
        .and_then(|context| line_of(context, relation))
        .map(|line| from + line - 1)
        .filter(|place| *place < to);
    named.or((to - from == 1).then_some(from))
}

/// The first number behind the relation's name in `COPY name, line 3, column c`; the word for
/// "line" follows the server's language.
fn line_of(context: &str, relation: &str) -> Option<usize> {
    let rest = context.strip_prefix("COPY ")?.strip_prefix(relation)?;
    let start = rest.find(|c: char| c.is_ascii_digit())?;
    let digits = rest[start..].split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|line| *line > 0)
}

/// The column that the context of a COPY ends with, as in `COPY name, line 3, column c`.
fn column_of<'a>(
    context: &str,
    relation: &str,
    columns: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let rest = context.strip_prefix("COPY ")?.strip_prefix(relation)?;
    let line = &rest[rest.find(|c: char| c.is_ascii_digit())?..];
    let behind = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_named = |name: &&str| {
        let before = behind.strip_suffix(*name);
        before.is_some_and(|before| before.ends_with(' '))
    };
    columns.filter(is_named).max_by_key(|name| name.len())
}

fn bad_row(place: usize, refusal: Option<&PgDatabaseError>, entity: &EntityContext) -> BadRow {
    let Some(refusal) = refusal else {
        let words = "the destination took the row and did not keep it: a trigger drops it";
        let context = json!({ "stage": "write" });
        return (place, NOT_WRITTEN.to_owned(), words.to_owned(), context);
    };
    let columns = entity.compiled.columns.iter().map(|it| it.name.as_str());
    let named = column(refusal).or_else(|| {
        let context = refusal
            .r#where()
            .filter(|context| !context.contains('\n'))?;
        column_of(context, &entity.copy.relation, columns)
    });
    let context = json!({
        "stage": "write",
        "column": named,
        "constraint": constraint(refusal),
    });
    let message = format!("the destination: {}", describe(refusal));
    (place, refusal.code().to_owned(), message, context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_read_in_any_language_and_not_out_of_a_name() {
        assert_eq!(
            line_of("COPY orders, line 12, column total: \"9\"", "orders"),
            Some(12)
        );
        assert_eq!(line_of("COPY t2024, Zeile 3", "t2024"), Some(3));
        assert_eq!(line_of("COPY orders", "orders"), None);
        let column = |context| column_of(context, "t", ["id", "a id", "7"].into_iter());
        assert_eq!(column("COPY t, line 7, column a id"), Some("a id"));
        assert_eq!(column("COPY t, Zeile 7, Spalte id"), Some("id"));
        assert_eq!(column("COPY t, line 7"), None);
        assert_eq!(line_of("SQL statement \"x 5\"", "orders"), None);
    }
}
