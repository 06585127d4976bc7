//! What will happen, in order, and how it is undone.

use serde::{Deserialize, Serialize};

use super::access::{active, is_rebuilt, keys_put_back, moved_sequences};
use super::facts::Facts;
use crate::domain::compiled::{CompiledEntity, CompiledPlan, ConflictRule, Consistency};
use crate::domain::record::text_enum;

/// One step of the migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done, one word or two.
    pub action: String,
    /// The entity it is about; none for the whole migration.
    pub entity: Option<String>,
    /// What happens, in words.
    pub what: String,
}

text_enum! {
    /// Whether a step can be undone.
    pub enum InverseClass {
        /// Nothing is lost.
        Lossless = "lossless",
        /// From what was kept before.
        NeedsBackup = "needs_backup",
        /// Some of it stays.
        Irreversible = "irreversible",
    }
}

/// How a step is undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inverse {
    /// The step's action.
    pub action: String,
    /// Its entity.
    pub entity: Option<String>,
    /// Whether it can be undone.
    pub class: InverseClass,
    /// How, and why this class.
    pub why: String,
}

/// The steps, in order.
pub fn steps(plan: &CompiledPlan, facts: &Facts) -> Vec<Step> {
    let step = |action: &str, entity: Option<&CompiledEntity>, what: String| Step {
        action: action.to_owned(),
        entity: entity.map(|entity| entity.entity.clone()),
        what,
    };
    let mut steps = vec![step(
        "prepare",
        None,
        "schema drover is installed at the destination, and the start state is recorded".to_owned(),
    )];
    steps.push(match plan.consistency {
        Consistency::Snapshot => step(
            "snapshot",
            None,
            "one snapshot of the source is held until every row is read".to_owned(),
        ),
        Consistency::Frozen => step(
            "watch",
            None,
            "the source's write counters are noted, and compared at the end".to_owned(),
        ),
        Consistency::None => step(
            "read",
            None,
            "no point in time: every statement reads what is committed".to_owned(),
        ),
    });
    let dropped: Vec<(&CompiledEntity, String)> = active(plan)
        .filter_map(|entity| Some((entity, dropped(plan, facts, entity)?)))
        .collect();
    for (entity, what) in &dropped {
        steps.push(step("drop_keys", Some(entity), what.clone()));
    }
    let mut settled: Vec<&str> = Vec::new();
    for entity in active(plan) {
        steps.push(step("load", Some(entity), loaded(entity)));
        let is_last_of_knot = entity
            .knot
            .iter()
            .all(|name| name == &entity.entity || settled.contains(&name.as_str()));
        settled.push(&entity.entity);
        if !entity.knot.is_empty() && is_last_of_knot {
            let what = format!(
                "references within {} are looked at again: rows without a parent are mended or taken away",
                entity.knot.join(", ")
            );
            steps.push(step("settle", Some(entity), what));
        }
        steps.push(step("rebuild_keys", Some(entity), rebuilt(facts, entity)));
    }
    steps.push(step(
        "foreign_keys",
        None,
        "every foreign key comes back and is validated".to_owned(),
    ));
    steps.push(step(
        "finish",
        None,
        "completed; id map and ledger stay".to_owned(),
    ));
    steps.push(step(
        "finalize",
        None,
        "by you, when you are sure: `drover migration finalize`, then `drover destination uninstall`"
            .to_owned(),
    ));
    steps
}

fn rebuilt(facts: &Facts, entity: &CompiledEntity) -> String {
    let table = facts.write(&entity.destination);
    let keys = match table.is_some_and(|table| is_rebuilt(entity, table.has_rows)) {
        true => format!("keys and indexes of {} come back, ", entity.destination),
        false => String::new(),
    };
    let sequences = table.map_or(0, |table| moved_sequences(entity, table).count());
    let moved = match sequences {
        0 => "",
        _ => ", its sequences move past the new values",
    };
    format!("{keys}the id map gets its key{moved}, ANALYZE")
}

fn dropped(plan: &CompiledPlan, facts: &Facts, entity: &CompiledEntity) -> Option<String> {
    let table = facts.write(&entity.destination)?;
    let references = keys_put_back(plan, entity, table).count();
    if is_rebuilt(entity, table.has_rows) {
        return Some(format!(
            "{} and {} of {} are noted in drover.ddl and dropped",
            counted(table.indexes, "index", "indexes"),
            foreign_keys(references),
            entity.destination
        ));
    }
    (references > 0).then(|| {
        format!(
            "{} of {} to rows that come later: noted in drover.ddl and dropped",
            foreign_keys(references),
            entity.destination
        )
    })
}

