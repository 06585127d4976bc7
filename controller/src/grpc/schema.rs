//! `SchemaService`.

use proto::domain::schema_change::{Consent, Moment};
use proto::lease::LeaseStore;
use proto::pb;
use proto::pb::schema_service_server::SchemaService;
use proto::wire::status as wire_status;
use tonic::{Request, Response, Status};

use super::lists::messages;
use super::migration::{actor, call, given};
use super::{Gate, status};
use crate::schema::{Drafted, SchemaAsked, SchemaState};

#[tonic::async_trait]
impl<L: LeaseStore> SchemaService for Gate<L> {
    async fn plan_schema(
        &self,
        request: Request<pb::PlanSchemaRequest>,
    ) -> Result<Response<pb::PlanSchemaResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let drafted = match (body.name.is_empty(), body.plan.is_empty()) {
            (false, true) => realm.plan_schema(&body.name).await,
            (true, false) => {
                let regions = body.regions.into_iter().collect();
                realm.plan_schema_of(&body.plan, regions).await
            }
            _ => {
                return Err(wire_status::invalid(
                    "name",
                    "either name or plan is needed",
                ));
            }
        };
        let drafted = drafted.map_err(status::of_command)?;
        let changes = drafted.into_iter().map(planned).collect::<Result<_, _>>()?;
        Ok(Response::new(pb::PlanSchemaResponse { changes }))
    }

    async fn apply_schema(
        &self,
        request: Request<pb::ApplySchemaRequest>,
    ) -> Result<Response<pb::ApplySchemaResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let yes = if body.yes { "yes" } else { "" };
        let names = body.confirmations.join("\u{1f}");
        let parts = [body.name.as_str(), &body.etag, yes, &names];
        let asked = SchemaAsked {
            call: call(&body.request_id, "schema apply", actor, &parts)?,
            etag: given(body.etag),
            consent: Consent {
                yes: body.yes,
                names: body.confirmations.into_iter().collect(),
            },
        };
        let state = realm.apply_schema(&body.name, asked).await;
        let state = Some(message(state.map_err(status::of_command)?)?);
        Ok(Response::new(pb::ApplySchemaResponse { state }))
    }

    async fn get_schema(
        &self,
        request: Request<pb::GetSchemaRequest>,
    ) -> Result<Response<pb::GetSchemaResponse>, Status> {
        let realm = self.realm().await?;
        let state = realm.schema_state(&request.into_inner().name).await;
        let state = Some(message(state.map_err(status::of_command)?)?);
        Ok(Response::new(pb::GetSchemaResponse { state }))
    }

    async fn rollback_schema(
        &self,
        request: Request<pb::RollbackSchemaRequest>,
    ) -> Result<Response<pb::RollbackSchemaResponse>, Status> {
        let realm = self.realm().await?;
        let actor = actor(&request);
        let body = request.into_inner();
        let parts = [body.name.as_str(), &body.etag];
        let asked = SchemaAsked {
            call: call(&body.request_id, "schema rollback", actor, &parts)?,
            etag: given(body.etag),
            consent: Consent::default(),
        };
        let state = realm.rollback_schema(&body.name, asked).await;
        let state = Some(message(state.map_err(status::of_command)?)?);
        Ok(Response::new(pb::RollbackSchemaResponse { state }))
    }
}

fn message(state: SchemaState) -> Result<pb::SchemaState, Status> {
    let failure = state.failure;
    let reason = failure
        .as_ref()
        .map(|failure| wire_status::reason_of(failure.kind));
    Ok(pb::SchemaState {
        operations: messages(state.operations)?,
        is_working: state.is_working,
        failure: failure.map(|failure| failure.message).unwrap_or_default(),
        failure_reason: reason
            .map(|reason| reason.as_str().to_owned())
            .unwrap_or_default(),
    })
}

fn planned(drafted: Drafted) -> Result<pb::PlannedSchemaChange, Status> {
    let moment = match drafted.change.moment {
        Moment::Before => pb::SchemaChangeMoment::Before,
        Moment::After => pb::SchemaChangeMoment::After,
        Moment::Cleanup => pb::SchemaChangeMoment::Cleanup,
    };
    Ok(pb::PlannedSchemaChange {
        number: i32::try_from(drafted.change.number).unwrap_or(i32::MAX),
        label: drafted.change.label(),
        moment: moment.into(),
        operations: messages(drafted.operations)?,
        refusals: drafted.refusals,
        confirmation: drafted.flags.unwrap_or_default(),
    })
}
