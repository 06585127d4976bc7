//! Takes every schema operation of a migration back, the last one first.

use proto::domain::failure::Failure;
use proto::domain::frame::SchemaQuery;
use proto::domain::record::SchemaOperationStatus;
use proto::domain::schema_change::{JournalEntry, Moment};
use tracing::{info, warn};

use super::{BACKOFF, LONG, SchemaWork, TRIES};

/// Takes back what was done at these moments; safe to be called again after a crash. For a rollback of a
/// migration: `After` and `Cleanup` before its rows are undone, `Before` after that.
///
/// # Errors
/// `ChangeRefused` where an operation cannot be taken back; those after it are taken back by then.
pub async fn undo_all(work: &SchemaWork, moments: &[Moment]) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        let failure = match undo_once(work, moments).await {
            Ok(()) => return work.sync().await.map(drop),
            Err(failure) => failure,
        };
        tries += 1;
        if !failure.is_passing() || tries >= TRIES {
            // What is known of it is worth more than that it could not be stored.
            let _ = work.sync().await;
            return Err(failure);
        }
        warn!(tries, reason = %failure, "schema operations are taken back again");
        tokio::time::sleep(BACKOFF.delay(tries, rand::random())).await;
    }
}

async fn undo_once(work: &SchemaWork, moments: &[Moment]) -> Result<(), Failure> {
    let journal = work.journal().await?;
    let mut entries: Vec<&JournalEntry> = journal
        .entries
        .iter()
        .filter(|entry| moments.contains(&entry.change.moment) && is_there(entry))
        .collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.position));
    for entry in entries {
        info!(operation_id = %entry.id, operation = %entry.operation.operation_type,
            change = %entry.change.label(), "a schema operation is taken back");
        let query = SchemaQuery::Undo {
            side: entry.change.side,
            operation_id: entry.id,
        };
        work.ask(query, LONG).await?;
        work.sync().await?;
    }
    Ok(())
}

fn is_there(entry: &JournalEntry) -> bool {
    entry.status == SchemaOperationStatus::Completed || !entry.is_untouched()
}
