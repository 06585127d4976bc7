//! The controllers, asked over gRPC: one method per thing that commands want, records in and out.
//!
//! The only place of the CLI that knows generated messages. Everything here fails over to another
//! controller, tries again within its deadline, and ends with a [`Stop`].

mod agent;
mod ask;
mod choose;
mod connection;
mod entity;
mod error;
mod lists;
mod mapping;
mod migration;
mod operate;
mod page;
mod refusal;
mod rollback;
mod route;
mod rules;
mod schema;
mod settings;
mod stop;
mod validation;
mod watch;

use proto::wire::WireError;

use crate::context::Context;
use crate::exit::Code;
use crate::stop::Stop;
use connection::Connection;
use settings::Settings;

pub use entity::Steer;
pub use migration::GoOn;
pub use operate::Halt;
pub use page::Listed;
pub use rollback::Rollback;
pub use watch::{Update, Watch};

/// Largest answer that is taken, in bytes: a page of errors with their rows.
const ANSWER_LIMIT: usize = 64 << 20;

/// The controllers of an installation.
#[derive(Debug)]
pub struct Remote {
    connection: Connection,
}

impl Remote {
    /// Reads flags and environment; asks nobody yet.
    pub fn new(context: &Context) -> Result<Self, Stop> {
        let settings = Settings::of(&context.global, &context.environment)?;
        let (screen, token) = (context.screen.clone(), context.shutdown.token());
        let connection = Connection::new(settings, screen, token);
        Ok(Self { connection })
    }

    fn request_id(&self) -> String {
        self.connection.request_id()
    }
}

/// The record of an answer.
fn record<M, R: TryFrom<M, Error = WireError>>(message: Option<M>) -> Result<R, Stop> {
    let message = message.ok_or_else(|| unreadable("it is empty"))?;
    R::try_from(message).map_err(|error| unreadable(&error.to_string()))
}

/// The records of an answer.
fn records<M, R: TryFrom<M, Error = WireError>>(messages: Vec<M>) -> Result<Vec<R>, Stop> {
    messages
        .into_iter()
        .map(|message| record(Some(message)))
        .collect()
}

fn unreadable(why: &str) -> Stop {
    Stop::new(
        Code::Failed,
        "ANSWER_UNREADABLE",
        format!("the controller's answer cannot be read: {why}"),
    )
    .hinting("controller and command should be of one version: `drover --version`")
}
