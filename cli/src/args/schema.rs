//! `drover schema`: changes of a schema that a plan declares.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::local::LocalArgs;

/// `drover schema …`.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Show what the changes come to: statements, the way back, risk; nothing is changed
    Plan(SchemaPlanArgs),
    /// Make the changes whose moment has come; also goes on with them after an interruption
    Apply(SchemaApplyArgs),
    /// Show every operation, with what was dropped for the load
    Status(SchemaStatusArgs),
    /// Take every operation back, the last one first
    Rollback(SchemaRollbackArgs),
}

/// `drover schema plan`.
#[derive(Debug, Args)]
pub struct SchemaPlanArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub name: Option<String>,
    /// A plan file that is no migration yet; `-` reads it from stdin
    #[arg(short, long, value_name = "PLAN")]
    pub file: Option<PathBuf>,
    /// Agents of this region are asked; may be given several times [default: agents of any region]
    #[arg(long, value_name = "REGION", requires = "file")]
    pub region: Vec<String>,
    /// Exit with 10 when there is something to change
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover schema apply`.
#[derive(Debug, Args)]
pub struct SchemaApplyArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
    /// Confirms, together with --yes, changes of high risk by TABLE.COLUMN, those of critical risk by TABLE; may be
    /// given several times
    #[arg(long, value_name = "TABLE[.COLUMN]")]
    pub confirm: Vec<String>,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover schema status`.
#[derive(Debug, Args)]
pub struct SchemaStatusArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover schema rollback`.
#[derive(Debug, Args)]
pub struct SchemaRollbackArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
    /// The migration's name once more
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    #[command(flatten)]
    pub local: LocalArgs,
}
