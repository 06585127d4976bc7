//! The services of the scripted controller: every method takes the next answer of the script.

use std::pin::Pin;

use futures::Stream;
use proto::pb;
use proto::pb::agent_service_server::{AgentService, AgentServiceServer};
use proto::pb::entity_service_server::{EntityService, EntityServiceServer};
use proto::pb::migration_service_server::{MigrationService, MigrationServiceServer};
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic::{Request, Response, Status};

use super::server::{Answer, Asked, Script, messages};

/// A server with all of them.
pub fn services(script: Script) -> Router {
    Server::builder()
        .add_service(MigrationServiceServer::new(script.clone()))
        .add_service(EntityServiceServer::new(script.clone()))
        .add_service(AgentServiceServer::new(script))
}

fn migration(answer: Answer) -> Option<pb::MigrationOrchestration> {
    match answer {
        Answer::Migration(migration) => Some(*migration),
        _ => None,
    }
}

fn agent(answer: Answer) -> Option<pb::Agent> {
    match answer {
        Answer::Agent(agent) => Some(*agent),
        _ => None,
    }
}

type Watched = Pin<Box<dyn Stream<Item = Result<pb::WatchMigrationResponse, Status>> + Send>>;

#[tonic::async_trait]
impl MigrationService for Script {
    async fn create_migration(
        &self,
        request: Request<pb::CreateMigrationRequest>,
    ) -> Result<Response<pb::CreateMigrationResponse>, Status> {
        let body = request.get_ref();
        let asked = Asked {
            method: "create",
            request_id: body.request_id.clone(),
            detail: body.plan.clone(),
            name: body.regions.join(","),
            ..Asked::default()
        };
        let migration = migration(self.next(asked, &request).await?);
        Ok(Response::new(pb::CreateMigrationResponse { migration }))
    }

    async fn plan_migration(
        &self,
        request: Request<pb::PlanMigrationRequest>,
    ) -> Result<Response<pb::PlanMigrationResponse>, Status> {
        let asked = Asked {
            method: "plan",
            detail: request.get_ref().plan.clone(),
            ..Asked::default()
        };
        self.next(asked, &request).await?;
        let entity = pb::PlannedEntity {
            entity: "offices".to_owned(),
            dependency_order: 1,
            is_active: true,
            ..pb::PlannedEntity::default()
        };
        Ok(Response::new(pb::PlanMigrationResponse {
            name: "clinic".to_owned(),
            entities: vec![entity],
            preflight: Some(proto::domain::preflight::Preflight::default().into()),
        }))
    }

    async fn start_migration(
        &self,
        request: Request<pb::StartMigrationRequest>,
    ) -> Result<Response<pb::StartMigrationResponse>, Status> {
        let body = request.get_ref();
        let asked = Asked {
            method: "start",
            name: body.name.clone(),
            request_id: body.request_id.clone(),
            detail: body.plan.clone(),
            ..Asked::default()
        };
        let migration = migration(self.next(asked, &request).await?);
        Ok(Response::new(pb::StartMigrationResponse { migration }))
    }

    async fn get_migration(
        &self,
        request: Request<pb::GetMigrationRequest>,
    ) -> Result<Response<pb::GetMigrationResponse>, Status> {
        let asked = Asked {
            method: "get",
            name: request.get_ref().name.clone(),
            ..Asked::default()
        };
        let migration = migration(self.next(asked, &request).await?);
        Ok(Response::new(pb::GetMigrationResponse {
            migration,
            next_steps: vec!["drover migration watch clinic".to_owned()],
            rollback_outcome: String::new(),
        }))
    }

    async fn list_migrations(
        &self,
        request: Request<pb::ListMigrationsRequest>,
    ) -> Result<Response<pb::ListMigrationsResponse>, Status> {
        let body = request.get_ref();
        let asked = Asked {
            method: "list",
            name: body.page_size.to_string(),
            detail: body.page_token.clone(),
            ..Asked::default()
        };
        match self.next(asked, &request).await? {
            Answer::Migrations(migrations, token) => {
                Ok(Response::new(pb::ListMigrationsResponse {
                    migrations,
                    next_page_token: token.to_owned(),
                }))
            }
            _ => Err(Status::unimplemented("the script has no list here")),
        }
    }