fn foreign_keys(number: usize) -> String {
    let number = i64::try_from(number).unwrap_or(i64::MAX);
    counted(number, "foreign key", "foreign keys")
}

fn counted(number: i64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

fn loaded(entity: &CompiledEntity) -> String {
    let there = match &entity.on_conflict {
        ConflictRule::Error => "a row that is there is an error".to_owned(),
        ConflictRule::Skip => "a row that is there stays".to_owned(),
        ConflictRule::Overwrite => {
            "a row that is there is overwritten, as it was is kept".to_owned()
        }
        ConflictRule::Merge(columns) => format!(
            "in a row that is there {} are filled where they are NULL, as it was is kept",
            columns.join(", ")
        ),
    };
    let after = match entity.dependencies.is_empty() {
        true => String::new(),
        false => format!(", after {}", entity.dependencies.join(", ")),
    };
    format!(
        "{} becomes {}{after}; {there}",
        entity.read.source, entity.destination
    )
}

/// How the steps are undone, in the order of undoing.
pub fn inverse(plan: &CompiledPlan, facts: &Facts) -> Vec<Inverse> {
    let all = steps(plan, facts).into_iter().rev();
    all.filter_map(|step| {
        let entity = step.entity.as_deref().and_then(|name| plan.entity(name));
        let (class, why) = undo(plan, facts, &step.action, entity)?;
        Some(Inverse {
            action: step.action,
            entity: step.entity,
            class,
            why,
        })
    })
    .collect()
}

fn undo(
    plan: &CompiledPlan,
    facts: &Facts,
    action: &str,
    entity: Option<&CompiledEntity>,
) -> Option<(InverseClass, String)> {
    use InverseClass::{Irreversible, Lossless, NeedsBackup};
    let (class, why) = match (action, entity) {
        ("foreign_keys" | "drop_keys", _) => (
            Lossless,
            "every definition is in drover.ddl and comes back as it was".to_owned(),
        ),
        ("rebuild_keys", Some(entity)) => {
            let table = facts.write(&entity.destination);
            let has_sequences =
                table.is_some_and(|table| moved_sequences(entity, table).next().is_some());
            let why = match has_sequences {
                true => {
                    "keys are as before; sequences go back where nobody has drawn from them since"
                }
                false => "keys are as before",
            };
            (Lossless, why.to_owned())
        }
        ("load", Some(entity)) => return Some(unload(plan, entity)),
        ("settle", _) => (
            NeedsBackup,
            "rows that were changed or taken away are in drover.pre_image".to_owned(),
        ),
        ("prepare", _) => (
            Lossless,
            "`drover destination uninstall` drops schema drover; the id map is gone with it"
                .to_owned(),
        ),
        ("finish", _) => (
            Lossless,
            "a completed migration is rolled back like a running one, until it is finalized"
                .to_owned(),
        ),
        ("finalize", _) => (
            Irreversible,
            "what a rollback needs is given up: there is none after it".to_owned(),
        ),
        _ => return None,
    };
    Some((class, why))
}

fn unload(plan: &CompiledPlan, entity: &CompiledEntity) -> (InverseClass, String) {
    let fires: Vec<&str> = plan
        .warnings
        .iter()
        .filter(|warning| warning.entity == entity.entity && !warning.message.contains("policies"))
        .map(|warning| warning.message.as_str())
        .collect();
    let rows =
        "rows that are still as Drover wrote them are deleted; others are conflicts, and listed";
    if !fires.is_empty() {
        let why = format!(
            "{rows}; what was set off elsewhere stays: {}",
            fires.join("; ")
        );
        return (InverseClass::Irreversible, why);
    }
    match entity.on_conflict {
        ConflictRule::Overwrite | ConflictRule::Merge(_) => (
            InverseClass::NeedsBackup,
            format!("{rows}; rows that were there come back from drover.pre_image"),
        ),
        ConflictRule::Error | ConflictRule::Skip => (InverseClass::Lossless, rows.to_owned()),
    }
}
