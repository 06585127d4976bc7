//! What is to be done next. Pure: state in, actions out; the clock is an argument.
//!
//! An entity is copied once its parents' rows are settled; in a knot, once they are copied. Copies go before
//! rebuilds, big entities before small ones; both share the lanes, so that neither waits for a free one.

use std::time::Duration;

use proto::domain::catalog::TableName;
use proto::domain::compiled::MaxQuarantined;
use proto::domain::frame::Counts;
use proto::domain::key::KeyRange;
use uuid::Uuid;

/// A moment, as time since the run began.
pub type Moment = Duration;

/// Something to be done now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Hand a partition to the agent.
    Assign(Uuid),
    /// Settle the late references of an entity and of all in its knot; it is the first of them.
    Settle(String),
    /// Rebuild an entity's keys and indexes.
    RebuildKeys(String),
    /// Look whether the source was written to while it was read.
    WatchSource,
    /// Put the foreign keys back.
    RebuildForeignKeys,
    /// Make the schema changes that come after the data.
    ChangeSchema,
    /// Mark the run as finished at the destination.
    Finish,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Not begun, or to be tried again; not before this moment.
    Open {
        /// Failed tries so far.
        tries: u32,
        /// Earliest next try.
        not_before: Moment,
    },
    /// Under way.
    Running {
        /// Failed tries so far.
        tries: u32,
    },
    /// Done.
    Done,
}

impl Step {
    /// A step that can begin at once.
    pub const OPEN: Self = Self::Open {
        tries: 0,
        not_before: Duration::ZERO,
    };

    /// Whether it may begin at this moment.
    pub fn can_begin(self, now: Moment) -> bool {
        matches!(self, Self::Open { not_before, .. } if not_before <= now)
    }

    /// Begins it.
    pub fn begin(&mut self) {
        if let Self::Open { tries, .. } = *self {
            *self = Self::Running { tries };
        }
    }

    /// It failed: the number of failed tries by now.
    pub fn fail(&mut self, not_before: Moment) -> u32 {
        let tries = match *self {
            Self::Open { tries, .. } | Self::Running { tries } => tries + 1,
            Self::Done => return 0,
        };
        *self = Self::Open { tries, not_before };
        tries
    }

    /// Failed tries since it last got further.
    pub const fn tries(self) -> u32 {
        match self {
            Self::Open { tries, .. } | Self::Running { tries } => tries,
            Self::Done => 0,
        }
    }

    /// It got further: earlier failures no longer count.
    pub fn progressed(&mut self) {
        if let Self::Running { tries } = self {
            *tries = 0;
        }
    }

    /// It was let go without a fault.
    pub fn reopen(&mut self) {
        if let Self::Running { tries } = *self {
            *self = Self::Open {
                tries,
                not_before: Duration::ZERO,
            };
        }
    }

    /// It could not be begun: not before this moment.
    pub fn postpone(&mut self, not_before: Moment) {
        if let Self::Running { tries } = *self {
            *self = Self::Open { tries, not_before };
        }
    }

    /// It is under way.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// A partition of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionWork {
    /// The partition.
    pub partition_id: Uuid,
    /// Its number.
    pub number: i32,
    /// Its keys.
    pub range: KeyRange,
    /// How far it is.
    pub step: Step,
    /// Totals so far.
    pub totals: Counts,
    /// Rows read beyond the last batch.
    pub in_flight: i64,
    /// Rises with every assignment.
    pub generation: i64,
    /// The agent it is assigned to, while it runs.
    pub holder: Option<Uuid>,
    /// Batches that were reported, without a gap.
    pub seq: i64,
    /// Highest token that was seen; 0 before the first claim.
    pub token: i64,
    /// Its last batch was reported.
    pub is_last_seen: bool,
}

/// An entity in the works.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityWork {
    /// Its name.
    pub entity: String,
    /// Hash of its rules.
    pub entity_hash: String,
    /// Table that its rows go to; others may write it too.
    pub destination: TableName,
    /// Entities whose rows must be settled first.
    pub dependencies: Vec<String>,
    /// Entities that are settled together with it, itself among them.
    pub knot: Vec<String>,
    /// Others whose rows must be settled before its late references are.
    pub late: Vec<String>,
    /// Its partitions, the settling one apart.
    pub partitions: Vec<PartitionWork>,
    /// The settling partition, where it is in a knot.
    pub settling: Option<PartitionWork>,
    /// Keys and indexes.
    pub rebuild: Step,
    /// Rows it is thought to have.
    pub records_total: i64,
    /// They were counted.
    pub is_exact: bool,
    /// Limit of bad rows.
    pub max_quarantined: MaxQuarantined,
}

