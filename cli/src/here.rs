//! `--local` commands that change something: stored in the records, and brought about by this process where nobody
//! runs the migration.

use std::time::Duration;

use controller::commands::CommandError;
use controller::local::bring_about;
use controller::store::{CommandCall, Store, StoreError, Target};
use proto::domain::record::{Activity, MigrationOrchestration};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::actor;
use crate::args::{GuardArgs, LocalArgs};
use crate::command::METADATA_SCHEMA;
use crate::command::machine::{Databases, LocalAgent};
use crate::context::Context;
use crate::exit::Code;
use crate::local::{self, Found};
use crate::stop::Stop;

/// How often it is looked whether something came about.
const LOOK: Duration = Duration::from_millis(200);
/// How long a session may outlive its process.
const LINGER: Duration = Duration::from_secs(5);
/// Partitions, and questions, at the same time.
const LANES: u32 = 2;

/// A migration whose records this process may change.
pub struct Here {
    /// The records.
    pub store: Store,
    /// The migration as it was found.
    pub migration: MigrationOrchestration,
}

impl Here {
    /// The migration that a name, an id or the beginning of an id means.
    pub async fn find(context: &Context, local: &LocalArgs, wanted: &str) -> Result<Self, Stop> {
        Self::of(local::find(context, local, wanted).await?).await
    }

    /// A migration that was found.
    pub async fn of(found: Found) -> Result<Self, Stop> {
        let store = Store::connect(found.options, METADATA_SCHEMA).await;
        Ok(Self {
            store: store.map_err(|error| stop(&error))?,
            migration: found.migration,
        })
    }

    /// The target of a command, as the operator has seen it.
    pub fn target(&self, guard: &GuardArgs) -> Target {
        Target {
            migration_id: self.migration.id,
            etag: guard.etag.clone(),
        }
    }

    /// The migration as it is now.
    pub async fn now(&self) -> Result<MigrationOrchestration, Stop> {
        let found = self.store.migration(self.migration.id).await;
        found.map_err(|error| local::read_failed(&error))
    }

    /// Whether another process runs the migration, and will do what is wished.
    pub async fn is_run(&self) -> Result<bool, Stop> {
        let is_run = self.store.is_run(&self.migration.name).await;
        is_run.map_err(|error| local::read_failed(&error))
    }

    /// Stops the migration, or tries rows again, in this process, unless another one runs it.
    pub async fn bring_about(&self, context: &Context) -> Result<(), Stop> {
        let migration = self.now().await?;
        // The session of a process that has just ended may linger; one that works heeds what is stored.
        let is_worked_on = matches!(
            migration.activity,
            Some(Activity::Running | Activity::Pausing)
        );
        let deadline = Instant::now() + LINGER;
        while self.is_run().await? {
            if is_worked_on || Instant::now() >= deadline {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        let databases = databases(context, &migration)?;
        let (shared, agent) = LocalAgent::start(context, &databases, LANES);
        let token = context.shutdown.token();
        let link = (shared.lease, shared.link);
        let done = Box::pin(bring_about(self.store.clone(), migration, link, token)).await;
        let agent_failure = agent.end().await;
        match (done, agent_failure) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(failure)) | (Err(failure), None) => Err(Stop::failed(&failure)),
        }
    }

    /// Waits until the migration is as somebody wants it; what it is then.
    pub async fn until(
        &self,
        context: &Context,
        within: Option<Duration>,
        is_so: impl Fn(&MigrationOrchestration) -> bool,
    ) -> Result<MigrationOrchestration, Stop> {
        let deadline = within.map(|within| Instant::now() + within);
        let token = context.shutdown.token();
        loop {
            let now = self.now().await?;
            if is_so(&now) {
                return Ok(now);
            }
            if now.activity == Some(Activity::Blocked) {
                let reason = now.activity_reason.unwrap_or_default();
                let words = format!("the migration is blocked: {reason}");
                let stop = Stop::new(Code::Blocked, "BLOCKED", words);
                return Err(stop.hinting(now.activity_hint.unwrap_or_default()));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                let words = format!("not so within {:?}", within.unwrap_or_default());
                return Err(Stop::new(Code::WaitTimeout, "WAIT_TIMEOUT", words));
            }
            tokio::select! {
                biased;
                () = token.cancelled() => return Err(Stop::interrupted("what was asked for goes on")),
                () = sleep(LOOK) => {}
            }
        }
    }
}

/// A command with its number: repeated under the same one, it does nothing twice.
pub fn call(context: &Context, verb: &'static str, body: &[&str]) -> CommandCall {
    let given = context.global.controller.request_id;
    CommandCall {
        request_id: given.unwrap_or_else(Uuid::new_v4),
        verb,
        body_hash: format!("{body:?}"),
        actor: actor::name(&context.environment),
    }
}

/// A command that the records refuse, as a controller would say it.
pub fn stop(error: &StoreError) -> Stop {
    let words = error.to_string();
    match error {
        StoreError::Illegal(illegal) => {
            let legal = illegal.state.legal().join(", ");
            let hint = format!("{}; legal now: {legal}", illegal.why);
            Stop::new(Code::WrongState, "ILLEGAL_STATE", words).hinting(hint)
        }
        StoreError::IllegalEntity { .. } => Stop::new(Code::WrongState, "ILLEGAL_STATE", words),
        StoreError::UnderWay { .. } => Stop::new(Code::WrongState, "UNDER_WAY", words)
            .hinting("cancel it or roll it back first"),
        StoreError::EtagMismatch { .. } => Stop::new(Code::WrongState, "ETAG_MISMATCH", words),
        StoreError::RequestIdReused => Stop::new(Code::Usage, "REQUEST_ID_REUSED", words),
        StoreError::Setting(_) => Stop::usage(words),
        StoreError::NoEntity { .. } => Stop::not_found(words),
        _ => Stop::failed(&error.failure()),
    }
}

/// As [`stop`], for a command that also had to find something.
pub fn stop_command(error: CommandError) -> Stop {
    match error {
        CommandError::Store(error) => stop(&error),
        CommandError::Failed(failure) => Stop::failed(&failure),
        other => Stop::not_found(other.to_string()),
    }
}

/// The databases of a migration, by the names that its plan gives them.
fn databases(context: &Context, migration: &MigrationOrchestration) -> Result<Databases, Stop> {
    let configured = context.connections()?;
    let named = |side: &str| {
        let name = migration.configuration[side]["connection"].as_str();
        let unnamed = || Stop::not_found(format!("the migration names no {side} connection"));
        configured.get(name.ok_or_else(unnamed)?)
    };
    let (source, destination) = (named("source")?, named("destination")?);
    let connections = [
        (source.name, source.options),
        (destination.name, destination.options.clone()),
    ];
    Ok(Databases {
        connections: connections.into(),
        destination: destination.options,
    })
}