    type WatchMigrationStream = Watched;

    async fn watch_migration(
        &self,
        request: Request<pb::WatchMigrationRequest>,
    ) -> Result<Response<Watched>, Status> {
        let body = request.get_ref();
        let asked = Asked {
            method: "watch",
            name: body.name.clone(),
            detail: body.resume_token.clone(),
            ..Asked::default()
        };
        match self.next(asked, &request).await? {
            Answer::Watch(steps) => Ok(Response::new(messages(steps))),
            _ => Err(Status::unimplemented("the script has no stream here")),
        }
    }

    async fn pause_migration(
        &self,
        request: Request<pb::PauseMigrationRequest>,
    ) -> Result<Response<pb::PauseMigrationResponse>, Status> {
        let body = request.get_ref();
        let asked = Asked {
            method: "pause",
            name: body.name.clone(),
            request_id: body.request_id.clone(),
            detail: body.reason.clone(),
            ..Asked::default()
        };
        let migration = migration(self.next(asked, &request).await?);
        Ok(Response::new(pb::PauseMigrationResponse { migration }))
    }

    async fn resume_migration(
        &self,
        request: Request<pb::ResumeMigrationRequest>,
    ) -> Result<Response<pb::ResumeMigrationResponse>, Status> {
        let body = request.get_ref();
        let asked = Asked {
            method: "resume",
            name: body.name.clone(),
            request_id: body.request_id.clone(),
            detail: body.plan.clone(),
            ..Asked::default()
        };
        let migration = migration(self.next(asked, &request).await?);
        Ok(Response::new(pb::ResumeMigrationResponse { migration }))
    }

    async fn rollback_migration(
        &self,
        request: Request<pb::RollbackMigrationRequest>,
    ) -> Result<Response<pb::RollbackMigrationResponse>, Status> {
        let body = request.get_ref();
        let asked = Asked {
            method: "rollback",
            name: body.name.clone(),
            request_id: body.request_id.clone(),
            detail: body.confirm.clone(),
            ..Asked::default()
        };
        let migration = migration(self.next(asked, &request).await?);
        Ok(Response::new(pb::RollbackMigrationResponse {
            migration,
            entities: Vec::new(),
            effects: Vec::new(),
        }))
    }

    async fn uninstall_destination(
        &self,
        request: Request<pb::UninstallDestinationRequest>,
    ) -> Result<Response<pb::UninstallDestinationResponse>, Status> {
        let asked = Asked {
            method: "uninstall",
            name: request.get_ref().connection.clone(),
            ..Asked::default()
        };
        self.next(asked, &request).await?;
        Ok(Response::new(pb::UninstallDestinationResponse {}))
    }

    async fn cancel_migration(
        &self,
        request: Request<pb::CancelMigrationRequest>,
    ) -> Result<Response<pb::CancelMigrationResponse>, Status> {
        let body = request.get_ref();
        let asked = Asked {
            method: "cancel",
            name: body.name.clone(),
            request_id: body.request_id.clone(),
            etag: body.etag.clone(),
            ..Asked::default()
        };
        let migration = migration(self.next(asked, &request).await?);
        Ok(Response::new(pb::CancelMigrationResponse { migration }))
    }

    async fn finalize_migration(
        &self,
        request: Request<pb::FinalizeMigrationRequest>,
    ) -> Result<Response<pb::FinalizeMigrationResponse>, Status> {
        let body = request.get_ref();
        let asked = Asked {
            method: "finalize",
            name: body.name.clone(),
            request_id: body.request_id.clone(),
            etag: body.etag.clone(),
            ..Asked::default()
        };
        let migration = migration(self.next(asked, &request).await?);
        Ok(Response::new(pb::FinalizeMigrationResponse { migration }))
    }

    async fn set_migration(
        &self,
        request: Request<pb::SetMigrationRequest>,
    ) -> Result<Response<pb::SetMigrationResponse>, Status> {
        let body = request.get_ref();
        let asked = Asked {
            method: "set",
            name: body.name.clone(),
            request_id: body.request_id.clone(),
            detail: body.entity.clone(),
            ..Asked::default()
        };
        let migration = migration(self.next(asked, &request).await?);
        Ok(Response::new(pb::SetMigrationResponse { migration }))
    }

