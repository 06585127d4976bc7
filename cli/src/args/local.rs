//! `--local`: where the records are, for commands that can read them without a controller.

use clap::Args;

/// Where the records are.
#[derive(Debug, Args)]
pub struct LocalArgs {
    /// Read the databases directly instead of asking a controller
    #[arg(long)]
    pub local: bool,
    /// Database with Drover's own records [default: DROVER_METADATA_URL, else every configured connection that has them]
    #[arg(long, value_name = "URL", requires = "local")]
    pub metadata_url: Option<String>,
}
