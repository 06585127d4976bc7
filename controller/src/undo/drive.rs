//! The loop of an undo: ask the schedule what is next, ask agents for it, take in what comes back.

use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind, Policy, policy};
use proto::domain::undo::{UndoAnswer, UndoProgress, UndoReport, UndoScope, UndoStep, UndoTarget};
use proto::lease::LeaseStore;
use proto::runtime::backoff::Backoff;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::schedule::{UndoAction, UndoWork};
use super::{conflict, order, step};
use crate::prepare::{Job, LONG};
use crate::reconcile::{Ending, Wish};
use crate::schedule::Step;
use crate::supervise::Surroundings;

/// What has to wait is looked at this often, and progress is stored not more often.
const TICK: Duration = Duration::from_millis(500);
/// Rebuilds of large tables take their time.
const FINISH: Duration = Duration::from_secs(12 * 3600);

/// An undo in the works.
pub struct Undo {
    /// What is left.
    pub work: UndoWork,
    /// What agents need of its entities.
    pub targets: Vec<UndoTarget>,
    /// Other entities of the migration stay.
    pub is_partial: bool,
    /// What was asked for.
    pub scope: UndoScope,
    /// This supervisor's token.
    pub token: i64,
}

type Outcome = (UndoAction, Result<UndoAnswer, Failure>);

impl Undo {
    /// Runs until it is done, blocks, or something else is wished.
    ///
    /// # Errors
    /// The metadata's failures, and a lost fence.
    pub async fn run<L: LeaseStore>(
        mut self,
        job: Job,
        mut around: Surroundings<L>,
    ) -> Result<(Ending, Job), Failure> {
        let begun = Instant::now();
        let backoff = Backoff::new(Duration::from_millis(300), Duration::from_secs(15));
        let mut steps: JoinSet<Outcome> = JoinSet::new();
        let mut ending = None;
        let mut told = String::new();
        loop {
            match *around.wishes.borrow_and_update() {
                Wish::Abandon => return Ok((Ending::Abandoned, job)),
                Wish::Pause => ending = ending.or(Some(Ending::Paused)),
                Wish::Stop => ending = ending.or(Some(Ending::Interrupted)),
                Wish::Run if matches!(ending, Some(Ending::Paused)) => ending = None,
                Wish::Run => {}
            }
            if self.work.is_finished() {
                return Ok((Ending::Finished, job));
            }
            if ending.is_none() {
                self.begin(&job, &mut steps, begun.elapsed());
            }
            if steps.is_empty()
                && let Some(ending) = ending
            {
                return Ok((ending, job));
            }
            self.tell(&job, &around, &mut told).await?;
            tokio::select! {
                biased;
                changed = around.wishes.changed() => {
                    if changed.is_err() {
                        return Ok((Ending::Abandoned, job));
                    }
                }
                Some(done) = steps.join_next() => {
                    let Ok((action, outcome)) = done else { continue };
                    let now = begun.elapsed();
                    let failure = match outcome {
                        Ok(answer) => self.take(&job, &action, answer).await?,
                        Err(failure) => Some(failure),
                    };
                    let Some(failure) = failure else { continue };
                    if failure.kind == FailureKind::Fenced {
                        return Err(failure);
                    }
                    let later = now + backoff.delay(self.tries(&action) + 1, rand::random());
                    if let Some(failure) = self.fail(&action, failure, (&job, later)) {
                        ending.get_or_insert(Ending::Blocked { entity: None, failure });
                    }
                }
                () = sleep(TICK) => {}
            }
        }
    }

    fn begin(&mut self, job: &Job, steps: &mut JoinSet<Outcome>, now: Duration) {
        for action in self.work.next_actions(now) {
            let (what, deadline) = match &action {
                UndoAction::Begin => {
                    let targets = self.targets.clone();
                    (UndoStep::Begin { targets }, LONG)
                }
                UndoAction::Rows(entity) => {
                    let mut targets = self.targets.iter();
                    let Some(target) = targets.find(|target| target.entity == *entity) else {
                        continue;
                    };
                    let target = target.clone();
                    (UndoStep::Rows { target }, LONG)
                }
                UndoAction::Finish => {
                    let step = UndoStep::Finish {
                        targets: self.targets.clone(),
                        is_partial: self.is_partial,
                    };
                    (step, FINISH)
                }
            };
            if let Some(step) = self.work.step_mut(&action) {
                step.begin();
            }
            let order = order(job, self.token, &self.scope, what);
            let crew = job.crew.clone();
            steps.spawn(async move { (action, step(&crew, order, deadline).await) });
        }
    }

