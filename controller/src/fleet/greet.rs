//! An agent dials in: hello, welcome, and then its frames go where they belong.

use std::time::Duration;

use proto::domain::compiled::CODEC_VERSION;
use proto::domain::frame::{AgentFrame, ControllerFrame, HeldPartition, Hello};
use proto::runtime::clock;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::agent::{AgentLink, Line};
use super::member::{Duty, Member};
use super::{BUSY, CREDITS, Fleet, GRACE, News, tell_left};

/// How long an agent may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an agent is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It said something else first, or nothing in time.
    #[error("the first frame must be a hello, within 10 s")]
    NoHello,
    /// It is of a build whose compiled plans differ.
    #[error("the agent's codec version is {theirs}, this controller's is {ours}")]
    CodecVersion {
        /// The agent's.
        theirs: u32,
        /// The controller's.
        ours: u32,
    },
    /// Another process of that name is alive.
    #[error("an agent named {name:?} is connected already")]
    NameTaken {
        /// The name.
        name: String,
    },
}

/// An agent's stay: ends with its stream.
#[derive(Debug)]
pub struct Stay {
    /// The agent.
    pub holder: Uuid,
    fleet: Fleet,
    line: Line,
    frames: mpsc::Receiver<AgentFrame>,
    connection: u64,
    closing: CancellationToken,
}

/// An agent that was put into the list, and who is to hear of it.
struct Entered {
    connection: u64,
    closing: CancellationToken,
    is_draining: bool,
}

impl Fleet {
    /// Takes an agent whose stream was opened. What it sends is taken in by [`Stay::serve`].
    ///
    /// # Errors
    /// See [`Refusal`]; the fleet is as it was.
    pub async fn greet(&self, mut link: AgentLink) -> Result<Stay, Refusal> {
        let first = tokio::time::timeout(HELLO_TIMEOUT, link.rx.recv()).await;
        let Ok(Some(AgentFrame::Hello(hello))) = first else {
            return Err(Refusal::NoHello);
        };
        if hello.codec_version != CODEC_VERSION {
            return Err(Refusal::CodecVersion {
                theirs: hello.codec_version,
                ours: CODEC_VERSION,
            });
        }
        let line = Line::new(self.inner.epoch, link.tx);
        let holder = hello.holder;
        let Entered {
            connection,
            closing,
            is_draining,
        } = self.enlist(hello, &line)?;
        let welcome = ControllerFrame::Welcome {
            controller_id: self.inner.controller_id,
            credits: CREDITS,
        };
        let _ = line.order(welcome);
        if is_draining {
            // Nobody was there to be told, or the order was lost with the earlier stream.
            let _ = line.order(ControllerFrame::Drain { migration_id: None });
        }
        self.bump();
        Ok(Stay {
            holder,
            fleet: self.clone(),
            line,
            frames: link.rx,
            connection,
            closing,
        })
    }

    /// Puts an agent into the list; a process that dialled again replaces its own entry, a new process of
    /// the same name that of one whose stream is gone.
    fn enlist(&self, hello: Hello, line: &Line) -> Result<Entered, Refusal> {
        let mut state = self.lock();
        let same_name: Vec<(Uuid, bool)> = state
            .members
            .values()
            .filter(|known| {
                known.hello.agent_id == hello.agent_id && known.hello.holder != hello.holder
            })
            .map(|known| (known.hello.holder, known.line().is_some()))
            .collect();
        if same_name.iter().any(|(_, is_connected)| *is_connected) {
            return Err(Refusal::NameTaken {
                name: hello.agent_id,
            });
        }
        for (holder, _) in same_name {
            state.members.remove(&holder);
            state
                .inboxes
                .values()
                .for_each(|inbox| tell_left(inbox, holder));
        }
        state.connections += 1;
        let (holder, connection) = (hello.holder, state.connections);
        let mut member = Member::new(hello, connection, line.clone(), clock::now());
        if let Some(duty) = state.duties.get(&holder) {
            member.duty = *duty;
        }
        if let Some(mut earlier) = state.members.remove(&holder) {
            earlier.hang_up();
            member.first_seen = earlier.first_seen;
        }
        for (migration_id, inbox) in &state.inboxes {
            let held = member.held_of(*migration_id);
            let matters = !held.is_empty();
            let is_told = inbox.try_send(News::Joined { holder, held }).is_ok();
            if matters && !is_told && !inbox.is_closed() {
                // It dials again when the supervisor has caught up.
                member.closing().cancel();
            }
        }
        let closing = member.closing();
        let is_draining = member.duty == Duty::Draining;
        state.members.insert(holder, member);
        Ok(Entered {
            connection,
            closing,
            is_draining,
        })
    }

