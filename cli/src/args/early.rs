//! Reads a command line; help, version and command lines that are not valid end before any command.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use super::Cli;
use crate::config::holds_password;
use crate::exit;
use crate::render::Format;
use crate::screen::Screen;
use crate::stop::Stop;

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
            Self::Clap(error, format) if !format.is_json() => {
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
pub(super) fn wanted_format(arguments: &[OsString]) -> Format {
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
