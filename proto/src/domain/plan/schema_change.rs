//! Changes of a schema around the data (the data model's SchemaChangeOperation); not supported yet.

use super::declare::{choice, object, plain_choice};
use super::name::Name;

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
        /// When.
        "when" when: ChangeMoment,
    }
}

choice! {
    /// Kind of a schema change.
    pub enum OperationType {
        /// A column goes; backed up first, or refused.
        DropColumn = "drop_column";
        /// A column comes.
        AddColumn = "add_column";
        /// A column changes its type.
        ModifyColumn = "modify_column";
        /// A copy of the table.
        CreateBackup = "create_backup";
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

plain_choice!(OperationType, DatabaseSide, ChangeMoment);
