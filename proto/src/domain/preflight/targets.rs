//! The tables themselves: keys of the source, and what a target sets off or holds already.

use super::access::active;
use super::facts::Facts;
use super::{Check, Place, list};
use crate::domain::compiled::{CompiledPlan, ConflictRule, ConstraintMode};

/// Checks of tables.
pub(super) fn checks(plan: &CompiledPlan, facts: &Facts) -> Vec<Check> {
    vec![keys(plan), hazards(plan), rows(plan, facts)]
}

/// The compiler takes no key without a unique index that covers it.
fn keys(plan: &CompiledPlan) -> Check {
    let slow: Vec<String> = active(plan)
        .filter(|entity| {
            entity
                .read
                .joins
                .as_ref()
                .is_some_and(|joins| joins.may_multiply)
        })
        .map(|entity| entity.entity.clone())
        .collect();
    let found = match slow.is_empty() {
        true => "every table has a unique key that it is read by".to_owned(),
        false => format!(
            "every table has a unique key that it is read by; joins may meet several rows in {}",
            list(&slow)
        ),
    };
    Check::pass(Place::Source, "keys", found)
}

/// Triggers and publications of targets.
fn hazards(plan: &CompiledPlan) -> Check {
    let (place, name) = (Place::Destination, "triggers_and_publications");
    // Policies bind no role that writes past them, and there is a check of that.
    let mut words: Vec<String> = plan
        .warnings
        .iter()
        .filter(|warning| !warning.message.contains("policies"))
        .map(|warning| warning.message.clone())
        .collect();
    words.dedup();
    if words.is_empty() {
        return Check::pass(place, name, "no target sets anything off");
    }
    let mend = "drop or disable triggers that must not fire for old rows (alter table … disable trigger …;), and publish the table later; what they do elsewhere is not undone by a rollback";
    Check::warn(place, name, list(&words), vec![mend.to_owned()])
}

/// Rows that are there already.
fn rows(plan: &CompiledPlan, facts: &Facts) -> Check {
    let (place, name) = (Place::Destination, "target_rows");
    let filled = active(plan).filter(|entity| {
        let table = facts.write(&entity.destination);
        table.is_some_and(|table| table.has_rows)
    });
    let (mut kept, mut others) = (Vec::new(), Vec::new());
    for entity in filled {
        let is_slow = entity.settings.constraints == ConstraintMode::Auto
            && entity.on_conflict == ConflictRule::Error;
        match is_slow {
            true => kept.push(entity.destination.to_string()),
            false => others.push(entity.destination.to_string()),
        }
    }
    kept.dedup();
    if !kept.is_empty() {
        let found = format!(
            "{} have rows already: those stay, and keys and indexes stay in force, which makes the load 3 to 4 times slower",
            list(&kept)
        );
        let mend = "empty the tables, or say `constraints: rebuild` in the plan".to_owned();
        return Check::warn(place, name, found, vec![mend]);
    }
    let found = match others.is_empty() {
        true => "every target is empty".to_owned(),
        false => format!(
            "{} have rows already, as the plan knows to handle",
            list(&others)
        ),
    };
    Check::pass(place, name, found)
}
