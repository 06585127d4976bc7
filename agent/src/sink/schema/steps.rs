//! One step of an operation: its statements and its mark in the journal, together or not at all.

use std::time::Duration;

use proto::domain::catalog::quote_ident;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::schema_change::{
    CheckOutcome, JournalEntry, Phase, Run, SchemaCheck, SchemaStep,
};
use proto::runtime::backoff::Backoff;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;

use super::checks;
use crate::connect::run_sql;
use crate::failure::{from_sqlx, is_connection_loss, sqlstate};

/// Rows of a backup that are brought back by one transaction.
const BATCH: i64 = 5_000;
/// Tries of a step whose locks are in the way.
pub(super) const TRIES: u32 = 12;
/// Between them, with jitter: whoever queues behind us gets through.
pub(super) const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

const INSTANT: &str = "set local lock_timeout = '2s'; set local statement_timeout = '5s'";
const LONG: &str = "set local lock_timeout = '2s'; set local statement_timeout = 0";

/// Why a step was not done.
#[derive(Debug)]
pub(super) enum StepFault {
    /// Locks were in the way.
    Busy(Failure),
    /// The connection broke: the journal tells whether the step is done.
    Lost(Failure),
    /// A backup is not true any more.
    Stale,
    /// It cannot be done.
    Refused(Failure, Vec<CheckOutcome>),
}

/// Where an operation stands, and which way it goes.
pub(super) struct Place<'a> {
    pub entry: &'a JournalEntry,
    pub steps: &'a [SchemaStep],
    pub checks: &'a [SchemaCheck],
    pub is_undoing: bool,
    pub batch: i64,
}

impl Place<'_> {
    fn is_last(&self) -> bool {
        usize::try_from(self.entry.step).is_ok_and(|step| step + 1 >= self.steps.len())
    }

    fn fault(&self, error: &sqlx::Error) -> StepFault {
        let what = format!(
            "{} {}",
            self.entry.operation.operation_type,
            self.entry.change.label()
        );
        let failure = from_sqlx(&what, error);
        match sqlstate(error) {
            Some("55P03" | "40P01" | "40001" | "57014") => StepFault::Busy(Failure {
                kind: FailureKind::Busy,
                ..failure
            }),
            Some("DR001") => StepFault::Lost(super::journal::in_other_hands()),
            _ if is_connection_loss(error) => StepFault::Lost(failure),
            Some(code) => {
                let kind = match code {
                    "42501" => FailureKind::Denied,
                    code if code.starts_with("23") => FailureKind::ConstraintBroken,
                    code if code.starts_with("53") => FailureKind::Exhausted,
                    _ => FailureKind::ChangeRefused,
                };
                StepFault::Refused(Failure { kind, ..failure }, Vec::new())
            }
            None => StepFault::Lost(failure),
        }
    }
}

/// Runs the step in hand.
pub(super) async fn run(
    connection: &mut PgConnection,
    place: &Place<'_>,
    step: &SchemaStep,
) -> Result<(), StepFault> {
    let outcome = match &step.run {
        Run::Instant => in_transaction(connection, place, step, INSTANT).await,
        Run::Long => in_transaction(connection, place, step, LONG).await,
        Run::Concurrently { index } => {
            let sql = step.sql.join("; ");
            match concurrently(connection, &index.quoted(), &sql).await {
                Ok(()) => mark(connection, place).await,
                Err(error) => Err(place.fault(&error)),
            }
        }
        Run::Batches { .. } => match batches(connection, place, step).await {
            Ok(()) => mark(connection, place).await,
            Err(error) => Err(place.fault(&error)),
        },
    };
    if outcome.is_err() {
        // The transaction is over, whatever it was; a broken connection says so by itself.
        let _ = run_sql(connection, "rollback").await;
    }
    outcome
}

/// Statements, checks and mark in one transaction.
async fn in_transaction(
    connection: &mut PgConnection,
    place: &Place<'_>,
    step: &SchemaStep,
    limits: &str,
) -> Result<(), StepFault> {
    let fault = |error: sqlx::Error| place.fault(&error);
    let begin = format!("begin isolation level repeatable read; {limits}");
    run_sql(connection, &begin).await.map_err(fault)?;
    if let Some(table) = &step.lock {
        let lock = format!("lock table {} in access exclusive mode", table.quoted());
        run_sql(connection, &lock).await.map_err(fault)?;
    }
    let mut outcomes = checks::make(connection, &step.guards, Phase::Pre, place.is_undoing)
        .await
        .map_err(fault)?;
    if let Some(words) = checks::failed(&outcomes) {
        let is_backup = outcomes
            .iter()
            .any(|outcome| outcome.check == "backup_is_current");
        return Err(match is_backup {
            true => StepFault::Stale,
            false => StepFault::Refused(refused(place, &words), outcomes),
        });
    }
    for sql in &step.sql {
        run_sql(connection, sql).await.map_err(fault)?;
    }
    if place.is_last() {
        outcomes.extend(post_checks(connection, place).await?);
    }
    advance(connection, place, &outcomes).await?;
    run_sql(connection, "commit").await.map_err(fault)
}

