//! Keeps an agent of a cluster connected: dials controllers until one takes it, and again whenever the stream
//! ends. What the agent holds goes on meanwhile, for a while. Without a membership in the lease store it could
//! claim nothing: it dials nobody then, and hangs up when it loses one.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{AgentFrame, Order};
use proto::lease::{LeaseStore, Membership};
use proto::pb::agent_stream::SessionRequest;
use proto::pb::agent_stream::agent_session_service_client::AgentSessionServiceClient;
use proto::runtime::backoff::Backoff;
use proto::runtime::channel::{self, Address, CONNECT_WITHIN, ClientTls};
use proto::runtime::pipe::{self, End};
use proto::wire::agent_stream::{MAX_ORDER_BYTES, read_order, write_frame};
use proto::wire::status::{Reason, Refusal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tonic::codec::Streaming;
use tracing::{error, info, warn};

use crate::app::{Agent, AgentSettings};
use crate::session::Session;

/// How long a controller may take to open the stream.
const WELCOME_WITHIN: Duration = Duration::from_secs(15);
/// Between two dials, and after a refusal that will hardly pass by itself.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(3));
const REFUSED: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_secs(15));
/// How long a controller may take to hear what is said last, and to hang up.
const FAREWELL: Duration = Duration::from_secs(3);
/// Frames that may be under way in each direction.
const LINK: usize = 64;

/// Where controllers are, and how long the agent goes on without one.
pub struct SupervisorSettings {
    /// Controllers.
    pub controllers: Vec<Address>,
    /// TLS towards them.
    pub tls: Option<ClientTls>,
    /// Without a controller for so long, everything in hand is given back.
    pub orphan_limit: Duration,
    /// How long batches in hand may take when the process is to stop.
    pub drain_deadline: Duration,
}

/// How a connection ended.
enum Ended {
    /// It broke, or the controller hung up; it had welcomed us.
    Broke,
    /// It was never there.
    Unreachable(String),
    /// The controller does not take us.
    Refused(Refusal),
}

/// Runs an agent until `stop` is cancelled, then drains it.
pub async fn run<L: LeaseStore>(
    agent: AgentSettings,
    settings: SupervisorSettings,
    lease: Arc<L>,
    stop: CancellationToken,
) {
    let agent = Agent::start(agent, lease);
    let session = agent.session.clone();
    // The last connection serves while the lanes drain: controllers hear of every release.
    let hang_up = CancellationToken::new();
    let dialling = dial(
        (session.clone(), agent.present.clone()),
        settings.controllers,
        settings.tls,
        hang_up.clone(),
    );
    let mut dialling = AbortOnDropHandle::new(tokio::spawn(dialling.run(settings.orphan_limit)));
    tokio::select! {
        () = stop.cancelled() => {}
        // It ends by itself only with `hang_up`.
        _ = &mut dialling => {}
    }
    info!("draining");
    session.lanes.close();
    if timeout(settings.drain_deadline, session.lanes.are_idle())
        .await
        .is_err()
    {
        warn!("batches in hand took too long; what they wrote is in the ledger, or undone");
    }
    hang_up.cancel();
    if !dialling.is_finished() && timeout(FAREWELL * 2, &mut dialling).await.is_err() {
        warn!("the stream does not end; it is left");
    }
    drop(dialling);
    agent.end().await;
}

type Present = watch::Receiver<Option<Membership>>;

struct Dialling<L> {
    session: Arc<Session<L>>,
    present: Present,
    controllers: Vec<Address>,
    tls: Option<ClientTls>,
    stop: CancellationToken,
    /// A controller that another one named as the leader.
    hint: Option<Address>,
}

fn dial<L: LeaseStore>(
    (session, present): (Arc<Session<L>>, Present),
    controllers: Vec<Address>,
    tls: Option<ClientTls>,
    stop: CancellationToken,
) -> Dialling<L> {
    Dialling {
        session,
        present,
        controllers,
        tls,
        stop,
        hint: None,
    }
}

