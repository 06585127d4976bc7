//! `drover mapping`: old and new ids.

use clap::{Args, Subcommand};

use super::local::LocalArgs;

/// `drover mapping …`.
#[derive(Debug, Subcommand)]
pub enum MappingCommand {
    /// Show the new id of a legacy row
    Lookup(LookupArgs),
    /// Show the legacy row of a new id
    Reverse(ReverseArgs),
}

/// `drover mapping lookup`.
#[derive(Debug, Args)]
pub struct LookupArgs {
    /// The plan's name of the entity
    pub entity: String,
    /// The legacy key; a composite key as several arguments or as one JSON array
    #[arg(required = true, num_args = 1.., allow_negative_numbers = true)]
    pub key: Vec<String>,
    /// The migration, where several hold the entity
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover mapping reverse`.
#[derive(Debug, Args)]
pub struct ReverseArgs {
    /// The new id; for rows that keep their key, that key
    #[arg(allow_negative_numbers = true)]
    pub id: String,
    /// The plan's name of the entity [default: all of them are searched]
    #[arg(long, value_name = "ENTITY")]
    pub entity: Option<String>,
    /// The migration; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
}