async fn post_checks(
    connection: &mut PgConnection,
    place: &Place<'_>,
) -> Result<Vec<CheckOutcome>, StepFault> {
    let outcomes = checks::make(connection, place.checks, Phase::Post, place.is_undoing)
        .await
        .map_err(|error| place.fault(&error))?;
    match checks::failed(&outcomes) {
        Some(words) => Err(StepFault::Refused(refused(place, &words), outcomes)),
        None => Ok(outcomes),
    }
}

fn refused(place: &Place<'_>, words: &str) -> Failure {
    let label = place.entry.change.label();
    Failure::new(FailureKind::ChangeRefused, format!("{label}: {words}"))
}

/// The mark alone, after what no transaction can hold.
async fn mark(connection: &mut PgConnection, place: &Place<'_>) -> Result<(), StepFault> {
    let outcomes = match place.is_last() {
        true => post_checks(connection, place).await?,
        false => Vec::new(),
    };
    advance(connection, place, &outcomes).await
}

async fn advance(
    connection: &mut PgConnection,
    place: &Place<'_>,
    outcomes: &[CheckOutcome],
) -> Result<(), StepFault> {
    sqlx::query("select drover.schema_step($1, $2, $3, $4, $5)")
        .bind(place.entry.id)
        .bind(place.entry.step)
        .bind(place.is_undoing)
        .bind(place.is_last())
        .bind(Json(outcomes))
        .execute(connection)
        .await
        .map(drop)
        .map_err(|error| place.fault(&error))
}

/// Makes or drops an index beside writers. What a broken try left is dropped first; what one finished
/// without its mark is done.
pub(super) async fn concurrently(
    connection: &mut PgConnection,
    index: &str,
    sql: &str,
) -> Result<(), sqlx::Error> {
    run_sql(
        connection,
        "set lock_timeout = '60s'; set statement_timeout = 0",
    )
    .await?;
    let is_valid: Option<bool> = sqlx::query_scalar(
        "select x.indisvalid from pg_index x where x.indexrelid = to_regclass($1)",
    )
    .bind(index)
    .fetch_optional(&mut *connection)
    .await?;
    let is_drop = sql.starts_with("drop");
    match (is_drop, is_valid) {
        (true, None) | (false, Some(true)) => return Ok(()),
        (false, Some(false)) => {
            run_sql(connection, &format!("drop index concurrently {index}")).await?;
        }
        (true, Some(_)) | (false, None) => {}
    }
    match run_sql(connection, sql).await {
        Err(error) if !is_drop && !is_connection_loss(&error) => {
            // It stays behind as invalid; a session that may not drop it says so with the next try.
            let _ = run_sql(
                connection,
                &format!("drop index concurrently if exists {index}"),
            )
            .await;
            Err(error)
        }
        other => other,
    }
}

/// Brings values back, range by range of the backup's numbers.
async fn batches(
    connection: &mut PgConnection,
    place: &Place<'_>,
    step: &SchemaStep,
) -> Result<(), sqlx::Error> {
    let Run::Batches {
        backup,
        alias,
        number,
        before,
        after,
    } = &step.run
    else {
        return Ok(());
    };
    let number = quote_ident(number);
    let last: i64 = sqlx::query_scalar(&format!(
        "select coalesce(max({number}), 0) from {}",
        backup.quoted()
    ))
    .fetch_one(&mut *connection)
    .await?;
    let mut done = place.batch;
    while done < last {
        let upto = done.saturating_add(BATCH).min(last);
        let range = format!(" and {alias}.{number} > {done} and {alias}.{number} <= {upto}");
        let fills = step.sql.iter().map(|sql| format!("{sql}{range}"));
        let all: Vec<String> = [format!("begin; {LONG}")]
            .into_iter()
            .chain(before.iter().cloned())
            .chain(fills)
            .chain(after.iter().cloned())
            .collect();
        run_sql(connection, &all.join("; ")).await?;
        let moved = sqlx::query(
            "update drover.schema_operation set batch = $1 \
             where operation_id = $2 and step = $3 and is_undoing = $4 and batch = $5",
        )
        .bind(upto)
        .bind(place.entry.id)
        .bind(place.entry.step)
        .bind(place.is_undoing)
        .bind(done)
        .execute(&mut *connection)
        .await?;
        if moved.rows_affected() != 1 {
            return Err(sqlx::Error::RowNotFound);
        }
        run_sql(connection, "commit").await?;
        done = upto;
    }
    Ok(())
}
