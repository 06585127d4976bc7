//! `drover completion`: scripts that complete command lines.

use clap::CommandFactory;

use crate::args::{Cli, CompletionArgs};
use crate::context::Context;
use crate::exit::Code;
use crate::stop::Stop;

/// Prints the script of a shell.
pub fn run(context: &Context, args: &CompletionArgs) -> Result<Code, Stop> {
    context.screen.print(&script(args));
    Ok(Code::Done)
}

fn script(args: &CompletionArgs) -> String {
    let mut bytes = Vec::new();
    let mut command = Cli::command();
    clap_complete::generate(args.shell, &mut command, "drover", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::*;

    #[test]
    fn every_shell_gets_a_script_with_every_noun() {
        let nouns: Vec<String> = Cli::command()
            .get_subcommands()
            .map(|noun| noun.get_name().to_owned())
            .collect();
        assert!(nouns.len() > 10, "{nouns:?}");
        for shell in [
            Shell::Bash,
            Shell::Zsh,
            Shell::Fish,
            Shell::PowerShell,
            Shell::Elvish,
        ] {
            let script = script(&CompletionArgs { shell });
            for noun in &nouns {
                assert!(script.contains(noun.as_str()), "{shell}: {noun}");
            }
        }
    }
}
