//! The command line: `drover <noun> <verb>`, one file per noun.
//!
//! Values are only read here, never looked up. A password in an argument is refused before anything
//! else, since every user of the machine can see it.

mod agent;
mod completion;
mod duration;
mod early;
mod error;
mod global;
mod lists;
mod local;
mod mapping;
mod migration;
mod rollback;
mod rules;
mod run;
mod schema;
mod validation;
mod wanted;

use clap::{Parser, Subcommand};

use crate::exit;

pub use agent::{AgentCommand, AgentListArgs, DrainArgs};
pub use completion::CompletionArgs;
pub use early::parse;
pub use error::{
    ErrorCommand, ErrorExportArgs, ErrorFilterArgs, ErrorGetArgs, ErrorGroupArgs, ErrorListArgs,
    ErrorRetryArgs, ErrorSkipArgs, ExportFormat,
};
pub use global::{ControllerArgs, GlobalArgs};
pub use lists::{
    BatchCommand, BatchListArgs, CheckpointCommand, CheckpointListArgs, EntityCommand,
    EntityListArgs, EntitySteerArgs,
};
pub use local::LocalArgs;
pub use mapping::{LookupArgs, MappingCommand, ReverseArgs};
pub use migration::{
    CancelArgs, CreateArgs, DeleteArgs, FinalizeArgs, GetArgs, GoOnArgs, GrantSide, GuardArgs,
    ListArgs, MigrationCommand, PatienceArgs, PauseArgs, PlanArgs, ResumeArgs, SetArgs, WaitArgs,
    WatchArgs,
};
pub use rollback::{DestinationCommand, EntityResetArgs, RollbackArgs, UndoArgs, UninstallArgs};
pub use rules::{RulesCommand, RulesGetArgs, RulesListArgs};
pub use run::{DevArgs, RunArgs};
pub use schema::{
    SchemaApplyArgs, SchemaCommand, SchemaPlanArgs, SchemaRollbackArgs, SchemaStatusArgs,
};
pub use validation::{
    ValidationCommand, ValidationDiffArgs, ValidationGetArgs, ValidationListArgs,
    ValidationStartArgs,
};
pub use wanted::WantedState;

const EXAMPLES: &str = "\
Examples:
  drover dev --demo                 a made-up clinic, migrated on a private PostgreSQL
  drover rules check plan.yaml      all problems of a plan, before a row moves
  drover run plan.yaml              migrate on this machine; run it again after any interruption

  drover migration create -f plan.yaml    give a plan to a controller, whose agents migrate
  drover migration start clinic
  drover migration watch clinic           Ctrl-C detaches; the migration goes on

Connections are given as DROVER_CONNECTION_<NAME>=postgres://user:password@host/database, or in the file of
--config, DROVER_CONFIG or ~/.config/drover/config.toml. DROVER_LOG=info shows what is going on.";

/// Migrates a legacy PostgreSQL application into a new PostgreSQL schema.
#[derive(Debug, Parser)]
#[command(name = "drover", version, after_help = EXAMPLES, disable_help_subcommand = false)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The nouns, and the verbs that stand alone.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a migration on this machine, or go on with it
    Run(RunArgs),
    /// Bring up a private PostgreSQL to try things out
    Dev(DevArgs),
    /// Create, start, watch and stop migrations
    #[command(subcommand)]
    Migration(MigrationCommand),
    /// Remove what is Drover's own from a destination
    #[command(subcommand)]
    Destination(DestinationCommand),
    /// See how far each entity is, and steer single ones
    #[command(subcommand)]
    Entity(EntityCommand),
    /// Look at the batches of an entity
    #[command(subcommand)]
    Batch(BatchCommand),
    /// Look at the positions that were reached
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
    /// Look at rows that could not be migrated, and decide about them
    #[command(subcommand)]
    Error(ErrorCommand),
    /// Find out which row became which
    #[command(subcommand)]
    Mapping(MappingCommand),
    /// Work on plans, and look at the rules that were stored
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Compare what was copied with what should have been
    #[command(subcommand)]
    Validation(ValidationCommand),
    /// Make the changes of a schema that a plan declares, and take them back
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// See who works, and take agents out of work
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Print a completion script for a shell
    Completion(CompletionArgs),
    /// Print what the exit codes mean
    #[command(long_about = exit::text())]
    ExitCodes,
}

#[cfg(test)]
mod tests;
