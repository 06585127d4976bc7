//! The thin doors of the controller: convert in, call one function, convert out.
//!
//! Only the leader answers; whoever asks another controller is told where the leader is.

mod agent;
mod errors;
mod gate;
mod lists;
mod mapping;
mod migration;
mod page;
mod rollback;
mod rules;
mod schema;
mod session;
mod status;
mod validation;
mod watch;

use proto::lease::LeaseStore;
use proto::pb;
use proto::pb::agent_stream::agent_session_service_server::AgentSessionServiceServer;
use tonic::service::Routes;

pub use gate::{Gate, Shown};

/// Largest message that is taken or given, in bytes.
pub const MAX_MESSAGE: usize = 4 << 20;

/// All services over one gate.
pub fn routes<L: LeaseStore>(gate: &Gate<L>) -> Routes {
    macro_rules! service {
        ($server:path) => {{
            use $server as Server;
            Server::new(gate.clone())
                .max_decoding_message_size(MAX_MESSAGE + (1 << 20))
                .max_encoding_message_size(64 << 20)
        }};
    }
    let mut routes = Routes::builder();
    routes
        .add_service(service!(
            pb::migration_service_server::MigrationServiceServer
        ))
        .add_service(service!(pb::entity_service_server::EntityServiceServer))
        .add_service(service!(pb::batch_service_server::BatchServiceServer))
        .add_service(service!(
            pb::checkpoint_service_server::CheckpointServiceServer
        ))
        .add_service(service!(pb::error_service_server::ErrorServiceServer))
        .add_service(service!(pb::mapping_service_server::MappingServiceServer))
        .add_service(service!(pb::rules_service_server::RulesServiceServer))
        .add_service(service!(
            pb::validation_service_server::ValidationServiceServer
        ))
        .add_service(service!(pb::schema_service_server::SchemaServiceServer))
        .add_service(service!(pb::agent_service_server::AgentServiceServer))
        .add_service(service!(AgentSessionServiceServer));
    routes.routes()
}
