//! Taking rows back: `drover migration rollback`, `drover entity reset`, `drover destination uninstall`.

use clap::{Args, Subcommand, ValueEnum};
use proto::domain::undo::ConflictPolicy;

use super::local::LocalArgs;
use super::migration::PatienceArgs;

/// What becomes of rows that others changed, and of rows that rows which stay refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WantedPolicy {
    /// They stay as they are
    Keep,
    /// They are undone, too; what refers to one follows its foreign key's own rule
    Force,
}

impl From<WantedPolicy> for ConflictPolicy {
    fn from(wanted: WantedPolicy) -> Self {
        match wanted {
            WantedPolicy::Keep => Self::Keep,
            WantedPolicy::Force => Self::Force,
        }
    }
}

/// How rows are taken back.
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// Show what would be done to each entity, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What becomes of rows that others changed or refer to [default: they block it]
    #[arg(long, value_enum)]
    pub conflicts: Option<WantedPolicy>,
    /// The migration's name once more; needed where nobody can be asked
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    /// Wait until it is done
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub patience: PatienceArgs,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover migration rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Its name, its id, or the first four or more characters of its id
    pub name: String,
    /// Only these entities and all that depend on them; the migration can be resumed then [default: all]
    #[arg(long, value_name = "ENTITY,…", value_delimiter = ',')]
    pub entities: Vec<String>,
    #[command(flatten)]
    pub undo: UndoArgs,
}

/// `drover entity reset`.
#[derive(Debug, Args)]
pub struct EntityResetArgs {
    /// The migration: its name, its id, or the first four or more characters of its id
    pub name: String,
    /// The plan's name of the entity; those that depend on it are taken back, too
    pub entity: String,
    #[command(flatten)]
    pub undo: UndoArgs,
}

/// `drover destination …`.
#[derive(Debug, Subcommand)]
pub enum DestinationCommand {
    /// Remove schema `drover` once no migration needs it: after finalize, or when none is left
    Uninstall(UninstallArgs),
}

/// `drover destination uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Name of the connection, as plans have it
    pub connection: String,
    /// The connection's name once more; needed where nobody can be asked
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    #[command(flatten)]
    pub local: LocalArgs,
}
