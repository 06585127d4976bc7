//! `drover entity`, `drover batch` and `drover checkpoint`: what is stored of a migration.

use clap::{Args, Subcommand};

use super::local::LocalArgs;
use super::migration::{GuardArgs, PatienceArgs};
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
    /// Hand nothing of an entity out any more
    Pause(EntitySteerArgs),
    /// Hand an entity out again that was paused or skipped
    Resume(EntitySteerArgs),
    /// Try again what an entity stands still for
    Retry(EntitySteerArgs),
    /// Go on without an entity; rows of it that are written stay
    Skip(EntitySteerArgs),
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
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover entity pause`, `resume`, `retry` and `skip`.
#[derive(Debug, Args)]
pub struct EntitySteerArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
    /// The plan's name of the entity
    pub entity: String,
    /// Why, in words; needed for a skip
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Wait until it is so
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub patience: PatienceArgs,
    #[command(flatten)]
    pub guard: GuardArgs,
    #[command(flatten)]
    pub local: LocalArgs,
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
