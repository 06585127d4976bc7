//! `drover error`: rows that could not be migrated.

use clap::{Args, Subcommand};

use super::lists::LimitArgs;
use super::local::LocalArgs;

/// `drover error …`.
#[derive(Debug, Subcommand)]
pub enum ErrorCommand {
    /// List the errors of a migration, the oldest first
    List(ErrorListArgs),
    /// Show one error with its row, sensitive values masked
    Get(ErrorGetArgs),
}

/// `drover error list`.
#[derive(Debug, Args)]
pub struct ErrorListArgs {
    /// The migration; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
    /// Only errors of this entity
    #[arg(long, value_name = "ENTITY")]
    pub entity: Option<String>,
    #[command(flatten)]
    pub limit: LimitArgs,
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
}
