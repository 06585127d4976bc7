//! The loop of a run: ask the schedule what is next, begin it, take what comes back, persist.
//!
//! Everything is decided by [`crate::schedule`] and [`crate::intake`]; this file only waits and
//! calls. One metadata transaction a tick holds all reports that arrived.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use proto::domain::compiled::CompiledEntity;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{AgentFrame, Assignment, ControllerFrame, Query, QueryAnswer};
use proto::domain::record::EntityStatus;
use proto::lease::LeaseStore;
use proto::runtime::backoff::Backoff;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use crate::intake::{Consequence, Intake, Retry, consequence, judge};
use crate::prepare::Job;
use crate::progress::{self, EntityProgress, ProgressView, Throughput};
use crate::schedule::{Action, EntityWork, RunWork, Step};

/// Reports are persisted at least this often.
const TICK: Duration = Duration::from_millis(250);
/// Rebuilds of large tables take their time.
const REBUILD_DEADLINE: Duration = Duration::from_secs(12 * 3600);

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
    /// It was told to stop; everything under way was finished or given back.
    Interrupted,
}

/// A run in the works.
pub struct Reconciler<L> {
    job: Job,
    lease: Arc<L>,
    run: RunWork,
    intake: Intake,
    begun: Instant,
    throughput: Throughput,
    status: HashSet<(String, EntityStatus)>,
    steps: JoinSet<(Action, Result<QueryAnswer, Failure>)>,
    ending: Option<Ending>,
    /// The source or its snapshot was lost: held again before anything more is assigned.
    renewal: Step,
    backoff: Backoff,
    view: watch::Sender<ProgressView>,
}

impl<L: LeaseStore> Reconciler<L> {
    /// A reconciler over prepared work.
    pub fn new(job: Job, lease: Arc<L>, run: RunWork, view: watch::Sender<ProgressView>) -> Self {
        let intake = Intake::new(job.agent.hello.holder);
        Self {
            job,
            lease,
            run,
            intake,
            begun: Instant::now(),
            throughput: Throughput::default(),
            status: HashSet::new(),
            steps: JoinSet::new(),
            ending: None,
            renewal: Step::Done,
            backoff: Backoff::new(Duration::from_millis(300), Duration::from_secs(15)),
            view,
        }
    }

    /// Runs until everything is done, the run blocks, or `shutdown` is cancelled.
    ///
    /// # Errors
    /// The metadata database's failures; nothing is lost, the run can be started again.
    pub async fn run(
        mut self,
        mut frames: mpsc::Receiver<AgentFrame>,
        shutdown: CancellationToken,
    ) -> Result<(Ending, Job), Failure> {
        for entity in self
            .run
            .entities
            .iter()
            .map(|work| work.entity.clone())
            .collect::<Vec<_>>()
        {
            // What was over its limit before is so until the limit is raised.
            let consequence = judge(&self.run, &entity);
            self.follow(consequence).await?;
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Children may start once their parents are stored as complete.
            if self.has_news() {
                self.tick().await?;
            }
            self.begin_work().await?;
            if let Some(ending) = self.ended() {
                self.tick().await?;
                return Ok((ending, self.job));
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled(), if self.ending.is_none() => {
                    self.stop(Ending::Interrupted).await?;
                }
                frame = frames.recv() => match frame {
                    Some(frame) => self.take(frame).await?,
                    None => return Err(agent_gone()),
                },
                Some(done) = self.steps.join_next() => self.step_ended(done).await?,
                _ = ticks.tick() => self.tick().await?,
            }
        }
    }

    /// An entity's rows are settled, and the metadata does not say so yet.
    fn has_news(&self) -> bool {
        self.run
            .entities
            .iter()
            .filter(|entity| entity.is_settled())
            .any(|entity| !self.has_status(&entity.entity, EntityStatus::Completed))
    }

    fn has_status(&self, entity: &str, status: EntityStatus) -> bool {
        self.status.contains(&(entity.to_owned(), status))
    }

    /// Begins everything that can begin now.
    async fn begin_work(&mut self) -> Result<(), Failure> {
        if self.ending.is_some() {
            return Ok(());
        }
        if self.renewal != Step::Done && !self.renew_snapshot().await? {
            return Ok(());
        }
        for action in self.run.next_actions(self.begun.elapsed()) {
            if let Some(step) = self.run.step_mut(&action) {
                step.begin();
            }
            self.begin(action).await?;
        }
        Ok(())
    }

