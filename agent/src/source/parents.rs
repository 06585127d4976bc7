//! Loads the keys of parents, once per run and parent, under the run's snapshot.

use std::sync::Arc;

use futures::TryStreamExt;
use proto::domain::compiled::{OrphanCheck, ReadRule};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::{KeyRange, KeyValue};
use sqlx::postgres::PgConnection;
use tracing::{Instrument, info_span, warn};

use super::isolate::next_keys;
use super::tuple::{Tuple, TupleReader};
use crate::connect::{Purpose, close, run_sql};
use crate::failure::{During, from_sqlx, is_connection_loss, read_refusal};
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
    let parent = run.plan().entity(&check.entity).map(|parent| &parent.read);
    let zone = parent.and_then(|parent| parent.time_zone.as_deref());
    let mut connection = begin(run, zone).await?;
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
        Err(ReadFault::Source(error)) if parent.is_some() && read_refusal(&error).is_some() => {
            match parent {
                Some(parent) => Ok(load_around(run, parent).await?.map(Arc::new)),
                None => Ok(None),
            }
        }
        Err(ReadFault::Source(error)) if !is_connection_loss(&error) => {
            let reason = from_sqlx("read the keys of a parent", &error);
            warn!(entity = %check.entity, %reason, "parents are looked up row by row");
            Ok(None)
        }
        Err(ReadFault::Source(error)) => Err(from_sqlx("read the keys of a parent", &error)),
        Err(ReadFault::Ours(failure)) => Err(failure),
    }
}

/// All keys where `where` fails for some rows: those count as there, since they are set aside and hold their
/// children. None where they are too many.
async fn load_around(run: &RunContext, parent: &ReadRule) -> Result<Option<ParentKeys>, Failure> {
    let mut found = ParentKeys::default();
    let mut after: Option<KeyValue> = None;
    loop {
        let range = KeyRange {
            after: after.clone(),
            upto: None,
        };
        let keys = next_keys(run, parent, &range).await?;
        let Some(last) = keys.last().cloned() else {
            return Ok(Some(found));
        };
        let mut pending = vec![(0, keys.len())];
        while let Some((from, end)) = pending.pop() {
            let before = match from {
                0 => after.clone(),
                _ => keys.get(from - 1).cloned(),
            };
            let range = KeyRange {
                after: before,
                upto: keys.get(end - 1).cloned(),
            };
            match met(run, parent, &range).await? {
                Some(met) => met.into_iter().for_each(|key| found.insert(key)),
                None if end - from == 1 => {
                    let key = keys.get(from).and_then(|key| key.0.first()?.parse().ok());
                    key.into_iter().for_each(|key| found.insert(key));
                }
                None => {
                    let middle = from.midpoint(end);
                    pending.push((middle, end));
                    pending.push((from, middle));
                }
            }
        }
        if found.bytes() > BUDGET {
            return Ok(None);
        }
        after = Some(last);
    }
}

/// The keys of a range that `where` lets through; none where it fails for one of them.
async fn met(
    run: &RunContext,
    parent: &ReadRule,
    range: &KeyRange,
) -> Result<Option<Vec<i64>>, Failure> {
    let mut connection = begin(run, parent.time_zone.as_deref()).await?;
    let sql = parent.select_met(range, &run.constants);
    let found = sqlx::query_scalar(&sql)
        .fetch_all(&mut connection)
        .in_time(READ)
        .await;
    close(connection).await;
    match found {
        Ok(keys) => Ok(Some(keys)),
        Err(error) if read_refusal(&error).is_some() => Ok(None),
        Err(error) => Err(error).during("read the keys of a parent"),
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
