//! The configuration of an agent: one TOML file, the environment over it, flags over both.
//!
//! `deploy/config/agent.toml` shows every setting. [`load`] is what `main` calls; nothing else reads
//! settings. [`connections`] serves the command too.

mod args;
pub mod connections;
mod raw;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use proto::lease::EtcdSettings;
use proto::runtime::channel::{Address, ClientTls};
use proto::runtime::settings::{
    Check, Environment, Invalid, Layers, Leave, LogSettings, Read, choose_file, go_on,
};
use proto::wire::PORT;
use sqlx::postgres::PgConnectOptions;
use toml::Table;

pub use args::Args;
use connections::{Connections, check_entries};
pub use raw::RawAgent;

/// Begins the variables of an agent's settings.
const PREFIX: &str = "DROVER_AGENT";
/// The variable that names the configuration file.
const FILE_VARIABLE: &str = "DROVER_AGENT_CONFIG";
/// The configuration file where none is named.
const USUAL_FILE: &str = "/etc/drover/agent.toml";
/// Partitions at the same time.
const CAPACITY: RangeInclusive<i64> = 1..=256;
/// Of the limits in time.
const SPANS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// An agent's configuration, checked. Its connections hold passwords.
#[derive(Clone)]
pub struct AgentConfig {
    /// Its name, unique among the agents that are alive.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Partitions it works on at the same time.
    pub capacity: u32,
    /// Where controllers are: at least one.
    pub controllers: Vec<Address>,
    /// How it dials those whose address does not say otherwise; plain text where there is none.
    pub tls: Option<ClientTls>,
    /// The lease store.
    pub etcd: EtcdSettings,
    /// Databases by the names of plans: at least one.
    pub connections: BTreeMap<String, PgConnectOptions>,
    /// How long it works on without any controller; then it drains.
    pub orphan_limit: Duration,
    /// How long it may take to give everything back when it is told to stop.
    pub drain_deadline: Duration,
    /// How it logs.
    pub log: LogSettings,
}

/// Without credentials.
impl fmt::Debug for AgentConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections: Vec<&String> = self.connections.keys().collect();
        f.debug_struct("AgentConfig")
            .field("name", &self.name)
            .field("region", &self.region)
            .field("labels", &self.labels)
            .field("capacity", &self.capacity)
            .field("controllers", &self.controllers)
            .field("tls", &self.tls)
            .field("etcd", &self.etcd)
            .field("connections", &connections)
            .field("orphan_limit", &self.orphan_limit)
            .field("drain_deadline", &self.drain_deadline)
            .field("log", &self.log)
            .finish()
    }
}

/// What an agent takes from its machine where nothing is set.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Its name.
    pub name: Option<String>,
    /// Its cores.
    pub cores: Option<usize>,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        Self {
            name: name.map(|name| name.trim().to_owned()),
            cores: std::thread::available_parallelism().ok().map(Into::into),
        }
    }
}

/// Everything a configuration is made of.
pub struct Given {
    /// The settings as they were read.
    pub read: Read<RawAgent>,
    /// For connections, which have variables of their own.
    pub environment: Environment,
    /// For defaults.
    pub machine: Machine,
}

/// The configuration to run with.
///
/// # Errors
/// What to print, and the exit code: where it is not valid, and where it was to be checked only.
pub fn load(args: &Args, environment: &Environment) -> Result<AgentConfig, Leave> {
    let mut layers = Layers::new::<RawAgent>(PREFIX);
    let usual = Path::new(USUAL_FILE);
    if let Some(path) = choose_file(args.config.as_deref(), environment, FILE_VARIABLE, usual) {
        layers.file(&path);
    }
    let given = Given {
        read: lay(layers, args, environment),
        environment: environment.clone(),
        machine: Machine::here(),
    };
    go_on(given.try_into(), args.check_config)
}

