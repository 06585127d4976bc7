//! A process of ours that can be killed, frozen and thawed; its log goes to a file.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};

/// The unit of times in `/proc`: `USER_HZ`, 100 on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running process. Dropped, it is killed.
pub struct Process {
    /// What it is called here.
    pub name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a binary that was built beside the tests, with this environment and none of the caller's
    /// `DROVER_*`; the log is appended to `NAME.log` in a folder.
    pub fn start(name: &str, binary: &Path, env: &[(String, String)], dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        let mut command = Command::new(binary);
        for (variable, _) in std::env::vars().filter(|(name, _)| name.starts_with("DROVER_")) {
            command.env_remove(variable);
        }
        let child = command
            .envs(env.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", binary.display()))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// SIGTERM, and waits for the end; its exit code.
    pub async fn stop(&mut self) -> Result<Option<i32>> {
        self.signal("-TERM")?;
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), self.child.wait());
        Ok(ended.await.context("the process did not end")??.code())
    }

    /// SIGSTOP.
    pub fn freeze(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.signal("-CONT")
    }

    /// CPU time that it took so far, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()?))?;
        // The name, in brackets, may hold anything; behind it stand the state and numbers.
        let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
        let times = rest.split_whitespace().skip(11).take(2);
        let times: Vec<f64> = times.map(str::parse).collect::<Result<_, _>>()?;
        Ok(times.iter().sum::<f64>() / TICKS_PER_SECOND)
    }

    /// Its resident memory.
    pub fn rss_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.context("no VmRSS in status")?.parse::<f64>()? / 1024.0)
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn pid(&self) -> Result<u32> {
        self.child.id().context("the process has ended")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let pid = self.pid()?;
        let status = std::process::Command::new("kill")
            .args([signal, &pid.to_string()])
            .status()?;
        ensure!(status.success(), "kill {signal} {pid}");
        Ok(())
    }
}
