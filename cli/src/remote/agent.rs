//! Agents: who is there, who shall not work.

use chrono::DateTime;
use proto::pb;
use proto::pb::agent_service_client::AgentServiceClient;
use tonic::transport::Channel;
use uuid::Uuid;

use super::page::{Listed, pages};
use super::{Remote, unreadable};
use crate::render::record::agent::Agent;
use crate::stop::Stop;

fn client(channel: Channel) -> AgentServiceClient<Channel> {
    AgentServiceClient::new(channel)
}

impl Remote {
    /// One agent.
    pub async fn agent(&self, name: &str) -> Result<Agent, Stop> {
        let request = pb::GetAgentRequest {
            name: name.to_owned(),
        };
        let answer = self
            .connection
            .call("GetAgent", request, |channel, request| async move {
                client(channel).get_agent(request).await
            })
            .await?;
        read(answer.agent)
    }

    /// The agents that are alive, of these regions or of all.
    pub async fn agents(&self, regions: &[String], limit: u32) -> Result<Listed<Agent>, Stop> {
        pages(limit, |page_size, page_token| async move {
            let request = pb::ListAgentsRequest {
                page_size,
                page_token,
                regions: regions.to_vec(),
            };
            let answer = self
                .connection
                .call("ListAgents", request, |channel, request| async move {
                    client(channel).list_agents(request).await
                })
                .await?;
            let agents = answer.agents.into_iter().map(|agent| read(Some(agent)));
            let agents: Vec<Agent> = agents.collect::<Result<_, _>>()?;
            Ok((agents, answer.next_page_token))
        })
        .await
    }

    /// Has an agent give everything back.
    pub async fn drain(&self, name: &str) -> Result<Agent, Stop> {
        let request = pb::DrainAgentRequest {
            name: name.to_owned(),
            request_id: self.request_id(),
        };
        let answer = self
            .connection
            .call("DrainAgent", request, |channel, request| async move {
                client(channel).drain_agent(request).await
            })
            .await?;
        read(answer.agent)
    }

    /// Gives an agent nothing new.
    pub async fn cordon(&self, name: &str) -> Result<Agent, Stop> {
        let request = pb::CordonAgentRequest {
            name: name.to_owned(),
            request_id: self.request_id(),
        };
        let answer = self
            .connection
            .call("CordonAgent", request, |channel, request| async move {
                client(channel).cordon_agent(request).await
            })
            .await?;
        read(answer.agent)
    }

    /// Gives an agent work again.
    pub async fn uncordon(&self, name: &str) -> Result<Agent, Stop> {
        let request = pb::UncordonAgentRequest {
            name: name.to_owned(),
            request_id: self.request_id(),
        };
        let answer = self
            .connection
            .call("UncordonAgent", request, |channel, request| async move {
                client(channel).uncordon_agent(request).await
            })
            .await?;
        read(answer.agent)
    }
}

fn read(message: Option<pb::Agent>) -> Result<Agent, Stop> {
    let message = message.ok_or_else(|| unreadable("it is empty"))?;
    let id = Uuid::try_parse(&message.id).map_err(|_| unreadable("Agent.id is no uuid"))?;
    let state = match message.state() {
        pb::AgentState::Active => "active",
        pb::AgentState::Cordoned => "cordoned",
        pb::AgentState::Draining => "draining",
        pb::AgentState::Disconnected => "disconnected",
        pb::AgentState::Unspecified => return Err(unreadable("Agent.state is missing")),
    };
    let nanos = |nanos: i32| u32::try_from(nanos).unwrap_or_default();
    let time = |seconds: i64, part: i32| DateTime::from_timestamp(seconds, nanos(part));
    let connected = message.connected_at;
    let seen = message.last_seen_at;
    Ok(Agent {
        id,
        state,
        name: message.name,
        region: message.region,
        labels: message.labels.into_iter().collect(),
        connections: message.connections,
        capacity: message.capacity,
        partitions: message.partitions,
        version: message.version,
        codec_version: message.codec_version,
        connected_at: connected.and_then(|at| time(at.seconds, at.nanos)),
        last_seen_at: seen.and_then(|at| time(at.seconds, at.nanos)),
    })
}
