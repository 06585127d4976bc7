//! The loop of a run: ask the schedule what is next, begin it, take what comes back, persist.
//!
//! Everything is decided by [`crate::schedule`], [`crate::placement`] and [`crate::intake`]; this folder
//! only waits and calls. One metadata transaction a tick holds all reports that arrived.

mod members;
mod operator;
mod persist;
mod steps;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind, Policy, policy};
use proto::domain::frame::{AgentFrame, QueryAnswer};
use proto::domain::record::EntityStatus;
use proto::lease::{Control, Leadership, LeaseStore};
use proto::runtime::backoff::Backoff;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{info, warn};
use uuid::Uuid;

use crate::era::lease_failure;
use crate::fleet::{MemberView, News};
use crate::intake::{Consequence, Intake, Retry, judge};
use crate::prepare::Job;
use crate::progress::{ProgressView, Throughput};
use crate::schedule::{Action, EntityWork, Hold, Moment, RunWork, Step};

/// Reports are persisted at least this often.
const TICK: Duration = Duration::from_millis(250);

/// What is wished of a run from outside. Level-triggered: the latest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Go on.
    Run,
    /// Give everything back and make sure that nothing can commit any more.
    Pause,
    /// Give everything back; the run goes on when it is started again.
    Stop,
    /// Let go at once: another controller leads, or this process ends and agents go on by themselves.
    Abandon,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Everything is done.
    Finished,
    /// It cannot go on; the entity at fault, if one is.
    Blocked {
        /// The entity.
        entity: Option<String>,
        /// Why.
        failure: Failure,
    },
    /// Nothing can commit any more, until it is resumed.
    Paused,
    /// It was told to stop; everything under way was finished or given back.
    Interrupted,
    /// It was let go; agents may still work on it.
    Abandoned,
}

/// How a run is connected with the world.
pub struct Links<L> {
    /// The lease store.
    pub lease: Arc<L>,
    /// This controller's leadership.
    pub leadership: Leadership,
    /// What the agents report of the migration.
    pub inbox: mpsc::Receiver<News>,
    /// The agents when the inbox was opened.
    pub members: Vec<MemberView>,
    /// What is wished.
    pub wishes: watch::Receiver<Wish>,
    /// Where the run shows how far it is.
    pub view: watch::Sender<ProgressView>,
}

/// A run in the works.
pub struct Reconciler<L> {
    job: Job,
    links: Links<L>,
    run: RunWork,
    intake: Intake,
    begun: Instant,
    throughput: Throughput,
    status: HashSet<(String, EntityStatus)>,
    steps: JoinSet<(Action, Result<QueryAnswer, Failure>)>,
    ending: Option<Ending>,
    /// The source or its snapshot was lost: held again before anything more is assigned.
    renewal: Step,
    snapshot_holder: Option<Uuid>,
    /// Who held the snapshot and may dial again: while it is alive nobody else is asked for one.
    former_holder: Option<Uuid>,
    /// Has another agent hold the snapshot, too; and when that is looked at next.
    sharing: JoinSet<()>,
    share_next: Moment,
    /// Agents that own partitions and are not connected yet, and until when they are waited for.
    expected: BTreeMap<Uuid, Duration>,
    /// Partitions whose batches are to be read out of the ledger.
    behind: BTreeSet<Uuid>,
    /// When they can be read again.
    catching_up: Step,
    /// When the seal can be tried again.
    sealing: Step,
    /// Claims are allowed.
    is_open: bool,
    /// Since when the run stops, and when partitions that were not given back are taken back.
    stopping_since: Moment,
    drained_by: Moment,
    /// What operators wish, as it was seen last, and when it is looked at again.
    operator: operator::Seen,
    backoff: Backoff,
}

