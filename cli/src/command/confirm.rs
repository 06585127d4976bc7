//! Asks before something that cannot be taken back.

use std::io::{self, BufRead, IsTerminal};

use crate::args::GlobalArgs;
use crate::context::Context;
use crate::exit::Code;
use crate::stop::Stop;

/// Lets a command go on only where the migration's name was given or typed, or `--yes` was; `verb` says for what.
pub async fn confirmed(
    context: &Context,
    (verb, name): (&str, &str),
    confirm: Option<&str>,
) -> Result<(), Stop> {
    let typed = match asks(&context.global, confirm, io::stdin().is_terminal()) {
        Asks::Nothing => return Ok(()),
        Asks::Nobody => {
            let words = format!("nobody can be asked whether the migration is to be {verb}");
            return Err(not_confirmed(words).hinting(format!("give --confirm {name}, or --yes")));
        }
        Asks::Given(given) => given.to_owned(),
        Asks::Terminal => {
            let question = format!("type the migration's name ({name}); it will be {verb}:");
            ask(context, question, format!("nothing was {verb}")).await?
        }
    };
    match typed == name {
        true => Ok(()),
        false => Err(not_confirmed(format!(
            "`{typed}` is not the migration's name: nothing was {verb}"
        ))),
    }
}

/// Lets go on only who gives the migration's name, or types it on a terminal; `--yes` is not enough.
pub async fn name(
    context: &Context,
    name: &str,
    given: Option<&str>,
    question: &str,
) -> Result<(), Stop> {
    let typed = match given {
        Some(given) => given.to_owned(),
        None if io::stdin().is_terminal() && !context.global.no_input => {
            let question = format!("type the migration's name ({name}) to {question}:");
            ask(context, question, "nothing was done".to_owned()).await?
        }
        None => {
            let words = format!("nobody can be asked whether to {question}");
            return Err(not_confirmed(words).hinting(format!("give --confirm {name}")));
        }
    };
    match typed == name {
        true => Ok(()),
        false => Err(not_confirmed(format!(
            "`{typed}` is not the migration's name: nothing was done"
        ))),
    }
}

/// Where the answer comes from.
#[derive(Debug, PartialEq, Eq)]
enum Asks<'a> {
    /// It is given.
    Nothing,
    /// The name is given and looked at.
    Given(&'a str),
    /// Somebody types it.
    Terminal,
    /// Nobody could.
    Nobody,
}

fn asks<'a>(global: &GlobalArgs, confirm: Option<&'a str>, is_terminal: bool) -> Asks<'a> {
    match (confirm, global.yes) {
        (Some(given), _) => Asks::Given(given),
        (None, true) => Asks::Nothing,
        (None, false) if is_terminal && !global.no_input => Asks::Terminal,
        (None, false) => Asks::Nobody,
    }
}

fn not_confirmed(message: impl Into<String>) -> Stop {
    Stop::new(Code::Usage, "NOT_CONFIRMED", message)
}

/// Asks for the name; ends early when somebody wants the end.
async fn ask(context: &Context, question: String, undone: String) -> Result<String, Stop> {
    context.say(question);
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let token = context.shutdown.token();
    let line = tokio::select! {
        biased;
        () = token.cancelled() => return Err(Stop::interrupted(undone)),
        line = line => line,
    };
    match line {
        Ok(Ok(line)) => Ok(line.trim().to_owned()),
        Ok(Err(_)) | Err(_) => Err(not_confirmed("the name cannot be read")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn the_name_or_yes_is_enough_and_without_a_terminal_one_of_them_is_needed() {
        for (flags, confirm, is_terminal, expected) in [
            ("", None, true, Asks::Terminal),
            ("", None, false, Asks::Nobody),
            ("--no-input", None, true, Asks::Nobody),
            ("--yes", None, false, Asks::Nothing),
            ("", Some("clinic"), false, Asks::Given("clinic")),
            ("--yes", Some("other"), true, Asks::Given("other")),
        ] {
            let line = format!("drover migration list {flags}");
            let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
            let found = asks(&cli.global, confirm, is_terminal);
            assert_eq!(found, expected, "{flags} {confirm:?} {is_terminal}");
        }
    }
}
