//! `drover error`: rows that could not be migrated, and what is decided about them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::lists::LimitArgs;
use super::local::LocalArgs;
use super::migration::{GuardArgs, PatienceArgs};
use super::wanted::WantedError;

/// `drover error …`.
#[derive(Debug, Subcommand)]
pub enum ErrorCommand {
    /// List the errors of a migration, the oldest first
    List(ErrorListArgs),
    /// Count the errors of a migration by entity, code and column
    Group(ErrorGroupArgs),
    /// Show one error with its row, sensitive values masked
    Get(ErrorGetArgs),
    /// Read rows that failed again, as the source is now, and write those that are good
    Retry(ErrorRetryArgs),
    /// Decide that rows stay away
    Skip(ErrorSkipArgs),
    /// Write all errors with their rows, sensitive values masked, as JSON lines or CSV
    Export(ErrorExportArgs),
}

/// Which errors are meant.
#[derive(Debug, Clone, Default, Args)]
pub struct ErrorFilterArgs {
    /// Only errors of this entity
    #[arg(long, value_name = "ENTITY")]
    pub entity: Option<String>,
    /// Only errors of this code: an SQLSTATE or DROVER_…
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// Only errors of this type
    #[arg(long = "type", value_name = "TYPE", value_enum)]
    pub error_type: Option<WantedError>,
}

/// `drover error list`.
#[derive(Debug, Args)]
pub struct ErrorListArgs {
    /// The migration; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
    #[command(flatten)]
    pub filter: ErrorFilterArgs,
    /// Only errors that are resolved (or, with `=false`, that are not)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub resolved: Option<bool>,
    #[command(flatten)]
    pub limit: LimitArgs,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover error group`.
#[derive(Debug, Args)]
pub struct ErrorGroupArgs {
    /// The migration; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
    #[command(flatten)]
    pub filter: ErrorFilterArgs,
    /// Only errors that are resolved (or, with `=false`, that are not)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub resolved: Option<bool>,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover error get`.
#[derive(Debug, Args)]
pub struct ErrorGetArgs {
    /// Its id, or the first four or more characters of it
    pub id: String,
    /// The migration; needed with the beginning of an id, where there is more than one
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover error retry`.
#[derive(Debug, Args)]
pub struct ErrorRetryArgs {
    /// Ids of errors, or the first four or more characters of them
    pub ids: Vec<String>,
    /// The migration; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
    #[command(flatten)]
    pub filter: ErrorFilterArgs,
    /// Every row that failed and is not resolved
    #[arg(long, conflicts_with_all = ["ids", "entity", "code", "error_type"])]
    pub all: bool,
    /// Wait until the rows were tried
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub patience: PatienceArgs,
    #[command(flatten)]
    pub guard: GuardArgs,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover error skip`.
#[derive(Debug, Args)]
pub struct ErrorSkipArgs {
    /// Ids of errors, or the first four or more characters of them
    pub ids: Vec<String>,
    /// The migration; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
    #[command(flatten)]
    pub filter: ErrorFilterArgs,
    /// Every error that is not resolved
    #[arg(long, conflicts_with_all = ["ids", "entity", "code", "error_type"])]
    pub all: bool,
    /// Why, in words
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub guard: GuardArgs,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// How errors are exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object per line
    Jsonl,
    /// Comma-separated values with a header
    Csv,
}

/// `drover error export`.
#[derive(Debug, Args)]
pub struct ErrorExportArgs {
    /// The migration; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
    #[command(flatten)]
    pub filter: ErrorFilterArgs,
    /// Only errors that are resolved (or, with `=false`, that are not)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub resolved: Option<bool>,
    /// How it looks
    #[arg(long, value_enum, default_value = "jsonl")]
    pub format: ExportFormat,
    /// Where to; `-` is stdout
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    #[command(flatten)]
    pub local: LocalArgs,
}
