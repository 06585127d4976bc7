//! A rollback in one process, for migrations that `drover run` made: the same supervisor, under a leadership of
//! its own.

use std::sync::Arc;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::plan;
use proto::domain::record::MigrationOrchestration;
use proto::domain::undo::{UndoEffect, UndoReport, UndoScope};
use proto::lease::{Candidate, LeaseStore, MemoryLeaseStore};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{conclude, supervise};
use crate::app::{Company, RunError, agent_gone};
use crate::commands::CommandError;
use crate::era::lease_failure;
use crate::fleet::AgentLink;
use crate::plan::compile_plan;
use crate::prepare::Job;
use crate::progress::ProgressView;
use crate::reconcile::{Ending, Wish};
use crate::rollback::{entities_of, may_roll_back};
use crate::store::Store;
use crate::supervise::Surroundings;

/// What is to be taken back, and where its records are.
pub struct Here {
    /// Metadata database.
    pub metadata: PgConnectOptions,
    /// Schema of the metadata.
    pub schema: String,
    /// The migration.
    pub migration_id: Uuid,
    /// Entities as named, and what becomes of conflicts.
    pub scope: UndoScope,
}

/// How a rollback ended.
#[derive(Debug)]
pub enum Undone {
    /// Everything, or every entity that was meant, is taken back.
    Done {
        /// The migration as it is now.
        migration: Box<MigrationOrchestration>,
        /// How the tables compare with the start.
        report: UndoReport,
        /// What was taken back, where not everything was.
        entities: Vec<String>,
    },
    /// It waits for the operator.
    Blocked(Failure),
    /// It was told to stop.
    Interrupted,
}

impl From<CommandError> for RunError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Plan(problems) => Self::Plan(problems),
            CommandError::Failed(failure) => Self::Failed(failure),
            CommandError::Store(error) => Self::Failed(error.failure()),
            CommandError::NoMigration { .. }
            | CommandError::Ambiguous { .. }
            | CommandError::NotConfirmed { .. }
            | CommandError::NoEntity { .. }
            | CommandError::NoError { .. }
            | CommandError::StillNeeded { .. } => {
                Self::Failed(Failure::new(FailureKind::PlanChanged, error.to_string()))
            }
        }
    }
}

/// Takes rows back.
pub async fn rollback(
    here: Here,
    lease: Arc<MemoryLeaseStore>,
    link: AgentLink,
    view: watch::Sender<ProgressView>,
    shutdown: CancellationToken,
) -> Result<Undone, RunError> {
    let mut company = Company::meet(link).await?;
    let store = Store::connect(here.metadata.clone(), &here.schema).await?;
    let migration = store.migration(here.migration_id).await?;
    let lock = store.lock_migration(&migration.name).await?;
    let mut job = job(&company, store, here.migration_id).await?;
    let mut scope = here.scope;
    if !scope.entities.is_empty() {
        scope.entities = entities_of(&job.compiled, &scope.entities)?;
    }
    job.migration = job.store.rollback(job.migration.id, &scope).await?;
    let undone = tokio::select! {
        undone = drive(job, lease, view, shutdown) => undone?,
        // The agent of this process ends only after the controller.
        _ = &mut company.stay => return Err(agent_gone().into()),
    };
    // It ends with its session, if not before.
    let _ = lock.release().await;
    Ok(undone)
}

/// What a rollback would do.
pub async fn effects(here: Here, link: AgentLink) -> Result<Vec<UndoEffect>, RunError> {
    let company = Company::meet(link).await?;
    let store = Store::connect(here.metadata.clone(), &here.schema).await?;
    let job = job(&company, store, here.migration_id).await?;
    may_roll_back(&job.migration)?;
    let entities = entities_of(&job.compiled, &here.scope.entities)?;
    Ok(super::ask::effects(&job, &entities, here.scope.conflicts).await?)
}

/// The job of a stored migration.
async fn job(company: &Company, store: Store, id: Uuid) -> Result<Job, RunError> {
    let migration = store.migration(id).await?;
    let stored = store
        .plan(id)
        .await?
        .ok_or_else(|| Failure::new(FailureKind::Internal, "the migration has no plan"))?;
    let plan = plan::parse(&stored.document)?;
    let crew = company.crew(&plan).of_migration(id);
    let compiled = match stored.compiled {
        Some(compiled) => compiled,
        None => compile_plan(&crew, &plan).await?,
    };
    Ok(Job {
        crew,
        store,
        compiled,
        run_now: migration.created_at,
        migration,
        snapshot: None,
        rounds: Default::default(),
    })
}

async fn drive(
    job: Job,
    lease: Arc<MemoryLeaseStore>,
    view: watch::Sender<ProgressView>,
    shutdown: CancellationToken,
) -> Result<Undone, RunError> {
    let candidate = Candidate {
        controller_id: Uuid::new_v4(),
        address: String::new(),
    };
    let leadership = lease
        .campaign(candidate, shutdown.clone())
        .await
        .map_err(|error| lease_failure(&error))?;
    let (wish, wishes) = watch::channel(Wish::Run);
    let stopper = tokio::spawn(async move {
        shutdown.cancelled().await;
        let _ = wish.send(Wish::Stop);
        // Kept: a closed channel would wish nothing any more.
        std::future::pending::<()>().await;
    });
    let around = Surroundings {
        lease,
        leadership,
        wishes,
        view,
    };
    let supervised = Box::pin(supervise(job, around)).await;
    stopper.abort();
    let (ending, job) = supervised?;
    let mut migration = job.migration.clone();
    conclude(&job.store, &mut migration, &ending).await?;
    match ending {
        Ending::Finished => {
            let report = job.store.rollback_report(migration.id).await?;
            let report = report.unwrap_or_else(|| super::nothing(job.migration.attempt));
            let scope = job.store.rollback_scope(migration.id).await?;
            Ok(Undone::Done {
                migration: Box::new(migration),
                report,
                entities: scope.entities,
            })
        }
        Ending::Blocked { failure, .. } => Ok(Undone::Blocked(failure)),
        Ending::Paused | Ending::Interrupted | Ending::Abandoned => Ok(Undone::Interrupted),
    }
}
