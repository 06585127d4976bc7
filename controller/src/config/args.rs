//! The command line of a controller.

use std::path::PathBuf;

/// Owns the plan, leases partitions to agents, answers operators.
#[derive(Debug, Clone, Default, clap::Parser)]
#[command(name = "drover-controller", version)]
pub struct Args {
    /// Configuration file; else DROVER_CONTROLLER_CONFIG, else /etc/drover/controller.toml where it is
    /// there
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Interface and port to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// How clients and agents reach this controller
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Set one setting, over file and environment; may be given again
    #[arg(long, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Say whether the configuration is valid, and exit
    #[arg(long)]
    pub check_config: bool,
}
