//! Clients of the operator API in other languages (`tests/clients`): how a test runs them, and buf.
//!
//! `deploy/clients.sh` installs and generates what they need, once; `make test` has called it before.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::drover::{Outcome, finish};

/// How long the set-up may take where nothing is there yet.
const SETUP: Duration = Duration::from_secs(600);
/// How long the scripted server may take to come up.
const START: Duration = Duration::from_secs(60);

/// A language that has a client.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `tests/clients/python`, on grpcio.
    Python,
    /// `tests/clients/typescript`, on Connect.
    TypeScript,
}

/// Has a client create, start and watch the migration of a plan file on the controller at `host:port`.
///
/// It ends with 0 when the migration is completed and its rows add up. Its name must be new to the controller.
pub async fn run_client(kind: Kind, address: &str, plan: &Path) -> Result<Outcome> {
    let mut client = client(kind).await?;
    client
        .env("DROVER_ADDRESS", address)
        .env("DROVER_PLAN", plan);
    finish(client.spawn().context("start the client")?).await
}

/// The program of a client, without its settings.
pub async fn client(kind: Kind) -> Result<Command> {
    let mut client = match kind {
        Kind::Python => python("python/migrate.py").await?,
        Kind::TypeScript => {
            let mut node = quiet("node");
            node.arg(home().await?.join("typescript/dist/src/migrate.js"));
            node
        }
    };
    client.current_dir(root());
    Ok(client)
}

/// Runs buf on the protocol.
pub async fn buf(args: &[&str]) -> Result<Outcome> {
    let home = home().await?;
    let mut buf = quiet(home.join("typescript/node_modules/.bin/buf"));
    buf.args(args)
        .current_dir(root().join("proto"))
        .env("BUF_CACHE_DIR", home.join("cache"));
    finish(buf.spawn().context("start buf")?).await
}

/// The server of `tests/clients/scripted_server.py`: not Drover, but its part of the clients' calls.
pub struct ScriptedServer {
    /// `host:port`.
    pub address: String,
    _process: Child,
}

impl ScriptedServer {
    /// Starts one, with one of its faults or with `""`.
    pub async fn start(fault: &str) -> Result<Self> {
        let mut server = python("scripted_server.py").await?;
        let mut process = server
            .arg(fault)
            .stderr(Stdio::inherit())
            .spawn()
            .context("start the scripted server")?;
        let stdout = process.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let address = tokio::time::timeout(START, lines.next_line())
            .await
            .context("the scripted server did not come up in time")??
            .context("the scripted server ended")?;
        Ok(Self {
            address,
            _process: process,
        })
    }
}

async fn python(program: &str) -> Result<Command> {
    let home = home().await?;
    let mut python = quiet(home.join("python/bin/python3"));
    python
        .arg(root().join("tests/clients").join(program))
        .env("PYTHONPATH", home.join("python/gen"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(python)
}

fn quiet(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DROVER_")) {
        command.env_remove(name);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A program that `deploy/clients.sh` installed from PyPI.
pub async fn python_program(name: &str) -> Result<PathBuf> {
    Ok(home().await?.join("python/bin").join(name))
}

/// The folder of what `deploy/clients.sh` made.
async fn home() -> Result<&'static PathBuf> {
    static HOME: OnceCell<PathBuf> = OnceCell::const_new();
    HOME.get_or_try_init(set_up).await
}

async fn set_up() -> Result<PathBuf> {
    let output = Command::new("sh")
        .arg("deploy/clients.sh")
        .current_dir(root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(SETUP, output)
        .await
        .context("deploy/clients.sh did not end in time")??;
    ensure!(output.status.success(), "deploy/clients.sh failed");
    Ok(String::from_utf8(output.stdout)?.trim_end().into())
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
