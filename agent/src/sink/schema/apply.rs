//! Executes an operation from wherever it stands, or takes back what a refused step leaves behind.

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::record::SchemaOperationStatus;
use proto::domain::schema_change::{JournalEntry, Phase, Run, SchemaStep};
use sqlx::postgres::PgConnection;
use tracing::warn;
use uuid::Uuid;

use super::journal::{self, Stored};
use super::steps::{self, BACKOFF, Place, StepFault, TRIES};
use super::{checks, open_marked};
use crate::connect::{Purpose, open, run_sql};
use crate::failure::During;
use crate::pool::Server;

/// Executes an operation; one that is done stays as it is.
pub(super) async fn apply(server: &Server, id: Uuid) -> Result<JournalEntry, Failure> {
    let (mut connection, stored) = take(server, id).await?;
    let entry = &stored.entry;
    match entry.status {
        SchemaOperationStatus::Completed if entry.is_undoing => {
            return Err(Failure::new(
                FailureKind::Busy,
                format!(
                    "{} is being taken back: finish that first",
                    entry.change.label()
                ),
            ));
        }
        SchemaOperationStatus::Completed => {}
        SchemaOperationStatus::Pending
        | SchemaOperationStatus::Failed
        | SchemaOperationStatus::RolledBack => {
            if entry.step == 0 {
                begin(&mut connection, entry, false).await?;
            }
            connection = go(server, connection, id, false).await?;
        }
    }
    let done = journal::get(&mut connection, id).await?.entry;
    server.give_back(Purpose::Build, connection).await;
    Ok(done)
}

/// The operation, over a session that ended whoever was at it before.
pub(super) async fn take(server: &Server, id: Uuid) -> Result<(PgConnection, Stored), Failure> {
    let mut connection = open(server, Purpose::Build).await?;
    let migration_id = journal::get(&mut connection, id).await?.entry.migration_id;
    server.give_back(Purpose::Build, connection).await;
    let mut connection = open_marked(server, migration_id).await?;
    let stored = journal::get(&mut connection, id).await?;
    Ok((connection, stored))
}

/// Makes the checks that come first, and notes the beginning.
pub(super) async fn begin(
    connection: &mut PgConnection,
    entry: &JournalEntry,
    is_undoing: bool,
) -> Result<(), Failure> {
    let operation = &entry.operation;
    let all = match is_undoing {
        false => &operation.checks,
        true => &operation.undo_checks,
    };
    let made = checks::make(connection, all, Phase::Pre, is_undoing)
        .await
        .during("make the checks before an operation")?;
    if let Some(words) = checks::failed(&made) {
        let words = format!("{}: {words}", entry.change.label());
        journal::fail(connection, entry.id, &words, &made).await?;
        return Err(Failure::new(FailureKind::ChangeRefused, words));
    }
    journal::begin(connection, entry.id, is_undoing, &made).await
}

/// Does step after step; a refused one takes the earlier ones back.
pub(super) async fn go(
    server: &Server,
    mut connection: PgConnection,
    id: Uuid,
    is_undoing: bool,
) -> Result<PgConnection, Failure> {
    let mut tries = 0;
    loop {
        let stored = journal::get(&mut connection, id).await?;
        let entry = &stored.entry;
        let going = match is_undoing {
            false => entry.status == SchemaOperationStatus::Pending,
            true => entry.is_undoing,
        };
        let operation = &entry.operation;
        let steps = match is_undoing {
            false => operation.steps.as_slice(),
            true => operation.undo.as_deref().unwrap_or_default(),
        };
        let step = usize::try_from(entry.step)
            .ok()
            .and_then(|at| steps.get(at));
        let (true, Some(step)) = (going, step) else {
            return Ok(connection);
        };
        let place = Place {
            entry,
            steps,
            checks: match is_undoing {
                false => &operation.checks,
                true => &operation.undo_checks,
            },
            is_undoing,
            batch: stored.batch,
        };
        let failure = match steps::run(&mut connection, &place, step).await {
            Ok(()) => {
                tries = 0;
                continue;
            }
            Err(StepFault::Refused(failure, outcomes)) => {
                abandon(&mut connection, entry, steps, is_undoing).await?;
                journal::fail(&mut connection, id, &failure.message, &outcomes).await?;
                return Err(failure);
            }
            Err(StepFault::Stale) => return Err(renew_backup(&mut connection, entry).await?),
            Err(StepFault::Busy(failure)) => failure,
            Err(StepFault::Lost(failure)) => {
                connection = open_marked(server, entry.migration_id).await?;
                failure
            }
        };
        tries += 1;
        if tries >= TRIES {
            journal::note(&mut connection, id, &failure.message).await?;
            return Err(failure);
        }
        warn!(operation_id = %id, tries, reason = %failure, "a step is tried again");
        tokio::time::sleep(BACKOFF.delay(tries, rand::random())).await;
    }
}

/// Rows were changed since the backup: it is made anew before the operation is tried again.
async fn renew_backup(
    connection: &mut PgConnection,
    entry: &JournalEntry,
) -> Result<Failure, Failure> {
    let Some(backup) = &entry.operation.backup else {
        return Err(Failure::new(
            FailureKind::Internal,
            "an operation without a backup relied on one",
        ));
    };
    journal::forget_backup(connection, entry, &backup.table).await?;
    Ok(Failure::new(
        FailureKind::Busy,
        format!(
            "{}: rows were changed since the backup; it is made anew",
            entry.change.label()
        ),
    ))
}

/// Takes back the steps that are done, the last one first.
pub(super) async fn abandon(
    connection: &mut PgConnection,
    entry: &JournalEntry,
    steps: &[SchemaStep],
    is_undoing: bool,
) -> Result<(), Failure> {
    for done in (1..=entry.step).rev() {
        let step = usize::try_from(done - 1).ok().and_then(|at| steps.get(at));
        let Some(step) = step else { continue };
        let mut tries = 0;
        while let Err(failure) = abandon_one(connection, entry, (step, done), is_undoing).await {
            tries += 1;
            if failure.kind != FailureKind::Busy || tries >= TRIES {
                return Err(failure);
            }
            tokio::time::sleep(BACKOFF.delay(tries, rand::random())).await;
        }
    }
    Ok(())
}

async fn abandon_one(
    connection: &mut PgConnection,
    entry: &JournalEntry,
    (step, done): (&SchemaStep, i32),
    is_undoing: bool,
) -> Result<(), Failure> {
    let outcome = async {
        if let Run::Concurrently { index } = &step.run {
            for sql in &step.abandon {
                steps::concurrently(connection, &index.quoted(), sql)
                    .await
                    .during("take a step back")?;
            }
            return journal::set_step(connection, entry.id, (done, done - 1), is_undoing).await;
        }
        let begin = "begin; set local lock_timeout = '2s'; set local statement_timeout = 0";
        run_sql(connection, begin)
            .await
            .during("take a step back")?;
        for sql in &step.abandon {
            run_sql(connection, sql).await.during("take a step back")?;
        }
        journal::set_step(connection, entry.id, (done, done - 1), is_undoing).await?;
        run_sql(connection, "commit")
            .await
            .during("take a step back")
    }
    .await;
    if outcome.is_err() {
        // What is broken says so with the next statement.
        let _ = run_sql(connection, "rollback").await;
    }
    outcome
}
