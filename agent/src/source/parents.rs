//! Loads the keys of parents, once per run and parent, under the run's snapshot.

use std::sync::Arc;

use futures::TryStreamExt;
use proto::domain::compiled::OrphanCheck;
use proto::domain::failure::{Failure, FailureKind};
use sqlx::postgres::PgConnection;
use tracing::{Instrument, info_span, warn};

use super::tuple::{Tuple, TupleReader};
use crate::connect::{Purpose, run_sql};
use crate::failure::{During, from_sqlx, is_connection_loss};
use crate::patience::{InTime, Patience, READ};
use crate::run::{EntityContext, RunContext};
use crate::source::read::begin;
use crate::transform::presence::{Known, ParentKeys, Presence};

/// Memory for the keys of one parent: half a billion keys that follow each other, or some millions that
/// do not. Beyond it the source looks for itself, row by row.
const BUDGET: usize = 64 << 20;
/// The memory is looked at after so many keys.
const LOOK_AT: u64 = 1 << 18;

/// How an entity's rows learn whether their parents are there.
///
/// # Errors
/// The source's; a parent that cannot be read as a whole is looked up row by row.
pub async fn presence(run: &RunContext, entity: &EntityContext) -> Result<Presence, Failure> {
    let mut field = entity.compiled.read.fields.len();
    let mut known = Vec::new();
    for check in &entity.compiled.orphans {
        let cell = run.parents.cell(&check.keys);
        let keys = cell
            .get_or_try_init(|| load(run, check).instrument(info_span!("read.parents")))
            .await?;
        known.push(match keys {
            Some(keys) => Known::Keys(keys.clone()),
            None => {
                field += 1;
                Known::Field(field - 1)
            }
        });
    }
    Ok(Presence(known))
}

/// The fields that the SELECT needs beside the rule's own.
pub fn more_fields<'a>(entity: &'a EntityContext, presence: &Presence) -> Vec<&'a String> {
    let checks = entity.compiled.orphans.iter().zip(&presence.0);
    checks
        .filter(|(_, known)| matches!(known, Known::Field(_)))
        .map(|(check, _)| &check.exists)
        .collect()
}

/// All keys; none where they are too many, or where a row of the parent cannot be read.
async fn load(run: &RunContext, check: &OrphanCheck) -> Result<Option<Arc<ParentKeys>>, Failure> {
    let mut connection = begin(run, None).await?;
    let copy = format!(
        "copy ({}\n) to stdout (format binary)",
        run.constants.apply(&check.keys)
    );
    match read_keys(&mut connection, &copy).await {
        Ok(Some(keys)) => {
            run_sql(&mut connection, "commit")
                .in_time(READ)
                .await
                .during("end the read")?;
            run.source.give_back(Purpose::Read, connection).await;
            Ok(Some(Arc::new(keys)))
        }
        Ok(None) => Ok(None),
        Err(ReadFault::Source(error)) if !is_connection_loss(&error) => {
            let reason = from_sqlx("read the keys of a parent", &error);
            warn!(entity = %check.entity, %reason, "parents are looked up row by row");
            Ok(None)
        }
        Err(ReadFault::Source(error)) => Err(from_sqlx("read the keys of a parent", &error)),
        Err(ReadFault::Ours(failure)) => Err(failure),
    }
}

enum ReadFault {
    Source(sqlx::Error),
    Ours(Failure),
}

async fn read_keys(
    connection: &mut PgConnection,
    copy: &str,
) -> Result<Option<ParentKeys>, ReadFault> {
    let mut stream = connection
        .copy_out_raw(copy)
        .in_time(READ)
        .await
        .map_err(ReadFault::Source)?;
    let mut patience = Patience::new(READ);
    let (mut reader, mut tuple) = (TupleReader::default(), Tuple::default());
    let (mut keys, mut count) = (ParentKeys::default(), 0_u64);
    while let Some(chunk) = patience
        .wait(stream.try_next())
        .await
        .map_err(ReadFault::Source)?
    {
        reader.push(chunk);
        while reader.next(&mut tuple).map_err(ReadFault::Ours)? {
            let key = tuple.field(0).and_then(|bytes| bytes.try_into().ok());
            if let Some(key) = key {
                keys.insert(i64::from_be_bytes(key));
            }
            count += 1;
            if count.is_multiple_of(LOOK_AT) && keys.bytes() > BUDGET {
                return Ok(None);
            }
        }
    }
    if reader.has_ended() {
        Ok(Some(keys))
    } else {
        let words = "the source's answer was cut short";
        Err(ReadFault::Ours(Failure::new(
            FailureKind::Unreachable,
            words,
        )))
    }
}
