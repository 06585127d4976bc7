//! What agents report: applied to the run in memory, gathered for the next tick.

use std::collections::BTreeSet;

use proto::domain::failure::{Failure, FailureKind, Policy, policy};
use proto::domain::frame::{AgentFrame, BatchReport, Release};
use proto::runtime::backoff::Backoff;
use uuid::Uuid;

use crate::quarantine::over_limit;
use crate::schedule::{Moment, RunWork, Step};
use crate::store::{PartitionPhase, PartitionUpdate, Tick};

/// What follows from a report, beyond the run's own state.
#[derive(Debug, Clone, PartialEq)]
pub enum Consequence {
    /// Nothing.
    None,
    /// The run cannot go on.
    Block {
        /// The entity, if one is at fault.
        entity: Option<String>,
        /// Why.
        failure: Failure,
    },
    /// The source or its snapshot was lost: hold one again before anything is assigned.
    RenewSnapshot,
}

/// Reports since the last tick.
#[derive(Debug)]
pub struct Intake {
    holder: Uuid,
    tick: Tick,
    /// Entities with reports since the last tick.
    pub touched: BTreeSet<String>,
}

/// When and how often failed work is tried again.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// The present.
    pub now: Moment,
    /// Delays between tries.
    pub backoff: Backoff,
    /// In `[0, 1)`.
    pub random: f64,
    /// Tries in all.
    pub max_retries: u32,
}

impl Intake {
    /// Takes the reports of this agent process.
    pub fn new(holder: Uuid) -> Self {
        Self {
            holder,
            tick: Tick::default(),
            touched: BTreeSet::new(),
        }
    }

    /// The gathered tick; a new one begins.
    pub fn take(&mut self, max_retries: i32) -> Tick {
        let mut tick = std::mem::take(&mut self.tick);
        tick.max_retries = max_retries;
        tick
    }

    /// Whether nothing was reported.
    pub fn is_empty(&self) -> bool {
        self.tick.batches.is_empty() && self.tick.partitions.is_empty()
    }

    /// Takes a frame.
    pub fn frame(&mut self, run: &mut RunWork, frame: AgentFrame, retry: Retry) -> Consequence {
        match frame {
            AgentFrame::Batch(report) => self.batch(run, report),
            AgentFrame::Claimed {
                partition_id,
                token,
                ..
            } => {
                self.note(partition_id, PartitionPhase::Running, Some(token));
                Consequence::None
            }
            AgentFrame::Progress {
                partition_id,
                rows_in_flight,
            } => {
                if let Some(partition) = run.partition_mut(partition_id) {
                    partition.in_flight = rows_in_flight;
                }
                Consequence::None
            }
            AgentFrame::Released {
                partition_id,
                reason,
            } => self.released(run, partition_id, reason, retry),
            AgentFrame::Hello(_) | AgentFrame::QueryResult { .. } => Consequence::None,
        }
    }

    /// Takes a committed batch.
    pub fn batch(&mut self, run: &mut RunWork, report: BatchReport) -> Consequence {
        if let Some(partition) = run.partition_mut(report.partition_id) {
            partition.totals = report.totals;
            partition.in_flight = 0;
            partition.step.progressed();
        }
        self.touched.insert(report.entity.clone());
        let consequence = judge(run, &report.entity);
        self.tick.batches.push(report);
        consequence
    }

    fn released(
        &mut self,
        run: &mut RunWork,
        partition_id: Uuid,
        reason: Release,
        retry: Retry,
    ) -> Consequence {
        let entity = run
            .entity_of(partition_id)
            .map(|entity| entity.entity.clone());
        let Some(partition) = run.partition_mut(partition_id) else {
            return Consequence::None;
        };
        partition.in_flight = 0;
        match reason {
            Release::Done => {
                partition.step = Step::Done;
                self.note(partition_id, PartitionPhase::Done, None);
                entity.map_or(Consequence::None, |entity| judge(run, &entity))
            }
            Release::Drained => {
                partition.step.reopen();
                self.note(partition_id, PartitionPhase::Pending, None);
                Consequence::None
            }
            Release::Stale => {
                let stale = Failure::new(
                    FailureKind::Fenced,
                    "a partition is fenced by a token of another run; nothing was written",
                );
                self.failed(run, partition_id, entity, stale, retry)
            }
            Release::Failed(failure) => self.failed(run, partition_id, entity, failure, retry),
        }
    }

    fn failed(
        &mut self,
        run: &mut RunWork,
        partition_id: Uuid,
        entity: Option<String>,
        failure: Failure,
        retry: Retry,
    ) -> Consequence {
        let Some(partition) = run.partition_mut(partition_id) else {
            return Consequence::None;
        };
        let delay = retry
            .backoff
            .delay(partition.step.tries() + 1, retry.random);
        let tries = partition.step.fail(retry.now + delay);
        let consequence = consequence(entity, failure, tries, retry.max_retries);
        let phase = match consequence {
            Consequence::Block { .. } => PartitionPhase::Blocked,
            Consequence::None | Consequence::RenewSnapshot => PartitionPhase::Pending,
        };
        self.note(partition_id, phase, None);
        consequence
    }

    fn note(&mut self, partition_id: Uuid, phase: PartitionPhase, token: Option<i64>) {
        let is_held = phase == PartitionPhase::Running;
        let holder = is_held.then_some(self.holder);
        let update = PartitionUpdate {
            partition_id,
            phase,
            holder,
            token,
        };
        self.tick.partitions.push(update);
    }
}

/// What a failed try leads to. A fence in the way is tried again too: the claim will carry a higher
/// token.
pub fn consequence(
    entity: Option<String>,
    failure: Failure,
    tries: u32,
    max_retries: u32,
) -> Consequence {
    let is_lost = matches!(
        failure.kind,
        FailureKind::SnapshotLost | FailureKind::Unreachable
    );
    let can_retry = match policy(failure.kind).0 {
        Policy::Retry | Policy::Stop => true,
        Policy::Operator => failure.kind == FailureKind::SnapshotLost,
    };
    if !can_retry || tries > max_retries {
        Consequence::Block { entity, failure }
    } else if is_lost {
        Consequence::RenewSnapshot
    } else {
        Consequence::None
    }
}

/// Whether an entity has too many bad rows by now.
pub fn judge(run: &RunWork, entity: &str) -> Consequence {
    let Some(work) = run.entity(entity) else {
        return Consequence::None;
    };
    let over = over_limit(
        entity,
        work.max_quarantined,
        &work.totals(),
        work.records_total,
        work.is_settled(),
    );
    match over {
        Some(failure) => Consequence::Block {
            entity: Some(entity.to_owned()),
            failure,
        },
        None => Consequence::None,
    }
}
