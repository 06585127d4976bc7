//! `drover run` and `drover dev`: everything on this machine.

use std::path::PathBuf;

use clap::Args;

/// `drover run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The plan file (YAML or JSON); `-` reads it from stdin
    pub plan: PathBuf,
    /// Database for Drover's own records, without a password [default: DROVER_METADATA_URL, else schema drover_meta
    /// of the destination]
    #[arg(long, value_name = "URL")]
    pub metadata_url: Option<String>,
    /// Exit with 9 when rows were quarantined
    #[arg(long)]
    pub strict: bool,
    /// Most partitions that this machine works on at the same time, within the plan's limit
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub lanes: u32,
}

/// `drover dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Load a made-up legacy clinic and migrate it
    #[arg(long)]
    pub demo: bool,
    /// Size of the demo: 1 is about 250,000 rows
    #[arg(long, value_name = "N", requires = "demo", default_value_t = 1.0, value_parser = parse_scale)]
    pub scale: f64,
    /// Stop when the demo is done, instead of waiting for Ctrl-C
    #[arg(long, requires = "demo")]
    pub exit_after: bool,
    /// Keep the databases in this directory and use them again next time
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Do not remove the databases at the end
    #[arg(long)]
    pub keep: bool,
}

fn parse_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale > 0.0 && scale <= 1000.0 => Ok(scale),
        _ => Err("a number above 0, at most 1000".to_owned()),
    }
}
