//! What cannot be mistaken for anything else: the migration's name, typed or given.

use std::io::{self, BufRead, IsTerminal};

use crate::context::Context;
use crate::exit::Code;
use crate::stop::Stop;

/// Lets go on only who gives the migration's name, or types it on a terminal.
pub async fn name(
    context: &Context,
    name: &str,
    given: Option<&str>,
    question: &str,
) -> Result<(), Stop> {
    let typed = match given {
        Some(given) => given.to_owned(),
        None if io::stdin().is_terminal() && !context.global.no_input => {
            ask(context, name, question).await?
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

fn not_confirmed(message: impl Into<String>) -> Stop {
    Stop::new(Code::Usage, "NOT_CONFIRMED", message)
}

async fn ask(context: &Context, name: &str, question: &str) -> Result<String, Stop> {
    context.say(format!("type the migration's name ({name}) to {question}:"));
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
