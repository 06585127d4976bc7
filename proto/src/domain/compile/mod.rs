//! From a plan and two catalogs to compiled entities: pure, and every problem at once.
//!
//! First [`tables`] and [`probes`] say what the databases must be asked; then [`compile`] checks
//! every rule against both sides and makes of each entity one SELECT and a short list of agent-side
//! steps.

mod by;
mod checks;
mod column;
mod conflict;
mod coverage;
mod document;
mod elements;
mod entity;
mod explain;
mod faults;
mod fields;
mod gather;
mod hash;
mod identity;
mod joins;
mod key;
mod like;
mod matching;
mod needs;
mod orphan;
mod polymorphic;
mod probe;
mod reference;
mod resolve;
mod shared;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;

pub use explain::{ExplainedCheck, ExplainedColumn, ExplainedField, Explanation, explain};
pub use probe::{probes, tables};

use self::resolve::Resolved;
use super::catalog::Catalog;
use super::compiled::{CompiledEntity, CompiledPlan, Consistency, Limits, Warning};
use super::graph;
use super::plan::{MigrationType, Plan, ProblemLog, Problems, ReadConsistency};
use super::schema_change;

/// Partitions at the same time where the plan says nothing.
const PARALLEL_PARTITIONS: u32 = 4;
/// Tries of one batch where the plan says nothing.
const MAX_RETRIES: u32 = 5;

/// What everything that compiles one plan shares.
struct Context<'a> {
    plan: &'a Plan,
    source: &'a Catalog,
    destination: &'a Catalog,
    log: &'a ProblemLog,
}

/// Compiles a plan against the catalogs of its source and destination. `source` must hold the
/// answers to [`probes`].
pub fn compile(
    plan: &Plan,
    source: &Catalog,
    destination: &Catalog,
) -> Result<CompiledPlan, Problems> {
    let log = ProblemLog::new(plan.positions.clone());
    let entities = {
        let context = Context {
            plan,
            source,
            destination,
            log: &log,
        };
        all_entities(&context)
    };
    let checks = entities
        .as_ref()
        .map(|entities| checks::compile((plan, &log), entities, destination));
    let limits = plan.limits.clone().unwrap_or_default();
    let defaults = plan.defaults.clone().unwrap_or_default();
    let compiled = entities.map(|entities| CompiledPlan {
        warnings: warnings(&entities, destination),
        name: plan.name.to_string(),
        namespace: plan.namespace,
        source: plan.source.connection.to_string(),
        destination: plan.destination.connection.to_string(),
        consistency: match defaults.consistency {
            Some(ReadConsistency::None) => Consistency::None,
            Some(ReadConsistency::Frozen) => Consistency::Frozen,
            Some(ReadConsistency::Snapshot) | None => Consistency::Snapshot,
        },
        limits: Limits {
            parallel_partitions: limits
                .parallel_partitions
                .map_or(PARALLEL_PARTITIONS, |limit| limit.0),
            max_retries: limits.max_retries.unwrap_or(MAX_RETRIES),
            max_rows_per_second: limits.max_rows_per_second.0,
            source_max_lag_seconds: limits.source_max_lag_seconds.0,
        },
        entities,
        checks: checks.unwrap_or_default(),
        has_own_checks: !plan.validations.is_empty(),
        is_cleanup: plan.migration_type == Some(MigrationType::SchemaCleanup),
        schema_changes: schema_change::declared(plan),
    });
    log.finish(compiled)
}

/// What the tables that are written have that a load sets off or meets.
fn warnings(entities: &[CompiledEntity], destination: &Catalog) -> Vec<Warning> {
    let active = entities.iter().filter(|entity| entity.is_active);
    let of_entity = |entity: &CompiledEntity| {
        let table = destination.table(&entity.destination);
        let hazards = table.iter().flat_map(|table| &table.hazards);
        let warning = |hazard: &String| Warning {
            entity: entity.entity.clone(),
            message: format!("{}: {hazard}", entity.destination),
        };
        hazards.map(warning).collect::<Vec<_>>()
    };
    active.flat_map(of_entity).collect()
}

/// Every entity in topological order; `None` with problems noted.
fn all_entities(context: &Context<'_>) -> Option<Vec<CompiledEntity>> {
    let mut resolved: Vec<Resolved<'_>> = context
        .plan
        .entities
        .iter()
        .enumerate()
        .map(|(index, entity)| resolve::resolve(context, index, entity))
        .collect();
    shared::settle(context, &mut resolved);
    needs::tie(&mut resolved);
    let compiled: Vec<Option<CompiledEntity>> = resolved
        .iter()
        .map(|entity| entity::compile(context, &resolved, entity))
        .collect();
    let order = ordered(context, &resolved)?;
    let compiled: Vec<CompiledEntity> = compiled.into_iter().collect::<Option<_>>()?;
    Some(
        order
            .into_iter()
            .filter_map(|index| compiled.get(index).cloned())
            .collect(),
    )
}

/// A topological order of the entities, or a problem for every cycle.
fn ordered(context: &Context<'_>, resolved: &[Resolved<'_>]) -> Option<Vec<usize>> {
    let names: Vec<&str> = resolved.iter().map(Resolved::name).collect();
    let edges: Vec<Vec<usize>> = resolved
        .iter()
        .map(|entity| {
            let dependencies: BTreeSet<&str> = needs::dependencies(entity);
            let position = |name: &&str| names.iter().position(|known| known == name);
            dependencies.iter().filter_map(position).collect()
        })
        .collect();
    match graph::order(&edges) {
        Ok(order) => Some(order),
        Err(cycles) => {
            for cycle in cycles {
                let path = match cycle.members.first() {
                    Some(first) => format!("entities[{first}].dependency_entities"),
                    None => String::new(),
                };
                let words = cycle.describe(&names);
                let message =
                    format!("cyclic dependency: {words}; a reference in it may say deferred: true");
                context.log.add(path, message);
            }
            None
        }
    }
}
