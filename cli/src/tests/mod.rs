//! Whole command lines against scripted controllers: what is asked, what is said, how it ends.

mod call;
mod fakes;
mod follow;
pub mod samples;
mod server;

use std::sync::{Arc, Mutex, PoisonError};

use proto::runtime::settings::Environment;
use proto::runtime::shutdown::Shutdown;

use crate::args::parse;
use crate::command;
use crate::context::Context;
use crate::screen::{Screen, Sink};

/// How a command line ended.
#[derive(Debug)]
struct Told {
    /// The exit code.
    code: u8,
    /// What was printed.
    out: String,
    /// What was said.
    talk: String,
}

/// Runs a command line; without a terminal, so that nothing is asked.
async fn tell(line: &str) -> Told {
    tell_with(line, Shutdown::new()).await
}

async fn tell_with(line: &str, shutdown: Shutdown) -> Told {
    let (out, talk) = (Text::default(), Text::default());
    let screen = Screen::into(out.sink(), talk.sink());
    let words = line.split_whitespace().map(Into::into);
    let Ok(cli) = parse(words) else {
        panic!("{line} is not valid")
    };
    let environment = Environment::from_iter([("USER", "me"), ("TERM", "dumb")]);
    let context = Context::new(&cli, environment, screen.clone(), shutdown);
    let format = cli.global.output;
    let code = match Box::pin(command::run(&context, cli.command)).await {
        Ok(code) => code,
        Err(stop) => stop.finish(format, &screen),
    };
    Told {
        code: code.number(),
        out: out.read(),
        talk: talk.read(),
    }
}

#[derive(Debug, Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Text {
    fn sink(&self) -> Sink {
        let text = self.0.clone();
        Arc::new(move |bytes| {
            let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
            text.extend_from_slice(bytes);
        })
    }

    fn read(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}
