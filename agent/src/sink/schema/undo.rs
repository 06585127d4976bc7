//! Takes an operation back, from wherever it stands.

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::record::SchemaOperationStatus;
use proto::domain::schema_change::JournalEntry;
use uuid::Uuid;

use super::apply::{abandon, begin, go, take};
use super::journal;
use crate::connect::Purpose;
use crate::pool::Server;

/// Takes an operation back; of one that was never begun there is nothing to take back.
pub(super) async fn undo(server: &Server, id: Uuid) -> Result<JournalEntry, Failure> {
    let (mut connection, stored) = take(server, id).await?;
    let entry = &stored.entry;
    match entry.status {
        SchemaOperationStatus::Completed => {
            if entry.operation.undo.is_none() {
                return Err(Failure::new(
                    FailureKind::ChangeRefused,
                    format!("{} cannot be taken back", entry.change.label()),
                ));
            }
            if !entry.is_undoing {
                begin(&mut connection, entry, true).await?;
            }
            connection = go(server, connection, id, true).await?;
        }
        SchemaOperationStatus::Pending if entry.step > 0 => {
            abandon(&mut connection, entry, &entry.operation.steps, false).await?;
        }
        SchemaOperationStatus::Pending
        | SchemaOperationStatus::Failed
        | SchemaOperationStatus::RolledBack => {}
    }
    let done = journal::get(&mut connection, id).await?.entry;
    server.give_back(Purpose::Build, connection).await;
    Ok(done)
}
