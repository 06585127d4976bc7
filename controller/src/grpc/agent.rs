//! `AgentService`: who is there, and who shall not work.

use proto::lease::LeaseStore;
use proto::pb;
use proto::pb::agent_service_server::AgentService;
use proto::wire::status as wire_status;
use proto::wire::status::Reason;
use proto::wire::write_time;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::Gate;
use super::migration::call;
use super::page::Page;
use crate::fleet::{Duty, MemberView};

#[tonic::async_trait]
impl<L: LeaseStore> AgentService for Gate<L> {
    async fn get_agent(
        &self,
        request: Request<pb::GetAgentRequest>,
    ) -> Result<Response<pb::GetAgentResponse>, Status> {
        let realm = self.realm().await?;
        let found = find(realm.fleet.members(), &request.into_inner().name)?;
        let agent = Some(message(found));
        Ok(Response::new(pb::GetAgentResponse { agent }))
    }

    async fn list_agents(
        &self,
        request: Request<pb::ListAgentsRequest>,
    ) -> Result<Response<pb::ListAgentsResponse>, Status> {
        let realm = self.realm().await?;
        let body = request.into_inner();
        let page = Page::read(
            body.page_size,
            &body.page_token,
            format!("agents {:?}", body.regions),
        )?;
        let mut members = realm.fleet.members();
        members.retain(|member| {
            let place = place(member);
            (body.regions.is_empty() || body.regions.contains(&member.region))
                && page.after.as_ref().is_none_or(|after| place > *after)
        });
        let (members, next_page_token) = page.cut(members, place);
        Ok(Response::new(pb::ListAgentsResponse {
            agents: members.into_iter().map(message).collect(),
            next_page_token,
        }))
    }

    async fn drain_agent(
        &self,
        request: Request<pb::DrainAgentRequest>,
    ) -> Result<Response<pb::DrainAgentResponse>, Status> {
        let body = request.into_inner();
        let agent = Some(
            self.set_duty(&body.name, &body.request_id, Duty::Draining)
                .await?,
        );
        Ok(Response::new(pb::DrainAgentResponse { agent }))
    }

    async fn cordon_agent(
        &self,
        request: Request<pb::CordonAgentRequest>,
    ) -> Result<Response<pb::CordonAgentResponse>, Status> {
        let body = request.into_inner();
        let agent = Some(
            self.set_duty(&body.name, &body.request_id, Duty::Cordoned)
                .await?,
        );
        Ok(Response::new(pb::CordonAgentResponse { agent }))
    }

    async fn uncordon_agent(
        &self,
        request: Request<pb::UncordonAgentRequest>,
    ) -> Result<Response<pb::UncordonAgentResponse>, Status> {
        let body = request.into_inner();
        let agent = Some(
            self.set_duty(&body.name, &body.request_id, Duty::Active)
                .await?,
        );
        Ok(Response::new(pb::UncordonAgentResponse { agent }))
    }
}

impl<L: LeaseStore> Gate<L> {
    /// The same again changes nothing, so that the request's number needs no memory; it must be one.
    async fn set_duty(
        &self,
        name: &str,
        request_id: &str,
        duty: Duty,
    ) -> Result<pb::Agent, Status> {
        let realm = self.realm().await?;
        call(request_id, "agent", String::new(), &[])?;
        let found = find(realm.fleet.members(), name)?;
        let after = realm.fleet.set_duty(found.holder, duty);
        realm.poke.notify_one();
        after
            .map(message)
            .ok_or_else(|| wire_status::not_found(Reason::AgentNotFound, "agent", name))
    }
}

fn place(member: &MemberView) -> String {
    format!("{}\n{}\n{}", member.region, member.name, member.holder)
}

/// The one that a name, an id or the beginning of an id means.
fn find(members: Vec<MemberView>, wanted: &str) -> Result<MemberView, Status> {
    let is_exact = |member: &&MemberView| {
        member.name == wanted || Uuid::try_parse(wanted).is_ok_and(|id| id == member.holder)
    };
    let begins = |member: &&MemberView| {
        wanted.len() >= 4
            && member
                .holder
                .to_string()
                .starts_with(&wanted.to_lowercase())
    };
    let exact = members.iter().find(is_exact);
    let mut candidates: Vec<&MemberView> = match exact {
        Some(found) => vec![found],
        None => members.iter().filter(begins).collect(),
    };
    match (candidates.pop(), candidates.is_empty()) {
        (Some(found), true) => Ok(found.clone()),
        (None, _) => Err(wire_status::not_found(
            Reason::AgentNotFound,
            "agent",
            wanted,
        )),
        (Some(_), false) => {
            let words = format!("{wanted:?} means more than one agent");
            Err(wire_status::status(Reason::NameAmbiguous, words))
        }
    }
}

fn message(member: MemberView) -> pb::Agent {
    let state = match (member.is_connected, member.duty) {
        (false, _) => pb::AgentState::Disconnected,
        (true, Duty::Active) => pb::AgentState::Active,
        (true, Duty::Cordoned) => pb::AgentState::Cordoned,
        (true, Duty::Draining) => pb::AgentState::Draining,
    };
    pb::Agent {
        id: member.holder.to_string(),
        name: member.name,
        region: member.region,
        labels: member.labels.into_iter().collect(),
        connections: member.connections,
        capacity: i32::try_from(member.capacity).unwrap_or(i32::MAX),
        partitions: i32::try_from(member.held.len()).unwrap_or(i32::MAX),
        state: state.into(),
        version: member.version,
        codec_version: i32::try_from(member.codec_version).unwrap_or(i32::MAX),
        connected_at: Some(write_time(member.connected_at)),
        last_seen_at: Some(write_time(member.last_seen_at)),
    }
}
