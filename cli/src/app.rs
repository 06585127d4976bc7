//! Builds what every command needs, runs one, and sends the last spans.

use proto::runtime::settings::Environment;
use proto::runtime::shutdown::Shutdown;
use proto::runtime::telemetry::{self, Service};

use crate::args::Cli;
use crate::command;
use crate::context::Context;
use crate::exit::Code;
use crate::screen::Screen;
use crate::stop::Stop;

const SERVICE: Service = Service {
    name: "drover-cli",
    version: env!("CARGO_PKG_VERSION"),
};

/// Runs the command of a command line until it ends or somebody insists on an end.
pub async fn run(cli: Cli, screen: Screen) -> Result<Code, Stop> {
    let environment = Environment::from_process();
    let telemetry = telemetry::init(SERVICE, &environment, screen.log_sink())
        .map_err(|error| Stop::usage(error.to_string()))?;
    let shutdown = Shutdown::new();
    shutdown
        .listen()
        .map_err(|error| Stop::new(Code::Failed, "INTERNAL", format!("no signals: {error}")))?;
    let context = Context::new(&cli, environment, screen, shutdown.clone());
    let result = tokio::select! {
        biased;
        result = Box::pin(command::run(&context, cli.command)) => result,
        () = shutdown.forced() => Err(Stop::interrupted("stopped at once")),
    };
    telemetry.finish();
    result
}
