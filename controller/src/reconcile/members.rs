//! Agents come, go and come back: what they hold is adopted, what they leave goes to others.

use std::time::Duration;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{HeldPartition, Query, QueryAnswer};
use proto::lease::LeaseStore;
use uuid::Uuid;

use super::Reconciler;
use crate::era::lease_failure;
use crate::fleet::misfit;
use crate::intake::consequence;
use crate::prepare::SHORT;
use crate::quiesce::SEALED_TOGETHER;
use crate::schedule::{EntityWork, Step};

/// How long an agent that owns partitions may take to dial a controller that has just begun: as long as
/// its lease can last.
const EXPECTED_FOR: Duration = Duration::from_secs(10);
/// How long after a try another agent is asked to hold the snapshot.
const SHARE_AGAIN: Duration = Duration::from_secs(1);
/// Batches that are read out of the ledger at a time.
const LEDGER_PAGE: u32 = 200;

impl<L: LeaseStore> Reconciler<L> {
    /// Takes over what agents are at work on already, after a restart of the controller.
    pub(super) async fn adopt(&mut self) -> Result<(), Failure> {
        let id = self.job.migration.id;
        let lease = &self.links.lease;
        let assignments = lease
            .assignments(id)
            .await
            .map_err(|error| lease_failure(&error))?;
        let owners = lease
            .owners(id)
            .await
            .map_err(|error| lease_failure(&error))?;
        for (partition_id, assigned) in assignments {
            if let Some(partition) = self.run.partition_mut(partition_id) {
                partition.generation = partition.generation.max(assigned.generation);
            }
        }
        let members = std::mem::take(&mut self.links.members);
        for member in members.iter().filter(|member| member.is_connected) {
            let of = |held: &&HeldPartition| held.migration_id == id;
            let held: Vec<HeldPartition> = member.held.iter().filter(of).copied().collect();
            if !held.iter().all(|held| self.adopt_held(member.holder, held)) {
                self.job.crew.drain_holder(member.holder);
            }
        }
        let is_connected = |holder: Uuid| {
            members
                .iter()
                .any(|member| member.holder == holder && member.is_connected)
        };
        let deadline = self.begun.elapsed() + EXPECTED_FOR;
        for owner in owners.iter().filter(|owner| !is_connected(owner.holder)) {
            let Some(partition) = self.run.partition_mut(owner.partition_id) else {
                continue;
            };
            if partition.step == Step::OPEN {
                partition.step.begin();
                partition.holder = Some(owner.holder);
                self.expected.insert(owner.holder, deadline);
            }
        }
        Ok(())
    }

    /// Marks a partition as running in an agent's hands; false where it is not the agent's.
    fn adopt_held(&mut self, holder: Uuid, held: &HeldPartition) -> bool {
        let Some(partition) = self.run.partition_mut(held.partition_id) else {
            return false;
        };
        let is_same = partition.generation == held.generation;
        match partition.step {
            Step::Done => true,
            Step::Running { .. } => is_same && partition.holder == Some(holder),
            Step::Open { .. } if is_same => {
                partition.step.begin();
                partition.holder = Some(holder);
                true
            }
            Step::Open { .. } => false,
        }
    }

    /// An agent is there (again): what it no longer holds is open, what it should not hold is given back.
    pub(super) fn joined(&mut self, holder: Uuid, held: &[HeldPartition]) {
        self.expected.remove(&holder);
        self.job.crew.meet_again(holder);
        self.job.crew.vet_newcomers();
        for partition in self
            .run
            .entities
            .iter_mut()
            .flat_map(|entity| entity.all_mut())
        {
            let is_held = held.iter().any(|held| {
                held.partition_id == partition.partition_id
                    && held.generation == partition.generation
            });
            if partition.holder == Some(holder) && !is_held {
                partition.step.reopen();
                partition.holder = None;
            }
        }
        let is_sound = held.iter().all(|held| self.adopt_held(holder, held));
        if !is_sound || self.ending.is_some() {
            self.job.crew.drain_holder(holder);
        }
    }

    /// An agent is gone. Its partitions go to others; a partition that kills one agent after the other is
    /// the operator's.
    pub(super) async fn left(&mut self, holder: Uuid) -> Result<(), Failure> {
        self.expected.remove(&holder);
        self.job.crew.forget(holder);
        let now = self.begun.elapsed();
        let limit = self.job.compiled.limits.max_retries;
        let mut consequences = Vec::new();
        for entity in &mut self.run.entities {
            let name = entity.entity.clone();
            for partition in entity.all_mut().filter(|part| part.holder == Some(holder)) {
                partition.holder = None;
                partition.in_flight = 0;
                let tries = partition.step.fail(now);
                let words = format!(
                    "the agents that worked on a partition of {name} were lost {tries} times"
                );
                let failure = Failure::new(FailureKind::NoAgent, words);
                consequences.push(consequence(Some(name.clone()), failure, tries, limit));
            }
        }
        for consequence in consequences {
            self.follow(consequence).await?;
        }
        if self.snapshot_holder == Some(holder) && !self.is_read() {
            self.snapshot_holder = None;
            self.former_holder = Some(holder);
            self.follow(crate::intake::Consequence::RenewSnapshot)
                .await?;
        }
        Ok(())
    }