/// Everything that is over the file.
fn lay(mut layers: Layers, args: &Args, environment: &Environment) -> Read<RawAgent> {
    layers.alias(environment, "DROVER_LOG", "log.level");
    layers.alias(environment, "DROVER_LOG_FORMAT", "log.format");
    layers.environment(environment);
    let flags = [
        ("--name", "name", &args.name),
        ("--region", "region", &args.region),
        ("--controllers", "controllers", &args.controllers),
    ];
    for (flag, name, value) in flags {
        if let Some(value) = value {
            layers.flag(flag, name, value);
        }
    }
    for assignment in &args.set {
        layers.set(assignment);
    }
    layers.read()
}

impl TryFrom<Given> for AgentConfig {
    type Error = Invalid;

    fn try_from(given: Given) -> Result<Self, Invalid> {
        let (raw, mut collected) = given.read.parts()?;
        let check = &mut collected;
        let name = check.required("name", raw.name.or(given.machine.name));
        let region = check.required("region", raw.region);
        let capacity = capacity(raw.capacity, given.machine.cores, check);
        let controllers = controllers(&raw.controllers, check);
        let tls = raw.tls.check("tls", check);
        let etcd = raw.etcd.check("etcd", check);
        let connections = connect_options(&raw.connections, given.environment, check);
        let orphan_limit = check.duration("orphan_limit", &raw.orphan_limit, SPANS);
        let drain_deadline = check.duration("drain_deadline", &raw.drain_deadline, SPANS);
        let log = raw.log.check("log", check);
        let made = || {
            Some(Self {
                name: name?,
                region: region?,
                labels: raw.labels,
                capacity,
                controllers,
                tls,
                etcd,
                connections,
                orphan_limit,
                drain_deadline,
                log,
            })
        };
        collected.finish(made())
    }
}

/// One partition per core, where nothing is set.
fn capacity(set: Option<i64>, cores: Option<usize>, check: &mut Check) -> u32 {
    let (low, high) = (*CAPACITY.start(), *CAPACITY.end());
    let capacity = match set {
        Some(set) => check.number("capacity", set, CAPACITY),
        None => cores
            .and_then(|cores| i64::try_from(cores).ok())
            .unwrap_or(low)
            .clamp(low, high),
    };
    u32::try_from(capacity).unwrap_or(1)
}

fn controllers(texts: &[String], check: &mut Check) -> Vec<Address> {
    let mut addresses = Vec::new();
    for text in texts {
        match Address::parse(text, PORT) {
            Ok(address) if !addresses.contains(&address) => addresses.push(address),
            Ok(_) => {}
            Err(error) => check.problem("controllers", error.to_string()),
        }
    }
    if texts.is_empty() {
        check.missing("controllers");
    }
    addresses
}

/// Connections are read out of their own files and variables, so that each says what is wrong with it.
fn connect_options(
    table: &Table,
    environment: Environment,
    check: &mut Check,
) -> BTreeMap<String, PgConnectOptions> {
    let mut problems = Vec::new();
    let entries = check_entries(table, &check.path("connections", ""), &mut problems);
    let has_problems = !problems.is_empty();
    for problem in problems {
        tell(check, &problem);
    }
    let connections = Connections::new(environment, entries);
    let mut options = BTreeMap::new();
    for name in connections.names() {
        match connections.get(&name) {
            Ok(connection) => drop(options.insert(name, connection.options)),
            Err(error) => tell(check, &error.to_string()),
        }
    }
    if connections.names().is_empty() && !has_problems {
        let words = "none is configured; set DROVER_CONNECTION_<NAME>, or [connections.NAME] in the \
                     configuration file";
        check.problem("connections", words);
    }
    options
}

/// Problems of connections begin with their place: a key of the file, or a variable.
fn tell(check: &mut Check, problem: &str) {
    let (place, words) = problem.split_once(": ").unwrap_or(("connections", problem));
    check.problem_of(place, words);
}

#[cfg(test)]
mod tests;
