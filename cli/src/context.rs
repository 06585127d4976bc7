//! What every command gets: settings, the screen, and the signal to stop.

use std::path::PathBuf;

use proto::runtime::settings::Environment;
use proto::runtime::shutdown::Shutdown;

use crate::args::Cli;
use crate::config::Connections;
use crate::render::Format;
use crate::screen::Screen;
use crate::stop::Stop;

/// The surroundings of one command.
#[derive(Debug)]
pub struct Context {
    /// The environment of the process.
    pub environment: Environment,
    /// Where to talk and print.
    pub screen: Screen,
    /// How results are printed.
    pub output: Format,
    /// The signal to stop.
    pub shutdown: Shutdown,
    config: Option<PathBuf>,
}

impl Context {
    /// The surroundings of a command line.
    pub fn new(cli: &Cli, environment: Environment, screen: Screen, shutdown: Shutdown) -> Self {
        Self {
            environment,
            screen,
            shutdown,
            output: cli.output,
            config: cli.config.clone(),
        }
    }

    /// The configured connections, from the file and the environment.
    pub fn connections(&self) -> Result<Connections, Stop> {
        Connections::load(self.config.as_deref(), &self.environment)
    }

    /// Says something on stderr.
    pub fn say(&self, line: impl AsRef<str>) {
        self.screen.say(line.as_ref());
    }
}