impl EntityWork {
    /// Every row is copied.
    pub fn is_copied(&self) -> bool {
        self.partitions
            .iter()
            .all(|partition| partition.step == Step::Done)
    }

    /// Every row is copied and no late reference hangs: children may start.
    pub fn is_settled(&self) -> bool {
        self.is_copied()
            && self
                .settling
                .as_ref()
                .is_none_or(|part| part.step == Step::Done)
    }

    /// Nothing is left to do but foreign keys.
    pub fn is_complete(&self) -> bool {
        self.is_settled() && self.rebuild == Step::Done
    }

    /// Totals over its partitions.
    pub fn totals(&self) -> Counts {
        self.all().fold(Counts::default(), |sum, partition| {
            sum.plus(&partition.totals)
        })
    }

    /// All partitions with the settling one.
    pub fn all(&self) -> impl Iterator<Item = &PartitionWork> {
        self.partitions.iter().chain(&self.settling)
    }

    /// All partitions with the settling one.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut PartitionWork> {
        self.partitions.iter_mut().chain(&mut self.settling)
    }
}

/// A run in the works.
#[derive(Debug, Clone, PartialEq)]
pub struct RunWork {
    /// Active entities in dependency order.
    pub entities: Vec<EntityWork>,
    /// Things that can be done at the same time.
    pub lanes: usize,
    /// The source was not written to while it was read; done where nobody asks.
    pub source_watch: Step,
    /// Foreign keys.
    pub foreign_keys: Step,
    /// Schema changes after the data; done where there are none.
    pub schema_changes: Step,
    /// The destination's mark.
    pub finish: Step,
}

impl RunWork {
    /// What to begin now. Calling it again after beginning everything gives nothing.
    pub fn next_actions(&self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        // Before the rebuilds: what it may find makes them useless.
        if self.entities.iter().all(EntityWork::is_settled) && self.source_watch.can_begin(now) {
            actions.push(Action::WatchSource);
        }
        if self.entities.iter().all(EntityWork::is_complete) {
            if self.foreign_keys.can_begin(now) {
                actions.push(Action::RebuildForeignKeys);
            } else if self.foreign_keys == Step::Done && self.source_watch == Step::Done {
                if self.schema_changes.can_begin(now) {
                    actions.push(Action::ChangeSchema);
                } else if self.schema_changes == Step::Done && self.finish.can_begin(now) {
                    actions.push(Action::Finish);
                }
            }
            return actions;
        }
        let free = self.lanes.saturating_sub(self.running());
        let settle = self.entities.iter().filter(|entity| {
            let part = entity.settling.as_ref();
            part.is_some_and(|part| part.step.can_begin(now)) && self.can_settle(entity)
        });
        actions.extend(settle.map(|entity| Action::Settle(entity.entity.clone())));
        let mut ready: Vec<&EntityWork> = self
            .entities
            .iter()
            .filter(|entity| self.can_copy(entity))
            .collect();
        ready.sort_by_key(|entity| std::cmp::Reverse(entity.records_total));
        let copies = ready.into_iter().flat_map(|entity| &entity.partitions);
        let copies = copies.filter(|part| part.step.can_begin(now));
        actions.extend(copies.map(|part| Action::Assign(part.partition_id)));
        let rebuilds = self
            .entities
            .iter()
            .filter(|entity| self.can_rebuild(entity));
        let rebuilds = rebuilds.filter(|entity| entity.rebuild.can_begin(now));
        actions.extend(rebuilds.map(|entity| Action::RebuildKeys(entity.entity.clone())));
        actions.truncate(free);
        actions
    }

    /// Things under way.
    pub fn running(&self) -> usize {
        let entities = self.entities.iter();
        let of_entities: usize = entities
            .map(|entity| {
                entity.all().filter(|part| part.step.is_running()).count()
                    + usize::from(entity.rebuild.is_running())
            })
            .sum();
        of_entities
            + usize::from(self.source_watch.is_running())
            + usize::from(self.foreign_keys.is_running())
            + usize::from(self.schema_changes.is_running())
            + usize::from(self.finish.is_running())
    }

