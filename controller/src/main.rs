//! `drover-controller`: one controller of a cluster. Settings, logs, metadata, lease store, then serve until
//! somebody asks it to stop.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use drover_controller::config::{Args, ControllerConfig, load};
use drover_controller::server::{ServerSettings, serve};
use drover_controller::store::Store;
use proto::lease::EtcdLeaseStore;
use proto::runtime::backoff::Backoff;
use proto::runtime::settings::Environment;
use proto::runtime::shutdown::Shutdown;
use proto::runtime::telemetry::{self, Service};

const SERVICE: Service = Service {
    name: "drover-controller",
    version: env!("CARGO_PKG_VERSION"),
};

#[tokio::main]
async fn main() -> ExitCode {
    let environment = Environment::from_process();
    let config = match load(&Args::parse(), &environment) {
        Ok(config) => config,
        Err(leave) => return leave.say(),
    };
    let log = config.log.over(environment);
    let telemetry = match telemetry::init(SERVICE, &log, telemetry::stderr()) {
        Ok(telemetry) => telemetry,
        Err(error) => return failed(&error.to_string()),
    };
    let shutdown = Shutdown::new();
    if let Err(error) = shutdown.listen() {
        return failed(&format!("no signals: {error}"));
    }
    let outcome = tokio::select! {
        outcome = run(config, &shutdown) => outcome,
        () = shutdown.forced() => Err("stopped at once".to_owned()),
    };
    telemetry.finish();
    outcome.map_or_else(|words| failed(&words), |()| ExitCode::SUCCESS)
}

async fn run(config: ControllerConfig, shutdown: &Shutdown) -> Result<(), String> {
    let Some(store) = connect(&config, shutdown).await? else {
        return Ok(());
    };
    let settings = ServerSettings {
        listen: config.listen,
        advertise: config.advertise.clone(),
        controller_id: config.controller_id,
        times: config.etcd.times,
        limits: config.limits,
        tls: config.tls.clone(),
    };
    let lease = EtcdLeaseStore::open(config.etcd).map_err(|error| error.to_string())?;
    let served = serve(settings, store, Arc::new(lease), shutdown.token()).await;
    served.map_err(|error| error.to_string())
}

/// The metadata, once they answer; none when the process is to stop before that.
async fn connect(config: &ControllerConfig, shutdown: &Shutdown) -> Result<Option<Store>, String> {
    let (backoff, stop) = (Backoff::default(), shutdown.token());
    let mut tries = 0;
    loop {
        let failure = match Store::connect(config.metadata.clone(), &config.schema).await {
            Ok(store) => return Ok(Some(store)),
            Err(error) => error.failure(),
        };
        if !failure.is_passing() {
            return Err(failure.to_string());
        }
        tracing::warn!(reason = %failure, "the metadata database does not answer yet");
        tries += 1;
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(backoff.delay(tries, rand::random())) => {}
        }
    }
}

fn failed(words: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "drover-controller: {words}");
    ExitCode::FAILURE
}