    /// Has a snapshot held again, once nothing runs under the old one; true when work can go on.
    async fn renew_snapshot(&mut self) -> Result<bool, Failure> {
        let now = self.begun.elapsed();
        if self.run.running() > 0 || !self.renewal.can_begin(now) {
            return Ok(false);
        }
        match self
            .job
            .order_run(self.run.entities.iter().all(EntityWork::is_settled))
            .await
        {
            Ok(ordered) => {
                self.renewal = Step::Done;
                self.note(ordered.note);
                if ordered.is_new_snapshot {
                    self.run.forget_counts();
                }
                return Ok(true);
            }
            Err(failure) => {
                warn!(reason = %failure, "the source's snapshot cannot be held yet");
                let delay = self.backoff.delay(4, rand::random());
                let tries = self.renewal.fail(now + delay);
                let can_wait = failure.kind == FailureKind::Unreachable
                    && tries <= self.job.compiled.limits.max_retries;
                if !can_wait {
                    self.stop(Ending::Blocked {
                        entity: None,
                        failure,
                    })
                    .await?;
                }
            }
        }
        Ok(false)
    }

    async fn begin(&mut self, action: Action) -> Result<(), Failure> {
        let (id, connections) = (self.job.migration.id, self.job.connections.clone());
        let query = match &action {
            Action::Assign(partition_id) => return self.assign(*partition_id).await,
            Action::Settle(entity) => {
                let part = self
                    .run
                    .entity(entity)
                    .and_then(|work| work.settling.as_ref());
                let Some(partition_id) = part.map(|part| part.partition_id) else {
                    return Ok(());
                };
                let token = self
                    .lease
                    .mint()
                    .await
                    .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
                Query::Settle {
                    entity: entity.clone(),
                    partition_id,
                    token,
                }
            }
            Action::RebuildKeys(entity) => Query::RebuildKeys {
                entity: entity.clone(),
            },
            Action::RebuildForeignKeys => Query::RebuildForeignKeys,
            Action::Finish => Query::FinishRun { migration_id: id },
        };
        let agent = self.job.agent.clone();
        let span = info_span!("step", action = ?action);
        let step = async move {
            (
                action,
                agent.ask(&connections, query, REBUILD_DEADLINE).await,
            )
        };
        self.steps.spawn(step.instrument(span));
        Ok(())
    }

    async fn assign(&mut self, partition_id: uuid::Uuid) -> Result<(), Failure> {
        let holder = self.job.agent.hello.holder;
        let Some(entity) = self.run.entity_of(partition_id).cloned() else {
            return Ok(());
        };
        let Some(partition) = self.run.partition_mut(partition_id) else {
            return Ok(());
        };
        partition.generation += 1;
        let assignment = Assignment {
            partition_id,
            entity: entity.entity,
            entity_hash: entity.entity_hash,
            range: partition.range.clone(),
            generation: partition.generation,
        };
        let generation = partition.generation;
        self.lease
            .assign(partition_id, holder, generation)
            .await
            .map_err(|error| Failure::new(FailureKind::Internal, error.to_string()))?;
        self.job
            .agent
            .order(ControllerFrame::Assign(assignment))
            .await
    }

    async fn take(&mut self, frame: AgentFrame) -> Result<(), Failure> {
        let retry = Retry {
            now: self.begun.elapsed(),
            backoff: self.backoff,
            random: rand::random(),
            max_retries: self.job.compiled.limits.max_retries,
        };
        let consequence = self.intake.frame(&mut self.run, frame, retry);
        self.follow(consequence).await
    }

