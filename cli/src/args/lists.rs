//! `drover entity`, `drover batch` and `drover checkpoint`: what is stored of a migration.

use clap::{Args, Subcommand};

use super::rollback::EntityResetArgs;
use super::wanted::{WantedEntity, limit};

/// How much of a list is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct LimitArgs {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = limit())]
    pub limit: u32,
}

/// `drover entity …`.
#[derive(Debug, Subcommand)]
pub enum EntityCommand {
    /// List the entities of a migration in dependency order
    List(EntityListArgs),
    /// Take an entity back, and all that depend on it, to copy them again
    Reset(EntityResetArgs),
}

/// `drover entity list`.
#[derive(Debug, Args)]
pub struct EntityListArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
    /// Only entities in this state; may be given several times
    #[arg(long, value_name = "STATE", value_enum)]
    pub state: Vec<WantedEntity>,
    #[command(flatten)]
    pub limit: LimitArgs,
}

/// `drover batch …`.
#[derive(Debug, Subcommand)]
pub enum BatchCommand {
    /// List the batches of an entity, the newest last
    List(BatchListArgs),
}

/// `drover batch list`.
#[derive(Debug, Args)]
pub struct BatchListArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
    /// The plan's name of the entity
    pub entity: String,
    #[command(flatten)]
    pub limit: LimitArgs,
}

/// `drover checkpoint …`.
#[derive(Debug, Subcommand)]
pub enum CheckpointCommand {
    /// List the checkpoints of a migration, the newest first
    List(CheckpointListArgs),
}

/// `drover checkpoint list`.
#[derive(Debug, Args)]
pub struct CheckpointListArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
    /// Only checkpoints of this entity
    #[arg(long, value_name = "ENTITY")]
    pub entity: Option<String>,
    #[command(flatten)]
    pub limit: LimitArgs,
}
