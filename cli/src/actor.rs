//! Who runs a command, as far as this machine knows: for the records, until users are authenticated.

use std::process::Stdio;

use proto::runtime::settings::Environment;

/// `user@host`.
pub fn name(environment: &Environment) -> String {
    let user = environment
        .get("USER")
        .or_else(|| environment.get("LOGNAME"))
        .map(str::to_owned)
        .or_else(|| ask("id", "-un"));
    let host = ask("uname", "-n");
    format!(
        "{}@{}",
        user.as_deref().unwrap_or("unknown"),
        host.as_deref().unwrap_or("localhost")
    )
}

/// One line of a command that every Unix has.
fn ask(program: &str, flag: &str) -> Option<String> {
    let output = std::process::Command::new(program)
        .arg(flag)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
}
