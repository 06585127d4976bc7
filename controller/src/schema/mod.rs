//! Schema changes of a migration: planned when their moment has come, confirmed, executed by agents, and
//! taken back in reverse.
//!
//! The journal in the changed database is right about what was done; what is stored here follows it. Every
//! function can be begun again at any time.

mod apply;
mod commands;
mod due;
mod jobs;
pub mod local;
mod plan;
mod undo;

use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{Query, QueryAnswer, SchemaAnswer, SchemaQuery, Side};
use proto::domain::record::{MigrationOrchestration, SchemaChangeOperation};
use proto::domain::schema_change::{
    DeclaredChange, JournalEntry, LoadedDefinition, Moment, declared,
};
use proto::runtime::backoff::Backoff;

use crate::crew::Crew;
use crate::fleet::misfit;
use crate::prepare::Job;
use crate::store::{Store, StoreError};

pub use apply::apply;
pub use commands::{SchemaAsked, SchemaState};
pub use jobs::SchemaJobs;
pub use plan::{Drafted, draft, draft_plan};
pub use undo::undo_all;

/// Questions that may scan or rewrite a table.
const LONG: Duration = Duration::from_secs(12 * 3600);
/// Questions that read catalogs and journals.
const SHORT: Duration = Duration::from_secs(60);
/// Tries of what may pass.
const TRIES: u32 = 5;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(300), Duration::from_secs(10));

/// A migration whose schema changes are worked on.
#[derive(Clone)]
pub struct SchemaWork {
    /// Its agents.
    pub crew: Crew,
    /// The metadata.
    pub store: Store,
    /// The migration.
    pub migration: MigrationOrchestration,
    /// What its plan declares.
    pub changes: Vec<DeclaredChange>,
}

/// What the journals hold.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    /// Operations by position.
    pub entries: Vec<JournalEntry>,
    /// What was dropped for the load.
    pub loaded: Vec<LoadedDefinition>,
}

impl Journal {
    /// Operations of one change.
    fn of(&self, number: u32) -> Vec<&JournalEntry> {
        let entries = self.entries.iter();
        entries
            .filter(|entry| entry.change.number == number)
            .collect()
    }

    /// Records, for the metadata and for people.
    fn records(&self) -> Vec<SchemaChangeOperation> {
        let loaded = self.loaded.iter().map(LoadedDefinition::record);
        let mut all: Vec<_> = self
            .entries
            .iter()
            .map(JournalEntry::record)
            .chain(loaded)
            .collect();
        all.sort_by_key(|one| one.position);
        all
    }
}

impl SchemaWork {
    /// The schema changes of a run.
    pub fn of(job: &Job) -> Self {
        Self {
            crew: job.crew.clone(),
            store: job.store.clone(),
            migration: job.migration.clone(),
            changes: job.compiled.schema_changes.clone(),
        }
    }

    /// The schema changes of a stored migration.
    ///
    /// # Errors
    /// The metadata's; `Internal` where it has no plan.
    pub async fn stored(
        crew: Crew,
        store: Store,
        migration: MigrationOrchestration,
    ) -> Result<Self, Failure> {
        let plan = store
            .plan(migration.id)
            .await
            .map_err(|error| error.failure())?;
        let plan =
            plan.ok_or_else(|| Failure::new(FailureKind::Internal, "the migration has no plan"))?;
        let parsed = proto::domain::plan::parse(&plan.document)
            .map_err(|problems| Failure::new(FailureKind::SchemaDrift, problems.to_string()))?;
        Ok(Self {
            crew,
            store,
            migration,
            changes: declared(&parsed),
        })
    }

    /// What the plan declares for some moments, in order.
    fn changes_of(&self, moments: &[Moment]) -> Vec<&DeclaredChange> {
        let mut found: Vec<&DeclaredChange> = self
            .changes
            .iter()
            .filter(|change| moments.contains(&change.moment))
            .collect();
        found.sort_by_key(|change| (change.moment, change.number));
        found
    }

    async fn ask(&self, query: SchemaQuery, deadline: Duration) -> Result<SchemaAnswer, Failure> {
        ask(&self.crew, query, deadline).await
    }

    /// What the journals hold.
    pub async fn journal(&self) -> Result<Journal, Failure> {
        let query = SchemaQuery::Journal {
            migration_id: self.migration.id,
            has_source: self
                .changes
                .iter()
                .any(|change| change.side == Side::Source),
        };
        match self.ask(query, SHORT).await? {
            SchemaAnswer::Journal { entries, loaded } => Ok(Journal { entries, loaded }),
            _ => Err(misfit()),
        }
    }

    /// Stores what the journals hold; returns it as it is stored.
    pub async fn sync(&self) -> Result<Vec<SchemaChangeOperation>, Failure> {
        let records = self.journal().await?.records();
        let id = self.migration.id;
        let stored = async {
            self.store.save_schema_changes(id, &records).await?;
            self.store.schema_changes(id).await
        };
        stored.await.map_err(|error: StoreError| error.failure())
    }
}

async fn ask(crew: &Crew, query: SchemaQuery, deadline: Duration) -> Result<SchemaAnswer, Failure> {
    match crew.ask(Query::Schema(Box::new(query)), deadline).await? {
        QueryAnswer::Schema(answer) => Ok(*answer),
        _ => Err(misfit()),
    }
}
