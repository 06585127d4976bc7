//! One entity of a plan (the data model's LegacyEntityMapping).

use super::declare::{choice, object, plain_choice};
use super::defaults::{Constraints, UnmappedColumns};
use super::name::{EntityName, EntityRef, Name, Sql};
use super::ordered::{Ordered, Several};
use super::share::{Positive, Share};
use super::step::Pipeline;
use super::validation::Validation;
use super::vocabulary::{OnRowError, Unfit};

object! {
    /// How the rows of one source table become rows of one destination table.
    pub struct Entity {
        /// Unique name; part of every id, so fixed for life.
        "entity" entity: EntityName,
        /// Source table, `schema.table` or a table of schema `public`.
        "source_entity" source_entity: Name,
        /// Destination table, likewise.
        "destination_entity" destination_entity: Name,
        /// Business type, for instance `profile`.
        "entity_type" entity_type: Name,
        /// Entities that must be loaded first; foreign keys add theirs.
        #[schemars(default)]
        "dependency_entities" dependency_entities: Vec<EntityRef>,
        /// Version of the mapping; `"1"` where it is left out.
        "version" version: Option<Name>,
        /// False: skipped.
        "is_active" is_active: Option<bool>,
        /// Key columns of the source; its primary key where they are left out.
        #[schemars(default)]
        "key" key: Vec<Name>,
        /// SQL condition over the source row; the other rows count as filtered.
        "where" filter: Option<Sql>,
        /// Further source tables.
        #[schemars(default)]
        "joins" joins: Vec<Join>,
        /// What the new rows are called.
        "id" id: Option<Id>,
        /// What happens where the destination already has a row of that key.
        "on_conflict" on_conflict: Option<OnConflict>,
        /// References whose target differs by row, used by the step `polymorphic`.
        "polymorphic" polymorphic: Option<Ordered<Polymorphic>>,
        /// Destination column to pipeline.
        "transformation_rules" transformation_rules: Ordered<Pipeline>,
        /// Checks after the load.
        #[schemars(default)]
        "validation_rules" validation_rules: Vec<Validation>,
        /// Source columns that are left behind on purpose.
        #[schemars(default)]
        "drop_source_columns" drop_source_columns: Vec<Name>,
        /// Columns whose values never leave the agent: source or destination names.
        #[schemars(default)]
        "sensitive" sensitive: Vec<Name>,
        /// Time zone of naive timestamps, in place of the default.
        "timezone" timezone: Option<Name>,
        /// In place of the default.
        "unmapped_columns" unmapped_columns: Option<UnmappedColumns>,
        /// In place of the default.
        "on_row_error" on_row_error: Option<OnRowError>,
        /// In place of the default.
        "max_quarantined" max_quarantined: Option<Share>,
        /// In place of the default.
        "batch_size" batch_size: Option<Positive>,
        /// In place of the default.
        "constraints" constraints: Option<Constraints>,
    }
}

object! {
    /// What the new rows are called.
    pub struct Id {
        /// Where the id comes from; uuid5 where it is left out, with `like` as that entity has it.
        "kind" kind: Option<IdKind>,
        /// Destination column; its single-column primary key where it is left out.
        "column" column: Option<Name>,
        /// Another entity whose ids these rows share (1:1 tables): the keys are the same.
        "like" like: Option<EntityRef>,
        /// Destination columns that find a row which is already there.
        "match" matched: Option<Ordered<Pipeline>>,
        /// Source rows that match the same row.
        "duplicates" duplicates: Option<Unfit>,
        /// Where nothing matches; uuid5 where it is left out.
        "else" otherwise: Option<IdKind>,
    }
}

choice! {
    /// Where an id comes from.
    pub enum IdKind {
        /// uuid5 of namespace, entity and key (default).
        Uuid5 = "uuid5";
        /// The source key stays.
        Keep = "keep";
        /// A row that is already there and matches gives its id.
        NaturalKey = "natural_key";
        /// A join table: its key columns are its identity.
        None = "none";
    }
}

choice! {
    /// What happens where the destination already has a row of that key.
    pub enum OnConflict {
        /// The row is an error (default).
        Error = "error";
        /// The row that is there stays.
        Skip = "skip";
        /// The row that is there is replaced.
        Overwrite = "overwrite";
        /// These columns are filled where they are NULL.
        Merge(Several<Name>) = "merge";
    }
}

choice! {
    /// How a further table is joined.
    pub enum JoinKind {
        /// Rows without a partner stay.
        Left = "left";
        /// Rows without a partner go.
        Inner = "inner";
    }
}

choice! {
    /// How the type of a polymorphic reference is written.
    pub enum TypesFrom {
        /// Number of a row of `django_content_type`.
        Django = "django";
        /// Text.
        Label = "label";
        /// `model,id` in one column.
        Combined = "combined";
    }
}

plain_choice!(IdKind, OnConflict, JoinKind, TypesFrom);

object! {
    /// A further source table.
    pub struct Join {
        /// Its name in rules.
        "alias" alias: Name,
        /// The table.
        "table" table: Name,
        /// SQL condition.
        "on" on: Sql,
        /// How.
        "kind" kind: Option<JoinKind>,
    }
}

object! {
    /// A reference whose target differs by row.
    pub struct Polymorphic {
        /// Column of the type.
        "type_col" type_col: Name,
        /// How the type is written.
        "types_from" types_from: TypesFrom,
        /// Column of the legacy id.
        "id_col" id_col: Option<Name>,
        /// Type to entity.
        "types" types: Ordered<EntityRef>,
        /// What happens where the target does not exist.
        "orphan" orphan: Option<Unfit>,
    }
}
