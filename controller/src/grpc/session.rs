//! `AgentSessionService`: an agent's stream, bridged to the fleet.

use std::pin::Pin;
use std::time::Duration;

use futures::Stream;
use proto::domain::frame::{AgentFrame, Order};
use proto::lease::LeaseStore;
use proto::pb::agent_stream::agent_session_service_server::AgentSessionService;
use proto::pb::agent_stream::{SessionRequest, SessionResponse};
use proto::runtime::pipe;
use proto::wire::agent_stream::{FrameReader, write_order};
use proto::wire::status as wire_status;
use proto::wire::status::Reason;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::{Instrument, info, info_span, warn};

use super::{Gate, status};

/// Orders that may wait for an agent; one that lets more pile up is not taken for alive.
const ORDERS: usize = 1024;
/// How long an agent may leave an order unread.
const STALLED: Duration = Duration::from_secs(60);

type Answers = mpsc::Sender<Result<SessionResponse, Status>>;

#[tonic::async_trait]
impl<L: LeaseStore> AgentSessionService for Gate<L> {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let realm = self.realm().await?;
        let (controller_end, agent_end) = pipe::pair::<Order, AgentFrame>(ORDERS);
        let (answers, stream) = mpsc::channel(16);
        let mut reading = tokio::spawn(read(request.into_inner(), agent_end.tx, answers.clone()));
        let stay = match realm.fleet.greet(controller_end).await {
            Ok(stay) => stay,
            Err(refusal) => {
                reading.abort();
                warn!(reason = %refusal, "an agent is refused");
                // What it said first may be why there was no hello.
                let said = reading.await.ok().flatten();
                return Err(said.unwrap_or_else(|| status::of_refusal(&refusal)));
            }
        };
        let lost = realm.leadership.lost.clone();
        let span = info_span!("agent", holder = %stay.holder);
        let writing = tokio::spawn(write(agent_end.rx, answers.clone()));
        let serve = async move {
            info!("an agent is connected");
            let serving = stay.serve();
            tokio::pin!(serving);
            let mut writing = writing;
            tokio::select! {
                () = &mut serving => {}
                () = lost.cancelled() => {
                    let _ = answers.try_send(Err(wire_status::not_leader(None)));
                }
                // It has said everything: its stream ends at once, its work a little later.
                _ = &mut reading => {
                    writing.abort();
                    drop(answers);
                    serving.await;
                }
                // It takes no orders: whatever it still says counts for nothing.
                _ = &mut writing => {
                    reading.abort();
                    serving.await;
                }
            }
            reading.abort();
            writing.abort();
        };
        tokio::spawn(serve.instrument(span));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// Frames of the stream, until it ends or says something that cannot be understood: what the agent
/// is told of it.
async fn read(
    mut stream: Streaming<SessionRequest>,
    frames: mpsc::Sender<AgentFrame>,
    answers: Answers,
) -> Option<Status> {
    let mut reader = FrameReader::default();
    loop {
        let message = match stream.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return None,
            Err(error) => {
                info!(code = ?error.code(), "an agent's stream broke");
                if !matches!(error.code(), Code::OutOfRange | Code::ResourceExhausted) {
                    return None;
                }
                let words = "a message is larger than a controller takes";
                return refuse(&answers, wire_status::status(Reason::FrameInvalid, words));
            }
        };
        match reader.read(message) {
            Ok(Some(frame)) => {
                if frames.send(frame).await.is_err() {
                    return None;
                }
            }
            Ok(None) => {}
            Err(error) => {
                warn!(%error, "an agent's frame cannot be understood");
                return refuse(&answers, wire_status::of_wire(&error));
            }
        }
    }
}

fn refuse(answers: &Answers, status: Status) -> Option<Status> {
    let _ = answers.try_send(Err(status.clone()));
    Some(status)
}

/// Orders into the stream; ends when the agent does not take them.
async fn write(mut orders: mpsc::Receiver<Order>, answers: Answers) {
    while let Some(order) = orders.recv().await {
        let message = match write_order(&order) {
            Ok(message) => message,
            Err(error) => {
                warn!(%error, "an order cannot be sent");
                let _ = answers.try_send(Err(wire_status::unwritable(&error)));
                return;
            }
        };
        match tokio::time::timeout(STALLED, answers.send(Ok(message))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                warn!("an agent does not take its orders");
                let words = "the agent did not take its orders for 60 s";
                let stalled = wire_status::status(Reason::StreamStalled, words);
                let _ = answers.try_send(Err(stalled));
                return;
            }
        }
    }
}
