//! Validations: asked for once, worked on piece by piece, ended with all their results or none.

use proto::domain::frame::{Ask, ValidateAnswer, ValidateQuestion};
use proto::domain::record::{
    DataValidationResult, MigrationStatus, ValidationRun, ValidationRunStatus, ValidationStatus,
};
use proto::domain::sketch::Sketch;
use proto::domain::state::{Illegal, State};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Store;
use super::error::StoreError;
use super::query::command::{self, CommandCall, Earlier};
use super::query::data_validation_result::{self, NewResult};
use super::query::validation_unit::{self, StoredUnit};
use super::query::{migration_orchestration, validation_run};
use super::transact::transact;

/// A validation that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// The migration.
    pub migration_id: Uuid,
    /// How deep contents are compared.
    pub level: Option<String>,
    /// Entities; none: all.
    pub entities: Vec<String>,
}

impl Store {
    /// Begins a validation, once.
    ///
    /// # Errors
    /// `Illegal` where the migration is not completed or a validation of it is under way; `RequestIdReused`;
    /// `Deposed`.
    pub async fn start_validation(
        &self,
        call: &CommandCall,
        new: &NewRun,
    ) -> Result<ValidationRun, StoreError> {
        transact!(self => "begin a validation", |conn| {
            match command::find(conn, call).await? {
                Some(Earlier::Same(answer)) => {
                    let id = answer["validation"].as_str().and_then(|id| Uuid::try_parse(id).ok());
                    return stored(conn, id.unwrap_or_default()).await;
                }
                Some(Earlier::Other) => return Err(StoreError::RequestIdReused),
                None => {}
            }
            let id = new.migration_id;
            let migration = migration_orchestration::lock(conn, id)
                .await?
                .ok_or(StoreError::NoMigration { id })?;
            let state = State {
                status: migration.status,
                activity: migration.activity,
                is_finalized: migration.finalized_at.is_some(),
            };
            if let Some(why) = refusal(migration.status) {
                return Err(Illegal { state, verb: "validate", why }.into());
            }
            if validation_run::running(conn, id).await?.is_some() {
                let why = "a validation of it is under way: see `drover validation get`";
                return Err(Illegal { state, verb: "validate", why }.into());
            }
            let row = validation_run::NewRow {
                id: Uuid::now_v7(),
                migration_id: id,
                level: new.level.as_deref(),
                entities: &new.entities,
                created_by: &call.actor,
            };
            let run_id = row.id;
            validation_run::insert(conn, row).await?;
            let answer = serde_json::json!({ "validation": run_id });
            command::insert(conn, call, Some(id), &answer).await?;
            stored(conn, run_id).await
        })
    }

    /// The migration's validation that is under way.
    pub async fn running_validation(
        &self,
        migration_id: Uuid,
    ) -> Result<Option<ValidationRun>, StoreError> {
        transact!(&self.pool, "look for a validation", |conn| {
            Ok(validation_run::running(conn, migration_id).await?)
        })
    }

    /// Validations that somebody has to look after, oldest first.
    pub async fn running_validations(&self) -> Result<Vec<ValidationRun>, StoreError> {
        transact!(&self.pool, "list validations under way", |conn| {
            Ok(validation_run::list_running(conn).await?)
        })
    }

    /// The validation of that id.
    pub async fn validation_run(&self, id: Uuid) -> Result<Option<ValidationRun>, StoreError> {
        transact!(&self.pool, "read a validation", |conn| {
            Ok(validation_run::get(conn, id).await?)
        })
    }

    /// A migration's validations, newest first, behind the one with id `after`.
    pub async fn validation_runs(
        &self,
        migration_id: Uuid,
        limit: i64,
        after: Option<Uuid>,
    ) -> Result<Vec<ValidationRun>, StoreError> {
        transact!(&self.pool, "list validations", |conn| {
            Ok(validation_run::list(conn, migration_id, (limit, after)).await?)
        })
    }

    /// The results of a validation.
    pub async fn validation_results(
        &self,
        run_id: Uuid,
    ) -> Result<Vec<DataValidationResult>, StoreError> {
        transact!(&self.pool, "list a validation's results", |conn| {
            Ok(data_validation_result::list_of(conn, run_id).await?)
        })
    }

