//! What every command takes: how results look, and how a controller is reached.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use uuid::Uuid;

use super::duration;
use crate::render::Format;

/// Flags that stand before or after any command.
#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// How results are printed
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub output: Format,
    /// Leave the headers of tables out
    #[arg(long, global = true)]
    pub no_headers: bool,
    /// Configuration file [default: DROVER_CONFIG, else ~/.config/drover/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ask nothing and take yes for an answer
    #[arg(long, global = true)]
    pub yes: bool,
    /// Ask nothing, and fail where something would be asked
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Say on stderr which controller is asked what, and what it answers
    #[arg(short, long, global = true)]
    pub verbose: bool,
    #[command(flatten)]
    pub controller: ControllerArgs,
}

/// How a controller is reached.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Controller")]
pub struct ControllerArgs {
    /// Controllers to ask, the first that answers is taken [default: DROVER_ADDRESS, else 127.0.0.1:7420]
    #[arg(long, global = true, value_name = "HOST:PORT,…", value_delimiter = ',')]
    pub address: Vec<String>,
    /// How long one call may take, other controllers and retries included
    #[arg(long, global = true, value_name = "TIME", default_value = "15s", value_parser = duration::parse)]
    pub timeout: Duration,
    /// UUID of this command; given again, the controller answers as it did and does nothing twice
    #[arg(long, global = true, value_name = "UUID")]
    pub request_id: Option<Uuid>,
    /// Certificates that the controller's is checked against (PEM) [default: DROVER_TLS_CA]
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Certificate to show to the controller (PEM) [default: DROVER_TLS_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Key of that certificate (PEM) [default: DROVER_TLS_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Name that the controller's certificate must have, where it is not the address [default:
    /// DROVER_TLS_SERVER_NAME]
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
}