    /// Keeps the snapshot in two agents' hands, where there are two.
    pub(super) fn share_snapshot(&mut self) {
        let now = self.begun.elapsed();
        while self.sharing.try_join_next().is_some() {}
        let is_needed = self.snapshot_holder.is_some() && self.ending.is_none() && !self.is_read();
        if !is_needed || !self.sharing.is_empty() || now < self.share_next {
            return;
        }
        if let Some(sharing) = self.job.share_snapshot() {
            self.share_next = now + SHARE_AGAIN;
            self.sharing.spawn(sharing);
        }
    }

    /// Gives up on agents that own partitions and did not dial in time.
    pub(super) async fn give_up_expected(&mut self) -> Result<(), Failure> {
        let now = self.begun.elapsed();
        let late: Vec<Uuid> = self
            .expected
            .iter()
            .filter(|(_, deadline)| **deadline <= now)
            .map(|(holder, _)| *holder)
            .collect();
        for holder in late {
            self.left(holder).await?;
        }
        Ok(())
    }

    /// Reads reports that were lost out of the destination's ledger. What cannot be read now is read later.
    pub(super) async fn catch_up(&mut self) -> Result<(), Failure> {
        if self.behind.is_empty() || !self.catching_up.can_begin(self.begun.elapsed()) {
            return Ok(());
        }
        self.catching_up = Step::OPEN;
        for partition_id in std::mem::take(&mut self.behind) {
            match self.read_ledger(partition_id).await {
                Ok(()) => {}
                Err(failure) if failure.kind == FailureKind::Fenced => return Err(failure),
                Err(failure) => {
                    tracing::warn!(%partition_id, reason = %failure, "the ledger cannot be read yet");
                    self.behind.insert(partition_id);
                    let delay = self.backoff.delay(4, rand::random());
                    self.catching_up.fail(self.begun.elapsed() + delay);
                }
            }
        }
        Ok(())
    }

    async fn read_ledger(&mut self, partition_id: Uuid) -> Result<(), Failure> {
        loop {
            let Some(partition) = self.run.partition_mut(partition_id) else {
                return Ok(());
            };
            let query = Query::ReadLedger {
                partition_id,
                after_seq: partition.seq,
                limit: LEDGER_PAGE,
            };
            let QueryAnswer::Ledger(batches) = self.job.ask(query, SHORT).await? else {
                return Err(misfit());
            };
            if batches.is_empty() {
                self.intake.is_caught_up(&mut self.run, partition_id);
                return Ok(());
            }
            for batch in batches {
                let consequence = self.intake.batch(&mut self.run, batch);
                // A gap inside the ledger would lead back here.
                if !matches!(consequence, crate::intake::Consequence::CatchUp(_)) {
                    Box::pin(self.follow(consequence)).await?;
                }
            }
        }
    }

    /// Takes back what agents did not give back in time: the seal keeps them from writing.
    pub(super) fn take_back(&mut self) {
        let partitions = self.run.entities.iter_mut().flat_map(EntityWork::all_mut);
        for partition in partitions.filter(|part| part.holder.is_some() && part.step.is_running()) {
            tracing::warn!(partition_id = %partition.partition_id, "a partition was not given back in time");
            partition.step.reopen();
            if let Some(holder) = partition.holder.take() {
                self.job.crew.take_from(holder, partition.partition_id);
            }
            partition.in_flight = 0;
        }
    }

    /// Fences every partition that is not done: its holder may be gone, wait for a commit whose answer is lost,
    /// or have a claim of which nobody heard. Whatever is still under way is refused from now on.
    pub(super) async fn seal(&mut self) -> Result<(), Failure> {
        let open: Vec<Uuid> = self
            .run
            .entities
            .iter()
            .flat_map(EntityWork::all)
            .filter(|part| part.step != Step::Done)
            .map(|part| part.partition_id)
            .collect();
        // One question at least: it ends what a lost agent left building, too.
        let chunks = open.chunks(SEALED_TOGETHER).map(<[Uuid]>::to_vec);
        for partitions in chunks.chain(open.is_empty().then(Vec::new)) {
            self.seal_some(partitions).await?;
        }
        Ok(())
    }

    /// Fences some partitions.
    pub(super) async fn seal_some(&mut self, partitions: Vec<Uuid>) -> Result<(), Failure> {
        let token = self
            .links
            .lease
            .mint(&self.links.leadership)
            .await
            .map_err(|error| lease_failure(&error))?;
        let query = Query::Seal {
            partitions,
            attempt: self.job.migration.attempt,
            token,
        };
        match self.job.ask(query, SHORT).await? {
            QueryAnswer::Done => Ok(()),
            _ => Err(misfit()),
        }
    }
}
