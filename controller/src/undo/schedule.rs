//! What of an undo is to be done next. Pure: state in, actions out; the clock is an argument.
//!
//! First it is begun (sealed, conflicts known), then entities are taken back, each once nothing that depends on
//! it is left, as many side by side as there are lanes, then it is finished. Nothing is remembered between two
//! supervisors: what is done is recorded at the destination, and every step is harmless when repeated.

use std::collections::{BTreeMap, BTreeSet};

use proto::domain::compiled::CompiledPlan;

use crate::schedule::{Moment, Step};

/// Something to be done now.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum UndoAction {
    /// Seal, look for conflicts, drop foreign keys.
    Begin,
    /// Take batches of an entity back for a while.
    Rows(String),
    /// Put definitions and sequences back, compare, close the books.
    Finish,
}

/// An entity that is taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoEntity {
    /// The entity.
    pub entity: String,
    /// Entities that depend on it and are taken back, too.
    pub children: Vec<String>,
    /// How far it is.
    pub step: Step,
    /// Rows that are left; none before it is begun.
    pub rows_left: Option<i64>,
}

/// An undo in the works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoWork {
    /// The beginning.
    pub begin: Step,
    /// The entities, in reverse dependency order.
    pub entities: Vec<UndoEntity>,
    /// The end.
    pub finish: Step,
    /// Entities at the same time.
    pub lanes: usize,
}

impl UndoWork {
    /// The undo of these entities of a plan.
    pub fn new(plan: &CompiledPlan, scope: &[String], lanes: usize) -> Self {
        let chosen: BTreeSet<&str> = scope.iter().map(String::as_str).collect();
        let of_scope = plan.entities.iter().rev();
        let of_scope = of_scope.filter(|entity| chosen.contains(entity.entity.as_str()));
        let entities = of_scope.map(|entity| {
            let children = plan.entities.iter().filter(|other| {
                chosen.contains(other.entity.as_str())
                    && other.dependencies.contains(&entity.entity)
            });
            UndoEntity {
                entity: entity.entity.clone(),
                children: children.map(|child| child.entity.clone()).collect(),
                step: Step::OPEN,
                rows_left: None,
            }
        });
        Self {
            begin: Step::OPEN,
            entities: entities.collect(),
            finish: Step::OPEN,
            lanes,
        }
    }

    /// Everything that can begin at this moment.
    pub fn next_actions(&self, now: Moment) -> Vec<UndoAction> {
        if self.begin != Step::Done {
            return match self.begin.can_begin(now) {
                true => vec![UndoAction::Begin],
                false => Vec::new(),
            };
        }
        let running = self
            .entities
            .iter()
            .filter(|it| it.step.is_running())
            .count();
        let room = self.lanes.max(1).saturating_sub(running);
        let ready = self.entities.iter().filter(|entity| {
            entity.step.can_begin(now) && entity.children.iter().all(|child| self.is_done(child))
        });
        let mut actions: Vec<UndoAction> = ready
            .take(room)
            .map(|entity| UndoAction::Rows(entity.entity.clone()))
            .collect();
        let is_undone = self.entities.iter().all(|entity| entity.step == Step::Done);
        if is_undone && self.finish.can_begin(now) {
            actions.push(UndoAction::Finish);
        }
        actions
    }

    /// The step of an action.
    pub fn step_mut(&mut self, action: &UndoAction) -> Option<&mut Step> {
        match action {
            UndoAction::Begin => Some(&mut self.begin),
            UndoAction::Finish => Some(&mut self.finish),
            UndoAction::Rows(name) => self
                .entities
                .iter_mut()
                .find(|entity| entity.entity == *name)
                .map(|entity| &mut entity.step),
        }
    }

    /// Everything is done.
    pub fn is_finished(&self) -> bool {
        self.finish == Step::Done
    }

    /// How far it is, in words.
    pub fn describe(&self) -> String {
        if self.begin != Step::Done {
            return "sealing partitions and looking for conflicts".to_owned();
        }
        let done = self
            .entities
            .iter()
            .filter(|it| it.step == Step::Done)
            .count();
        let all = self.entities.len();
        if done == all {
            return "putting back keys, foreign keys and sequences".to_owned();
        }
        let left: i64 = self.entities.iter().filter_map(|it| it.rows_left).sum();
        let under_way: Vec<&str> = self
            .entities
            .iter()
            .filter(|it| it.step.is_running())
            .map(|it| it.entity.as_str())
            .collect();
        let under_way = match under_way.as_slice() {
            [] => String::new(),
            names => format!(", now {}", names.join(", ")),
        };
        format!("{done} of {all} entities are undone, {left} rows are left{under_way}")
    }

    fn is_done(&self, name: &str) -> bool {
        let mut entities = self.entities.iter();
        entities.all(|entity| entity.entity != name || entity.step == Step::Done)
    }
}

/// These entities and every one that depends on one of them, in the plan's order; all of them where none is
/// named. Entities of one knot refer to each other and go together.
///
/// # Errors
/// The first name that is no entity of the plan.
pub fn closure(plan: &CompiledPlan, named: &[String]) -> Result<Vec<String>, String> {
    let by_name: BTreeMap<&str, _> = plan.by_name();
    if let Some(unknown) = named
        .iter()
        .find(|name| !by_name.contains_key(name.as_str()))
    {
        return Err((*unknown).clone());
    }
    let active = plan.entities.iter().filter(|entity| entity.is_active);
    if named.is_empty() {
        return Ok(active.map(|entity| entity.entity.clone()).collect());
    }
    let mut chosen: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    loop {
        let before = chosen.len();
        for entity in plan.entities.iter().filter(|entity| entity.is_active) {
            let mut parents = entity
                .dependencies
                .iter()
                .chain(&entity.knot)
                .chain(entity.late.iter().map(|late| &late.entity));
            if parents.any(|parent| chosen.contains(parent.as_str())) {
                chosen.insert(&entity.entity);
            }
        }
        if chosen.len() == before {
            break;
        }
    }
    Ok(active
        .filter(|entity| chosen.contains(entity.entity.as_str()))
        .map(|entity| entity.entity.clone())
        .collect())
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