    /// A validation's pieces, and the sums of its sketches: entity, whether it is the source's, the sketch.
    pub async fn validation_units(
        &self,
        run_id: Uuid,
    ) -> Result<(Vec<StoredUnit>, Vec<(String, bool, String)>), StoreError> {
        transact!(&self.pool, "read a validation's pieces", |conn| {
            let units = validation_unit::list(conn, run_id).await?;
            Ok((units, validation_unit::sketches(conn, run_id).await?))
        })
    }

    /// Adds pieces to a validation.
    pub async fn add_validation_units(
        &self,
        run_id: Uuid,
        units: &[(i32, ValidateQuestion)],
    ) -> Result<(), StoreError> {
        transact!(self => "add pieces to a validation", |conn| {
            Ok(validation_unit::insert(conn, run_id, units).await?)
        })
    }

    /// Keeps the answer of a piece; a sketch is added to the sum of its side, in the same transaction.
    pub async fn answer_validation_unit(
        &self,
        (run_id, number): (Uuid, i32),
        (question, answer): (&ValidateQuestion, &ValidateAnswer),
        duration_ms: i64,
    ) -> Result<(), StoreError> {
        transact!(self => "keep a piece of a validation", |conn| {
            let mut kept = answer.clone();
            let sketch = match &mut kept {
                ValidateAnswer::Sketched(sketched) => Some(std::mem::take(&mut sketched.sketch)),
                _ => None,
            };
            let is_new = validation_unit::answer(conn, (run_id, number), &kept, duration_ms).await?;
            if let (true, Some(sketch)) = (is_new, sketch) {
                let is_source = matches!(question.ask, Ask::SketchSource(_));
                let side = (run_id, question.entity.as_str(), is_source);
                let before = validation_unit::sketch(conn, side).await?;
                let sum = match before.as_deref().and_then(Sketch::from_hex) {
                    None => sketch,
                    Some(mut sum) => {
                        if let Some(more) = Sketch::from_hex(&sketch) {
                            sum.merge(&more);
                        }
                        sum.to_hex()
                    }
                };
                validation_unit::set_sketch(conn, side, &sum).await?;
            }
            Ok(())
        })
    }

    /// Ends a validation with its results; none are stored where it was ended before.
    pub async fn complete_validation(
        &self,
        run: &ValidationRun,
        results: &[NewResult],
    ) -> Result<ValidationRun, StoreError> {
        transact!(self => "complete a validation", |conn| {
            let ended = (ValidationRunStatus::Completed, worst(results), None);
            if validation_run::end(conn, run.id, ended).await? {
                for result in results {
                    let of = (run.migration_id, Some(run.id));
                    data_validation_result::insert_of(conn, of, result).await?;
                }
                validation_unit::delete_sketches(conn, run.id).await?;
            }
            stored(conn, run.id).await
        })
    }

    /// Ends a validation without results.
    pub async fn end_validation(
        &self,
        id: Uuid,
        status: ValidationRunStatus,
        reason: &str,
    ) -> Result<ValidationRun, StoreError> {
        transact!(self => "end a validation", |conn| {
            validation_run::end(conn, id, (status, None, Some(reason))).await?;
            validation_unit::delete_sketches(conn, id).await?;
            stored(conn, id).await
        })
    }
}

async fn stored(conn: &mut PgConnection, id: Uuid) -> Result<ValidationRun, StoreError> {
    validation_run::get(conn, id)
        .await?
        .ok_or(StoreError::NoMigration { id })
}

fn worst(results: &[NewResult]) -> Option<ValidationStatus> {
    let all = results.iter().map(|result| result.status);
    all.max_by_key(|status| match status {
        ValidationStatus::Passed => 0,
        ValidationStatus::Warning => 1,
        ValidationStatus::Failed => 2,
    })
}

/// Why a migration cannot be validated in this state; none where it can.
fn refusal(status: MigrationStatus) -> Option<&'static str> {
    match status {
        MigrationStatus::Completed => None,
        MigrationStatus::Pending => Some("nothing was migrated yet: start it first"),
        MigrationStatus::Running => {
            Some("it is under way: its rows are complete once it is completed")
        }
        MigrationStatus::RollingBack => Some("it is being rolled back"),
        MigrationStatus::Failed => Some("it was cancelled: what was copied is no whole"),
    }
}
