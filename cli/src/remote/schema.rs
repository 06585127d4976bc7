//! Schema changes.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::domain::record::SchemaChangeOperation;
use proto::pb;
use proto::pb::schema_service_client::SchemaServiceClient;
use proto::wire::status::{Reason, Refusal};

use super::{ANSWER_LIMIT, Remote, records, stop, unreadable};
use crate::render::record::DraftedChange;
use crate::stop::Stop;

/// How often it is asked whether work has ended.
const LOOK: Duration = Duration::from_millis(500);

impl Remote {
    /// What the changes of a migration come to.
    pub async fn schema_plan(&self, name: &str) -> Result<Vec<DraftedChange>, Stop> {
        self.planned(pb::PlanSchemaRequest {
            name: name.to_owned(),
            ..pb::PlanSchemaRequest::default()
        })
        .await
    }

    /// What the changes of a plan come to.
    pub async fn schema_plan_of(
        &self,
        plan: String,
        regions: Vec<String>,
    ) -> Result<Vec<DraftedChange>, Stop> {
        self.planned(pb::PlanSchemaRequest {
            plan,
            regions,
            ..pb::PlanSchemaRequest::default()
        })
        .await
    }

    async fn planned(&self, request: pb::PlanSchemaRequest) -> Result<Vec<DraftedChange>, Stop> {
        let answer = self
            .connection
            .call("PlanSchema", request, |channel, request| async move {
                client(channel).plan_schema(request).await
            })
            .await?;
        answer.changes.into_iter().map(drafted).collect()
    }

    /// Makes what is due, and waits for it.
    pub async fn schema_apply(
        &self,
        name: &str,
        yes: bool,
        confirmations: Vec<String>,
    ) -> Result<Vec<SchemaChangeOperation>, Stop> {
        let request = pb::ApplySchemaRequest {
            name: name.to_owned(),
            etag: String::new(),
            request_id: self.request_id(),
            yes,
            confirmations,
        };
        let answer = self
            .connection
            .call("ApplySchema", request, |channel, request| async move {
                client(channel).apply_schema(request).await
            })
            .await?;
        self.settle(name, answer.state).await
    }

    /// Takes everything back, and waits for it.
    pub async fn schema_rollback(&self, name: &str) -> Result<Vec<SchemaChangeOperation>, Stop> {
        let request = pb::RollbackSchemaRequest {
            name: name.to_owned(),
            etag: String::new(),
            request_id: self.request_id(),
        };
        let answer = self
            .connection
            .call("RollbackSchema", request, |channel, request| async move {
                client(channel).rollback_schema(request).await
            })
            .await?;
        self.settle(name, answer.state).await
    }

    /// Every operation of a migration.
    pub async fn schema_state(&self, name: &str) -> Result<Vec<SchemaChangeOperation>, Stop> {
        let state = self.schema(name).await?;
        records(state.operations)
    }

    async fn schema(&self, name: &str) -> Result<pb::SchemaState, Stop> {
        let request = pb::GetSchemaRequest {
            name: name.to_owned(),
        };
        let answer = self
            .connection
            .call("GetSchema", request, |channel, request| async move {
                client(channel).get_schema(request).await
            })
            .await?;
        answer.state.ok_or_else(|| unreadable("it is empty"))
    }

    /// Asks again until the work has ended.
    async fn settle(
        &self,
        name: &str,
        state: Option<pb::SchemaState>,
    ) -> Result<Vec<SchemaChangeOperation>, Stop> {
        let mut state = state.ok_or_else(|| unreadable("it is empty"))?;
        while state.is_working {
            if !self.connection.sleep(LOOK).await {
                return Err(Stop::interrupted("detached; the work goes on")
                    .hinting(format!("drover schema status {name}")));
            }
            state = self.schema(name).await?;
        }
        if state.failure.is_empty() {
            return records(state.operations);
        }
        let reason = Reason::parse(&state.failure_reason);
        let refusal = Refusal {
            code: reason.map_or(tonic::Code::Internal, Reason::code),
            reason: state.failure_reason,
            message: state.failure,
            metadata: BTreeMap::new(),
            violations: Vec::new(),
            retry_after: None,
            is_transport: false,
        };
        let hint = format!("`drover schema status {name}` shows every operation");
        Err(stop::stop(&refusal).hinting(hint))
    }
}

fn client(channel: tonic::transport::Channel) -> SchemaServiceClient<tonic::transport::Channel> {
    SchemaServiceClient::new(channel).max_decoding_message_size(ANSWER_LIMIT)
}

fn drafted(change: pb::PlannedSchemaChange) -> Result<DraftedChange, Stop> {
    let when = match change.moment() {
        pb::SchemaChangeMoment::Before => "before",
        pb::SchemaChangeMoment::After => "after",
        pb::SchemaChangeMoment::Cleanup => "cleanup",
        pb::SchemaChangeMoment::Unspecified => {
            return Err(unreadable("a change has no moment"));
        }
    };
    Ok(DraftedChange {
        number: change.number,
        label: change.label,
        when: when.to_owned(),
        operations: records(change.operations)?,
        refusals: change.refusals,
        confirmation: change.confirmation,
    })
}
