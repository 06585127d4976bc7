//! `drover migration rollback` and `drover entity reset`: with a controller, or on this machine.

pub mod confirm;
mod here;

use proto::domain::record::{Activity, MigrationOrchestration, MigrationStatus};
use proto::domain::undo::{ConflictPolicy, UndoEffect};

use crate::args::{EntityResetArgs, RollbackArgs, UndoArgs, WantedState};
use crate::command::follow::{self, Goal, Painter};
use crate::context::Context;
use crate::exit::Code;
use crate::remote::{Remote, Rollback};
use crate::render::record::undo::details;
use crate::stop::Stop;

use confirm::Confirm;

/// What is to be taken back.
struct Wanted {
    name: String,
    entities: Vec<String>,
    undo: UndoArgs,
}

/// Takes a migration back, or some of its entities.
pub async fn migration(context: &Context, args: RollbackArgs) -> Result<Code, Stop> {
    let wanted = Wanted {
        name: args.name,
        entities: args.entities,
        undo: args.undo,
    };
    run(context, wanted).await
}

/// Takes an entity back, and all that depend on it.
pub async fn reset(context: &Context, args: EntityResetArgs) -> Result<Code, Stop> {
    let wanted = Wanted {
        name: args.name,
        entities: vec![args.entity],
        undo: args.undo,
    };
    run(context, wanted).await
}

async fn run(context: &Context, wanted: Wanted) -> Result<Code, Stop> {
    if wanted.undo.local.local {
        return Box::pin(here::run(context, wanted)).await;
    }
    let remote = context.remote()?;
    let (migration, _) = remote.migration(&wanted.name).await?;
    let mut rollback = Rollback {
        name: migration.id.to_string(),
        etag: String::new(),
        entities: wanted.entities.clone(),
        conflicts: wanted.undo.conflicts.map(ConflictPolicy::from),
        confirm: String::new(),
    };
    if wanted.undo.dry_run {
        let effects = remote.rollback_effects(rollback).await?;
        return show(context, &effects);
    }
    let asked = Confirm {
        what: "the migration's name",
        name: &migration.name,
        given: wanted.undo.confirm.as_deref(),
        deed: "take back what it wrote",
    };
    rollback.confirm = asked.ask(context).await?;
    let (migration, entities) = remote.rollback(rollback).await?;
    say_scope(context, &wanted.entities, &entities);
    match wanted.undo.wait {
        true => wait(context, &remote, &migration, &wanted).await,
        false => {
            context.show(&migration)?;
            context.say(format!("next: drover migration watch {}", migration.name));
            Ok(Code::Done)
        }
    }
}

/// Waits until it is done, and tells how the tables compare with the start.
async fn wait(
    context: &Context,
    remote: &Remote,
    migration: &MigrationOrchestration,
    wanted: &Wanted,
) -> Result<Code, Stop> {
    let goal = Goal::State(match wanted.entities.is_empty() {
        true => WantedState::Status(MigrationStatus::Pending),
        false => WantedState::Activity(Activity::Paused),
    });
    let id = migration.id.to_string();
    let watch = remote.watch(id.clone());
    let mut painter = Painter::quiet(context);
    let within = wanted.undo.patience.wait_timeout;
    let end = follow::follow(context, watch, goal, (&mut painter, within)).await?;
    context.show(&end.migration)?;
    let outcome = remote.rollback_outcome(&id).await?;
    context.say(outcome);
    say_next(context, &end.migration);
    Ok(Code::Done)
}

/// Prints effects: the table, then what it has no room for.
fn show(context: &Context, effects: &[UndoEffect]) -> Result<Code, Stop> {
    context.show_list(effects)?;
    if !context.output.is_json() {
        details(effects).iter().for_each(|line| context.say(line));
    }
    context.say("nothing was changed");
    Ok(Code::Done)
}

/// Says which entities go along with those that were named.
fn say_scope(context: &Context, named: &[String], entities: &[String]) {
    let others: Vec<&str> = entities
        .iter()
        .filter(|entity| !named.contains(entity))
        .map(String::as_str)
        .collect();
    if !named.is_empty() && !others.is_empty() {
        context.say(format!(
            "taken back with them, since they depend on them: {}",
            others.join(", ")
        ));
    }
}

fn say_next(context: &Context, migration: &MigrationOrchestration) {
    let verb = match migration.status {
        MigrationStatus::Running => "resume",
        _ => "start",
    };
    context.say(format!("next: drover migration {verb} {}", migration.name));
}
