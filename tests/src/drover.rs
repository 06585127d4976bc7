//! Runs the real `drover` binary.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

/// How long any command may take.
const DEADLINE: Duration = Duration::from_secs(300);

/// What a command left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

impl Outcome {
    /// Standard output as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {}\n{}", self.stdout, self.stderr))
    }
}

/// The binary that was built beside the tests (`make test` builds it first).
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("DROVER_BINARY") {
        return path.into();
    }
    let mut path = std::env::current_exe().expect("invariant: a test knows its own path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    let binary = path.join("drover");
    assert!(
        binary.exists(),
        "{} is not built: run `cargo build` first",
        binary.display()
    );
    binary
}

/// A command with the given environment and none of the caller's `DROVER_*`.
pub fn command(args: &[&str], env: &[(String, String)]) -> Command {
    let mut command = Command::new(binary());
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DROVER_")) {
        command.env_remove(name);
    }
    command
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .kill_on_drop(true);
    command.envs(
        env.iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    command
}

/// Runs a command to its end.
pub async fn run(args: &[&str], env: &[(String, String)]) -> Result<Outcome> {
    finish(command(args, env).spawn().context("start drover")?).await
}

/// Waits for a command's end.
pub async fn finish(child: Child) -> Result<Outcome> {
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
        .await
        .context("drover did not end in time")??;
    Ok(Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
