//! Reads rows by their keys and transforms them, as a load would.

use futures::TryStreamExt;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::KeyValue;
use sqlx::postgres::PgConnection;

use super::parents;
use super::read::begin;
use super::tuple::{Tuple, TupleReader};
use crate::batch::{Batch, RowFailure};
use crate::connect::{Purpose, run_sql};
use crate::failure::{During, from_sqlx, read_refusal};
use crate::patience::{InTime, Patience, READ};
use crate::run::{EntityContext, RunContext};
use crate::transform::presence::Presence;
use crate::transform::row::{HeldKeys, Scratch};

/// Keys of one question.
const CHUNK: usize = 500;

/// The rows with these keys: those that the plan gives, and those that it refuses. What the source has not,
/// or the filter leaves out, is in neither.
pub async fn read_keyed(
    run: &RunContext,
    entity: &EntityContext,
    keys: &[KeyValue],
) -> Result<Batch, Failure> {
    let presence = parents::presence(run, entity).await?;
    let mut batch = Batch::default();
    let mut chunks: Vec<&[KeyValue]> = keys.chunks(CHUNK).collect();
    chunks.reverse();
    while let Some(chunk) = chunks.pop() {
        let mut connection = begin(run, entity.compiled.read.time_zone.as_deref()).await?;
        let before = batch.clone();
        match read_chunk(&mut connection, (run, entity, &presence), chunk, &mut batch).await? {
            Ok(()) => {
                run_sql(&mut connection, "commit")
                    .in_time(READ)
                    .await
                    .during("end the read")?;
                run.source.give_back(Purpose::Read, connection).await;
            }
            // A row that cannot be read fails its whole chunk: one by one then.
            Err((code, message)) => {
                batch = before;
                match chunk {
                    [only] => batch.failures.push(RowFailure {
                        at: batch.rows.len(),
                        key: only.clone(),
                        code,
                        message,
                        context: serde_json::json!({ "stage": "read" }),
                        is_held: false,
                    }),
                    several => chunks.extend(several.chunks(1).rev()),
                }
            }
        }
    }
    Ok(batch)
}

/// Code and words where a row cannot be read.
type Refusal = (String, String);

async fn read_chunk(
    connection: &mut PgConnection,
    (run, entity, presence): (&RunContext, &EntityContext, &Presence),
    keys: &[KeyValue],
    batch: &mut Batch,
) -> Result<Result<(), Refusal>, Failure> {
    let more = parents::more_fields(entity, presence);
    let select = entity
        .compiled
        .read
        .select_keyed(keys, &run.constants, &more);
    let copy = format!("copy ({select}\n) to stdout (format binary)");
    let refusal = |error: sqlx::Error| match read_refusal(&error) {
        Some(refusal) => Ok(Err(refusal)),
        None => Err(from_sqlx("read rows", &error)),
    };
    let mut stream = match connection.copy_out_raw(&copy).in_time(READ).await {
        Ok(stream) => stream,
        Err(error) => return refusal(error),
    };
    let mut patience = Patience::new(READ);
    let (mut reader, mut tuple) = (TupleReader::default(), Tuple::default());
    let (mut scratch, held) = (Scratch::default(), HeldKeys::default());
    loop {
        let chunk = match patience.wait(stream.try_next()).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) => return refusal(error),
        };
        reader.push(chunk);
        while reader.next(&mut tuple)? {
            entity
                .transform
                .append(&mut tuple, (&held, presence), &mut scratch, batch)?;
        }
    }
    match reader.has_ended() {
        true => Ok(Ok(())),
        false => Err(Failure::new(
            FailureKind::Unreachable,
            "the source's answer was cut short",
        )),
    }
}
