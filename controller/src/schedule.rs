//! What is to be done next. Pure: state in, actions out; the clock is an argument.
//!
//! An entity is copied once its parents' rows are settled; in a knot, once they are copied. Copies go before
//! rebuilds, big entities before small ones; both share the lanes, so that neither waits for a free one.

use uuid::Uuid;

pub use crate::work::{EntityWork, Hold, Moment, PartitionWork, Step};

/// Something to be done now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Hand a partition to the agent.
    Assign(Uuid),
    /// Have an agent try a partition of rows that failed again.
    Retry(Uuid),
    /// Close what is left of an entity that is skipped.
    Close(String),
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
        let free = self.lanes.saturating_sub(self.running());
        let again = self.retries(now);
        if self.entities.iter().all(EntityWork::is_complete) {
            if !again.is_empty() {
                actions.extend(again);
                actions.truncate(free.max(1));
            } else if self.entities.iter().any(EntityWork::is_retrying) {
                // Foreign keys would wait for them, and they for those.
            } else if self.foreign_keys.can_begin(now) {
                actions.push(Action::RebuildForeignKeys);
            } else if self.foreign_keys == Step::Done
                && self.source_watch == Step::Done
                && !self.entities.iter().any(EntityWork::has_retries)
            {
                if self.schema_changes.can_begin(now) {
                    actions.push(Action::ChangeSchema);
                } else if self.schema_changes == Step::Done && self.finish.can_begin(now) {
                    actions.push(Action::Finish);
                }
            }
            return actions;
        }
        actions.extend(again);
        let closed = self
            .entities
            .iter()
            .filter(|entity| entity.hold == Hold::Skipped && entity.is_idle());
        let closed = closed.filter(|entity| entity.closing.can_begin(now));
        actions.extend(closed.map(|entity| Action::Close(entity.entity.clone())));
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
                    + usize::from(entity.closing.is_running())
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

    /// What was under way is let go: nobody waits for its end any more.
    pub fn reopen(&mut self) {
        let steps = self.entities.iter_mut().flat_map(|entity| {
            let own = [&mut entity.rebuild, &mut entity.closing];
            let parts = entity.partitions.iter_mut().chain(&mut entity.settling);
            let parts = parts.chain(&mut entity.retries).map(|part| &mut part.step);
            own.into_iter().chain(parts)
        });
        let own = [
            &mut self.source_watch,
            &mut self.foreign_keys,
            &mut self.finish,
        ];
        steps.chain(own).for_each(Step::reopen);
    }

    /// Everything is done.
    pub fn is_finished(&self) -> bool {
        self.finish == Step::Done
    }

    /// The step that an action is about.
    pub fn step_mut(&mut self, action: &Action) -> Option<&mut Step> {
        match action {
            Action::Assign(id) | Action::Retry(id) => {
                self.partition_mut(*id).map(|part| &mut part.step)
            }
            Action::Close(name) => self.entity_mut(name).map(|entity| &mut entity.closing),
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

    /// Rows that failed and can be tried again now.
    fn retries(&self, now: Moment) -> Vec<Action> {
        let mut ready = Vec::new();
        for entity in self.entities.iter().filter(|entity| self.can_retry(entity)) {
            let open = entity
                .retries
                .iter()
                .filter(|part| part.step.can_begin(now));
            ready.extend(open.map(|part| Action::Retry(part.partition_id)));
        }
        ready
    }

    /// Rows of an entity can be written outside of its load: their parents are settled, no key is being built over
    /// its table, and what refers to rows that come later is looked at afterwards, by the settling or by the keys.
    pub fn can_retry(&self, entity: &EntityWork) -> bool {
        let mut writers = self
            .entities
            .iter()
            .filter(|other| other.destination == entity.destination);
        let is_building = writers.any(|other| other.rebuild.is_running())
            || self.foreign_keys.is_running()
            || self.finish.is_running();
        let is_settling = |step: Step| step.is_running();
        let late = self
            .knot(entity)
            .filter_map(|member| member.settling.as_ref());
        let late: Vec<Step> = late.map(|part| part.step).collect();
        let is_looked_at =
            self.foreign_keys == Step::Done || late.iter().all(|step| *step != Step::Done);
        // What becomes of parents decides what becomes of their children.
        let mut parents = entity
            .dependencies
            .iter()
            .filter(|name| !entity.knot.contains(name))
            .filter_map(|name| self.entity(name));
        entity.hold == Hold::None
            && self.waits_on(entity).is_empty()
            && !parents.any(EntityWork::has_retries)
            && !is_building
            && is_looked_at
            && !late.into_iter().any(is_settling)
    }

    /// It stands for its knot, whose rows are all there, and the rows that they refer to are settled.
    fn can_settle(&self, entity: &EntityWork) -> bool {
        let mut members = self.knot(entity);
        let is_ready = |member: &EntityWork| {
            let mut late = member.late.iter().filter_map(|name| self.entity(name));
            member.hold != Hold::Paused
                && member.is_copied()
                && !member.is_retrying()
                && late.all(EntityWork::is_settled)
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
        let is_settled = writers
            .clone()
            .all(|other| other.is_settled() && !other.is_retrying());
        let next = writers.find(|other| other.rebuild != Step::Done);
        is_settled && next.is_some_and(|next| next.entity == entity.entity)
    }

    fn can_copy(&self, entity: &EntityWork) -> bool {
        entity.hold == Hold::None && self.waits_on(entity).is_empty()
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
