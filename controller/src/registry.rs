//! The agents that said hello, and the questions they are asked.
//!
//! Answers find their way back by the number of their question; every other frame goes to the
//! intake, in order.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{
    AgentFrame, Connections, ControllerFrame, Hello, Query, QueryAnswer, QueryCall,
};
use proto::runtime::pipe::End;
use tokio::sync::{mpsc, oneshot};

/// The controller's end of a link to an agent.
pub type AgentLink = End<ControllerFrame, AgentFrame>;

type Answer = Result<Box<QueryAnswer>, Failure>;
type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>;

/// How long an agent may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// An agent that is alive answers a little after its own deadline at the latest.
const GRACE: Duration = Duration::from_secs(5);

/// A connected agent.
#[derive(Clone)]
pub struct Agent {
    /// What it said of itself.
    pub hello: Hello,
    orders: mpsc::Sender<ControllerFrame>,
    pending: Pending,
    next_id: Arc<AtomicU64>,
}

impl Agent {
    /// Waits for the agent's greeting and begins to sort its frames; all that is no answer comes out
    /// of the returned channel.
    ///
    /// # Errors
    /// `Unreachable` when it hangs up or stays silent.
    pub async fn greet(mut link: AgentLink) -> Result<(Self, mpsc::Receiver<AgentFrame>), Failure> {
        let first = tokio::time::timeout(HELLO_TIMEOUT, link.rx.recv())
            .await
            .ok()
            .flatten();
        let Some(AgentFrame::Hello(hello)) = first else {
            return Err(gone());
        };
        let pending = Pending::default();
        let (frames_tx, frames) = mpsc::channel(256);
        tokio::spawn(sort(link.rx, pending.clone(), frames_tx));
        let next_id = Arc::new(AtomicU64::new(1));
        Ok((
            Self {
                hello,
                orders: link.tx,
                pending,
                next_id,
            },
            frames,
        ))
    }

    /// Sends an order.
    pub async fn order(&self, frame: ControllerFrame) -> Result<(), Failure> {
        self.orders.send(frame).await.map_err(|_| gone())
    }

    /// Asks, and waits for the answer until the deadline.
    pub async fn ask(
        &self,
        connections: &Connections,
        query: Query,
        deadline: Duration,
    ) -> Result<QueryAnswer, Failure> {
        let query_id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        self.lock().insert(query_id, reply);
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let call = QueryCall {
            query_id,
            deadline_ms,
            connections: connections.clone(),
            query,
        };
        self.order(ControllerFrame::Query(call)).await?;
        let answer = tokio::time::timeout(deadline + GRACE, answer).await;
        self.lock().remove(&query_id);
        match answer {
            Ok(Ok(answer)) => answer.map(|answer| *answer),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(Failure::new(
                FailureKind::Unreachable,
                "the agent did not answer in time",
            )),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sort(
    mut rx: mpsc::Receiver<AgentFrame>,
    pending: Pending,
    frames: mpsc::Sender<AgentFrame>,
) {
    while let Some(frame) = rx.recv().await {
        match frame {
            AgentFrame::QueryResult { query_id, result } => {
                let waiting = pending
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&query_id);
                if let Some(reply) = waiting {
                    let _ = reply.send(result);
                }
            }
            other => {
                if frames.send(other).await.is_err() {
                    return;
                }
            }
        }
    }
    pending
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
}

fn gone() -> Failure {
    Failure::new(FailureKind::Unreachable, "the agent hung up")
}

/// An answer of another kind than the question asks for: the two builds do not fit.
pub fn misfit() -> Failure {
    Failure::new(
        FailureKind::Internal,
        "the agent answered something else than it was asked",
    )
}
