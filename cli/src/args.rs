//! The command line: `drover <noun> <verb>`.
//!
//! Values are only read here, never looked up. A password in an argument is refused before anything
//! else, since every user of the machine can see it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

use crate::config::holds_password;
use crate::exit;
use crate::render::Format;
use crate::screen::Screen;
use crate::stop::Stop;

const EXAMPLES: &str = "\
Examples:
  drover dev --demo                 a made-up clinic, migrated on a private PostgreSQL
  drover rules check plan.yaml      all problems of a plan, before a row moves
  drover run plan.yaml              migrate; run it again after any interruption

Connections are given as DROVER_CONNECTION_<NAME>=postgres://user:password@host/database, or in the file of
--config, DROVER_CONFIG or ~/.config/drover/config.toml. DROVER_LOG=info shows what is going on.";

/// Migrates a legacy PostgreSQL application into a new PostgreSQL schema.
#[derive(Debug, Parser)]
#[command(name = "drover", version, after_help = EXAMPLES, disable_help_subcommand = false)]
pub struct Cli {
    /// How results are printed
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    pub output: Format,
    /// Configuration file [default: DROVER_CONFIG, else ~/.config/drover/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The nouns, and the two verbs that stand alone.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a migration on this machine, or go on with it
    Run(RunArgs),
    /// Bring up a private PostgreSQL to try things out
    Dev(DevArgs),
    /// Look at migrations
    #[command(subcommand)]
    Migration(MigrationCommand),
    /// Look at rows that could not be migrated
    #[command(subcommand)]
    Error(ErrorCommand),
    /// Find out which row became which
    #[command(subcommand)]
    Mapping(MappingCommand),
    /// Work on a plan without running it
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Print what the exit codes mean
    #[command(long_about = exit::text())]
    ExitCodes,
}

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

/// `drover migration …`.
#[derive(Debug, Subcommand)]
pub enum MigrationCommand {
    /// Show one migration and its entities
    Get {
        /// Its name, its id, or the first four or more characters of its id
        name: String,
        #[command(flatten)]
        local: LocalArgs,
    },
    /// List all migrations
    List {
        #[command(flatten)]
        local: LocalArgs,
    },
}

/// `drover error …`.
#[derive(Debug, Subcommand)]
pub enum ErrorCommand {
    /// List the errors of a migration, the oldest first
    List(ErrorListArgs),
}

/// `drover error list`.
#[derive(Debug, Args)]
pub struct ErrorListArgs {
    /// The migration; may be left out where there is only one
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
    /// Only errors of this entity
    #[arg(long, value_name = "ENTITY")]
    pub entity: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover mapping …`.
#[derive(Debug, Subcommand)]
pub enum MappingCommand {
    /// Show the new id of a legacy row
    Lookup(LookupArgs),
}

/// `drover mapping lookup`.
#[derive(Debug, Args)]
pub struct LookupArgs {
    /// The plan's name of the entity
    pub entity: String,
    /// The legacy key; a composite key as several arguments or as one JSON array
    #[arg(required = true, num_args = 1.., allow_negative_numbers = true)]
    pub key: Vec<String>,
    /// The migration, where several hold the entity
    #[arg(long, value_name = "NAME")]
    pub migration: Option<String>,
    #[command(flatten)]
    pub local: LocalArgs,
}

/// `drover rules …`.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Check a plan against both databases; nothing is written
    Check {
        /// The plan file; `-` reads it from stdin
        plan: PathBuf,
    },
    /// Show the SELECT and the steps that an entity is compiled to
    Explain {
        /// The plan's name of the entity
        entity: String,
        /// The plan file
        #[arg(long, value_name = "PLAN", default_value = "plan.yaml")]
        plan: PathBuf,
    },
    /// Print the JSON Schema of plan files
    Schema,
}

/// An end before any command: help, version, or a command line that is not valid.
#[derive(Debug)]
pub enum Early {
    /// clap's own words.
    Clap(Box<clap::Error>, Format),
    /// Ours.
    Stop(Box<Stop>, Format),
}

impl Early {
    /// Prints it where it belongs.
    pub fn finish(self, screen: &Screen) -> ExitCode {
        let (stop, format) = match self {
            Self::Clap(error, _) if !error.use_stderr() => {
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            Self::Clap(error, Format::Table) => {
                let _ = error.print();
                return ExitCode::from(exit::Code::Usage.number());
            }
            Self::Clap(error, format) => {
                let words = error.to_string();
                let about = words.split("\n\n").next().unwrap_or_default();
                let line = about.split_whitespace().collect::<Vec<_>>().join(" ");
                (Stop::usage(line.trim_start_matches("error: ")), format)
            }
            Self::Stop(stop, format) => (*stop, format),
        };
        ExitCode::from(stop.finish(format, screen).number())
    }
}

/// Reads a command line, the program's name included.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, Early> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let format = wanted_format(&arguments);
    if arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .any(holds_password)
    {
        let stop = Stop::usage("an argument holds a password, which every user of this machine can read")
            .hinting(
                "put the URL into DROVER_CONNECTION_<NAME>, DROVER_METADATA_URL or the configuration file",
            );
        return Err(Early::Stop(Box::new(stop), format));
    }
    Cli::try_parse_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Early::Clap(Box::new(error), Format::Table)
        }
        _ => Early::Clap(Box::new(error), format),
    })
}

/// The format that a command line asks for, even where the rest of it is not valid.
fn wanted_format(arguments: &[OsString]) -> Format {
    let mut words = arguments
        .iter()
        .filter_map(|argument| argument.to_str())
        .peekable();
    while let Some(word) = words.next() {
        let value = match word {
            "-o" | "--output" => words.peek().copied(),
            _ => word
                .strip_prefix("--output=")
                .or_else(|| word.strip_prefix("-o")),
        };
        match value.map(|value| value.trim_start_matches('=')) {
            Some("json") => return Format::Json,
            Some("jsonl") => return Format::Jsonl,
            _ => {}
        }
    }
    Format::Table
}

fn parse_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if scale > 0.0 && scale <= 1000.0 => Ok(scale),
        _ => Err("a number above 0, at most 1000".to_owned()),
    }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
