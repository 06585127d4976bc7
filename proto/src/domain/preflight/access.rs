//! Rights and row level security, at both ends: every one that is missing, not the first.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{Facts, ServerFacts, WriteFacts};
use super::{Check, Place, list};
use crate::domain::catalog::{TableName, quote_ident};
use crate::domain::compiled::{CompiledEntity, CompiledPlan, ConflictRule, ConstraintMode};

/// A right that is missing: `before object after` in words, and the statement that gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Missing {
    before: String,
    after: &'static str,
    object: String,
    mend: String,
}

impl Missing {
    fn new(before: impl Into<String>, object: impl ToString, mend: String) -> Self {
        Self {
            before: before.into(),
            after: "",
            object: object.to_string(),
            mend,
        }
    }

    fn with(self, after: &'static str) -> Self {
        Self { after, ..self }
    }
}

/// What is missing in words: one sentence for what several objects lack.
fn sentences(missing: &BTreeSet<Missing>) -> Vec<String> {
    let mut grouped: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for one in missing {
        let objects = grouped.entry((&one.before, one.after)).or_default();
        if objects.last() != Some(&one.object.as_str()) {
            objects.push(&one.object);
        }
    }
    let grouped = grouped.into_iter();
    grouped
        .map(|((before, after), objects)| format!("{before} {}{after}", objects.join(", ")))
        .collect()
}

/// Checks of rights and row level security.
pub(super) fn checks(plan: &CompiledPlan, facts: &Facts) -> Vec<Check> {
    vec![
        rights(
            Place::Source,
            at_source(plan, facts),
            "every table of the plan can be read",
        ),
        hidden(facts, plan),
        reads(facts),
        rights(
            Place::Destination,
            at_destination(plan, facts),
            "every target can be written, and its keys rebuilt",
        ),
        refused(facts, plan),
        keys(facts),
    ]
}

fn rights(place: Place, missing: BTreeSet<Missing>, well: &str) -> Check {
    if missing.is_empty() {
        return Check::pass(place, "grants", well);
    }
    let words = sentences(&missing).join("; ");
    let mut mend: Vec<String> = Vec::new();
    for one in missing {
        if !mend.contains(&one.mend) {
            mend.push(one.mend);
        }
    }
    Check::block(place, "grants", words, mend)
}

/// Tables that active entities read.
pub(super) fn tables_read(plan: &CompiledPlan) -> BTreeSet<&TableName> {
    active(plan)
        .flat_map(|entity| [&entity.read.source].into_iter().chain(&entity.read.also))
        .collect()
}

/// Entities that are not skipped.
pub(super) fn active(plan: &CompiledPlan) -> impl Iterator<Item = &CompiledEntity> {
    plan.entities.iter().filter(|entity| entity.is_active)
}

/// What the source's role lacks.
fn at_source(plan: &CompiledPlan, facts: &Facts) -> BTreeSet<Missing> {
    let role = quote_ident(&facts.source.role);
    let mut missing = BTreeSet::new();
    for table in tables_read(plan) {
        let Some(found) = facts.read(table) else {
            continue;
        };
        if !found.can_use {
            let schema = quote_ident(&table.schema);
            let mend = format!("grant usage on schema {schema} to {role};");
            let words = "the source's role may not use schema";
            missing.insert(Missing::new(words, &table.schema, mend));
        }
        if !found.can_select {
            let mend = format!("grant select on {} to {role};", table.quoted());
            missing.insert(Missing::new("the source's role may not read", table, mend));
        }
    }
    missing
}

/// What the destination's role lacks.
fn at_destination(plan: &CompiledPlan, facts: &Facts) -> BTreeSet<Missing> {
    let server = &facts.destination;
    let mut missing = of_database(plan, server);
    for entity in active(plan) {
        if let Some(table) = facts.write(&entity.destination) {
            missing.extend(of_target(plan, entity, table, &server.role));
        }
    }
    missing
}

fn of_database(plan: &CompiledPlan, server: &ServerFacts) -> BTreeSet<Missing> {
    let (role, database) = (quote_ident(&server.role), quote_ident(&server.database));
    let mut missing = BTreeSet::new();
    match server.owns_drover {
        Some(true) => {}
        None if server.can_create => {}
        None => {
            let mend = format!("grant create on database {database} to {role};");
            let words = "the destination's role may not create schema";
            missing.insert(Missing::new(words, "drover", mend));
        }
        Some(false) => {
            let mend = "connect as the role that installed it".to_owned();
            let words = "another role than the destination's owns schema";
            missing.insert(Missing::new(words, "drover", mend));
        }
    }
    let stages = active(plan).any(needs_stage);
    if stages && !server.can_stage {
        let mend = format!("grant temporary on database {database} to {role};");
        let words = "the destination's role may not make";
        let missed = Missing::new(words, "temporary tables", mend);
        missing.insert(missed.with(
            ", through which rows go whose key is looked for or whose values travel as text",
        ));
    }
    missing
}