impl<L: LeaseStore> Dialling<L> {
    async fn run(mut self, orphan_limit: Duration) {
        let (mut tries, mut at) = (0_u32, 0_usize);
        let mut alone_since = Instant::now();
        let mut is_orphan = false;
        while !self.stop.is_cancelled() {
            let lost = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                lost = membership(&mut self.present) => match lost {
                    Some(lost) => lost,
                    None => return,
                },
                () = sleep(orphan_limit.saturating_sub(alone_since.elapsed())), if !is_orphan => {
                    is_orphan = true;
                    self.abandon();
                    continue;
                }
            };
            let address = match self.hint.take() {
                Some(hint) => hint,
                None => {
                    at += 1;
                    match self
                        .controllers
                        .get((at - 1) % self.controllers.len().max(1))
                    {
                        Some(address) => address.clone(),
                        None => return,
                    }
                }
            };
            let began = Instant::now();
            let ended = self.connect(&address, lost).await;
            let delay = match ended {
                Ended::Broke => {
                    warn!(%address, "the stream to the controller ended");
                    (alone_since, is_orphan) = (Instant::now(), false);
                    // One that ends at once is no reason to dial in a circle.
                    tries = if began.elapsed() > Duration::from_secs(5) {
                        0
                    } else {
                        tries + 1
                    };
                    BACKOFF.delay(tries, rand::random())
                }
                Ended::Unreachable(reason) => {
                    tries += 1;
                    if tries.is_power_of_two() {
                        warn!(%address, %reason, tries, "no controller is reached yet");
                    }
                    BACKOFF.delay(tries, rand::random())
                }
                Ended::Refused(refusal) => self.refused(&address, &refusal, &mut tries),
            };
            if !is_orphan && alone_since.elapsed() > orphan_limit {
                is_orphan = true;
                self.abandon();
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(delay) => {}
            }
        }
    }

    fn abandon(&self) {
        warn!("no controller for too long: everything in hand is given back");
        self.session.lanes.abandon();
    }

    /// How long to wait after a refusal.
    fn refused(&mut self, address: &Address, refusal: &Refusal, tries: &mut u32) -> Duration {
        *tries += 1;
        match refusal.reason() {
            Some(Reason::NotLeader) => {
                self.hint = refusal
                    .leader()
                    .and_then(|leader| Address::parse(leader, address.port()).ok());
                BACKOFF.delay(*tries, rand::random())
            }
            Some(Reason::CodecVersion | Reason::ProtocolVersion | Reason::AgentNameTaken) => {
                error!(%address, reason = %refusal.message, "the controller does not take this agent");
                REFUSED.delay(*tries, rand::random())
            }
            _ => {
                warn!(%address, reason = %refusal.message, "the controller does not take this agent now");
                BACKOFF.delay(*tries, rand::random())
            }
        }
    }

    async fn connect(&self, address: &Address, lost: CancellationToken) -> Ended {
        let channel = tokio::select! {
            () = self.stop.cancelled() => return Ended::Broke,
            () = lost.cancelled() => return Ended::Unreachable("the agent's lease is lost".to_owned()),
            channel = timeout(CONNECT_WITHIN * 2, channel::connect(address, self.tls.as_ref())) => channel,
        };
        let channel = match channel {
            Ok(Ok(channel)) => channel,
            Ok(Err(failed)) => return Ended::Unreachable(describe(&failed)),
            Err(_) => return Ended::Unreachable("no answer in time".to_owned()),
        };
        let mut client = AgentSessionServiceClient::new(channel)
            .max_decoding_message_size(MAX_ORDER_BYTES)
            .max_encoding_message_size(MAX_ORDER_BYTES);
        let (mut ours, theirs) = pipe::pair::<AgentFrame, Order>(LINK);
        let (requests, outgoing) = mpsc::channel(LINK);
        let _writing = AbortOnDropHandle::new(tokio::spawn(write(theirs.rx, requests)));
        let stream = async {
            let opened = client.session(ReceiverStream::new(outgoing));
            match timeout(WELCOME_WITHIN, opened).await {
                Ok(Ok(response)) => Ok(read(response.into_inner(), theirs.tx).await),
                Ok(Err(status)) => Err(status),
                Err(_) => Err(Status::deadline_exceeded("no welcome in time")),
            }
        };
        tokio::pin!(stream);
        let served = {
            // The hello is said before the controller answers.
            let serving = self.session.serve(&mut ours, &lost);
            tokio::select! {
                served = serving => Ok(served),
                streamed = &mut stream => Err(streamed),
                () = self.stop.cancelled() => Ok(Ok(())),
            }
        };
        let served = match served {
            // The controller hears the rest, and hangs up then. Where it hung up before, it says why.
            Ok(Ok(())) => {
                let farewell = async {
                    self.session.say_the_rest(&ours.tx).await;
                    let End { tx, rx: _orders } = ours;
                    drop(tx);
                    stream.await
                };
                let is_ours = self.stop.is_cancelled() || lost.is_cancelled();
                match timeout(FAREWELL, farewell).await {
                    Ok(streamed) if !is_ours => Err(streamed),
                    Ok(_) | Err(_) => Ok(Ok(())),
                }
            }
            other => other,
        };
        match served {
            Ok(Ok(())) | Err(Ok(None)) => Ended::Broke,
            Ok(Err(failure)) | Err(Ok(Some(failure))) => {
                warn!(reason = %failure, "the stream is left");
                Ended::Broke
            }
            Err(Err(status)) => refused(&status),
        }
    }
}

/// Waits for a membership; what is cancelled when it is lost. None when there will never be one.
async fn membership(present: &mut Present) -> Option<CancellationToken> {
    let member = present.wait_for(Option::is_some).await.ok()?;
    member.as_ref().map(|member| member.lost.clone())
}

fn refused(status: &Status) -> Ended {
    let refusal = Refusal::of(status);
    match refusal.reason() {
        Some(_) => Ended::Refused(refusal),
        // Not ours: the transport.
        None => Ended::Unreachable(refusal.message),
    }
}

/// Frames into the stream.
async fn write(mut frames: mpsc::Receiver<AgentFrame>, requests: mpsc::Sender<SessionRequest>) {
    while let Some(frame) = frames.recv().await {
        let messages = match write_frame(frame) {
            Ok(messages) => messages,
            Err(error) => {
                error!(%error, "a frame cannot be sent");
                return;
            }
        };
        for message in messages {
            if requests.send(message).await.is_err() {
                return;
            }
        }
    }
}

/// Orders out of the stream, until it ends; a failure when it is one that cannot be understood, or the
/// controller said why it ends.
async fn read(
    mut stream: Streaming<proto::pb::agent_stream::SessionResponse>,
    orders: mpsc::Sender<Order>,
) -> Option<Failure> {
    loop {
        let message = match stream.next().await? {
            Ok(message) => message,
            Err(status) => {
                return Some(Failure::new(
                    FailureKind::Unreachable,
                    Refusal::of(&status).message,
                ));
            }
        };
        let order = match read_order(message) {
            Ok(order) => order,
            Err(error) => return Some(Failure::new(FailureKind::Internal, error.to_string())),
        };
        if orders.send(order).await.is_err() {
            return None;
        }
    }
}

/// An error with its causes.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        words = format!("{words}: {next}");
        cause = next.source();
    }
    words
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
