//! A validation in a process of its own: `drover validation start --local`.

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::record::{DataValidationResult, ValidationRun};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::drive::Validator;
use crate::app::Company;
use crate::commands::CommandError;
use crate::crew::Crew;
use crate::fleet::AgentLink;
use crate::placement::Demand;
use crate::store::{CommandCall, NewRun, Store};

/// What to validate, and where the metadata is.
pub struct ValidateRequest {
    /// The migration.
    pub migration_id: Uuid,
    /// How deep contents are compared.
    pub level: Option<String>,
    /// Entities; none: all.
    pub entities: Vec<String>,
    /// User and host.
    pub created_by: String,
    /// Metadata database.
    pub metadata: PgConnectOptions,
    /// Schema of the metadata.
    pub schema: String,
}

/// Validates a migration; a validation that was interrupted goes on, whatever is asked for now.
///
/// # Errors
/// A state that does not allow it; what the databases say.
pub async fn validate(
    request: ValidateRequest,
    link: AgentLink,
    view: watch::Sender<(usize, usize)>,
    stop: &CancellationToken,
) -> Result<(ValidationRun, Vec<DataValidationResult>), CommandError> {
    let store = Store::connect(request.metadata, &request.schema).await?;
    let migration = store.migration(request.migration_id).await?;
    let lock = store.lock_migration(&migration.name).await?;
    let run = match store.running_validation(migration.id).await? {
        Some(run) => run,
        None => {
            let call = CommandCall {
                request_id: Uuid::new_v4(),
                verb: "validate",
                // Its number is new: nothing is asked twice by it.
                body_hash: "alone".to_owned(),
                actor: request.created_by,
            };
            let new = NewRun {
                migration_id: migration.id,
                level: request.level,
                entities: request.entities,
            };
            store.start_validation(&call, &new).await?
        }
    };
    let compiled = store
        .plan(migration.id)
        .await?
        .and_then(|plan| plan.compiled)
        .ok_or_else(|| {
            let words = "the migration's plan was stored by another version";
            Failure::new(FailureKind::PlanChanged, words)
        })?;
    let demand = Demand::stored(&migration.configuration)
        .ok_or_else(|| Failure::new(FailureKind::Internal, "the migration has no connections"))?;
    let company = Company::meet(link).await?;
    let validator = Validator {
        crew: Crew::new(company.fleet().clone(), Some(migration.id), demand),
        store: store.clone(),
        compiled,
        migration,
        run,
    };
    let run = validator.drive(view, stop).await?;
    let results = store.validation_results(run.id).await?;
    // It ends with its session, if not before.
    let _ = lock.release().await;
    Ok((run, results))
}