/// Its rows go through a temporary table.
fn needs_stage(entity: &CompiledEntity) -> bool {
    entity.on_conflict != ConflictRule::Error
        || entity.matches.is_some()
        || entity.columns.iter().any(|column| column.cast.is_some())
}

/// Rights on the target that an entity's load needs.
pub(super) fn rights_needed(entity: &CompiledEntity) -> Vec<&'static str> {
    let mut rights = vec!["select", "insert"];
    if entity.on_conflict != ConflictRule::Error || !entity.late.is_empty() {
        rights.push("update");
    }
    if !entity.late.is_empty() {
        rights.push("delete");
    }
    rights
}

/// Keys and indexes of the target are dropped and rebuilt.
pub(super) fn is_rebuilt(entity: &CompiledEntity, has_rows: bool) -> bool {
    match entity.settings.constraints {
        ConstraintMode::Rebuild => true,
        ConstraintMode::Auto => !has_rows,
        ConstraintMode::Keep => false,
    }
}

/// Foreign keys of the target are dropped and put back: all of them where keys are rebuilt, else those of
/// references whose rows come later.
pub(super) fn keys_put_back<'a>(
    plan: &'a CompiledPlan,
    entity: &'a CompiledEntity,
    table: &'a WriteFacts,
) -> impl Iterator<Item = &'a super::ForeignTarget> {
    let all = is_rebuilt(entity, table.has_rows);
    let is_late = |target: &TableName| {
        *target == entity.destination
            || active(plan).any(|other| {
                other.destination == *target
                    && (entity.knot.contains(&other.entity)
                        || entity.late.iter().any(|late| late.entity == other.entity))
            })
    };
    table
        .refers_to
        .iter()
        .filter(move |target| all || is_late(&target.table))
}

/// The role must own the target.
pub(super) fn needs_owner(
    plan: &CompiledPlan,
    entity: &CompiledEntity,
    table: &WriteFacts,
) -> bool {
    is_rebuilt(entity, table.has_rows) || keys_put_back(plan, entity, table).next().is_some()
}

fn of_target(
    plan: &CompiledPlan,
    entity: &CompiledEntity,
    found: &WriteFacts,
    role: &str,
) -> Vec<Missing> {
    let (table, role) = (&found.table, quote_ident(role));
    let (name, schema) = (table.quoted(), quote_ident(&table.schema));
    let mut missing = Vec::new();
    let mut lacks = |is_lacking: bool, missed: Missing| {
        if is_lacking {
            missing.push(missed);
        }
    };
    let words = |what: &str| format!("the destination's role {what}");
    let mend = format!("grant usage on schema {schema} to {role};");
    lacks(
        !found.can_use,
        Missing::new(words("may not use schema"), &table.schema, mend),
    );
    for right in rights_needed(entity) {
        let verb = match right {
            "insert" => "insert into",
            "delete" => "delete from",
            other => other,
        };
        let mend = format!("grant {right} on {name} to {role};");
        let missed = Missing::new(words(&format!("may not {verb}")), table, mend);
        lacks(!found.may(right), missed);
    }
    let is_rebuilt = is_rebuilt(entity, found.has_rows);
    let mend = format!("alter table {name} owner to {role};");
    let missed = Missing::new(words("must own"), table, mend).with(match is_rebuilt {
        true => " to rebuild keys, or the plan says `constraints: keep`",
        false => ", whose foreign keys to rows that come later are put back",
    });
    lacks(!found.is_owner && needs_owner(plan, entity, found), missed);
    let mend = format!("grant create on schema {schema} to {role};");
    let missed = Missing::new(
        words("must be granted create on schema"),
        &table.schema,
        mend,
    );
    lacks(
        !found.can_index && is_rebuilt,
        missed.with(" to rebuild keys, or the plan says `constraints: keep`"),
    );
    for target in keys_put_back(plan, entity, found) {
        let mend = format!("grant references on {} to {role};", target.table.quoted());
        let missed = Missing::new(
            words("may not put back foreign keys to"),
            &target.table,
            mend,
        );
        lacks(!target.can_reference, missed);
    }
    for sequence in moved_sequences(entity, found) {
        let mend = format!(
            "grant select, update on sequence {} to {role};",
            sequence.sequence.quoted()
        );
        let missed = Missing::new(words("may not set sequence"), &sequence.sequence, mend);
        lacks(!sequence.can_set, missed);
    }
    missing
}

