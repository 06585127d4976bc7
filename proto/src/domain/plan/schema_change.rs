//! Changes of a schema around the data (the data model's SchemaChangeOperation).

use super::declare::{choice, object, plain_choice};
use super::decode::{At, Context};
use super::document::{Node, NodeKind};
use super::name::{Name, Sql};
use super::ordered::Several;

object! {
    /// One change of a schema.
    pub struct SchemaChange {
        /// What is done.
        "operation_type" operation_type: OperationType,
        /// On which side; the destination where it is left out.
        "on" on: Option<DatabaseSide>,
        /// The table.
        "table_name" table_name: Name,
        /// The column.
        "column_name" column_name: Option<Name>,
        /// The column's new type.
        "type" ty: Option<Name>,
        /// Whether the column must have a value.
        "not_null" not_null: Option<bool>,
        /// SQL of the column's default.
        "default" default: Option<Sql>,
        /// The column has no default any more.
        "drop_default" drop_default: Option<bool>,
        /// SQL of what a new column is made of; stored.
        "generated" generated: Option<Sql>,
        /// A new column numbers rows.
        "identity" identity: Option<IdentityWord>,
        /// The column's new name.
        "rename_to" rename_to: Option<Name>,
        /// What stored local times mean where a type gains or loses its time zone; UTC where it is left
        /// out.
        "time_zone" time_zone: Option<Name>,
        /// The constraint or index.
        "object_name" object_name: Option<Name>,
        /// Columns of a new constraint or index.
        "columns" columns: Option<Vec<Name>>,
        /// A new index keeps rows apart.
        "unique" unique: Option<bool>,
        /// SQL of the condition of a new check.
        "check" check: Option<Sql>,
        /// What a new foreign key refers to; without it and `check` a constraint keeps rows apart.
        "references" references: Option<ReferencedColumns>,
        /// When.
        "when" when: ChangeMoment,
    }
}

object! {
    /// Columns of another table.
    pub struct ReferencedColumns {
        /// The table.
        "table_name" table_name: Name,
        /// Its columns.
        "columns" columns: Several<Name>,
    }
}

choice! {
    /// Kind of a schema change.
    pub enum OperationType {
        /// A column goes; backed up first, or refused.
        DropColumn = "drop_column";
        /// A column comes.
        AddColumn = "add_column";
        /// A column changes its type, default, name, or whether it must have a value.
        ModifyColumn = "modify_column";
        /// A copy of the table.
        CreateBackup = "create_backup";
        /// A constraint comes.
        AddConstraint = "add_constraint";
        /// A constraint goes.
        DropConstraint = "drop_constraint";
        /// An index comes.
        CreateIndex = "create_index";
        /// An index goes.
        DropIndex = "drop_index";
    }
}

choice! {
    /// How a column numbers rows.
    pub enum IdentityWord {
        /// No row brings its own number.
        Always = "always";
        /// A row may bring its own number.
        ByDefault = "by_default";
    }
}

choice! {
    /// A side of the migration.
    pub enum DatabaseSide {
        /// The source.
        Source = "source";
        /// The destination.
        Destination = "destination";
    }
}

choice! {
    /// When a change is made.
    pub enum ChangeMoment {
        /// Before the data.
        Before = "before";
        /// After the data.
        After = "after";
        /// By `drover schema apply`.
        Cleanup = "cleanup";
    }
}

plain_choice!(OperationType, IdentityWord, DatabaseSide, ChangeMoment);

/// What an operation needs, and what it may have beside; everything else has no meaning for it.
const KEYS: [(&str, &[&str], &[&str]); 8] = [
    ("create_backup", &[], &[]),
    (
        "add_column",
        &["column_name", "type"],
        &["not_null", "default", "generated", "identity"],
    ),
    (
        "modify_column",
        &["column_name"],
        &[
            "type",
            "not_null",
            "default",
            "drop_default",
            "rename_to",
            "time_zone",
        ],
    ),
    ("drop_column", &["column_name"], &[]),
    (
        "add_constraint",
        &["object_name"],
        &["columns", "check", "references"],
    ),
    ("drop_constraint", &["object_name"], &[]),
    ("create_index", &["object_name", "columns"], &["unique"]),
    ("drop_index", &["object_name"], &[]),
];

/// Keys of every operation.
const COMMON: [&str; 4] = ["operation_type", "on", "table_name", "when"];

/// Notes changes that say too little or too much, and plans that have too few or too many parts.
pub(super) fn check(root: &Node, context: &Context) {
    let changes = root.get("schema_changes").map_or(&[][..], Node::items);
    for (index, node) in changes.iter().enumerate() {
        check_keys(&At::new(node, format!("schema_changes[{index}]"), context));
    }
    check_parts(root, context);
}

fn check_keys(at: &At<'_>) {
    let word = at.node.get("operation_type").and_then(Node::text);
    let known = KEYS.iter().find(|(known, _, _)| Some(*known) == word);
    let Some((word, needed, allowed)) = known else {
        return;
    };
    for key in needed.iter().filter(|key| at.node.get(key).is_none()) {
        at.problem(format!("{word} needs {key}"));
    }
    let has = |key: &str| at.node.get(key).is_some();
    let keys: Vec<&str> = SchemaChange::KEYS.to_vec();
    for key in keys.into_iter().filter(|key| has(key)) {
        let has_meaning = COMMON.contains(&key) || needed.contains(&key) || allowed.contains(&key);
        if !has_meaning {
            at.problem(format!("{key} has no meaning for {word}"));
        }
    }
    if *word == "modify_column" && !allowed.iter().any(|key| has(key) && *key != "time_zone") {
        at.problem("modify_column says nothing to modify");
    }
    if has("time_zone") && !has("type") {
        at.problem("time_zone has no meaning without type");
    }
    if ["default", "generated", "identity"]
        .into_iter()
        .filter(|key| has(key))
        .count()
        > 1
    {
        at.problem("only one of default, generated and identity may be given");
    }
    if has("default") && has("drop_default") {
        at.problem("only one of default and drop_default may be given");
    }
    let is_constraint = *word == "add_constraint";
    if is_constraint && has("check") == has("columns") {
        at.problem("a constraint has either check or columns");
    }
    if is_constraint && has("check") && has("references") {
        at.problem("a check refers to no other table");
    }
}

/// A plan has entities, or is a clean-up and has changes alone.
fn check_parts(root: &Node, context: &Context) {
    let is_cleanup = root.get("migration_type").and_then(Node::text) == Some("schema_cleanup");
    let missing = |key: &str| {
        context.log.add_at(key, Some(root.position), "missing");
    };
    let at = |key: &str| {
        root.get(key)
            .map(|node| At::new(node, key.to_owned(), context))
    };
    let is_empty = |at: &At<'_>| matches!(&at.node.kind, NodeKind::List(items) if items.is_empty());
    match (is_cleanup, at("entities")) {
        (false, None) => missing("entities"),
        (false, Some(at)) if is_empty(&at) => at.problem("must not be empty"),
        (true, Some(at)) if !is_empty(&at) => at.problem("a schema_cleanup has no entities"),
        (true, _) | (false, Some(_)) => {}
    }
    match at("schema_changes") {
        None if is_cleanup => missing("schema_changes"),
        Some(at) if is_cleanup && is_empty(&at) => at.problem("must not be empty"),
        Some(_) | None => {}
    }
}
