//! What declared changes come to: operations out of the journal, or planned from the catalog as it is now.

use proto::domain::failure::Failure;
use proto::domain::frame::{SchemaAnswer, SchemaQuery};
use proto::domain::record::{RiskLevel, SchemaChangeOperation, SchemaOperationStatus};
use proto::domain::schema_change::{
    Consent, DeclaredChange, JournalEntry, PlannedChange, declared, generate,
};
use proto::runtime::clock;
use uuid::Uuid;

use super::{Journal, LONG, SchemaWork, ask};
use crate::crew::Crew;
use crate::fleet::misfit;

/// A declared change with its operations.
#[derive(Debug, Clone)]
pub struct Drafted {
    /// What was declared.
    pub change: DeclaredChange,
    /// Its operations.
    pub operations: Vec<SchemaChangeOperation>,
    /// Why it cannot be made; empty where it can.
    pub refusals: Vec<String>,
    /// Flags that confirm it; none where nothing is to be confirmed.
    pub flags: Option<String>,
}

impl Drafted {
    fn of(change: &DeclaredChange, entries: &[JournalEntry], refusals: Vec<String>) -> Self {
        let is_made = entries
            .iter()
            .all(|entry| entry.status == SchemaOperationStatus::Completed);
        let missing = highest(entries)
            .filter(|_| !is_made)
            .and_then(|level| Consent::default().covers(change, level).err());
        Self {
            change: change.clone(),
            operations: entries.iter().map(record).collect(),
            refusals,
            flags: missing.map(|missing| missing.flags),
        }
    }

    /// Something is left to do.
    pub fn is_open(&self) -> bool {
        let is_made = |one: &SchemaChangeOperation| one.status == SchemaOperationStatus::Completed;
        self.operations.is_empty() || !self.operations.iter().all(is_made)
    }
}

/// The record of an operation that may not be stored yet.
fn record(entry: &JournalEntry) -> SchemaChangeOperation {
    let now = clock::now();
    SchemaChangeOperation {
        created_at: now,
        updated_at: now,
        ..entry.record()
    }
}

/// The highest risk of a change's operations.
pub(super) fn highest(entries: &[JournalEntry]) -> Option<RiskLevel> {
    let levels = entries.iter().map(|entry| entry.operation.risk.level);
    levels.max_by_key(|level| RiskLevel::ALL.iter().position(|known| known == level))
}

/// Plans one change from the catalog as it is now.
pub(super) async fn plan_change(
    crew: &Crew,
    change: &DeclaredChange,
    (migration_id, name): (Uuid, &str),
) -> Result<PlannedChange, Failure> {
    let facts = match ask(crew, SchemaQuery::Facts(change.clone()), LONG).await? {
        SchemaAnswer::Facts(facts) => facts,
        _ => return Err(misfit()),
    };
    let id = migration_id.simple().to_string();
    // The end of the id: its beginning is a time, which migrations share.
    let tag = id.get(24..).unwrap_or_default();
    Ok(generate(change, facts.as_deref(), (tag, name)))
}

/// The entries that a planned change would make.
pub(super) fn entries(migration_id: Uuid, planned: PlannedChange) -> Vec<JournalEntry> {
    let change = planned.change;
    let operations = planned.operations.into_iter().enumerate();
    operations
        .map(|(place, operation)| JournalEntry::new(migration_id, &change, place, operation))
        .collect()
}

/// What a migration's changes come to; nothing is kept.
pub async fn draft(work: &SchemaWork) -> Result<Vec<Drafted>, Failure> {
    let journal = work.journal().await?;
    draft_all(work, &journal).await
}

async fn draft_all(work: &SchemaWork, journal: &Journal) -> Result<Vec<Drafted>, Failure> {
    let mut all = Vec::new();
    for change in &work.changes {
        let known: Vec<JournalEntry> = journal.of(change.number).into_iter().cloned().collect();
        if known.iter().all(JournalEntry::is_untouched) {
            let of = (work.migration.id, work.migration.name.as_str());
            let planned = plan_change(&work.crew, change, of).await?;
            let refusals = planned.refusals.clone();
            all.push(Drafted::of(
                change,
                &entries(work.migration.id, planned),
                refusals,
            ));
        } else {
            all.push(Drafted::of(change, &known, Vec::new()));
        }
    }
    Ok(all)
}

/// What the changes of a plan that is no migration come to.
pub async fn draft_plan(
    crew: &Crew,
    plan: &proto::domain::plan::Plan,
) -> Result<Vec<Drafted>, Failure> {
    let mut all = Vec::new();
    for change in declared(plan) {
        let planned = plan_change(crew, &change, (Uuid::nil(), &plan.name)).await?;
        let refusals = planned.refusals.clone();
        all.push(Drafted::of(
            &change,
            &entries(Uuid::nil(), planned),
            refusals,
        ));
    }
    Ok(all)
}
