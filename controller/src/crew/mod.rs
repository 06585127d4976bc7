//! A migration's view of the fleet: the agents that can work on it, each briefed with its run before
//! the first piece of work.

mod vetting;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::domain::compiled::CompiledPlan;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{
    Assignment, ControllerFrame, DatabaseIdentity, HeldPartition, Query, QueryAnswer, RunOrder,
};
use uuid::Uuid;

use crate::fleet::{Fleet, Line, MemberView, Question};
use crate::placement::{self, Demand};

use vetting::Verdict;

/// The agents of one migration. Clones are the same crew.
#[derive(Debug, Clone)]
pub struct Crew {
    fleet: Fleet,
    migration_id: Option<Uuid>,
    demand: Demand,
    briefing: Arc<Mutex<Briefing>>,
}

#[derive(Debug, Default)]
struct Briefing {
    order: Option<RunOrder>,
    /// Agents that have it.
    briefed: HashSet<Uuid>,
    /// Source and destination as they were when the migration was created.
    identities: Option<(DatabaseIdentity, DatabaseIdentity)>,
    /// Agents whose connections lead there, and those whose do not, with the reason.
    vetted: HashMap<Uuid, Verdict>,
    is_vetting: bool,
}

impl Crew {
    /// Agents of the fleet that meet the demand.
    pub fn new(fleet: Fleet, migration_id: Option<Uuid>, demand: Demand) -> Self {
        Self {
            fleet,
            migration_id,
            demand,
            briefing: Arc::default(),
        }
    }

    /// The same crew, for a migration that exists by now.
    #[must_use]
    pub fn of_migration(self, migration_id: Uuid) -> Self {
        Self {
            migration_id: Some(migration_id),
            ..self
        }
    }

    /// Whether an agent is there that may work on the migration.
    pub fn has_agents(&self) -> bool {
        self.members().iter().any(|member| self.demand.fits(member))
    }

    /// Why nobody can work on the migration, in words; none when somebody can.
    pub fn want(&self) -> Option<String> {
        (!self.has_agents()).then(|| self.nobody().message)
    }

    /// The agents that may work on the migration, as far as their connections go.
    fn members(&self) -> Vec<MemberView> {
        let briefing = self.lock();
        let mut members = self.fleet.members();
        members.retain(|member| match briefing.vetted.get(&member.holder) {
            Some(verdict) => matches!(verdict, Verdict::Fits),
            None => briefing.identities.is_none(),
        });
        members
    }

    /// The fleet.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// What an agent needs.
    pub fn demand(&self) -> &Demand {
        &self.demand
    }

    /// Things that can be done at the same time.
    pub fn lanes(&self, limit: u32) -> usize {
        let id = self.migration_id.unwrap_or_default();
        placement::lanes(&self.demand, &self.members(), id, limit)
    }

    /// Agents that take the migration's partitions.
    pub fn workers(&self) -> usize {
        let members = self.members();
        members
            .iter()
            .filter(|member| self.demand.takes_work(member))
            .count()
    }

    /// The agent for the next partition; none when everybody is busy.
    pub fn next_holder(&self) -> Option<Uuid> {
        placement::for_partition(&self.demand, &self.members()).map(|member| member.holder)
    }

    /// Replaces the run that agents work on: each gets it before its next piece of work.
    pub fn brief(&self, order: RunOrder) {
        let mut briefing = self.lock();
        briefing.order = Some(order);
        briefing.briefed.clear();
    }

    /// The same run by a plan whose settings changed: each agent gets it before its next piece of work.
    pub fn rebrief(&self, plan: &CompiledPlan) {
        let mut briefing = self.lock();
        if let Some(order) = &mut briefing.order {
            order.plan = plan.clone();
        }
        briefing.briefed.clear();
    }

    /// An agent may have forgotten the run: it gets it again before its next piece of work.
    pub fn forget(&self, holder: Uuid) {
        self.lock().briefed.remove(&holder);
    }

    /// An agent dialled again: it may have another configuration by now.
    pub fn meet_again(&self, holder: Uuid) {
        let mut briefing = self.lock();
        briefing.briefed.remove(&holder);
        briefing.vetted.remove(&holder);
    }

    /// Asks any agent that fits.
    ///
    /// # Errors
    /// `NoAgent` when there is none; else the agent's own answer.
    pub async fn ask(&self, query: Query, deadline: Duration) -> Result<QueryAnswer, Failure> {
        self.ask_someone(query, deadline)
            .await
            .map(|(_, answer)| answer)
    }

    /// As [`Crew::ask`]; tells who answered.
    pub async fn ask_someone(
        &self,
        query: Query,
        deadline: Duration,
    ) -> Result<(Uuid, QueryAnswer), Failure> {
        let members = self.members();
        let chosen = placement::for_question(&self.demand, &members).map(|member| member.holder);
        let holder = chosen.ok_or_else(|| self.nobody())?;
        self.ask_holder(holder, query, deadline)
            .await
            .map(|answer| (holder, answer))
    }