/// Sequences behind columns that the entity writes: they are moved past its values.
pub(super) fn moved_sequences<'a>(
    entity: &'a CompiledEntity,
    table: &'a WriteFacts,
) -> impl Iterator<Item = &'a super::SequenceFact> {
    table.sequences.iter().filter(|sequence| {
        let mut written = entity.columns.iter();
        written.any(|column| column.name == sequence.column)
    })
}

/// Tables of which row level security hides rows from the source's role: the copy would look whole.
fn hidden(facts: &Facts, plan: &CompiledPlan) -> Check {
    let name = "row_level_security";
    let filtered = tables_read(plan).into_iter().filter_map(|table| {
        let found = facts.read(table)?;
        found.is_filtered.then(|| table.to_string())
    });
    let filtered: Vec<String> = filtered.collect();
    if filtered.is_empty() {
        return Check::pass(Place::Source, name, "no rows are hidden from the role");
    }
    let found = format!(
        "row level security would hide rows of {} from this role: use one with BYPASSRLS",
        list(&filtered)
    );
    let mend = format!("alter role {} bypassrls;", quote_ident(&facts.source.role));
    Check::block(Place::Source, name, found, vec![mend])
}

/// Targets into which row level security lets no COPY.
fn refused(facts: &Facts, plan: &CompiledPlan) -> Check {
    let name = "row_level_security";
    let mut bound: Vec<String> = active(plan)
        .filter_map(|entity| facts.write(&entity.destination))
        .filter(|table| table.is_filtered)
        .map(|table| table.table.to_string())
        .collect();
    bound.sort();
    bound.dedup();
    if bound.is_empty() {
        return Check::pass(
            Place::Destination,
            name,
            "the role writes past row level security",
        );
    }
    let found = format!(
        "COPY into {} needs a role that bypasses row level security",
        list(&bound)
    );
    let role = quote_ident(&facts.destination.role);
    let mend = format!("alter role {role} bypassrls;");
    Check::block(Place::Destination, name, found, vec![mend])
}

/// SELECTs that the source does not take.
fn reads(facts: &Facts) -> Check {
    let name = "selects";
    if facts.refusals.is_empty() {
        return Check::pass(Place::Source, name, "the source prepares every SELECT");
    }
    let words: Vec<String> = facts
        .refusals
        .iter()
        .map(|one| format!("{}: {}", one.entity, one.message))
        .collect();
    let mend = "mend the rules; `drover rules explain ENTITY --plan PLAN` shows the SELECT";
    Check::block(Place::Source, name, list(&words), vec![mend.to_owned()])
}

/// Keys of steps, in the environment of the agent.
fn keys(facts: &Facts) -> Check {
    let name = "step_keys";
    if facts.keys.is_empty() {
        return Check::pass(
            Place::Source,
            name,
            "the agent has every key that steps need",
        );
    }
    let mend = "set them in the environment of every agent".to_owned();
    Check::block(Place::Source, name, list(&facts.keys), vec![mend])
}

impl Facts {
    /// Everything that the two roles may not do and must, in words; empty where nothing is missing.
    pub fn denied(&self, plan: &CompiledPlan) -> Vec<String> {
        let mut all = sentences(&at_source(plan, self));
        all.extend(sentences(&at_destination(plan, self)));
        all
    }

    /// What row level security would hide or refuse, entity by entity, in words.
    pub fn filtered(&self, plan: &CompiledPlan) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for entity in active(plan) {
            let mut tables = [&entity.read.source].into_iter().chain(&entity.read.also);
            let hidden =
                tables.find(|table| self.read(table).is_some_and(|facts| facts.is_filtered));
            found.extend(hidden.map(|table| {
                let words = format!(
                    "row level security would hide rows of {table} from this role: use one with BYPASSRLS"
                );
                (entity.entity.clone(), words)
            }));
            let table = self.write(&entity.destination);
            if table.is_some_and(|facts| facts.is_filtered) {
                let words = format!(
                    "COPY into {} needs a role that bypasses row level security",
                    entity.destination
                );
                found.push((entity.entity.clone(), words));
            }
        }
        found
    }
}