    /// Counts were taken under another snapshot: they are estimates now.
    pub fn forget_counts(&mut self) {
        for entity in &mut self.entities {
            entity.is_exact = false;
        }
    }

    /// Everything is done.
    pub fn is_finished(&self) -> bool {
        self.finish == Step::Done
    }

    /// The step that an action is about.
    pub fn step_mut(&mut self, action: &Action) -> Option<&mut Step> {
        match action {
            Action::Assign(id) => self.partition_mut(*id).map(|part| &mut part.step),
            Action::Settle(name) => self
                .entity_mut(name)?
                .settling
                .as_mut()
                .map(|part| &mut part.step),
            Action::RebuildKeys(name) => self.entity_mut(name).map(|entity| &mut entity.rebuild),
            Action::WatchSource => Some(&mut self.source_watch),
            Action::RebuildForeignKeys => Some(&mut self.foreign_keys),
            Action::ChangeSchema => Some(&mut self.schema_changes),
            Action::Finish => Some(&mut self.finish),
        }
    }

    /// A knot is settled: all its settling partitions are done, not only the one that stands for them.
    pub fn knot_settled(&mut self, first: &str) {
        let knot = self.entity(first).map(|entity| entity.knot.clone());
        let knot = knot.unwrap_or_default();
        let members = self.entities.iter_mut();
        for member in members.filter(|member| knot.contains(&member.entity)) {
            if let Some(part) = &mut member.settling {
                part.step = Step::Done;
            }
        }
    }

    /// The active entities that are settled together with one.
    pub fn knot(&self, entity: &EntityWork) -> impl Iterator<Item = &EntityWork> {
        let members = self.entities.iter();
        members.filter(|member| entity.knot.contains(&member.entity))
    }

    /// An entity by name.
    pub fn entity_mut(&mut self, name: &str) -> Option<&mut EntityWork> {
        self.entities
            .iter_mut()
            .find(|entity| entity.entity == name)
    }

    /// An entity by name.
    pub fn entity(&self, name: &str) -> Option<&EntityWork> {
        self.entities.iter().find(|entity| entity.entity == name)
    }

    /// A partition and the entity it belongs to.
    pub fn partition_mut(&mut self, partition_id: Uuid) -> Option<&mut PartitionWork> {
        self.entities
            .iter_mut()
            .flat_map(EntityWork::all_mut)
            .find(|partition| partition.partition_id == partition_id)
    }

    /// The entity that a partition belongs to.
    pub fn entity_of(&self, partition_id: Uuid) -> Option<&EntityWork> {
        self.entities
            .iter()
            .find(|entity| entity.all().any(|part| part.partition_id == partition_id))
    }

    /// Parents that keep an entity waiting.
    pub fn waits_on(&self, entity: &EntityWork) -> Vec<String> {
        let is_missing = |parent: &EntityWork| match entity.knot.contains(&parent.entity) {
            true => !parent.is_copied(),
            false => !parent.is_settled(),
        };
        let names = entity.dependencies.iter();
        names
            .filter(|name| self.entity(name).is_some_and(is_missing))
            .cloned()
            .collect()
    }

    /// It stands for its knot, whose rows are all there, and the rows that they refer to are settled.
    fn can_settle(&self, entity: &EntityWork) -> bool {
        let mut members = self.knot(entity);
        let is_ready = |member: &EntityWork| {
            let mut late = member.late.iter().filter_map(|name| self.entity(name));
            member.is_copied() && late.all(EntityWork::is_settled)
        };
        let first = self.knot(entity).next();
        first.is_some_and(|first| first.entity == entity.entity) && members.all(is_ready)
    }

    /// All rows of the table are there, and it is the turn of this one of the entities that write it.
    fn can_rebuild(&self, entity: &EntityWork) -> bool {
        let mut writers = self
            .entities
            .iter()
            .filter(|other| other.destination == entity.destination);
        let is_settled = writers.clone().all(EntityWork::is_settled);
        let next = writers.find(|other| other.rebuild != Step::Done);
        is_settled && next.is_some_and(|next| next.entity == entity.entity)
    }

    fn can_copy(&self, entity: &EntityWork) -> bool {
        self.waits_on(entity).is_empty()
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