    fn note(&self, (holder, connection): (Uuid, u64), frame: &AgentFrame) {
        let mut state = self.lock();
        let member = state.members.get_mut(&holder);
        // What an earlier stream said was said before the hello of the present one.
        let Some(member) = member.filter(|member| member.connection == connection) else {
            return;
        };
        member.last_seen = clock::now();
        match frame {
            AgentFrame::Released {
                migration_id,
                partition_id,
                generation,
                ..
            } => member.let_go(&HeldPartition {
                migration_id: *migration_id,
                partition_id: *partition_id,
                generation: *generation,
            }),
            AgentFrame::Batch { migration_id, .. } => member.owe(*migration_id),
            _ => {}
        }
    }

    fn inbox(&self, migration_id: Uuid) -> Option<mpsc::Sender<News>> {
        self.lock().inboxes.get(&migration_id).cloned()
    }
}

impl Stay {
    /// Takes in what the agent sends until its stream ends. Its work goes to others a little later, unless
    /// it dials again.
    pub async fn serve(mut self) {
        loop {
            let frame = tokio::select! {
                biased;
                () = self.closing.cancelled() => None,
                frame = self.frames.recv() => frame,
            };
            let Some(frame) = frame else { break };
            if !self.take(frame) {
                break;
            }
        }
        let (fleet, holder, connection) = (self.fleet, self.holder, self.connection);
        self.line.hang_up();
        drop(self.frames);
        {
            let mut state = fleet.lock();
            let member = state.members.get_mut(&holder);
            if let Some(member) = member.filter(|member| member.connection == connection) {
                member.hang_up();
            }
        }
        fleet.bump();
        tokio::time::sleep(GRACE).await;
        fleet.gone(holder, connection);
    }

    /// Hands a frame on without waiting for anybody; false when there is no room and the stream must end.
    fn take(&self, frame: AgentFrame) -> bool {
        self.fleet.note((self.holder, self.connection), &frame);
        let migration_id = match frame {
            AgentFrame::QueryResult { query_id, result } => {
                self.line.answered(query_id, result);
                return true;
            }
            // Once per stream, and that was taken.
            AgentFrame::Hello(_) => return true,
            AgentFrame::Claimed { migration_id, .. }
            | AgentFrame::Progress { migration_id, .. }
            | AgentFrame::Batch { migration_id, .. }
            | AgentFrame::Released { migration_id, .. } => migration_id,
        };
        let is_batch = matches!(frame, AgentFrame::Batch { .. });
        let is_lossy = matches!(frame, AgentFrame::Progress { .. });
        let inbox = self.fleet.inbox(migration_id);
        if is_lossy && inbox.as_ref().is_some_and(is_busy) {
            return true;
        }
        let news = News::Frame {
            holder: self.holder,
            frame,
        };
        let is_taken = match inbox.map_or(Ok(false), |inbox| put(&inbox, news)) {
            Ok(is_taken) => is_taken,
            Err(Full) => {
                tracing::warn!(holder = %self.holder, %migration_id, "a supervisor does not keep up");
                return false;
            }
        };
        if is_batch && !is_taken {
            // Nobody looks after the migration now; whoever does next reads the ledger.
            self.fleet.acknowledge(self.holder, migration_id, 1);
        }
        true
    }
}

fn is_busy(inbox: &mpsc::Sender<News>) -> bool {
    inbox.max_capacity() - inbox.capacity() >= BUSY
}

/// There is no room in an inbox.
struct Full;

/// Puts news into an inbox; false when its supervisor has ended.
fn put(inbox: &mpsc::Sender<News>, news: News) -> Result<bool, Full> {
    match inbox.try_send(news) {
        Ok(()) => Ok(true),
        Err(mpsc::error::TrySendError::Closed(_)) => Ok(false),
        Err(mpsc::error::TrySendError::Full(_)) => Err(Full),
    }
}
