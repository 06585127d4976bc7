//! A rollback on this machine: controller and agent in one process, as `drover run` has them.

use controller::app::RunError;
use controller::progress::ProgressView;
use controller::rollback::may_roll_back;
use controller::undo::here::{Here, Undone, effects, rollback};
use proto::domain::undo::{ConflictPolicy, UndoScope};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;

use super::confirm::Confirm;
use super::{Wanted, say_next, say_scope, show};
use crate::command::machine::{Databases, LocalAgent};
use crate::command::{METADATA_SCHEMA, plan};
use crate::config;
use crate::context::Context;
use crate::exit::Code;
use crate::local::{self, Found};
use crate::progress;
use crate::stop::Stop;

/// Entities that are taken back at the same time.
const LANES: u32 = 4;

/// Takes a migration of this machine back.
pub async fn run(context: &Context, wanted: Wanted) -> Result<Code, Stop> {
    let found = local::find(context, &wanted.undo.local, &wanted.name).await?;
    may_roll_back(&found.migration)
        .map_err(|refused| Stop::new(Code::WrongState, "ILLEGAL_STATE", refused.to_string()))?;
    let databases = databases(context, &found).await?;
    let here = Here {
        metadata: records(context, &wanted, &found)?,
        schema: METADATA_SCHEMA.to_owned(),
        migration_id: found.migration.id,
        scope: UndoScope {
            entities: wanted.entities.clone(),
            conflicts: wanted.undo.conflicts.map(ConflictPolicy::from),
        },
    };
    found.store.close().await;
    if wanted.undo.dry_run {
        let (shared, agent) = LocalAgent::start(context, &databases, LANES);
        let found = effects(here, shared.link).await;
        agent.end().await;
        let found = found.map_err(|error| plan::refused(&error))?;
        return show(context, &found);
    }
    let asked = Confirm {
        what: "the migration's name",
        name: &found.migration.name,
        given: wanted.undo.confirm.as_deref(),
        deed: "take back what it wrote",
    };
    asked.ask(context).await?;
    let undone = Box::pin(drive(context, here, &databases)).await?;
    conclude(context, &wanted, undone)
}

/// The two databases of its stored plan.
async fn databases(context: &Context, found: &Found) -> Result<Databases, Stop> {
    let stored = found.store.plan(found.migration.id).await;
    let stored = stored.map_err(|error| local::read_failed(&error))?;
    let stored = stored.ok_or_else(|| Stop::not_found("the migration has no plan"))?;
    Databases::of(context, &plan::parse(stored.document)?)
}

/// Where its records are.
fn records(context: &Context, wanted: &Wanted, found: &Found) -> Result<PgConnectOptions, Stop> {
    let named = wanted.undo.local.metadata_url.as_deref();
    if let Some(options) = config::metadata(named, &context.environment)? {
        return Ok(options);
    }
    Ok(context.connections()?.get(&found.place)?.options)
}

async fn drive(context: &Context, here: Here, databases: &Databases) -> Result<Undone, Stop> {
    let (shared, agent) = LocalAgent::start(context, databases, LANES);
    let (progress, views) = watch::channel(ProgressView::default());
    let has_bars = context.screen.has_bars(&context.environment);
    let painter = context.shutdown.spawn(
        "progress",
        progress::show(views, context.screen.clone(), has_bars),
    );
    let token = context.shutdown.token();
    let undone: Result<Undone, RunError> =
        Box::pin(rollback(here, shared.lease, shared.link, progress, token)).await;
    let agent_failure = agent.end().await;
    // It ends with its sender.
    let _ = painter.await;
    undone.map_err(|error| match agent_failure {
        // The controller only sees that the agent is gone; the agent knows why.
        Some(failure) if !matches!(error, RunError::Plan(_)) => Stop::failed(&failure),
        _ => plan::refused(&error),
    })
}

fn conclude(context: &Context, wanted: &Wanted, undone: Undone) -> Result<Code, Stop> {
    match undone {
        Undone::Done {
            migration,
            report,
            entities,
        } => {
            say_scope(context, &wanted.entities, &entities);
            context.show(&*migration)?;
            context.say(report.describe());
            say_next(context, &migration);
            Ok(Code::Done)
        }
        Undone::Blocked(failure) => Err(Stop::blocked(&failure)),
        Undone::Interrupted => Err(Stop::interrupted(
            "stopped; run the same command again to go on",
        )),
    }
}
