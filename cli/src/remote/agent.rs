//! Agents: who is there, who shall not work.

use proto::domain::record::AgentStatus;
use proto::pb;
use proto::pb::agent_service_client::AgentServiceClient;
use tonic::transport::Channel;

use super::page::{Listed, pages};
use super::{ANSWER_LIMIT, Remote, record, records};
use crate::stop::Stop;

fn client(channel: Channel) -> AgentServiceClient<Channel> {
    AgentServiceClient::new(channel).max_decoding_message_size(ANSWER_LIMIT)
}

impl Remote {
    /// One agent.
    pub async fn agent(&self, name: &str) -> Result<AgentStatus, Stop> {
        let request = pb::GetAgentRequest {
            name: name.to_owned(),
        };
        let answer = self
            .connection
            .call("GetAgent", request, |channel, request| async move {
                client(channel).get_agent(request).await
            })
            .await?;
        record(answer.agent)
    }

    /// The agents that are alive, of these regions or of all.
    pub async fn agents(
        &self,
        regions: &[String],
        limit: u32,
    ) -> Result<Listed<AgentStatus>, Stop> {
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
            Ok((records(answer.agents)?, answer.next_page_token))
        })
        .await
    }

    /// Has an agent give everything back.
    pub async fn drain(&self, name: &str) -> Result<AgentStatus, Stop> {
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
        record(answer.agent)
    }

    /// Gives an agent nothing new.
    pub async fn cordon(&self, name: &str) -> Result<AgentStatus, Stop> {
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
        record(answer.agent)
    }

    /// Gives an agent work again.
    pub async fn uncordon(&self, name: &str) -> Result<AgentStatus, Stop> {
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
        record(answer.agent)
    }
}
