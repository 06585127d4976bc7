//! `drover completion`.

use clap::Args;
use clap_complete::Shell;

/// `drover completion`.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}