    /// Takes in an answer; why it cannot go on, if it cannot.
    async fn take(
        &mut self,
        job: &Job,
        action: &UndoAction,
        answer: UndoAnswer,
    ) -> Result<Option<Failure>, Failure> {
        match answer {
            UndoAnswer::Begun {
                conflicts,
                is_blocked,
                rows_left,
            } => {
                if is_blocked {
                    return Ok(Some(conflict(&conflicts, &self.scope)));
                }
                for entity in &mut self.work.entities {
                    let left = rows_left.iter().find(|(name, _)| *name == entity.entity);
                    entity.rows_left = left.map(|(_, rows)| *rows);
                }
                self.done(action);
            }
            UndoAnswer::Rows(progress) => return Ok(self.progressed(action, progress)),
            UndoAnswer::Finished(report) => {
                self.finished(job, &report).await?;
                self.done(action);
            }
            UndoAnswer::Effects(_) => {}
        }
        Ok(None)
    }

    fn progressed(&mut self, action: &UndoAction, progress: UndoProgress) -> Option<Failure> {
        info!(?action, ?progress, "batches were taken back");
        let UndoAction::Rows(name) = action else {
            return None;
        };
        let mut entities = self.work.entities.iter_mut();
        if let Some(entity) = entities.find(|entity| entity.entity == *name) {
            entity.rows_left = Some(progress.rows_left);
        }
        if progress.changed_meanwhile > 0 && self.scope.conflicts.is_none() {
            let words = format!(
                "{} rows of {name} were changed by others while they were taken back",
                progress.changed_meanwhile
            );
            return Some(Failure::new(FailureKind::UndoConflict, words));
        }
        match progress.is_done {
            true => self.done(action),
            false => {
                if let Some(step) = self.work.step_mut(action) {
                    step.progressed();
                    step.reopen();
                }
            }
        }
        None
    }

    /// Stores what it came to, and has agents keep nothing of what is over.
    async fn finished(&self, job: &Job, report: &UndoReport) -> Result<(), Failure> {
        info!(outcome = %report.describe(), "a rollback is done");
        let id = job.migration.id;
        let stored = job.store.set_rollback_report(id, report).await;
        stored.map_err(|error| error.failure())?;
        if !self.is_partial {
            job.crew.fleet().forget(id);
        }
        Ok(())
    }

    fn done(&mut self, action: &UndoAction) {
        if let Some(step) = self.work.step_mut(action) {
            *step = Step::Done;
        }
    }

    fn tries(&mut self, action: &UndoAction) -> u32 {
        self.work.step_mut(action).map_or(0, |step| step.tries())
    }

    /// Notes a failure; it comes back where only the operator can help.
    fn fail(
        &mut self,
        action: &UndoAction,
        failure: Failure,
        (job, later): (&Job, Duration),
    ) -> Option<Failure> {
        let tries = self
            .work
            .step_mut(action)
            .map_or(0, |step| step.fail(later));
        let limit = job.compiled.limits.max_retries;
        let is_passing = failure.kind == FailureKind::NoAgent
            || (policy(failure.kind).0 == Policy::Retry && tries <= limit);
        if is_passing {
            warn!(?action, reason = %failure, "a step of the rollback is tried again");
            return None;
        }
        Some(failure)
    }

    /// Shows how far it is, in the view and in the record.
    async fn tell<L>(
        &self,
        job: &Job,
        around: &Surroundings<L>,
        told: &mut String,
    ) -> Result<(), Failure> {
        let words = self.work.describe();
        if words == *told {
            return Ok(());
        }
        let stored = job.store.note_rollback(job.migration.id, &words).await;
        stored.map_err(|error| error.failure())?;
        around
            .view
            .send_modify(|view| view.notes.push(words.clone()));
        *told = words;
        Ok(())
    }
}
