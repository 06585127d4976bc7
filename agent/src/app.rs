//! Builds an agent from its settings and serves one controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::domain::failure::Failure;
use proto::domain::frame::{AgentFrame, ControllerFrame};
use proto::lease::LeaseStore;
use proto::runtime::pipe::End;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::query::Desk;
use crate::session::Session;

/// What an agent is configured with. Not printable: its connections hold passwords.
#[derive(Clone)]
pub struct AgentSettings {
    /// Its name.
    pub agent_id: String,
    /// Its region.
    pub region: String,
    /// Partitions it works on at the same time.
    pub capacity: u32,
    /// Connections by the name that plans use.
    pub connections: BTreeMap<String, PgConnectOptions>,
}

/// Serves the controller at the other end of the link until it hangs up.
///
/// # Errors
/// `Unreachable` when the controller is gone before it could be greeted.
pub async fn serve<L: LeaseStore>(
    settings: AgentSettings,
    lease: Arc<L>,
    link: End<AgentFrame, ControllerFrame>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let desk = Arc::new(Desk::new(Uuid::new_v4(), settings.connections));
    let session = Session {
        desk,
        lease,
        capacity: settings.capacity,
        agent_id: settings.agent_id,
        region: settings.region,
    };
    session.serve(link.tx, link.rx, shutdown).await
}
