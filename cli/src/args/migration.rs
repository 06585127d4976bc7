//! `drover migration`: from a plan to an end, by way of a controller.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::lists::LimitArgs;
use super::local::LocalArgs;
use super::rollback::RollbackArgs;
use super::{WantedState, duration};

/// `drover migration …`.
#[derive(Debug, Subcommand)]
pub enum MigrationCommand {
    /// Check a plan and store it as a new migration, to be started
    Create(CreateArgs),
    /// Preflight: check both databases, show every step and its undoing, try a sample of rows; nothing is stored
    Plan(PlanArgs),
    /// Start a migration
    Start(GoOnArgs),
    /// List all migrations, the newest first
    List(ListArgs),
    /// Show one migration and its entities
    Get(GetArgs),
    /// Follow a migration until it ends or needs you; Ctrl-C detaches
    Watch(WatchArgs),
    /// Wait until a migration is in a state
    Wait(WaitArgs),
    /// Have every agent finish the batches in hand and stop
    Pause(PauseArgs),
    /// Let a paused or blocked migration go on
    Resume(ResumeArgs),
    /// Take back what a migration wrote: the destination is as it was before
    Rollback(RollbackArgs),
    /// Give a migration up: its work is stopped, what was written stays
    Cancel(CancelArgs),
    /// Rule a rollback out: the migration has ended and stays as it is
    Finalize(FinalizeArgs),
    /// Change settings while it runs: batch_size, max_quarantined, parallel_partitions, max_rows_per_second, max_retries
    Set(SetArgs),
    /// Forget a migration that is not under way; what is at the destination stays
    Delete(DeleteArgs),
}

/// `drover migration create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The plan file (YAML or JSON); `-` reads it from stdin
    #[arg(short, long, value_name = "PLAN")]
    pub file: PathBuf,
    /// Check everything and store nothing
    #[arg(long)]
    pub validate_only: bool,
    /// Agents of this region do the work; may be given several times [default: agents of any region]
    #[arg(long, value_name = "REGION")]
    pub region: Vec<String>,
}

/// `drover migration plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// The plan file (YAML or JSON); `-` reads it from stdin
    #[arg(short, long, value_name = "PLAN")]
    pub file: PathBuf,
    /// Agents of this region are asked; may be given several times [default: agents of any region]
    #[arg(long, value_name = "REGION", conflicts_with = "local")]
    pub region: Vec<String>,
    /// Rows of each entity that are taken through its rules, into a table like the target that is gone after; 0: none
    #[arg(long, value_name = "ROWS", default_value_t = 1000)]
    pub sample: u32,
    /// Print the SQL that gives the role of one side the rights that the plan needs, and nothing else
    #[arg(long, value_name = "SIDE")]
    pub grants: Option<GrantSide>,
    /// The role that gets the rights [default: the one of the connection]
    #[arg(long, value_name = "ROLE", requires = "grants")]
    pub role: Option<String>,
    /// Look from this machine, with its configured connections, instead of asking a controller
    #[arg(long)]
    pub local: bool,
}

/// Whose rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum GrantSide {
    /// Those of the role that reads
    Source,
    /// Those of the role that writes
    Destination,
}

/// `drover migration start`.
#[derive(Debug, Args)]
pub struct GoOnArgs {
    /// Its name, its id, or the first four or more characters of its id
    pub name: String,
    /// The edited plan file, which takes effect now [default: the stored one]
    #[arg(short, long, value_name = "PLAN")]
    pub file: Option<PathBuf>,
}

/// `drover migration list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub limit: LimitArgs,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover migration get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Its name, its id, or the first four or more characters of its id
    pub name: String,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover migration watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Its name, its id, or the first four or more characters of its id
    pub name: String,
}

/// How long a command waits.
#[derive(Debug, Clone, Copy, Args)]
pub struct PatienceArgs {
    /// Wait at most so long; the work goes on [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub wait_timeout: Option<Duration>,
}

/// `drover migration wait`.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Its name, its id, or the first four or more characters of its id
    pub name: String,
    /// What to wait for: completed, paused, blocked, running, pausing, pending, failed or rolling_back
    #[arg(long = "for", value_name = "state=STATE", value_parser = WantedState::parse)]
    pub wanted: WantedState,
    #[command(flatten)]
    pub patience: PatienceArgs,
}

/// `drover migration pause`.
#[derive(Debug, Args)]
pub struct PauseArgs {
    /// Its name, its id, or the first four or more characters of its id
    pub name: String,
    /// Why, in words
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub reason: String,
    /// How long agents may take to give back what they hold; it is sealed then [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub deadline: Option<Duration>,
    /// Wait until nothing can be written any more
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub patience: PatienceArgs,
    #[command(flatten)]
    pub guard: GuardArgs,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// Which state a command is meant for.
#[derive(Debug, Clone, Default, Args)]
pub struct GuardArgs {
    /// Do nothing where the migration has been commanded since: its attempt and generation, as `1-4`
    #[arg(long, value_name = "ETAG")]
    pub etag: Option<String>,
}

/// `drover migration cancel`.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// Its name, its id, or the first four or more characters of its id
    pub name: String,
    /// How long agents may take to give back what they hold; it is sealed then [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub deadline: Option<Duration>,
    /// The migration's name once more; instead of --yes
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    /// Wait until nothing can be written any more
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub patience: PatienceArgs,
    #[command(flatten)]
    pub guard: GuardArgs,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover migration finalize`.
#[derive(Debug, Args)]
pub struct FinalizeArgs {
    /// Its name, its id, or the first four or more characters of its id
    pub name: String,
    /// The migration's name once more; instead of --yes
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    #[command(flatten)]
    pub guard: GuardArgs,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover migration set`.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Its name, its id, or the first four or more characters of its id
    pub name: String,
    /// NAME=VALUE: batch_size, max_quarantined, parallel_partitions, max_rows_per_second or max_retries; the value
    /// `plan` is what the plan says
    #[arg(required = true, value_name = "NAME=VALUE", value_parser = setting)]
    pub settings: Vec<(String, String)>,
    /// Only for this entity; for batch_size and max_quarantined
    #[arg(long, value_name = "ENTITY")]
    pub entity: Option<String>,
    #[command(flatten)]
    pub guard: GuardArgs,
    #[command(flatten)]
    pub local: LocalArgs,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("give it as NAME=VALUE".to_owned()),
    }
}

/// `drover migration resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    pub go_on: GoOnArgs,
    /// Wait until work is handed out again
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub patience: PatienceArgs,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover migration delete`.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Its name, its id, or the first four or more characters of its id
    pub name: String,
    /// The migration's name once more; needed with --yes
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    #[command(flatten)]
    pub local: LocalArgs,
}
