//! What every command gets: settings, the screen, and the signal to stop.

use proto::runtime::clock;
use proto::runtime::settings::Environment;
use proto::runtime::shutdown::Shutdown;

use crate::args::{Cli, GlobalArgs};
use crate::config::Connections;
use crate::exit::Code;
use crate::remote::{Listed, Remote};
use crate::render::{self, Format, Row, Style};
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
    /// Flags of every command.
    pub global: GlobalArgs,
}

impl Context {
    /// The surroundings of a command line.
    pub fn new(cli: &Cli, environment: Environment, screen: Screen, shutdown: Shutdown) -> Self {
        Self {
            environment,
            screen,
            shutdown,
            output: cli.global.output,
            global: cli.global.clone(),
        }
    }

    /// The configured connections, from the file and the environment.
    pub fn connections(&self) -> Result<Connections, Stop> {
        Connections::load(self.global.config.as_deref(), &self.environment)
    }

    /// The controllers that the flags and the environment name; none is asked yet.
    pub fn remote(&self) -> Result<Remote, Stop> {
        Remote::new(self)
    }

    /// How lists are printed.
    pub fn style(&self) -> Style {
        Style {
            format: self.output,
            has_headers: !self.global.no_headers,
        }
    }

    /// Prints a list as it is asked for.
    pub fn show_list<R: Row>(&self, items: &[R]) -> Result<Code, Stop> {
        self.screen
            .print(&render::rows(self.style(), items, clock::now())?);
        Ok(Code::Done)
    }

    /// Prints a list of a controller, and says when there is more of it.
    pub fn show_listed<R: Row>(&self, listed: &Listed<R>) -> Result<Code, Stop> {
        let code = self.show_list(&listed.items)?;
        if listed.is_cut {
            self.say(format!(
                "only the first {} are shown; --limit shows more",
                listed.items.len()
            ));
        }
        Ok(code)
    }

    /// Prints one thing as it is asked for.
    pub fn show<R: Row>(&self, item: &R) -> Result<Code, Stop> {
        self.screen
            .print(&render::row(self.style(), item, clock::now())?);
        Ok(Code::Done)
    }

    /// Says something on stderr.
    pub fn say(&self, line: impl AsRef<str>) {
        self.screen.say(line.as_ref());
    }
}
