//! Schema changes on one machine: the same work over the agent of this process.

use proto::domain::failure::Failure;
use proto::domain::plan::Plan;
use proto::domain::record::{MigrationOrchestration, SchemaChangeOperation};
use proto::domain::schema_change::Consent;

use super::commands::{due_moments, locked, roll_back};
use super::{Drafted, SchemaWork, apply, draft, draft_plan};
use crate::app::Company;
use crate::fleet::AgentLink;
use crate::store::Store;

/// A migration whose records are in a database.
pub struct LocalSchema {
    /// The records.
    pub store: Store,
    /// The migration.
    pub migration: MigrationOrchestration,
    /// Its plan.
    pub plan: Plan,
}

/// What is asked of a migration's schema.
pub enum LocalVerb {
    /// Show where it stands.
    Status,
    /// Make what is due.
    Apply(Consent),
    /// Take everything back.
    Rollback,
}

/// What the changes of a plan, or of a migration, come to.
pub async fn plan(
    plan: &Plan,
    known: Option<LocalSchema>,
    link: AgentLink,
) -> Result<Vec<Drafted>, Failure> {
    let company = Company::meet(link).await?;
    let crew = company.crew(plan);
    match known {
        None => draft_plan(&crew, plan).await,
        Some(known) => draft(&work(&company, known).await?).await,
    }
}

/// Does it; the operations as they are then.
pub async fn run(
    known: LocalSchema,
    verb: LocalVerb,
    link: AgentLink,
) -> Result<Vec<SchemaChangeOperation>, Failure> {
    let company = Company::meet(link).await?;
    let work = work(&company, known).await?;
    match verb {
        LocalVerb::Status => {}
        LocalVerb::Apply(consent) => {
            let moments = due_moments(&work).await?;
            locked(&work, apply(&work, &moments, &consent)).await?;
        }
        LocalVerb::Rollback => {
            due_moments(&work).await?;
            locked(&work, roll_back(&work)).await?;
        }
    }
    work.sync().await
}

async fn work(company: &Company, known: LocalSchema) -> Result<SchemaWork, Failure> {
    let crew = company.crew(&known.plan).of_migration(known.migration.id);
    SchemaWork::stored(crew, known.store, known.migration).await
}