impl<L: LeaseStore> Reconciler<L> {
    /// A reconciler over prepared work.
    pub fn new(job: Job, run: RunWork, links: Links<L>, snapshot_holder: Option<Uuid>) -> Self {
        Self {
            job,
            links,
            run,
            intake: Intake::default(),
            begun: Instant::now(),
            throughput: Throughput::default(),
            status: HashSet::new(),
            steps: JoinSet::new(),
            ending: None,
            renewal: Step::Done,
            snapshot_holder,
            former_holder: None,
            sharing: JoinSet::new(),
            share_next: Moment::ZERO,
            expected: BTreeMap::new(),
            behind: BTreeSet::new(),
            catching_up: Step::OPEN,
            sealing: Step::OPEN,
            is_open: false,
            stopping_since: Moment::ZERO,
            drained_by: Moment::MAX,
            operator: operator::Seen::default(),
            backoff: Backoff::new(Duration::from_millis(300), Duration::from_secs(15)),
        }
    }

    /// Runs until everything is done, the run blocks, or something else is wished.
    ///
    /// # Errors
    /// The metadata database's and the lease store's failures; nothing is lost, the run can be started
    /// again.
    pub async fn run(mut self) -> Result<(Ending, Job), Failure> {
        self.adopt().await?;
        let names: Vec<String> = self
            .run
            .entities
            .iter()
            .map(|work| work.entity.clone())
            .collect();
        for entity in names {
            // What was over its limit before is so until the limit is raised.
            let consequence = judge(&self.run, &entity);
            self.follow(consequence).await?;
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let wish = *self.links.wishes.borrow_and_update();
            if wish == Wish::Abandon {
                return Ok((Ending::Abandoned, self.job));
            }
            self.heed(wish).await?;
            self.heed_operator().await?;
            // Children may start once their parents are stored.
            if self.has_news() {
                self.tick().await?;
            }
            self.begin_work().await?;
            if let Some(ending) = self.ended().await? {
                self.tick().await?;
                return Ok((ending, self.job));
            }
            tokio::select! {
                biased;
                changed = self.links.wishes.changed() => {
                    if changed.is_err() {
                        // Nobody is left to wish anything.
                        return Ok((Ending::Abandoned, self.job));
                    }
                }
                news = self.links.inbox.recv() => match news {
                    Some(news) => self.hear(news).await?,
                    None => return Ok((Ending::Abandoned, self.job)),
                },
                Some(done) = self.steps.join_next() => match done {
                    Err(error) if error.is_cancelled() => {}
                    done => self.step_ended(done).await?,
                },
                _ = ticks.tick() => self.tick().await?,
            }
        }
    }

    async fn heed(&mut self, wish: Wish) -> Result<(), Failure> {
        match wish {
            Wish::Pause => self.stop(Ending::Paused).await,
            Wish::Stop => self.stop(Ending::Interrupted).await,
            Wish::Run if self.ending.is_none() && !self.is_open => {
                self.set_open(true).await?;
                self.is_open = true;
                Ok(())
            }
            // Resumed before it was paused: another supervisor begins.
            Wish::Run if self.ending == Some(Ending::Paused) => {
                self.stop(Ending::Interrupted).await
            }
            Wish::Run | Wish::Abandon => Ok(()),
        }
    }

    async fn hear(&mut self, news: News) -> Result<(), Failure> {
        match news {
            News::Frame { holder, frame } => self.take(holder, frame).await,
            News::Joined { holder, held } => {
                self.joined(holder, &held);
                Ok(())
            }
            News::Left { holder } => self.left(holder).await,
        }
    }

    async fn take(&mut self, holder: Uuid, frame: AgentFrame) -> Result<(), Failure> {
        let retry = self.retry();
        let consequence = self.intake.frame(&mut self.run, holder, frame, retry);
        self.follow(consequence).await
    }

    fn retry(&self) -> Retry {
        Retry {
            now: self.begun.elapsed(),
            backoff: self.backoff,
            random: rand::random(),
            max_retries: self.job.compiled.limits.max_retries,
        }
    }

    async fn follow(&mut self, consequence: Consequence) -> Result<(), Failure> {
        match consequence {
            Consequence::None => Ok(()),
            Consequence::CatchUp(partition_id) => {
                self.behind.insert(partition_id);
                self.catch_up().await
            }
            Consequence::Exclude { holder, failure } => {
                self.job.crew.reject(holder, &failure);
                self.block_where_nobody_fits().await
            }
            Consequence::RenewSnapshot => {
                if self.renewal == Step::Done {
                    self.renewal = Step::OPEN;
                }
                Ok(())
            }
            Consequence::Block { entity, failure } => {
                self.stop(Ending::Blocked { entity, failure }).await
            }
        }
    }