    async fn follow(&mut self, consequence: Consequence) -> Result<(), Failure> {
        match consequence {
            Consequence::None => Ok(()),
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

    async fn step_ended(
        &mut self,
        done: Result<(Action, Result<QueryAnswer, Failure>), tokio::task::JoinError>,
    ) -> Result<(), Failure> {
        let (action, answer) = done.map_err(|error| {
            Failure::new(
                FailureKind::Internal,
                format!("a step ended by itself: {error}"),
            )
        })?;
        let now = self.begun.elapsed();
        let failure = match answer {
            Ok(answer) => {
                if let Some(step) = self.run.step_mut(&action) {
                    *step = Step::Done;
                }
                let QueryAnswer::Settled(reports) = answer else {
                    return Ok(());
                };
                for report in reports {
                    let consequence = self.intake.batch(&mut self.run, report);
                    self.follow(consequence).await?;
                }
                return Ok(());
            }
            Err(failure) => failure,
        };
        warn!(?action, reason = %failure, "a step failed");
        let entity = match &action {
            Action::Settle(entity) | Action::RebuildKeys(entity) => Some(entity.clone()),
            Action::Assign(_) | Action::RebuildForeignKeys | Action::Finish => None,
        };
        let failed = self.run.step_mut(&action).map_or(0, |step| step.tries()) + 1;
        let delay = self.backoff.delay(failed, rand::random());
        let tries = self
            .run
            .step_mut(&action)
            .map_or(0, |step| step.fail(now + delay));
        let limit = self.job.compiled.limits.max_retries;
        self.follow(consequence(entity, failure, tries, limit))
            .await
    }

    /// Begins no more; what is under way finishes its batch and is given back.
    async fn stop(&mut self, ending: Ending) -> Result<(), Failure> {
        if self.ending.is_none() {
            info!(?ending, "the run stops");
            self.ending = Some(ending);
            self.job.agent.order(ControllerFrame::Drain).await?;
        }
        Ok(())
    }

    fn ended(&mut self) -> Option<Ending> {
        if self.run.is_finished() {
            return Some(Ending::Finished);
        }
        (self.run.running() == 0)
            .then(|| self.ending.take())
            .flatten()
    }

    /// Persists what was reported and shows where the run stands.
    async fn tick(&mut self) -> Result<(), Failure> {
        let now = self.begun.elapsed();
        for entity in &self.run.entities {
            let totals = entity.totals();
            let rows = totals.written + totals.failed + totals.skipped;
            if rows > 0 && !entity.is_copied() {
                self.throughput.observe(&entity.entity, rows, now);
            }
        }
        self.begin_entities().await?;
        if !self.intake.is_empty() {
            let mut tick = self.intake.take(self.job.max_retries());
            tick.throughput = self.rates();
            let span = info_span!("persist", batches = tick.batches.len());
            let outcome = self.job.persist(&tick).instrument(span).await;
            let outcome = outcome.map_err(|error| error.failure())?;
            for (partition_id, acked) in outcome.behind {
                self.job.replay(partition_id, acked, i64::MAX).await?;
            }
        }
        for entity in std::mem::take(&mut self.intake.touched) {
            self.complete_entity(&entity).await?;
        }
        self.begin_entities().await?;
        self.show();
        Ok(())
    }

    fn rates(&self) -> Vec<(String, f64)> {
        let mut rates = self.throughput.rates();
        rates.retain(|(entity, _)| self.intake.touched.contains(entity));
        rates
    }

    /// Entities that have begun are running in the metadata before their first batch is stored. In
    /// dependency order, and what is settled and stored is completed at once: a child may only be
    /// running when its parents are complete.
    async fn begin_entities(&mut self) -> Result<(), Failure> {
        let begun: Vec<EntityProgress> = progress::entities(&self.run, &self.throughput)
            .into_iter()
            .filter(|entity| entity.status != EntityStatus::Pending)
            .collect();
        for entity in begun {
            self.set_status(&entity.entity, EntityStatus::Running)
                .await?;
            if !self.intake.touched.contains(&entity.entity) {
                self.complete_entity(&entity.entity).await?;
            }
        }
        Ok(())
    }

    /// Marks an entity as completed, with its exact number of rows, once its rows are settled. Where
    /// they were counted under the same snapshot, as many must have been read.
    async fn complete_entity(&mut self, entity: &str) -> Result<(), Failure> {
        if self.has_status(entity, EntityStatus::Completed) {
            return Ok(());
        }
        let Some(work) = self.run.entity_mut(entity).filter(|work| work.is_settled()) else {
            return Ok(());
        };
        let read = work.totals().read;
        if work.is_exact && work.records_total != read && self.job.is_point_in_time() {
            let words = format!(
                "{entity} has {} rows in the snapshot, {read} were read",
                work.records_total
            );
            let failure = Failure::new(FailureKind::Internal, words);
            return self
                .stop(Ending::Blocked {
                    entity: Some(entity.to_owned()),
                    failure,
                })
                .await;
        }
        (work.records_total, work.is_exact) = (read, true);
        let id = self.job.migration.id;
        let total = self
            .job
            .store
            .set_entity_total(id, entity, read, true)
            .await;
        total.map_err(|error| error.failure())?;
        self.set_status(entity, EntityStatus::Completed).await
    }

    async fn set_status(&mut self, entity: &str, status: EntityStatus) -> Result<(), Failure> {
        if self.status.insert((entity.to_owned(), status)) {
            self.job
                .store
                .set_entity_status(self.job.migration.id, entity, status)
                .await
                .map_err(|error| error.failure())?;
        }
        Ok(())
    }

    fn note(&self, note: Option<String>) {
        self.view.send_modify(|view| view.notes.extend(note));
    }

    fn show(&self) {
        let mut entities = progress::entities(&self.run, &self.throughput);
        let skipped = self
            .job
            .compiled
            .entities
            .iter()
            .filter(|entity| !entity.is_active);
        entities.extend(skipped.map(skipped_progress));
        let is_rebuilding = self.run.entities.iter().all(EntityWork::is_settled);
        self.view.send_modify(|view| {
            view.phase = if is_rebuilding {
                "rebuilding"
            } else {
                "copying"
            };
            view.progress_percentage = progress::percentage(&self.run);
            view.entities = entities;
        });
    }
}

fn skipped_progress(entity: &CompiledEntity) -> EntityProgress {
    EntityProgress {
        entity: entity.entity.clone(),
        status: EntityStatus::Skipped,
        step: "skipped",
        records_total: 0,
        is_exact: true,
        records_processed: 0,
        records_failed: 0,
        records_filtered: 0,
        in_flight: 0,
        throughput_per_second: None,
        eta_seconds: None,
        waits_on: Vec::new(),
    }
}

fn agent_gone() -> Failure {
    Failure::new(FailureKind::Unreachable, "the agent hung up")
}
