//! Reads a table's rows as the load wrote them: binary COPY of the same columns.

use futures::TryStreamExt;
use proto::domain::catalog::quote_ident;
use proto::domain::failure::{Failure, FailureKind};
use sqlx::postgres::PgConnection;

use crate::failure::from_sqlx;
use crate::patience::{InTime, Patience, READ};
use crate::run::EntityContext;
use crate::source::tuple::{Tuple, TupleReader};

/// Gives the fields of every row on the pages, or of all rows, to `take`; the number of rows.
///
/// # Errors
/// The destination's, or the first of `take`.
pub async fn scan(
    connection: &mut PgConnection,
    entity: &EntityContext,
    pages: Option<(u64, u64)>,
    mut take: impl FnMut(&[u8]) -> Result<(), Failure> + Send,
) -> Result<i64, Failure> {
    let action = "read the destination's rows";
    let columns: Vec<String> = entity
        .compiled
        .columns
        .iter()
        .map(|column| quote_ident(&column.name))
        .collect();
    let range = match pages {
        Some((from, to)) => format!(" where ctid >= '({from},0)' and ctid < '({to},0)'"),
        None => String::new(),
    };
    let copy = format!(
        "copy (select {} from {}{range}) to stdout (format binary)",
        columns.join(", "),
        entity.compiled.destination.quoted()
    );
    let mut stream = connection
        .copy_out_raw(&copy)
        .in_time(READ)
        .await
        .map_err(|error| from_sqlx(action, &error))?;
    let mut patience = Patience::new(READ);
    let (mut reader, mut tuple, mut rows) = (TupleReader::default(), Tuple::default(), 0);
    let last = columns.len().saturating_sub(1);
    while let Some(chunk) = patience
        .wait(stream.try_next())
        .await
        .map_err(|error| from_sqlx(action, &error))?
    {
        reader.push(chunk);
        while reader.next(&mut tuple)? {
            let fields = tuple.encoded(0, last).ok_or_else(|| {
                Failure::new(FailureKind::Internal, "a row is not as it was asked for")
            })?;
            take(fields)?;
            rows += 1;
        }
    }
    if reader.has_ended() {
        return Ok(rows);
    }
    let words = "the destination's answer was cut short";
    Err(Failure::new(FailureKind::Unreachable, words))
}