    async fn delete_migration(
        &self,
        request: Request<pb::DeleteMigrationRequest>,
    ) -> Result<Response<pb::DeleteMigrationResponse>, Status> {
        let body = request.get_ref();
        let asked = Asked {
            method: "delete",
            name: body.name.clone(),
            request_id: body.request_id.clone(),
            etag: body.etag.clone(),
            ..Asked::default()
        };
        self.next(asked, &request).await?;
        Ok(Response::new(pb::DeleteMigrationResponse {}))
    }
}

#[tonic::async_trait]
impl EntityService for Script {
    async fn list_entities(
        &self,
        request: Request<pb::ListEntitiesRequest>,
    ) -> Result<Response<pb::ListEntitiesResponse>, Status> {
        let asked = Asked {
            method: "entities",
            name: request.get_ref().migration.clone(),
            ..Asked::default()
        };
        match self.next(asked, &request).await? {
            Answer::Entities(entities) => Ok(Response::new(pb::ListEntitiesResponse {
                entities,
                next_page_token: String::new(),
            })),
            _ => Err(Status::unimplemented("the script has no list here")),
        }
    }

    async fn pause_entity(
        &self,
        _request: Request<pb::PauseEntityRequest>,
    ) -> Result<Response<pb::PauseEntityResponse>, Status> {
        Err(Status::unimplemented("the script steers no entity"))
    }

    async fn resume_entity(
        &self,
        _request: Request<pb::ResumeEntityRequest>,
    ) -> Result<Response<pb::ResumeEntityResponse>, Status> {
        Err(Status::unimplemented("the script steers no entity"))
    }

    async fn retry_entity(
        &self,
        _request: Request<pb::RetryEntityRequest>,
    ) -> Result<Response<pb::RetryEntityResponse>, Status> {
        Err(Status::unimplemented("the script steers no entity"))
    }

    async fn skip_entity(
        &self,
        _request: Request<pb::SkipEntityRequest>,
    ) -> Result<Response<pb::SkipEntityResponse>, Status> {
        Err(Status::unimplemented("the script steers no entity"))
    }
}

#[tonic::async_trait]
impl AgentService for Script {
    async fn get_agent(
        &self,
        request: Request<pb::GetAgentRequest>,
    ) -> Result<Response<pb::GetAgentResponse>, Status> {
        let asked = Asked {
            method: "agent",
            name: request.get_ref().name.clone(),
            ..Asked::default()
        };
        let agent = agent(self.next(asked, &request).await?);
        Ok(Response::new(pb::GetAgentResponse { agent }))
    }

    async fn list_agents(
        &self,
        request: Request<pb::ListAgentsRequest>,
    ) -> Result<Response<pb::ListAgentsResponse>, Status> {
        let asked = Asked {
            method: "agents",
            ..Asked::default()
        };
        let agents = agent(self.next(asked, &request).await?);
        Ok(Response::new(pb::ListAgentsResponse {
            agents: agents.into_iter().collect(),
            next_page_token: String::new(),
        }))
    }

    async fn drain_agent(
        &self,
        request: Request<pb::DrainAgentRequest>,
    ) -> Result<Response<pb::DrainAgentResponse>, Status> {
        let asked = Asked {
            method: "drain",
            name: request.get_ref().name.clone(),
            request_id: request.get_ref().request_id.clone(),
            ..Asked::default()
        };
        let agent = agent(self.next(asked, &request).await?);
        Ok(Response::new(pb::DrainAgentResponse { agent }))
    }

    async fn cordon_agent(
        &self,
        request: Request<pb::CordonAgentRequest>,
    ) -> Result<Response<pb::CordonAgentResponse>, Status> {
        let asked = Asked {
            method: "cordon",
            ..Asked::default()
        };
        let agent = agent(self.next(asked, &request).await?);
        Ok(Response::new(pb::CordonAgentResponse { agent }))
    }

    async fn uncordon_agent(
        &self,
        request: Request<pb::UncordonAgentRequest>,
    ) -> Result<Response<pb::UncordonAgentResponse>, Status> {
        let asked = Asked {
            method: "uncordon",
            ..Asked::default()
        };
        let agent = agent(self.next(asked, &request).await?);
        Ok(Response::new(pb::UncordonAgentResponse { agent }))
    }
}
