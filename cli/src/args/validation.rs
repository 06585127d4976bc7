//! `drover validation`: whether the copied data is right.

use clap::{Args, Subcommand};
use proto::domain::compiled::Level;

use super::PatienceArgs;
use super::lists::LimitArgs;
use super::local::LocalArgs;

/// `drover validation …`.
#[derive(Debug, Subcommand)]
pub enum ValidationCommand {
    /// Compare what a completed migration copied with what it should have; nothing is written
    Start(ValidationStartArgs),
    /// Show a validation and its results
    Get(ValidationGetArgs),
    /// List the validations of a migration, the newest first
    List(ValidationListArgs),
    /// List the rows that a validation found: keys and columns, no values
    Diff(ValidationDiffArgs),
    /// End a validation that is under way; it leaves no results
    Cancel(ValidationCancelArgs),
}

/// `drover validation start`.
#[derive(Debug, Args)]
pub struct ValidationStartArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
    /// How deep contents are compared: counts, aggregates, sample:N or full [default: as the plan says, else full]
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub level: Option<Level>,
    /// Only this entity; may be given several times [default: all]
    #[arg(long, value_name = "ENTITY")]
    pub entity: Vec<String>,
    /// Wait for the results; exit code 9 where something is wrong
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub patience: PatienceArgs,
    /// Partitions that are compared at the same time, with --local
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub lanes: u32,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// Which validation.
#[derive(Debug, Args)]
pub struct ValidationGetArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
    /// The validation's id [default: the newest]
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover validation list`.
#[derive(Debug, Args)]
pub struct ValidationListArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
    #[command(flatten)]
    pub limit: LimitArgs,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover validation diff`.
#[derive(Debug, Args)]
pub struct ValidationDiffArgs {
    #[command(flatten)]
    pub validation: ValidationGetArgs,
    /// Only this entity
    #[arg(long, value_name = "ENTITY")]
    pub entity: Option<String>,
}

/// `drover validation cancel`.
#[derive(Debug, Args)]
pub struct ValidationCancelArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
}

fn level(text: &str) -> Result<Level, String> {
    text.parse().map_err(|error| format!("{error}"))
}
