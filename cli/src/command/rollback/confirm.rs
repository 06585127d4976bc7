//! Only who types the name, or gives it, does what cannot be taken back.

use std::io::{self, BufRead, IsTerminal};

use crate::args::GlobalArgs;
use crate::context::Context;
use crate::exit::Code;
use crate::stop::Stop;

/// A name that is to be given once more.
#[derive(Debug, Clone, Copy)]
pub struct Confirm<'a> {
    /// What it is.
    pub what: &'static str,
    /// The name.
    pub name: &'a str,
    /// As it was given with `--confirm`.
    pub given: Option<&'a str>,
    /// What is done then.
    pub deed: &'static str,
}

impl Confirm<'_> {
    /// The name, once it was given or typed.
    ///
    /// # Errors
    /// `NOT_CONFIRMED` where it is another, or where nobody can be asked.
    pub async fn ask(&self, context: &Context) -> Result<String, Stop> {
        let typed = match self.is_asked(&context.global, io::stdin().is_terminal())? {
            true => self.read(context).await?,
            false => self.given.unwrap_or_default().to_owned(),
        };
        match typed == self.name {
            true => Ok(typed),
            false => Err(not_confirmed(format!(
                "`{typed}` is not {}: nothing was done",
                self.what
            ))),
        }
    }

    /// Whether it is to be typed; refused where nobody could.
    fn is_asked(&self, global: &GlobalArgs, is_terminal: bool) -> Result<bool, Stop> {
        match self.given {
            Some(_) => Ok(false),
            None if is_terminal && !global.no_input && !global.yes => Ok(true),
            None => Err(
                not_confirmed(format!("nobody can be asked whether to {}", self.deed))
                    .hinting(format!("give --confirm {}", self.name)),
            ),
        }
    }

    /// Asks for the name; ends early when somebody wants the end.
    async fn read(&self, context: &Context) -> Result<String, Stop> {
        let Self {
            what, name, deed, ..
        } = self;
        context.say(format!("type {what} ({name}) to {deed}:"));
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map(|_| line)
        });
        let token = context.shutdown.token();
        let line = tokio::select! {
            biased;
            () = token.cancelled() => return Err(Stop::interrupted("nothing was done")),
            line = line => line,
        };
        match line {
            Ok(Ok(line)) => Ok(line.trim().to_owned()),
            Ok(Err(_)) | Err(_) => Err(not_confirmed("the name cannot be read")),
        }
    }
}

fn not_confirmed(message: impl Into<String>) -> Stop {
    Stop::new(Code::Usage, "NOT_CONFIRMED", message)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command, MigrationCommand};

    fn asked(flags: &str, is_terminal: bool) -> Result<bool, u8> {
        let line = format!("drover migration rollback clinic {flags}");
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Migration(MigrationCommand::Rollback(args)) = cli.command else {
            panic!("{line}")
        };
        let confirm = Confirm {
            what: "the migration's name",
            name: "clinic",
            given: args.undo.confirm.as_deref(),
            deed: "roll it back",
        };
        confirm
            .is_asked(&cli.global, is_terminal)
            .map_err(|stop| stop.code().number())
    }

    #[test]
    fn the_name_alone_is_enough_and_without_a_terminal_it_is_needed() {
        for (flags, is_terminal, expected) in [
            ("", true, Ok(true)),
            ("", false, Err(2)),
            ("--yes", true, Err(2)),
            ("--yes", false, Err(2)),
            ("--confirm clinic", false, Ok(false)),
            ("--yes --confirm clinic", true, Ok(false)),
            ("--no-input", true, Err(2)),
        ] {
            assert_eq!(asked(flags, is_terminal), expected, "{flags} {is_terminal}");
        }
    }
}
