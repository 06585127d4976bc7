//! A whole cluster on this machine: etcd, a controller and agents as processes of their own.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::Instant;

use crate::drover::{self, Outcome};
use crate::etcd::{Etcd, free_ports};
use crate::pg::TestDatabase;
use crate::process::Process;

/// How long a cluster may take to be ready, or to be in a wanted state.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// A running cluster.
pub struct Cluster {
    /// The lease store.
    pub etcd: Etcd,
    /// The controller.
    pub controller: Process,
    /// The agents.
    pub agents: Vec<Process>,
    /// Drover's own records.
    pub metadata: TestDatabase,
    port: u16,
    connections: Vec<(String, String)>,
    dir: tempfile::TempDir,
}

/// A binary that was built beside the tests.
pub fn binary(name: &str) -> PathBuf {
    drover::binary().with_file_name(name)
}

impl Cluster {
    /// A cluster whose agents (name, region) have these connections; ready when this returns.
    pub async fn start(
        agents: &[(&str, &str)],
        connections: Vec<(String, String)>,
    ) -> Result<Self> {
        let etcd = Etcd::start().await;
        let metadata = TestDatabase::new().await?;
        let port = free_ports(1)[0];
        let dir = tempfile::tempdir()?;
        let controller = start_controller(&etcd, &metadata, port, &dir)?;
        let mut cluster = Self {
            etcd,
            controller,
            agents: Vec::new(),
            metadata,
            port,
            connections,
            dir,
        };
        for (name, region) in agents {
            cluster.add_agent(name, region, &[])?;
        }
        cluster.until_agents(agents.len()).await?;
        Ok(cluster)
    }

    /// Where the controller listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts one more agent, with settings over the usual ones.
    pub fn add_agent(&mut self, name: &str, region: &str, more: &[(&str, &str)]) -> Result<()> {
        let setting = |name: &str, value: &str| (format!("DROVER_AGENT__{name}"), value.to_owned());
        let mut env = vec![
            setting("NAME", name),
            setting("REGION", region),
            setting("CAPACITY", "2"),
            setting("CONTROLLERS", &self.address()),
            setting("ETCD__ENDPOINTS", &self.etcd.endpoint()),
        ];
        env.extend(self.connections.iter().cloned());
        env.extend(
            more.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let agent = Process::start(name, &binary("drover-agent"), &env, self.dir.path())?;
        self.agents.push(agent);
        Ok(())
    }

    /// An agent by name.
    pub fn agent(&mut self, name: &str) -> &mut Process {
        let found = self.agents.iter_mut().find(|agent| agent.name == name);
        found.expect("invariant: the agent was started")
    }

    /// Kills the controller and starts it again on the same port.
    pub async fn restart_controller(&mut self) -> Result<()> {
        self.controller.kill().await?;
        self.controller = start_controller(&self.etcd, &self.metadata, self.port, &self.dir)?;
        Ok(())
    }

    /// Runs a command of the CLI against the controller.
    pub async fn drover(&self, args: &[&str]) -> Result<Outcome> {
        let env = [("DROVER_ADDRESS".to_owned(), self.address())];
        drover::run(args, &env).await
    }

    /// Runs a command that must work, for its JSON.
    pub async fn json(&self, args: &[&str]) -> Result<Value> {
        let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
        let outcome = self.drover(&args).await?;
        ensure!(
            outcome.code == Some(0),
            "{args:?} ended with {:?}: {}",
            outcome.code,
            outcome.stderr
        );
        Ok(outcome.json())
    }

    /// Waits until so many agents are connected and active.
    pub async fn until_agents(&self, count: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.drover(&["agent", "list", "-o", "json"]).await?;
            let active = found.stdout.matches("\"active\"").count();
            if found.code == Some(0) && active == count {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{active} of {count} agents: {}\n{}\n{}",
                found.stderr,
                self.controller.log(),
                self.agents.iter().map(Process::log).collect::<String>()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Rows that a migration has processed so far, as it is stored.
    pub async fn processed(&self) -> Result<i64> {
        self.metadata
            .number(
                "select coalesce(sum(records_processed + records_failed), 0)::bigint \
                 from drover_meta.entity_migration_status",
            )
            .await
    }

    /// Waits until a migration has processed so many rows.
    pub async fn until_processed(&self, rows: i64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let processed = self.processed().await?;
            if processed >= rows {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{processed} of {rows} rows\n{}",
                self.controller.log()
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the demo's migration is completed.
    pub async fn until_completed(&self) -> Result<()> {
        let wait = [
            "migration",
            "wait",
            "demo-clinic",
            "--for=state=completed",
            "--wait-timeout",
            "240s",
        ];
        let waited = self.drover(&wait).await?;
        ensure!(
            waited.code == Some(0),
            "{:?} {}\n{}",
            waited.code,
            waited.stderr,
            self.logs()
        );
        Ok(())
    }

    /// Everything that was logged, for messages.
    pub fn logs(&self) -> String {
        let agents = self.agents.iter();
        let logs = agents.map(|agent| format!("--- {}\n{}", agent.name, agent.log()));
        format!(
            "--- controller\n{}{}",
            self.controller.log(),
            logs.collect::<String>()
        )
    }
}

fn start_controller(
    etcd: &Etcd,
    metadata: &TestDatabase,
    port: u16,
    dir: &tempfile::TempDir,
) -> Result<Process> {
    let setting = |name: &str, value: String| (format!("DROVER_CONTROLLER__{name}"), value);
    let env = [
        setting("LISTEN", format!("127.0.0.1:{port}")),
        setting("METADATA__URL", metadata.url()),
        setting("ETCD__ENDPOINTS", etcd.endpoint()),
    ];
    Process::start("controller", &binary("drover-controller"), &env, dir.path())
        .context("start the controller")
}
