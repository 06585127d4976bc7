//! A few rows of an entity, from several places of its table, by the same code as the load.

use std::sync::{Arc, Mutex};

use proto::domain::failure::Failure;
use proto::domain::key::{KeyRange, KeyValue};
use sqlx::postgres::PgConnection;
use tokio::sync::mpsc;

use super::read::{ReadJob, begin, read_partition};
use super::sample::{cut, size, take_keys};
use crate::batch::Batch;
use crate::connect::{Purpose, run_sql};
use crate::failure::During;
use crate::patience::{InTime, READ};
use crate::run::{EntityContext, RunContext};
use crate::sizer::BatchSizer;
use crate::transform::row::HeldKeys;

/// Places of a large table that rows are taken from.
const PLACES: u32 = 10;
/// Pages that the places are chosen from.
const PAGES: f64 = 200.0;
/// Rows of a batch.
const BATCH: u32 = 20_000;

/// Ranges of keys with about so many rows together: the whole of a small table, else places all over it.
pub async fn ranges(
    run: &RunContext,
    entity: &EntityContext,
    rows: u32,
) -> Result<Vec<KeyRange>, Failure> {
    let read = &entity.compiled.read;
    let mut connection = begin(run, None).await?;
    let (pages, estimate) = size(&mut connection, read).await?;
    let starts = if estimate <= i64::from(rows) * 2 {
        Vec::new()
    } else {
        let of_pages = (PAGES / pages.max(1) as f64).min(1.0);
        let share = (PAGES * 4.0 / (estimate.max(1) as f64 * of_pages)).min(1.0);
        let sql = read.select_sample(of_pages * 100.0, share, None);
        let keys = take_keys(&mut connection, &sql, read.key.len()).await;
        let places = usize::try_from(PLACES.min(rows.max(1))).unwrap_or(1);
        cut(&keys.during("take a sample of keys")?, places)
    };
    let each = usize::try_from(rows).unwrap_or(usize::MAX) / (starts.len() + 1);
    let ends = starts.iter().cloned().map(Some).chain([None]);
    let mut found = Vec::new();
    for (after, upto) in [None]
        .into_iter()
        .chain(starts.iter().cloned().map(Some))
        .zip(ends)
    {
        let range = KeyRange { after, upto };
        let keys = first_keys(&mut connection, entity, (&range, each.max(1))).await?;
        if let Some(last) = keys.into_iter().next_back() {
            found.push(KeyRange {
                after: range.after,
                upto: Some(last),
            });
        }
    }
    run_sql(&mut connection, "commit")
        .in_time(READ)
        .await
        .during("end the sample")?;
    run.source.give_back(Purpose::Read, connection).await;
    Ok(found)
}

async fn first_keys(
    connection: &mut PgConnection,
    entity: &EntityContext,
    (range, limit): (&KeyRange, usize),
) -> Result<Vec<KeyValue>, Failure> {
    let read = &entity.compiled.read;
    let sql = read.select_keys(range, limit);
    take_keys(connection, &sql, read.key.len())
        .await
        .during("read keys")
}

/// Reads and transforms the rows of a range; they come out as batches.
///
/// # Errors
/// `RowRefused` where a rule says `fail`; the source's.
pub async fn read_range(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    range: KeyRange,
    batches: mpsc::Sender<Batch>,
) -> Result<(), Failure> {
    let job = ReadJob {
        run: run.clone(),
        entity: entity.clone(),
        whole: range.clone(),
        range,
        rows_read: 0,
        // No parent has failed yet.
        held: Arc::new(HeldKeys::default()),
        sizer: Arc::new(Mutex::new(BatchSizer::new(BATCH))),
        batches,
    };
    if let Some(connection) = read_partition(job, None).await? {
        run.source.give_back(Purpose::Read, connection).await;
    }
    Ok(())
}
