//! `drover migration delete`: only who types the name, or gives it, deletes.

use std::io::{self, BufRead, IsTerminal};

use crate::args::{DeleteArgs, GlobalArgs, GuardArgs};
use crate::context::Context;
use crate::exit::Code;
use crate::here::{self, Here};
use crate::stop::Stop;

/// Forgets a migration.
pub async fn run(context: &Context, args: DeleteArgs) -> Result<Code, Stop> {
    let is_asked = is_asked(&context.global, &args, io::stdin().is_terminal())?;
    if args.local.local {
        return delete_here(context, args, is_asked).await;
    }
    let remote = context.remote()?;
    let (migration, _) = remote.migration(&args.name).await?;
    let typed = match is_asked {
        true => ask(context, &migration.name).await?,
        false => args.confirm.unwrap_or_default(),
    };
    if typed != migration.name {
        return Err(not_confirmed(format!(
            "`{typed}` is not the migration's name: nothing was deleted"
        )));
    }
    remote.delete(&migration).await?;
    context.say(format!(
        "{} is forgotten; what is at the destination stays there",
        migration.name
    ));
    Ok(Code::Done)
}

/// Without a controller.
async fn delete_here(context: &Context, args: DeleteArgs, is_asked: bool) -> Result<Code, Stop> {
    let here = Here::find(context, &args.local, &args.name).await?;
    let name = here.migration.name.clone();
    let typed = match is_asked {
        true => ask(context, &name).await?,
        false => args.confirm.unwrap_or_default(),
    };
    if typed != name {
        return Err(not_confirmed(format!(
            "`{typed}` is not the migration's name: nothing was deleted"
        )));
    }
    let call = here::call(context, "delete", &[&name]);
    let target = here.target(&GuardArgs {
        etag: Some(here.migration.etag()),
    });
    let deleted = here.store.delete_once(&call, &target).await;
    deleted.map_err(|error| here::stop(&error))?;
    context.say(format!(
        "{name} is forgotten; what is at the destination stays there"
    ));
    Ok(Code::Done)
}

/// Whether the name is to be typed; refused where nobody could.
fn is_asked(global: &GlobalArgs, args: &DeleteArgs, is_terminal: bool) -> Result<bool, Stop> {
    match (global.yes, &args.confirm) {
        (true, Some(_)) => Ok(false),
        (false, _) if is_terminal && !global.no_input => Ok(true),
        (true, None) if is_terminal && !global.no_input => Ok(true),
        _ => Err(
            not_confirmed("nobody can be asked whether the migration is to be deleted")
                .hinting(format!("give --yes --confirm {}", args.name)),
        ),
    }
}

fn not_confirmed(message: impl Into<String>) -> Stop {
    Stop::new(Code::Usage, "NOT_CONFIRMED", message)
}

/// Asks for the name; ends early when somebody wants the end.
async fn ask(context: &Context, name: &str) -> Result<String, Stop> {
    context.say(format!("type the migration's name ({name}) to delete it:"));
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let token = context.shutdown.token();
    let line = tokio::select! {
        biased;
        () = token.cancelled() => return Err(Stop::interrupted("nothing was deleted")),
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
    use crate::args::{Cli, Command, MigrationCommand};

    fn asked(flags: &str, is_terminal: bool) -> Result<bool, u8> {
        let line = format!("drover migration delete clinic {flags}");
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Migration(MigrationCommand::Delete(args)) = cli.command else {
            panic!("{line}")
        };
        is_asked(&cli.global, &args, is_terminal).map_err(|stop| stop.code().number())
    }

    #[test]
    fn without_a_terminal_the_name_must_be_given() {
        for (flags, is_terminal, expected) in [
            ("", true, Ok(true)),
            ("", false, Err(2)),
            ("--yes", true, Ok(true)),
            ("--yes", false, Err(2)),
            ("--confirm clinic", false, Err(2)),
            ("--yes --confirm clinic", false, Ok(false)),
            ("--yes --confirm clinic", true, Ok(false)),
            ("--no-input", true, Err(2)),
            ("--no-input --yes --confirm clinic", true, Ok(false)),
        ] {
            assert_eq!(asked(flags, is_terminal), expected, "{flags} {is_terminal}");
        }
    }
}
