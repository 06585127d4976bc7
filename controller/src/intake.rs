//! What agents report: applied to the run in memory, gathered for the next tick.

use std::collections::{BTreeMap, BTreeSet};

use proto::domain::failure::{Failure, FailureKind, Policy, policy};
use proto::domain::frame::{AgentFrame, BatchReport, Release};
use proto::runtime::backoff::Backoff;
use uuid::Uuid;

use crate::quarantine::over_limit;
use crate::schedule::{Hold, Moment, RunWork, Step};
use crate::store::{PartitionPhase, PartitionUpdate, Tick};

/// What follows from a report, beyond the run's own state.
#[derive(Debug, Clone, PartialEq)]
pub enum Consequence {
    /// Nothing.
    None,
    /// Reports of this partition are missing: they are in the destination's ledger.
    CatchUp(Uuid),
    /// The agent cannot do the migration's work, others may.
    Exclude {
        /// The agent.
        holder: Uuid,
        /// Why.
        failure: Failure,
    },
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
#[derive(Debug, Default)]
pub struct Intake {
    tick: Tick,
    /// Entities with reports since the last tick.
    pub touched: BTreeSet<String>,
    /// Batches taken from each agent since the last tick: acknowledged once they are stored.
    pub received: BTreeMap<Uuid, u32>,
    /// What an agent said last that holds it up, and when.
    pub throttle: Option<(String, Moment)>,
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

    /// Takes a frame of an agent. What an agent says of a partition that is no longer its own, or of an
    /// earlier assignment of it, counts for nothing, apart from batches: those are in the ledger.
    pub fn frame(
        &mut self,
        run: &mut RunWork,
        holder: Uuid,
        frame: AgentFrame,
        retry: Retry,
    ) -> Consequence {
        let is_own = |run: &mut RunWork, partition_id: Uuid| {
            run.partition_mut(partition_id)
                .is_some_and(|part| part.holder == Some(holder))
        };
        let is_present = |run: &mut RunWork, partition_id: Uuid, generation: i64| {
            is_own(run, partition_id)
                && run
                    .partition_mut(partition_id)
                    .is_some_and(|part| part.generation == generation)
        };
        match frame {
            AgentFrame::Batch { report, .. } => {
                *self.received.entry(holder).or_default() += 1;
                self.batch(run, *report)
            }
            AgentFrame::Claimed {
                partition_id,
                generation,
                token,
                seq,
                ..
            } if is_present(run, partition_id, generation) => {
                self.claimed(run, holder, (partition_id, token, seq))
            }
            AgentFrame::Progress {
                partition_id,
                rows_in_flight,
                throttle,
                ..
            } if is_own(run, partition_id) => {
                if let Some(words) = throttle {
                    self.throttle = Some((words, retry.now));
                }
                if let Some(partition) = run.partition_mut(partition_id) {
                    partition.in_flight = rows_in_flight;
                }
                Consequence::None
            }
            AgentFrame::Released {
                partition_id,
                generation,
                reason,
                ..
            } if is_present(run, partition_id, generation) => {
                self.released(run, partition_id, reason, retry)
            }
            AgentFrame::Claimed { .. }
            | AgentFrame::Progress { .. }
            | AgentFrame::Released { .. }
            | AgentFrame::Hello(_)
            | AgentFrame::QueryResult { .. } => Consequence::None,
        }
    }

    /// Takes a committed batch: the next one of its partition, or one that is known, or one behind a gap.
    pub fn batch(&mut self, run: &mut RunWork, report: BatchReport) -> Consequence {
        let Some(partition) = run.partition_mut(report.partition_id) else {
            return Consequence::None;
        };
        if report.seq <= partition.seq {
            return Consequence::None;
        }
        if report.seq > partition.seq + 1 {
            return Consequence::CatchUp(report.partition_id);
        }
        partition.seq = report.seq;
        partition.totals = report.totals;
        partition.token = partition.token.max(report.token);
        partition.is_last_seen = report.is_last;
        partition.in_flight = 0;
        partition.step.progressed();
        self.touched.insert(report.entity.clone());
        let consequence = judge(run, &report.entity);
        self.tick.batches.push(report);
        consequence
    }

    /// Every batch of a partition was taken: one that was released as done is done.
    pub fn is_caught_up(&mut self, run: &mut RunWork, partition_id: Uuid) {
        if let Some(partition) = run.partition_mut(partition_id)
            && partition.is_last_seen
            && partition.step != Step::Done
            && partition.holder.is_none()
        {
            partition.step = Step::Done;
            self.note(partition_id, PartitionPhase::Done, None);
        }
    }

    fn claimed(
        &mut self,
        run: &mut RunWork,
        holder: Uuid,
        (partition_id, token, seq): (Uuid, i64, i64),
    ) -> Consequence {
        self.note(partition_id, PartitionPhase::Running, Some((holder, token)));
        match run.partition_mut(partition_id) {
            Some(partition) => {
                partition.token = partition.token.max(token);
                if seq > partition.seq {
                    Consequence::CatchUp(partition_id)
                } else {
                    Consequence::None
                }
            }
            None => Consequence::None,
        }
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
        let holder = partition.holder.take();
        match reason {
            Release::Done if partition.is_last_seen => {
                partition.step = Step::Done;
                self.note(partition_id, PartitionPhase::Done, None);
                entity.map_or(Consequence::None, |entity| judge(run, &entity))
            }
            // Reports were lost on the way. It stays as it is until the ledger was read.
            Release::Done => Consequence::CatchUp(partition_id),
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
                self.failed(run, (partition_id, entity), stale, retry)
            }
            Release::Failed(failure) => match holder {
                Some(holder) if is_the_agents(failure.kind) => {
                    partition.step.reopen();
                    self.note(partition_id, PartitionPhase::Pending, None);
                    Consequence::Exclude { holder, failure }
                }
                _ => self.failed(run, (partition_id, entity), failure, retry),
            },
        }
    }

    fn failed(
        &mut self,
        run: &mut RunWork,
        (partition_id, entity): (Uuid, Option<String>),
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
            Consequence::None
            | Consequence::CatchUp(_)
            | Consequence::Exclude { .. }
            | Consequence::RenewSnapshot => PartitionPhase::Pending,
        };
        self.note(partition_id, phase, None);
        consequence
    }

    fn note(&mut self, partition_id: Uuid, phase: PartitionPhase, claim: Option<(Uuid, i64)>) {
        let update = PartitionUpdate {
            partition_id,
            phase,
            holder: claim.map(|(holder, _)| holder),
            token: claim.map(|(_, token)| token),
        };
        self.tick.partitions.push(update);
    }
}

/// A failure of the agent's own configuration, not of the migration.
const fn is_the_agents(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Denied | FailureKind::IdentityChanged)
}

/// What a failed try leads to. A fence in the way is tried again too: the claim will carry a higher
/// token.
pub fn consequence(
    entity: Option<String>,
    mut failure: Failure,
    tries: u32,
    max_retries: u32,
) -> Consequence {
    if tries > max_retries && failure.kind == FailureKind::NoAgent {
        // One after the other was lost with it: that does not pass by waiting for the next.
        failure.kind = FailureKind::AgentsLost;
    }
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
    // Rows that are still to be tried again may turn out well; and who goes on without an entity does not mind.
    if work.has_retries() || work.hold == Hold::Skipped {
        return Consequence::None;
    }
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

#[cfg(test)]
#[path = "intake_tests.rs"]
mod tests;
