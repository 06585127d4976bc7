//! `MigrationService`.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use proto::domain::compiled::CompiledPlan;
use proto::domain::failure::{FailureKind, policy};
use proto::domain::key::{KeyRange, RunConstants};
use proto::domain::preflight::{Grantees, Preflight};
use proto::domain::record::MigrationOrchestration;
use proto::domain::state::Command;
use proto::lease::LeaseStore;
use proto::pb::migration_service_server::MigrationService;
use proto::pb::{self};
use proto::wire::status as wire_status;
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::page::Page;
use super::{Gate, rollback, status, watch};
use crate::advice::{Subject, next_steps};
use crate::app::type_of;
use crate::commands::{Asked, Checked};
use crate::preflight;
use crate::store::{CommandCall, Store};

/// gRPC metadata in which clients say who they are, until they are authenticated.
const ACTOR: &str = "drover-actor";

#[tonic::async_trait]
impl<L: LeaseStore> MigrationService for Gate<L> {
    async fn create_migration(
        &self,
        request: Request<pb::CreateMigrationRequest>,
    ) -> Result<Response<pb::CreateMigrationResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let regions: BTreeSet<String> = body.regions.iter().cloned().collect();
        let call = call(
            &body.request_id,
            "create",
            actor,
            &[&body.plan, &body.regions.join(",")],
        )?;
        if body.validate_only {
            let checked = realm
                .check_plan(&body.plan, regions)
                .await
                .map_err(status::of_command)?;
            let migration = Some(pending(&checked));
            return Ok(Response::new(pb::CreateMigrationResponse { migration }));
        }
        let checked = realm
            .check_plan(&body.plan, regions)
            .await
            .map_err(status::of_command)?;
        let created = realm
            .create(&call, checked)
            .await
            .map_err(status::of_command)?;
        let migration = Some(message(created)?);
        Ok(Response::new(pb::CreateMigrationResponse { migration }))
    }

    async fn plan_migration(
        &self,
        request: Request<pb::PlanMigrationRequest>,
    ) -> Result<Response<pb::PlanMigrationResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let regions = body.regions.into_iter().collect();
        let asked = preflight::Asked {
            sample_rows: body.sample_rows,
            grantees: Grantees {
                source: given(body.source_role),
                destination: given(body.destination_role),
            },
        };
        let found = realm.preflight(&body.plan, regions, &asked).await;
        let (compiled, preflight) = found.map_err(status::of_command)?;
        Ok(Response::new(planned(&compiled, preflight)))
    }

    async fn start_migration(
        &self,
        request: Request<pb::StartMigrationRequest>,
    ) -> Result<Response<pb::StartMigrationResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let asked = Asked {
            call: call(
                &body.request_id,
                "start",
                actor,
                &[&body.name, &body.etag, &body.plan],
            )?,
            etag: given(body.etag),
            plan: given(body.plan),
        };
        let after = realm.go_on(&body.name, Command::Start, asked).await;
        let migration = Some(message(after.map_err(status::of_command)?)?);
        Ok(Response::new(pb::StartMigrationResponse { migration }))
    }

    async fn get_migration(
        &self,
        request: Request<pb::GetMigrationRequest>,
    ) -> Result<Response<pb::GetMigrationResponse>, Status> {
        let realm = self.realm().await?;
        let name = request.into_inner().name;
        let found = realm.find(&name).await.map_err(status::of_command)?;
        let next_steps = advice(&realm.store, &found).await?;
        let report = realm.store.rollback_report(found.id).await;
        let report = report.map_err(|error| status::of_store(&error))?;
        let rollback_outcome = report.map_or_else(String::new, |report| report.describe());
        let (waits_for, throttled) = (self.waits_for(found.id), self.throttled(found.id));
        let mut migration = message(found)?;
        if let (Some(words), None) = (waits_for, &migration.activity_reason) {
            migration.activity_reason = Some(words);
            migration.activity_hint = Some(policy(FailureKind::NoAgent).1.to_owned());
        }
        if let (Some(words), None) = (throttled, &migration.activity_reason) {
            migration.activity_reason = Some(format!("throttled: {words}"));
        }
        Ok(Response::new(pb::GetMigrationResponse {
            migration: Some(migration),
            next_steps,
            rollback_outcome,
        }))
    }

    async fn list_migrations(
        &self,
        request: Request<pb::ListMigrationsRequest>,
    ) -> Result<Response<pb::ListMigrationsResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let page = Page::read(body.page_size, &body.page_token, "migrations")?;
        let after = page
            .after
            .as_deref()
            .and_then(|after| Uuid::try_parse(after).ok());
        let found = realm.store.list_migrations(page.wanted(), after).await;
        let found = found.map_err(|error| status::of_store(&error))?;
        let (found, next_page_token) = page.cut(found, |one| one.id.to_string());
        Ok(Response::new(pb::ListMigrationsResponse {
            migrations: found.into_iter().map(message).collect::<Result<_, _>>()?,
            next_page_token,
        }))
    }

    type WatchMigrationStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchMigrationResponse, Status>> + Send>>;

    async fn watch_migration(
        &self,
        request: Request<pb::WatchMigrationRequest>,
    ) -> Result<Response<Self::WatchMigrationStream>, Status> {
        let realm = self.realm().await?;
        let stream = watch::open(realm, request.into_inner()).await?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn pause_migration(
        &self,
        request: Request<pb::PauseMigrationRequest>,
    ) -> Result<Response<pb::PauseMigrationResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let asked = Asked {
            call: call(
                &body.request_id,
                "pause",
                actor,
                &[&body.name, &body.etag, &body.reason, &spoken(body.deadline)],
            )?,
            etag: given(body.etag),
            plan: None,
        };
        let within = duration("deadline", body.deadline)?;
        let after = realm
            .stop(&body.name, (Command::Pause, within), asked)
            .await;
        let migration = Some(message(after.map_err(status::of_command)?)?);
        Ok(Response::new(pb::PauseMigrationResponse { migration }))
    }

    async fn resume_migration(
        &self,
        request: Request<pb::ResumeMigrationRequest>,
    ) -> Result<Response<pb::ResumeMigrationResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let asked = Asked {
            call: call(
                &body.request_id,
                "resume",
                actor,
                &[&body.name, &body.etag, &body.plan],
            )?,
            etag: given(body.etag),
            plan: given(body.plan),
        };
        let after = realm.go_on(&body.name, Command::Resume, asked).await;
        let migration = Some(message(after.map_err(status::of_command)?)?);
        Ok(Response::new(pb::ResumeMigrationResponse { migration }))
    }

    async fn rollback_migration(
        &self,
        request: Request<pb::RollbackMigrationRequest>,
    ) -> Result<Response<pb::RollbackMigrationResponse>, Status> {
        rollback::rollback(self, request).await
    }

    async fn uninstall_destination(
        &self,
        request: Request<pb::UninstallDestinationRequest>,
    ) -> Result<Response<pb::UninstallDestinationResponse>, Status> {
        rollback::uninstall(self, request).await
    }

    async fn cancel_migration(
        &self,
        request: Request<pb::CancelMigrationRequest>,
    ) -> Result<Response<pb::CancelMigrationResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let said = [&*body.name, &*body.etag, &spoken(body.deadline)];
        let asked = asked(call(&body.request_id, "cancel", actor, &said)?, body.etag);
        let within = duration("deadline", body.deadline)?;
        let after = realm
            .stop(&body.name, (Command::Cancel, within), asked)
            .await;
        let migration = Some(message(after.map_err(status::of_command)?)?);
        Ok(Response::new(pb::CancelMigrationResponse { migration }))
    }

    async fn finalize_migration(
        &self,
        request: Request<pb::FinalizeMigrationRequest>,
    ) -> Result<Response<pb::FinalizeMigrationResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let said = [&*body.name, &*body.etag];
        let asked = asked(call(&body.request_id, "finalize", actor, &said)?, body.etag);
        let after = realm.finalize(&body.name, asked).await;
        let migration = Some(message(after.map_err(status::of_command)?)?);
        Ok(Response::new(pb::FinalizeMigrationResponse { migration }))
    }

    async fn set_migration(
        &self,
        request: Request<pb::SetMigrationRequest>,
    ) -> Result<Response<pb::SetMigrationResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let changes: Vec<(String, String)> = body
            .settings
            .into_iter()
            .map(|setting| (setting.name, setting.value))
            .collect();
        let mut said = vec![&*body.name, &*body.etag, &*body.entity];
        said.extend(changes.iter().flat_map(|(name, value)| [&**name, &**value]));
        let call = call(&body.request_id, "set", actor, &said)?;
        let entity = given(body.entity);
        let what = (entity.as_deref(), changes.as_slice());
        let after = realm.set(&body.name, what, asked(call, body.etag)).await;
        let migration = Some(message(after.map_err(status::of_command)?)?);
        Ok(Response::new(pb::SetMigrationResponse { migration }))
    }

    async fn delete_migration(
        &self,
        request: Request<pb::DeleteMigrationRequest>,
    ) -> Result<Response<pb::DeleteMigrationResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let asked = Asked {
            call: call(&body.request_id, "delete", actor, &[&body.name, &body.etag])?,
            etag: given(body.etag),
            plan: None,
        };
        realm
            .delete(&body.name, asked)
            .await
            .map_err(status::of_command)?;
        Ok(Response::new(pb::DeleteMigrationResponse {}))
    }
}

