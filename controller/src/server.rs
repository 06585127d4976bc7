//! A controller of a cluster: its doors are open from the start, and while it leads there is somebody
//! behind them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::token::mint;
use proto::lease::{Candidate, Leadership, LeaseError, LeaseStore, LeaseTimes};
use proto::pb::FILE_DESCRIPTOR_SET;
use proto::runtime::backoff::Backoff;
use proto::runtime::channel::{self, ChannelError, ServerLimits, ServerTls};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tracing::{info, warn};
use uuid::Uuid;

use crate::era;
use crate::fleet::Fleet;
use crate::grpc::{Gate, Shown, routes};
use crate::manager::{Manager, Realm};
use crate::schema::SchemaJobs;
use crate::store::Store;

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
/// Services whose health follows the leadership.
const SERVICES: [&str; 11] = [
    "drover.v1.MigrationService",
    "drover.v1.EntityService",
    "drover.v1.BatchService",
    "drover.v1.CheckpointService",
    "drover.v1.ErrorService",
    "drover.v1.MappingService",
    "drover.v1.RulesService",
    "drover.v1.ValidationService",
    "drover.v1.SchemaService",
    "drover.v1.AgentService",
    "drover.agent.v1.AgentSessionService",
];

/// Where a controller listens, and as what.
pub struct ServerSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How clients and agents reach it: `host:port`.
    pub advertise: String,
    /// Its id; a new one for every process where there is none.
    pub controller_id: Option<Uuid>,
    /// How long leases live.
    pub times: LeaseTimes,
    /// What it allows each connection.
    pub limits: ServerLimits,
    /// Certificate and key, and the authority of clients where they must have certificates.
    pub tls: Option<ServerTls>,
}

/// Why a controller could not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken, or not this machine's.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Certificate or key.
    #[error("set up the server")]
    SetUp(#[from] ChannelError),
    /// The transport.
    #[error("serve gRPC")]
    Transport(#[from] tonic::transport::Error),
    /// Our own descriptors.
    #[error("offer reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// A controller process.
struct Controller<L> {
    candidate: Candidate,
    store: Store,
    lease: Arc<L>,
    times: LeaseTimes,
    shown: watch::Sender<Option<Shown<L>>>,
    health: HealthReporter,
    stop: CancellationToken,
}

/// Serves until `stop` is cancelled. Leadership and streams end with it; agents go on with what they hold.
///
/// # Errors
/// See [`ServeError`]. A metadata database or lease store that is out of reach is waited for.
pub async fn serve<L: LeaseStore>(
    settings: ServerSettings,
    store: Store,
    lease: Arc<L>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let address = settings.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })?;
    let bound = listener.local_addr().unwrap_or(address);
    let candidate = Candidate {
        controller_id: settings.controller_id.unwrap_or_else(Uuid::new_v4),
        address: settings.advertise,
    };
    info!(address = %bound, controller_id = %candidate.controller_id, "the controller listens");
    let (shown, seen) = watch::channel(None);
    let gate = Gate::new(candidate.controller_id, lease.clone(), seen);
    let (health, health_service) = tonic_health::server::health_reporter();
    let controller = Controller {
        candidate,
        store,
        lease,
        times: settings.times,
        shown,
        health,
        stop: stop.clone(),
    };
    controller.set_health(ServingStatus::NotServing).await;
    let leading = tokio::spawn(controller.run());
    let listen = bound.to_string();
    let mut server = channel::server(&listen, settings.limits, settings.tls.as_ref())?;
    let routes = routes(&gate).add_service(health_service);
    let served = server
        .add_routes(with_reflection(routes)?)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move {
            stop.cancelled().await
        })
        .await;
    // It ends with `stop`, or with this process.
    leading.abort();
    let _ = leading.await;
    Ok(served?)
}

fn with_reflection(routes: Routes) -> Result<Routes, ServeError> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes
        .add_service(builder().build_v1()?)
        .add_service(builder().build_v1alpha()?))
}

impl<L: LeaseStore> Controller<L> {
    /// Campaigns, leads, and campaigns again.
    async fn run(self) {
        let mut tries = 0;
        while !self.stop.is_cancelled() {
            let campaign = self
                .lease
                .campaign(self.candidate.clone(), self.stop.clone());
            let leadership = match campaign.await {
                Ok(leadership) => leadership,
                Err(LeaseError::Stopped) => return,
                Err(error) => {
                    warn!(reason = %error, "no campaign for the leadership yet");
                    tries += 1;
                    self.wait(tries).await;
                    continue;
                }
            };
            match self.lead(&leadership).await {
                Ok(()) => tries = 0,
                Err(failure) => {
                    warn!(reason = %failure, "this controller was elected and cannot lead");
                    tries += 1;
                }
            }
            if !leadership.lost.is_cancelled() {
                // Somebody else may do better at once.
                let _ = self.lease.resign(&leadership).await;
            }
            if tries > 0 {
                self.wait(tries).await;
            }
        }
    }

    /// Leads until the leadership is lost or the process is to stop.
    async fn lead(&self, leadership: &Leadership) -> Result<(), Failure> {
        let (store, epoch) = self.enter(leadership).await?;
        let realm = Realm {
            store,
            fleet: Fleet::new(self.candidate.controller_id, epoch),
            lease: self.lease.clone(),
            leadership: leadership.clone(),
            times: self.times,
            poke: Arc::new(Notify::new()),
            schema: SchemaJobs::default(),
        };
        info!(address = %self.candidate.address, "this controller leads");
        let (manager, views) = Manager::new(realm.clone());
        self.shown.send_replace(Some(Shown { realm, views }));
        self.set_health(ServingStatus::Serving).await;
        manager.run(self.stop.clone()).await;
        self.set_health(ServingStatus::NotServing).await;
        self.shown.send_replace(None);
        info!("this controller leads no more");
        Ok(())
    }

    /// Settles the era and enters the epoch of this leadership: made like a token, from the era and the
    /// revision of the leader's key. The store writes under it from then on.
    async fn enter(&self, leadership: &Leadership) -> Result<(Store, i64), Failure> {
        let era = era::settle(&self.store, &*self.lease, leadership, 0).await?;
        let epoch = mint(era, leadership.revision).ok_or_else(|| {
            Failure::new(
                FailureKind::Internal,
                "the lease store's revision left its range",
            )
        })?;
        let led = self
            .store
            .lead(epoch, self.candidate.controller_id, &self.candidate.address)
            .await;
        led.map(|store| (store, epoch))
            .map_err(|error| error.failure())
    }

    async fn set_health(&self, status: ServingStatus) {
        self.health.set_service_status("", status).await;
        for service in SERVICES {
            self.health.set_service_status(service, status).await;
        }
    }

    async fn wait(&self, tries: u32) {
        let delay = BACKOFF.delay(tries, rand::random());
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(delay) => {}
        }
    }
}
