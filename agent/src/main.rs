//! `drover-agent`: one agent of a cluster. Settings, logs, lease store, then work until somebody asks it to
//! stop; then what is in hand is finished and given back.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use drover_agent::app::AgentSettings;
use drover_agent::config::{AgentConfig, Args, load};
use drover_agent::session::Identity;
use drover_agent::supervisor::{self, SupervisorSettings};
use proto::lease::EtcdLeaseStore;
use proto::runtime::settings::Environment;
use proto::runtime::shutdown::Shutdown;
use proto::runtime::telemetry::{self, Service};

const SERVICE: Service = Service {
    name: "drover-agent",
    version: env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    drover_agent::allocator::settle();
    serve()
}

#[tokio::main]
async fn serve() -> ExitCode {
    let environment = Environment::from_process();
    let config = match load(&Args::parse(), &environment) {
        Ok(config) => config,
        Err(leave) => return leave.say(),
    };
    let log = config.log.over(environment.clone());
    let telemetry = match telemetry::init(SERVICE, &log, telemetry::stderr()) {
        Ok(telemetry) => telemetry,
        Err(error) => return failed(&error.to_string()),
    };
    let shutdown = Shutdown::new();
    if let Err(error) = shutdown.listen() {
        return failed(&format!("no signals: {error}"));
    }
    let outcome = tokio::select! {
        outcome = run(config, environment, &shutdown) => outcome,
        () = shutdown.forced() => Err("stopped at once".to_owned()),
    };
    telemetry.finish();
    outcome.map_or_else(|words| failed(&words), |()| ExitCode::SUCCESS)
}

async fn run(
    config: AgentConfig,
    environment: Environment,
    shutdown: &Shutdown,
) -> Result<(), String> {
    let lease = EtcdLeaseStore::open(config.etcd).map_err(|error| error.to_string())?;
    let agent = AgentSettings {
        identity: Identity {
            agent_id: config.name,
            region: config.region,
            labels: config.labels,
            capacity: config.capacity,
        },
        connections: config.connections,
        environment,
    };
    let settings = SupervisorSettings {
        controllers: config.controllers,
        tls: config.tls,
        orphan_limit: config.orphan_limit,
        drain_deadline: config.drain_deadline,
    };
    supervisor::run(agent, settings, Arc::new(lease), shutdown.token()).await;
    Ok(())
}

fn failed(words: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "drover-agent: {words}");
    ExitCode::FAILURE
}
