//! Controller and agent in one process: the agent as a task behind an in-memory pipe.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agent::app::AgentSettings;
use agent::session::Identity;
use controller::fleet::AgentLink;
use proto::domain::failure::Failure;
use proto::domain::frame::{AgentFrame, Order};
use proto::lease::MemoryLeaseStore;
use proto::runtime::pipe;
use sqlx::postgres::PgConnectOptions;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::plan::PlanFile;
use crate::context::Context;
use crate::stop::Stop;

/// Frames that may be under way in each direction.
const PIPE_CAPACITY: usize = 1024;
/// How long the agent may take to end once the controller has.
const END_WITHIN: Duration = Duration::from_secs(15);

/// The two databases of a plan.
#[derive(Clone)]
pub struct Databases {
    /// Connections by their names in the plan.
    pub connections: BTreeMap<String, PgConnectOptions>,
    /// The one that rows are written to.
    pub destination: PgConnectOptions,
}

impl Databases {
    /// The databases that a plan names, from the configuration.
    pub fn of(context: &Context, file: &PlanFile) -> Result<Self, Stop> {
        let configured = context.connections()?;
        let source = configured.get(&file.plan.source.connection)?;
        let destination = configured.get(&file.plan.destination.connection)?;
        let mut connections = BTreeMap::from([
            (source.name, source.options),
            (destination.name, destination.options.clone()),
        ]);
        // The source is changed by a connection of its own, where there is one.
        let admin = format!("{}_admin", file.plan.source.connection.0);
        if let Ok(admin) = configured.get(&admin) {
            connections.insert(admin.name, admin.options);
        }
        Ok(Self {
            connections,
            destination: destination.options,
        })
    }
}

/// What the controller shares with the agent.
pub struct Shared {
    /// Its end of the pipe.
    pub link: AgentLink,
    /// Who works on what.
    pub lease: Arc<MemoryLeaseStore>,
}

/// A running agent.
pub struct LocalAgent {
    stop: CancellationToken,
    task: JoinHandle<Result<(), Failure>>,
}

impl LocalAgent {
    /// Starts an agent with these connections; link and leases are shared with the controller.
    pub fn start(context: &Context, databases: &Databases, lanes: u32) -> (Shared, Self) {
        let (controller_end, agent_end) = pipe::pair::<Order, AgentFrame>(PIPE_CAPACITY);
        let settings = AgentSettings {
            identity: Identity {
                agent_id: "local".to_owned(),
                region: "local".to_owned(),
                labels: BTreeMap::new(),
                capacity: lanes,
            },
            connections: databases.connections.clone(),
            environment: context.environment.clone(),
        };
        // Its own signal: on Ctrl-C the controller lets it finish the batch in hand.
        let stop = CancellationToken::new();
        let lease = Arc::new(MemoryLeaseStore::default());
        let serve = agent::app::serve(settings, lease.clone(), agent_end, stop.clone());
        let task = context.shutdown.spawn("agent", serve);
        (
            Shared {
                link: controller_end,
                lease,
            },
            Self { stop, task },
        )
    }

    /// Ends the agent; what it failed with, if it did.
    pub async fn end(mut self) -> Option<Failure> {
        self.stop.cancel();
        match tokio::time::timeout(END_WITHIN, &mut self.task).await {
            Ok(Ok(result)) => result.err(),
            Ok(Err(error)) => {
                tracing::error!(%error, "the agent ended without a word");
                None
            }
            Err(_) => {
                tracing::warn!("the agent did not end in time");
                self.task.abort();
                None
            }
        }
    }
}

/// A future that was dropped leaves no agent behind.
impl Drop for LocalAgent {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