    /// Whoever is there cannot work on it, all for the same reason, and that is the operator's to mend.
    /// Otherwise somebody may still turn out to fit.
    async fn block_where_nobody_fits(&mut self) -> Result<(), Failure> {
        let crew = &self.job.crew;
        let fault = crew.common_fault().filter(|_| !crew.has_agents());
        match fault {
            Some(failure) if policy(failure.kind).0 == Policy::Operator => {
                let entity = None;
                self.stop(Ending::Blocked { entity, failure }).await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Begins no more; what is under way finishes its batch and is given back. The first reason counts,
    /// but a pause that comes later still seals.
    async fn stop(&mut self, ending: Ending) -> Result<(), Failure> {
        match (&self.ending, &ending) {
            (None, _) => {
                info!(?ending, "the run stops");
                self.set_open(false).await?;
                self.job.crew.drain();
                self.stopping_since = self.begun.elapsed();
                self.drained_by = self.stopping_since + self.drain_within().await?;
                self.ending = Some(ending);
            }
            (Some(Ending::Blocked { failure, .. }), Ending::Paused) => {
                info!(reason = %failure, "the run was about to block and pauses");
                self.ending = Some(ending);
            }
            // The latest wish counts.
            (Some(Ending::Paused | Ending::Interrupted), Ending::Paused | Ending::Interrupted) => {
                self.ending = Some(ending);
            }
            (Some(_), _) => {}
        }
        Ok(())
    }

    /// Opens or closes the migration for claims: a pause reaches agents that cannot be reached.
    async fn set_open(&self, is_open: bool) -> Result<(), Failure> {
        let control = Control {
            generation: self.job.migration.generation,
            attempt: self.job.migration.attempt,
            is_open,
        };
        self.links
            .lease
            .set_control(&self.links.leadership, self.job.migration.id, control)
            .await
            .map_err(|error| lease_failure(&error))
    }

    async fn ended(&mut self) -> Result<Option<Ending>, Failure> {
        if self.run.is_finished() {
            return Ok(Some(Ending::Finished));
        }
        let now = self.begun.elapsed();
        let is_pausing = self.ending == Some(Ending::Paused);
        if self.ending.is_some() && now >= self.drained_by {
            self.take_back();
            // What they still build is ended by the seal, or by the next preparation.
            self.steps.abort_all();
            self.run.reopen();
        }
        if self.run.running() > 0 || !self.steps.is_empty() {
            return Ok(None);
        }
        if !is_pausing {
            return Ok(self.ending.take());
        }
        if !self.sealing.can_begin(now) {
            return Ok(None);
        }
        match self.seal().await {
            Ok(()) => Ok(self.ending.take()),
            Err(failure) if failure.kind == FailureKind::Fenced => Err(failure),
            Err(failure) => {
                warn!(reason = %failure, "partitions of agents that are gone cannot be sealed yet");
                let delay = self.backoff.delay(self.sealing.tries() + 1, rand::random());
                self.sealing.fail(now + delay);
                Ok(None)
            }
        }
    }

    /// An entity's rows are settled, and the metadata does not say so yet.
    fn has_news(&self) -> bool {
        self.run
            .entities
            .iter()
            .filter(|entity| entity.is_settled())
            .any(|entity| {
                let end = match entity.hold {
                    Hold::Skipped => EntityStatus::Skipped,
                    Hold::None | Hold::Paused => EntityStatus::Completed,
                };
                !self.has_status(&entity.entity, end)
            })
    }

    fn has_status(&self, entity: &str, status: EntityStatus) -> bool {
        self.status.contains(&(entity.to_owned(), status))
    }

    fn is_read(&self) -> bool {
        self.run.entities.iter().all(EntityWork::is_settled)
    }

    fn note(&self, note: Option<String>) {
        self.links.view.send_modify(|view| view.notes.extend(note));
    }
}