    /// Asks one agent.
    pub async fn ask_holder(
        &self,
        holder: Uuid,
        query: Query,
        deadline: Duration,
    ) -> Result<QueryAnswer, Failure> {
        let line = self.briefed_line(holder)?;
        let question = Question {
            migration_id: self.migration_id,
            connections: self.demand.connections.clone(),
            query,
            deadline,
        };
        line.ask(question).await
    }

    /// Hands a partition to an agent.
    pub fn assign(&self, holder: Uuid, assignment: Assignment) -> Result<(), Failure> {
        self.briefed_line(holder)?;
        let held = HeldPartition {
            migration_id: assignment.migration_id,
            partition_id: assignment.partition_id,
            generation: assignment.generation,
        };
        self.fleet
            .assign(holder, ControllerFrame::Assign(assignment), held)
    }

    /// Has every agent give the migration's partitions back.
    pub fn drain(&self) {
        for member in self.fleet.members() {
            self.drain_holder(member.holder);
        }
    }

    /// Has one agent give the migration's partitions back.
    pub fn drain_holder(&self, holder: Uuid) {
        self.forget(holder);
        let frame = ControllerFrame::Drain {
            migration_id: self.migration_id,
        };
        if let Some(line) = self.fleet.line(holder) {
            // One that is gone gives nothing back; that is seen elsewhere.
            let _ = line.order(frame);
        }
    }

    /// A partition is no longer an agent's, whatever it still does with it.
    pub fn take_from(&self, holder: Uuid, partition_id: Uuid) {
        let id = self.migration_id.unwrap_or_default();
        self.fleet.take_from(holder, id, partition_id);
    }

    /// Lets an agent send more batches.
    pub fn acknowledge(&self, holder: Uuid, credits: u32) {
        let id = self.migration_id.unwrap_or_default();
        self.fleet.acknowledge(holder, id, credits);
    }

    /// Agents that hold the migration's snapshot already.
    pub fn snapshot_holders(&self) -> Vec<Uuid> {
        let id = self.migration_id.unwrap_or_default();
        let members = self.members().into_iter();
        members
            .filter(|member| self.demand.fits(member) && member.snapshots.contains(&id))
            .map(|member| member.holder)
            .collect()
    }

    /// An agent that can hold the snapshot beside the only one that does; none where several do or
    /// nobody else is there.
    pub fn further_snapshot_holder(&self) -> Option<Uuid> {
        let holders = self.snapshot_holders();
        let [only] = holders.as_slice() else {
            return None;
        };
        let members = self.members();
        let region = members.iter().find(|member| member.holder == *only)?;
        members
            .iter()
            .filter(|member| member.holder != *only && self.demand.takes_work(member))
            .min_by_key(|member| (member.region == region.region, member.held.len()))
            .map(|member| member.holder)
    }

    /// An agent's way, after the run was sent over it where it was not yet.
    fn briefed_line(&self, holder: Uuid) -> Result<Line, Failure> {
        let line = self
            .fleet
            .line(holder)
            .ok_or_else(|| Failure::new(FailureKind::NoAgent, "the agent is gone"))?;
        let mut briefing = self.lock();
        if let Some(order) = &briefing.order
            && !briefing.briefed.contains(&holder)
        {
            line.order(ControllerFrame::Run(Box::new(order.clone())))?;
            briefing.briefed.insert(holder);
        }
        Ok(line)
    }

    fn nobody(&self) -> Failure {
        let connections = &self.demand.connections;
        let regions: Vec<&str> = self.demand.regions.iter().map(String::as_str).collect();
        let place = match regions.as_slice() {
            [] => String::new(),
            names => format!(" in region {}", names.join(" or ")),
        };
        let briefing = self.lock();
        let members = self.fleet.members();
        let there: Vec<String> = members
            .iter()
            .filter(|member| member.is_connected)
            .map(|member| describe(member, briefing.vetted.get(&member.holder)))
            .collect();
        let there = match there.as_slice() {
            [] => "no agent is connected".to_owned(),
            names => format!("connected are {}", names.join("; ")),
        };
        Failure::new(
            FailureKind::NoAgent,
            format!(
                "no agent{place} has the connections {} and {}: {there}",
                connections.source, connections.destination
            ),
        )
    }

    fn lock(&self) -> MutexGuard<'_, Briefing> {
        self.briefing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(member: &MemberView, verdict: Option<&Verdict>) -> String {
    let trouble = match verdict {
        Some(Verdict::Unfit(failure, _)) => format!(", but {failure}"),
        Some(Verdict::Fits) | None => String::new(),
    };
    format!(
        "{} ({}: {}{trouble})",
        member.name,
        member.region,
        member.connections.join(", ")
    )
}
