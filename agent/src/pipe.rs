//! The reading half of whoever needs an entity's rows: one task reads and transforms, batches come out.
//!
//! Between the two stands a channel of one batch, so a slow taker slows the reader and nothing piles up.

use std::sync::{Arc, Mutex};

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::{KeyRange, KeyValue};
use sqlx::postgres::PgConnection;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{Instrument, info_span};

use crate::batch::Batch;
use crate::run::{EntityContext, RunContext};
use crate::sizer::BatchSizer;
use crate::source::read::{ReadJob, read_partition};
use crate::transform::row::HeldKeys;

/// What is read.
pub struct Wanted {
    /// All keys of the partition.
    pub whole: KeyRange,
    /// Key behind which rows are left; none: all of them.
    pub cursor: Option<KeyValue>,
    /// Rows that were read before.
    pub rows_read: i64,
    /// Keys of failed parents.
    pub held: Arc<HeldKeys>,
    /// Present batch size.
    pub sizer: Arc<Mutex<BatchSizer>>,
}

/// Batches of transformed rows.
pub struct ReadPipe {
    batches: mpsc::Receiver<Batch>,
    reader: JoinHandle<Result<Option<PgConnection>, Failure>>,
}

impl ReadPipe {
    /// Begins to read.
    pub fn start(run: &Arc<RunContext>, entity: &Arc<EntityContext>, wanted: Wanted) -> Self {
        let (batches_tx, batches) = mpsc::channel(1);
        let after = wanted.cursor.or_else(|| wanted.whole.after.clone());
        let job = ReadJob {
            run: run.clone(),
            entity: entity.clone(),
            range: KeyRange {
                after,
                upto: wanted.whole.upto.clone(),
            },
            whole: wanted.whole,
            rows_read: wanted.rows_read,
            held: wanted.held,
            sizer: wanted.sizer,
            batches: batches_tx,
        };
        let span = info_span!("read", entity = %entity.compiled.entity);
        let reader = tokio::spawn(read_partition(job, None).instrument(span));
        Self { batches, reader }
    }

    /// The next batch; the last one is marked. A reader that failed tells its failure.
    ///
    /// # Errors
    /// The source's.
    pub async fn next(&mut self) -> Result<Batch, Failure> {
        match self.batches.recv().await {
            Some(batch) => Ok(batch),
            None => match self.finish().await {
                Err(failure) => Err(failure),
                Ok(_) => Err(Failure::new(
                    FailureKind::Internal,
                    "the reader ended too early",
                )),
            },
        }
    }

    /// The reader's connection, behind the last batch.
    ///
    /// # Errors
    /// The source's.
    pub async fn finish(&mut self) -> Result<Option<PgConnection>, Failure> {
        (&mut self.reader).await.unwrap_or_else(|error| {
            Err(Failure::new(
                FailureKind::Internal,
                format!("the reader ended: {error}"),
            ))
        })
    }
}

impl Drop for ReadPipe {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
