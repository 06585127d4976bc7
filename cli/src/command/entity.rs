//! `drover entity pause`, `resume`, `retry` and `skip`.

use std::time::Duration;

use controller::entity_command::EntityCommand;
use proto::domain::record::{EntityMigrationStatus, EntityStatus};
use tokio::time::{Instant, sleep};

use crate::args::EntitySteerArgs;
use crate::context::Context;
use crate::exit::Code;
use crate::here::{self, Here};
use crate::local;
use crate::remote::{Remote, Steer};
use crate::stop::Stop;

/// How often it is looked whether something came about.
const LOOK: Duration = Duration::from_millis(300);

/// Wishes something of one entity.
pub async fn steer(
    context: &Context,
    command: EntityCommand,
    args: EntitySteerArgs,
) -> Result<Code, Stop> {
    let reason = args.reason.clone().unwrap_or_default();
    if command == EntityCommand::Skip && reason.trim().is_empty() {
        return Err(Stop::usage("a skip needs a reason").hinting("say why with --reason TEXT"));
    }
    let place = match args.local.local {
        true => Place::Here(Box::new(
            Here::find(context, &args.local, &args.name).await?,
        )),
        false => Place::Remote(Box::new(context.remote()?)),
    };
    let asked = place.steer(context, command, (&args, reason)).await?;
    let entity = match args.wait {
        true => wait(context, &place, (command, &args)).await?,
        false => asked,
    };
    if command == EntityCommand::Skip && entity.records_written > 0 {
        let (rows, name) = (entity.records_written, &entity.entity);
        context.say(format!(
            "{rows} rows of {name} that were written stay at the destination"
        ));
    }
    if let Place::Here(here) = &place
        && !here.is_run().await?
        && !is_so(command, &entity)
    {
        context.say("next: drover run PLAN");
    }
    context.show(&entity)
}

/// Who is asked.
enum Place {
    Here(Box<Here>),
    Remote(Box<Remote>),
}

impl Place {
    async fn steer(
        &self,
        context: &Context,
        command: EntityCommand,
        (args, reason): (&EntitySteerArgs, String),
    ) -> Result<EntityMigrationStatus, Stop> {
        match self {
            Self::Remote(remote) => {
                let steer = Steer {
                    migration: args.name.clone(),
                    entity: args.entity.clone(),
                    reason,
                    etag: args.guard.etag.clone().unwrap_or_default(),
                };
                remote.steer(command, &steer).await
            }
            Self::Here(here) => {
                let said = [&*here.migration.name, &*args.entity, &*reason];
                let call = here::call(context, command.verb(), &said);
                let what = (&*args.entity, command, Some(&*reason));
                let target = here.target(&args.guard);
                let after = here.store.entity_once(&call, &target, what);
                after.await.map_err(|error| here::stop(&error))
            }
        }
    }

    async fn entity(&self, args: &EntitySteerArgs) -> Result<EntityMigrationStatus, Stop> {
        let entities = match self {
            Self::Remote(remote) => remote.entities(&args.name, &[], 100_000).await?.items,
            Self::Here(here) => {
                let found = here.store.entities(here.migration.id).await;
                found.map_err(|error| local::read_failed(&error))?
            }
        };
        let mut entities = entities.into_iter();
        let found = entities.find(|entity| entity.entity == args.entity);
        found.ok_or_else(|| Stop::not_found(format!("no entity `{}`", args.entity)))
    }
}

/// Whether what was wished came about.
fn is_so(command: EntityCommand, entity: &EntityMigrationStatus) -> bool {
    match command {
        EntityCommand::Pause => entity.intent_reached_at.is_some(),
        EntityCommand::Skip => entity.status == EntityStatus::Skipped,
        EntityCommand::Resume | EntityCommand::Retry => entity.intent.is_none(),
    }
}

async fn wait(
    context: &Context,
    place: &Place,
    (command, args): (EntityCommand, &EntitySteerArgs),
) -> Result<EntityMigrationStatus, Stop> {
    let within = args.patience.wait_timeout;
    let deadline = within.map(|within| Instant::now() + within);
    let token = context.shutdown.token();
    loop {
        let entity = place.entity(args).await?;
        if is_so(command, &entity) {
            return Ok(entity);
        }
        if entity.status == EntityStatus::Completed {
            let words = format!("{} is completed already", entity.entity);
            return Err(Stop::new(Code::WrongState, "COMPLETED", words));
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
