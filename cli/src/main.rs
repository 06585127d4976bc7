//! The `drover` command. This page is the whole of it: read the arguments, run one command, say how it
//! ended.

mod actor;
mod app;
mod args;
mod command;
mod config;
mod context;
mod dev;
mod exit;
mod here;
mod local;
mod progress;
mod remote;
mod render;
mod screen;
mod stop;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use crate::args::Command;
use crate::exit::Code;
use crate::screen::Screen;
use crate::stop::Stop;

fn main() -> ExitCode {
    let screen = Screen::new();
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(early) => return early.finish(&screen),
    };
    if matches!(cli.command, Command::Run(_) | Command::Dev(_)) {
        agent::allocator::settle();
    }
    let output = cli.global.output;
    let result = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => {
            let result = runtime.block_on(Box::pin(app::run(cli, screen.clone())));
            // A look-up of a host name may still hang in a thread.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Stop::new(
            Code::Failed,
            "INTERNAL",
            format!("no threads: {error}"),
        )),
    };
    let code = result.unwrap_or_else(|stop| stop.finish(output, &screen));
    ExitCode::from(code.number())
}
