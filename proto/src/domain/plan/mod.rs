//! The plan file: the language of a migration.
//!
//! [`parse`] reads YAML or JSON strictly and names every problem at once, each with its path. What
//! the language has but this version does not is recognised and answered with "not supported yet".
//! The types are the language: [`json_schema`] is generated from them.

mod arguments;
mod cast_type;
mod declare;
mod decode;
mod defaults;
mod document;
mod entity;
mod later;
mod name;
mod ordered;
mod problem;
mod scalar;
mod schema;
mod schema_change;
mod share;
mod step;
pub(crate) mod suggest;
mod template;
#[cfg(test)]
mod tests;
mod validation;
mod vocabulary;

use std::borrow::Cow;
use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema as schema_of};
use uuid::Uuid;

pub use arguments::{
    ArrayAgg, Concat, Fk, Hash, HashAlgorithm, Hmac, Lookup, MapRule, Mask, Pad, Phone, PhoneForm,
    PolymorphicPart, Regex, Replace, Side, Split, Tz, Unit, WhenCase,
};
pub use cast_type::{Cast, CastTo, CastType};
pub use defaults::{Constraints, Defaults, PlanLimits, ReadConsistency, UnmappedColumns};
pub use document::{MAX_BYTES, MAX_DEPTH};
pub use entity::{Entity, Id, IdKind, Join, JoinKind, OnConflict, Polymorphic, TypesFrom};
pub use later::Later;
pub use name::{Decimal, EntityName, EntityRef, Label, Name, Sql};
pub use ordered::{Ordered, Several};
pub use problem::{Position, Positions, Problem, ProblemLog, Problems};
pub use scalar::{Constant, Value};
pub use schema::json_schema;
pub use schema_change::{
    ChangeMoment, DatabaseSide, IdentityWord, OperationType, ReferencedColumns, SchemaChange,
};
pub use share::{Positive, Share};
pub use step::{Pipeline, SourceMeta, Step, StepEntry};
pub use template::{Template, TemplatePart};
pub use validation::{Check, Events, Severity, Validation, ValidationType, Webhook};
pub use vocabulary::{Ambiguous, MapElse, OnRowError, Unfit};

use declare::{choice, object, plain_choice};
use decode::{At, Context, Decode};
use document::Node;

object! {
    /// A migration.
    pub struct Plan {
        /// Version of the language.
        "version" version: LanguageVersion,
        /// Name of the migration, unique in one metadata database.
        "name" name: Label,
        /// Kind of the migration; full where it is left out.
        "migration_type" migration_type: Option<MigrationType>,
        /// Namespace of every deterministic id; fixed for the life of the project.
        "namespace" namespace: Uuid,
        /// Where rows come from.
        "source" source: Source,
        /// Where rows go to.
        "destination" destination: Destination,
        /// What holds for every entity unless it says otherwise.
        "defaults" defaults: Option<Defaults>,
        /// The entities; a `schema_cleanup` has none, all others have some.
        #[schemars(default)]
        "entities" entities: Vec<Entity>,
        /// Changes of a schema, in order.
        #[schemars(default)]
        "schema_changes" schema_changes: Vec<SchemaChange>,
        /// Checks beside those of the entities.
        #[schemars(default)]
        "validations" validations: Vec<Validation>,
        /// Limits of the whole migration.
        "limits" limits: Option<PlanLimits>,
        /// Who is told what happens.
        #[schemars(default)]
        "events" events: Later<Events>,
        beside
        /// Where the parts of the plan stand in its document.
        positions: Positions,
    }
}

object! {
    /// Where rows come from.
    pub struct Source {
        /// Name of a connection; agents resolve it from their own configuration.
        "connection" connection: Label,
    }
}

object! {
    /// Where rows go to.
    pub struct Destination {
        /// Name of a connection; agents resolve it from their own configuration.
        "connection" connection: Label,
        /// How it is written to; `postgres` where it is left out.
        "mode" mode: Option<DestinationMode>,
    }
}

choice! {
    /// Kind of a migration.
    pub enum MigrationType {
        /// Every row once (default).
        FullMigration = "full_migration";
        /// Changes since the last run.
        Incremental = "incremental", later;
        /// Schema changes alone.
        SchemaCleanup = "schema_cleanup";
    }
}

choice! {
    /// How the destination is written to.
    pub enum DestinationMode {
        /// By a PostgreSQL connection (default).
        Postgres = "postgres";
        /// By Supabase's API.
        Supabase = "supabase", later;
    }
}

plain_choice!(MigrationType, DestinationMode);

/// Reads a plan. Every problem is reported, in the order of the document.
pub fn parse(text: &str) -> Result<Plan, Problems> {
    let root = document::read(text)?;
    let context = Context {
        entities: entity_names(&root),
        ..Context::default()
    };
    let mut plan = Plan::decode(&At::new(&root, String::new(), &context));
    report_repeated_entities(&root, &context);
    schema_change::check(&root, &context);
    if let Some(plan) = &mut plan {
        plan.positions = context.positions.into_inner();
    }
    context.log.finish(plan)
}

/// The plan's document as JSON, whatever [`parse`] says of it. Keys come sorted; a plan that is read
/// again from its JSON compiles to the same entities.
pub fn document_json(text: &str) -> Result<serde_json::Value, Problems> {
    document::read(text).map(|root| document::to_json(&root))
}

/// Index, name and node of every entity's name, whatever else is wrong with it.
fn named_entities(root: &Node) -> Vec<(usize, &str, &Node)> {
    let entities = root.get("entities").map_or(&[][..], Node::items);
    let names = entities
        .iter()
        .enumerate()
        .map(|(index, item)| (index, item.get("entity")));
    names
        .filter_map(|(index, node)| Some((index, node?.text()?, node?)))
        .collect()
}

fn entity_names(root: &Node) -> BTreeSet<String> {
    named_entities(root)
        .into_iter()
        .map(|(_, name, _)| name.to_owned())
        .collect()
}

fn report_repeated_entities(root: &Node, context: &Context) {
    let mut seen: Vec<(&str, usize)> = Vec::new();
    for (index, name, node) in named_entities(root) {
        match seen.iter().find(|(known, _)| *known == name) {
            Some((_, first)) => {
                let at = At::new(node, format!("entities[{index}].entity"), context);
                at.problem(format!(
                    "\"{name}\" is already the name of entities[{first}]"
                ));
            }
            None => seen.push((name, index)),
        }
    }
}

/// Version of the language: 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanguageVersion;

impl Decode for LanguageVersion {
    fn decode(at: &At<'_>) -> Option<Self> {
        match at.scalar() {
            Some(Value::Integer(1)) => Some(Self),
            _ => at.wrong("1, the version of the language"),
        }
    }
}

impl JsonSchema for LanguageVersion {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "LanguageVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schema_of!({ "const": 1 })
    }
}
