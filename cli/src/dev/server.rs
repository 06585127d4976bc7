//! A private PostgreSQL server: made, started, waited for, and always ended.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use proto::runtime::settings::{Environment, Secret};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::time::{Instant, sleep, timeout};

use super::account::Account;
use super::binaries::Binaries;
use super::database;
use super::home::Home;
use super::watcher::Watcher;
use crate::exit::Code;
use crate::stop::Stop;

/// Name of the superuser.
const USER: &str = "postgres";
/// How long a start may take; recovery of a kept directory is part of it.
const START_WITHIN: Duration = Duration::from_secs(60);
/// Another process may take the free port before we do.
const START_ATTEMPTS: u32 = 3;
/// The demo fits; everything that makes data safe stays at its default.
const SETTINGS: [&str; 7] = [
    "listen_addresses=127.0.0.1",
    "shared_buffers=256MB",
    "max_wal_size=4GB",
    "max_connections=100",
    "log_timezone=UTC",
    "timezone=UTC",
    "password_encryption=scram-sha-256",
];

/// Where a private server is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The environment, for programs and directories.
    pub environment: &'a Environment,
    /// The directory to use again, if any.
    pub data_dir: Option<&'a Path>,
    /// Leave the directory behind.
    pub keep: bool,
}

/// A running private server. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    account: Account,
    binaries: Binaries,
    home: Home,
    password: Secret,
    port: u16,
    process: Option<Child>,
    watcher: Option<Watcher>,
}

impl Server {
    /// Makes and starts a server, and waits until it answers.
    pub async fn start(wanted: Wanted<'_>) -> Result<Self, Stop> {
        let binaries = Binaries::find(wanted.environment)?;
        let account = Account::choose()?;
        let home = Home::open(&account, wanted.environment, wanted.data_dir, wanted.keep)?;
        let watcher = Watcher::start(&home);
        let mut server = Self {
            account,
            binaries,
            home,
            password: Secret::new(""),
            port: 0,
            process: None,
            watcher,
        };
        let is_initialized = server.home.is_initialized();
        server.password = server.home.password(&server.account)?;
        if !is_initialized {
            server.initialize().await?;
            server.home.mark_initialized()?;
        }
        for attempt in 1.. {
            server.port = free_port()?;
            server.process = Some(server.launch()?);
            if server.wait_ready().await? {
                break;
            }
            if attempt == START_ATTEMPTS {
                return Err(server.failed("PostgreSQL ended at once", &tail(&server.home.log())));
            }
        }
        Ok(server)
    }

    /// How to reach a database of the server.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(USER)
            .ssl_mode(PgSslMode::Disable)
            .password(self.password.expose())
            .database(database)
    }

    /// The same as a URL. Its password is worth nothing beyond this server.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{USER}:{}@127.0.0.1:{}/{database}",
            self.password.expose(),
            self.port
        )
    }

    /// Where it keeps its data, if they stay.
    pub fn kept(&self) -> Option<&Path> {
        self.home.is_kept.then(|| self.home.root())
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    async fn initialize(&self) -> Result<(), Stop> {
        // Not every system has C.UTF-8; plain C does for a demo.
        let mut words = String::new();
        for locale in ["C.UTF-8", "C"] {
            let _ = std::fs::remove_dir_all(self.home.data());
            let mut command = self.account.command(self.binaries.path("initdb"));
            command
                .arg("-D")
                .arg(self.home.data())
                .args(["-U", USER, "--auth=scram-sha-256", "--encoding=UTF8"])
                .args([&format!("--locale={locale}"), "--lc-messages=C"])
                .arg(format!("--pwfile={}", self.home.password_path().display()));
            let mut command = tokio::process::Command::from(command);
            let output = command.kill_on_drop(true).output().await;
            let output = output.map_err(|error| self.failed("initdb", &error.to_string()))?;
            if output.status.success() {
                return Ok(());
            }
            words = String::from_utf8_lossy(&output.stderr).into_owned();
        }
        Err(self.failed("initdb", &words))
    }

    fn launch(&self) -> Result<Child, Stop> {
        let log = self.home.log();
        let log = File::create(&log)
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(|error| self.failed("the log", &error.to_string()))?;
        let sockets = self
            .home
            .socket()
            .map_or(String::new(), |path| path.display().to_string());
        let mut command: Command = self.account.command(self.binaries.path("postgres"));
        command
            .arg("-D")
            .arg(self.home.data())
            .arg("-p")
            .arg(self.port.to_string());
        command
            .arg("-c")
            .arg(format!("unix_socket_directories={sockets}"));
        SETTINGS.iter().for_each(|setting| {
            command.args(["-c", setting]);
        });
        command
            .stdout(log.0)
            .stderr(log.1)
            .spawn()
            .map_err(|error| self.failed("PostgreSQL", &error.to_string()))
    }

    /// True once it answers, false when it ended instead.
    async fn wait_ready(&mut self) -> Result<bool, Stop> {
        let options = self.options("postgres");
        let deadline = Instant::now() + START_WITHIN;
        while Instant::now() < deadline {
            let ended = self.process.as_mut().map(Child::try_wait);
            if !matches!(ended, Some(Ok(None))) {
                self.process = None;
                return Ok(false);
            }
            if timeout(Duration::from_secs(2), database::answers(&options)).await == Ok(true) {
                return Ok(true);
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(self.failed("PostgreSQL did not answer in time", &tail(&self.home.log())))
    }

    /// Ends the server and removes what is not kept. Bounded; called by everything that ends.
    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            let mut stop = self.account.command(self.binaries.path("pg_ctl"));
            stop.arg("stop")
                .arg("-D")
                .arg(self.home.data())
                .args(["-s", "-m", "fast", "-w", "-t", "20"]);
            let is_stopped = stop
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .status()
                .is_ok_and(|status| status.success());
            if !is_stopped {
                let _ = process.kill();
            }
            let _ = process.wait();
        }
        self.home.remove();
        if let Some(watcher) = self.watcher.take() {
            watcher.end();
        }
    }

    fn failed(&self, what: &str, words: &str) -> Stop {
        let lines = words
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(str::to_owned);
        Stop::new(
            Code::Failed,
            "DEV_SERVER",
            format!("the private server did not start: {what}"),
        )
        .listing(lines.collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16, Stop> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| Stop::new(Code::Failed, "DEV_SERVER", format!("no free port: {error}")))
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(10)..)
        .unwrap_or_default()
        .join("\n")
}
