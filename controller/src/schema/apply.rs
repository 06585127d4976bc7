//! Makes the changes of some moments, one after the other: planned, confirmed, kept, executed.

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::SchemaQuery;
use proto::domain::record::SchemaOperationStatus;
use proto::domain::schema_change::{Consent, DeclaredChange, JournalEntry, Moment};
use tracing::{info, warn};

use super::plan::{entries, highest, plan_change};
use super::{BACKOFF, LONG, SHORT, SchemaWork, TRIES};

/// Makes every change of these moments that is not made yet.
///
/// # Errors
/// `Unconfirmed` where the operator's word is missing, `ChangeRefused` where a change cannot be made; what was
/// made before stays made.
pub async fn apply(
    work: &SchemaWork,
    moments: &[Moment],
    consent: &Consent,
) -> Result<(), Failure> {
    for change in work.changes_of(moments) {
        let mut tries = 0;
        loop {
            let failure = match apply_change(work, change, consent).await {
                Ok(()) => break,
                Err(failure) => failure,
            };
            tries += 1;
            if !failure.is_passing() || tries >= TRIES {
                // What is known of it is worth more than that it could not be stored.
                let _ = work.sync().await;
                return Err(failure);
            }
            warn!(change = change.number, tries, reason = %failure, "a schema change is tried again");
            tokio::time::sleep(BACKOFF.delay(tries, rand::random())).await;
        }
    }
    Ok(())
}

async fn apply_change(
    work: &SchemaWork,
    change: &DeclaredChange,
    consent: &Consent,
) -> Result<(), Failure> {
    let entries = kept(work, change, consent).await?;
    let is_open = |entry: &&JournalEntry| entry.status != SchemaOperationStatus::Completed;
    for entry in entries.iter().filter(is_open) {
        info!(operation_id = %entry.id, operation = %entry.operation.operation_type,
            change = %change.label(), "a schema operation begins");
        let query = SchemaQuery::Apply {
            side: change.side,
            operation_id: entry.id,
        };
        work.ask(query, LONG).await?;
        work.sync().await?;
    }
    Ok(())
}

/// The change's operations in the journal; planned anew where nothing of them is at the database.
async fn kept(
    work: &SchemaWork,
    change: &DeclaredChange,
    consent: &Consent,
) -> Result<Vec<JournalEntry>, Failure> {
    let journal = work.journal().await?;
    let known: Vec<JournalEntry> = journal.of(change.number).into_iter().cloned().collect();
    if known.iter().any(|entry| entry.is_undoing) {
        return Err(Failure::new(
            FailureKind::ChangeRefused,
            format!(
                "{} is being taken back: finish that with `drover schema rollback {}`",
                change.label(),
                work.migration.name
            ),
        ));
    }
    if !known.iter().all(JournalEntry::is_untouched) {
        if let Some(other) = known.iter().find(|entry| entry.change != *change) {
            return Err(Failure::new(
                FailureKind::PlanChanged,
                format!(
                    "change {} of the plan is {}, and was begun as {}",
                    change.number,
                    change.label(),
                    other.change.label()
                ),
            ));
        }
        let is_made = known
            .iter()
            .all(|entry| entry.status == SchemaOperationStatus::Completed);
        if !is_made {
            confirm(change, &known, consent)?;
        }
        return Ok(known);
    }
    let of = (work.migration.id, work.migration.name.as_str());
    let planned = plan_change(&work.crew, change, of).await?;
    if !planned.refusals.is_empty() {
        let words = planned.refusals.join("; ");
        return Err(Failure::new(
            FailureKind::ChangeRefused,
            format!("{}: {words}", change.label()),
        ));
    }
    let entries = entries(work.migration.id, planned);
    confirm(change, &entries, consent)?;
    let query = SchemaQuery::Record {
        side: change.side,
        name: work.migration.name.clone(),
        entries: entries.clone(),
    };
    work.ask(query, SHORT).await?;
    Ok(entries)
}

fn confirm(
    change: &DeclaredChange,
    entries: &[JournalEntry],
    consent: &Consent,
) -> Result<(), Failure> {
    let Some(level) = highest(entries) else {
        return Ok(());
    };
    consent
        .covers(change, level)
        .map_err(|missing| Failure::new(FailureKind::Unconfirmed, missing.to_string()))
}