/// Who asks, as the client says.
pub(super) fn actor<T>(request: &Request<T>) -> String {
    let said = request
        .metadata()
        .get(ACTOR)
        .and_then(|value| value.to_str().ok());
    said.filter(|said| !said.trim().is_empty()).map_or_else(
        || "unknown".to_owned(),
        |said| said.chars().take(200).collect(),
    )
}

/// The command's number, or a fresh one where the client wants no repetition.
pub(super) fn call(
    request_id: &str,
    verb: &'static str,
    actor: String,
    body: &[&str],
) -> Result<CommandCall, Status> {
    let request_id = match request_id {
        "" => Uuid::new_v4(),
        text => Uuid::try_parse(text)
            .map_err(|_| wire_status::invalid("request_id", "must be a UUID"))?,
    };
    let mut hash = Sha256::new();
    for part in body {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    Ok(CommandCall {
        request_id,
        verb,
        body_hash: hex::encode(hash.finalize()),
        actor,
    })
}

/// A command that brings no plan.
pub(super) fn asked(call: CommandCall, etag: String) -> Asked {
    Asked {
        call,
        etag: given(etag),
        plan: None,
    }
}

/// A span of time of a request.
fn duration(field: &str, span: Option<prost_types::Duration>) -> Result<Option<Duration>, Status> {
    let read = |span| {
        Duration::try_from(span).map_err(|_| wire_status::invalid(field, "must not be negative"))
    };
    span.map(read).transpose()
}

/// The same as part of what was said.
fn spoken(span: Option<prost_types::Duration>) -> String {
    span.map(|span| format!("{}.{:09}", span.seconds, span.nanos))
        .unwrap_or_default()
}

/// What can be done next.
async fn advice(store: &Store, migration: &MigrationOrchestration) -> Result<Vec<String>, Status> {
    let stored = |error| status::of_store(&error);
    let id = migration.id;
    let subject = Subject {
        migration,
        entities: &store.entities(id).await.map_err(stored)?,
        open_errors: store.open_errors(id).await.map_err(stored)?,
        open_retries: store.retries(id, None).await.map_err(stored)?.len(),
        is_local: false,
    };
    Ok(next_steps(&subject))
}

pub(super) fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

pub(super) fn message(
    record: MigrationOrchestration,
) -> Result<pb::MigrationOrchestration, Status> {
    record
        .try_into()
        .map_err(|error| wire_status::unwritable(&error))
}

/// What a migration would be, without an id.
fn pending(checked: &Checked) -> pb::MigrationOrchestration {
    let active = checked
        .compiled
        .entities
        .iter()
        .filter(|entity| entity.is_active);
    pb::MigrationOrchestration {
        name: checked.compiled.name.clone(),
        migration_type: pb::MigrationType::from(type_of(&checked.compiled)).into(),
        status: pb::MigrationStatus::Pending.into(),
        total_entities: i64::try_from(active.count()).unwrap_or(i64::MAX),
        ..pb::MigrationOrchestration::default()
    }
}

fn planned(compiled: &CompiledPlan, preflight: Preflight) -> pb::PlanMigrationResponse {
    // What only a run knows shows as its name.
    let constants = RunConstants {
        now: "now".to_owned(),
        migration_id: "migration_id".to_owned(),
    };
    let entities = (1..)
        .zip(&compiled.entities)
        .map(|(dependency_order, entity)| pb::PlannedEntity {
            entity: entity.entity.clone(),
            entity_name: entity.read.source.to_string(),
            target_entity: entity.destination.to_string(),
            dependency_order,
            dependency_entities: entity.dependencies.clone(),
            is_active: entity.is_active,
            entity_hash: entity.hash.clone(),
            select_sql: entity.read.select(&KeyRange::default(), &constants),
        });
    pb::PlanMigrationResponse {
        name: compiled.name.clone(),
        entities: entities.collect(),
        preflight: Some(preflight.into()),
    }
}
