//! The command line of an agent.

use std::path::PathBuf;

/// Reads, transforms and writes rows near the source.
#[derive(Debug, Clone, Default, clap::Parser)]
#[command(name = "drover-agent", version)]
pub struct Args {
    /// Configuration file; else DROVER_AGENT_CONFIG, else /etc/drover/agent.toml where it is there
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Name of this agent, unique among those that are alive
    #[arg(long)]
    pub name: Option<String>,
    /// Its region
    #[arg(long)]
    pub region: Option<String>,
    /// Where controllers are, separated by commas
    #[arg(long, value_name = "HOST:PORT,…")]
    pub controllers: Option<String>,
    /// Set one setting, over file and environment; may be given again
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Say whether the configuration is valid, and exit
    #[arg(long)]
    pub check_config: bool,
}
