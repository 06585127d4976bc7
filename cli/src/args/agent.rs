//! `drover agent`: who works, and who shall not.

use clap::{Args, Subcommand};

use super::lists::LimitArgs;
use super::migration::PatienceArgs;

/// `drover agent …`.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// List the agents that are alive
    List(AgentListArgs),
    /// Show one agent
    Get {
        /// Its name, its id, or the first four or more characters of its id
        name: String,
    },
    /// Have an agent finish the batches in hand and give its partitions back
    Drain(DrainArgs),
    /// Give an agent nothing new; it keeps what it has
    Cordon {
        /// Its name, its id, or the first four or more characters of its id
        name: String,
    },
    /// Give a cordoned or drained agent work again
    Uncordon {
        /// Its name, its id, or the first four or more characters of its id
        name: String,
    },
}

/// `drover agent list`.
#[derive(Debug, Args)]
pub struct AgentListArgs {
    /// Only agents of this region; may be given several times
    #[arg(long, value_name = "REGION")]
    pub region: Vec<String>,
    #[command(flatten)]
    pub limit: LimitArgs,
}

/// `drover agent drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Its name, its id, or the first four or more characters of its id
    pub name: String,
    /// Wait until it holds nothing any more
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub patience: PatienceArgs,
}
