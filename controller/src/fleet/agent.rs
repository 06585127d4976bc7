//! One connected agent: orders down, questions and their answers.
//!
//! Answers find their way back by the number of their question. Nothing here waits for an agent that
//! does not take its orders: it counts as gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{ControllerFrame, Order, Query, QueryAnswer, QueryCall};
use proto::runtime::pipe::End;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use proto::domain::frame::{AgentFrame, Connections};

/// The controller's end of a link to an agent.
pub type AgentLink = End<Order, AgentFrame>;

type Answer = Result<Box<QueryAnswer>, Failure>;

/// An agent that is alive answers a little after its own deadline at the latest.
const GRACE: Duration = Duration::from_secs(5);

/// A question for an agent.
#[derive(Debug, Clone)]
pub struct Question {
    /// The migration it is about; none before there is one.
    pub migration_id: Option<Uuid>,
    /// The plan's connections.
    pub connections: Connections,
    /// What is asked.
    pub query: Query,
    /// When the agent gives up.
    pub deadline: Duration,
}

/// The way to a connected agent. Clones are the same way.
#[derive(Debug, Clone)]
pub struct Line {
    epoch: i64,
    orders: mpsc::Sender<Order>,
    pending: Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>,
    next_id: Arc<AtomicU64>,
}

impl Line {
    /// A way over these orders, under the epoch of this controller's leadership.
    pub fn new(epoch: i64, orders: mpsc::Sender<Order>) -> Self {
        Self {
            epoch,
            orders,
            pending: Arc::default(),
            next_id: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Sends an order.
    ///
    /// # Errors
    /// `NoAgent` when it is gone, or takes no orders any more.
    pub fn order(&self, frame: ControllerFrame) -> Result<(), Failure> {
        let order = Order {
            epoch: self.epoch,
            frame,
        };
        self.orders.try_send(order).map_err(|_| gone())
    }

    /// Asks, and waits for the answer until the deadline.
    pub async fn ask(&self, question: Question) -> Result<QueryAnswer, Failure> {
        let query_id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        self.lock().insert(query_id, reply);
        let deadline = question.deadline;
        let call = QueryCall {
            query_id,
            migration_id: question.migration_id,
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            connections: question.connections,
            query: question.query,
        };
        let sent = self.order(ControllerFrame::Query(call));
        let answer = match sent {
            Ok(()) => tokio::time::timeout(deadline + GRACE, answer).await,
            Err(failure) => {
                self.lock().remove(&query_id);
                return Err(failure);
            }
        };
        self.lock().remove(&query_id);
        match answer {
            Ok(Ok(answer)) => answer.map(|answer| *answer),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Err(Failure::new(
                FailureKind::NoAgent,
                "the agent did not answer in time",
            )),
        }
    }

    /// Hands an answer to whoever asked.
    pub(super) fn answered(&self, query_id: u64, answer: Answer) {
        if let Some(reply) = self.lock().remove(&query_id) {
            let _ = reply.send(answer);
        }
    }

    /// Nobody will answer any more.
    pub(super) fn hang_up(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone() -> Failure {
    Failure::new(FailureKind::NoAgent, "the agent hung up")
}

/// An answer of another kind than the question asks for: the two builds do not fit.
pub fn misfit() -> Failure {
    Failure::new(
        FailureKind::Internal,
        "the agent answered something else than it was asked",
    )
}
