//! `drover migration pause`, `cancel`, `finalize` and `set`.

use proto::domain::record::{Activity, MigrationOrchestration, MigrationStatus};
use proto::domain::state::Command;

use crate::args::{
    CancelArgs, FinalizeArgs, GuardArgs, LocalArgs, PatienceArgs, PauseArgs, SetArgs, WantedState,
};
use crate::command::confirm::confirmed;
use crate::command::follow::{self, Goal, Painter};
use crate::context::Context;
use crate::exit::Code;
use crate::here::{self, Here};
use crate::remote::{Halt, Remote};
use crate::stop::Stop;

/// Asks for a pause, and waits until it is one.
pub async fn pause(context: &Context, args: PauseArgs) -> Result<Code, Stop> {
    let halt = Halt {
        name: args.name,
        reason: args.reason,
        etag: args.guard.etag.clone().unwrap_or_default(),
        deadline: args.deadline,
    };
    let goal = WantedState::Activity(Activity::Paused);
    if args.local.local {
        let here = Here::find(context, &args.local, &halt.name).await?;
        let what = (&halt, Command::Pause, &args.guard);
        return halt_here(context, &here, what, (goal, args.wait, args.patience)).await;
    }
    let remote = context.remote()?;
    let migration = remote.pause(&halt).await?;
    if args.wait {
        context.say("pausing: agents finish the batches in hand");
    }
    reach(
        context,
        &remote,
        &migration,
        (goal, args.wait, args.patience),
    )
    .await
}

/// Gives a migration up, and waits until nothing of it is under way.
pub async fn cancel(context: &Context, args: CancelArgs) -> Result<Code, Stop> {
    let halt = Halt {
        name: args.name,
        reason: String::new(),
        etag: args.guard.etag.clone().unwrap_or_default(),
        deadline: args.deadline,
    };
    let goal = WantedState::Status(MigrationStatus::Failed);
    let confirm = args.confirm.as_deref();
    if args.local.local {
        let here = Here::find(context, &args.local, &halt.name).await?;
        confirmed(context, ("cancelled", &here.migration.name), confirm).await?;
        let what = (&halt, Command::Cancel, &args.guard);
        return halt_here(context, &here, what, (goal, args.wait, args.patience)).await;
    }
    let remote = context.remote()?;
    let (known, _) = remote.migration(&halt.name).await?;
    confirmed(context, ("cancelled", &known.name), confirm).await?;
    let migration = remote.cancel(&halt).await?;
    if args.wait {
        context.say("cancelling: agents finish the batches in hand");
    }
    reach(
        context,
        &remote,
        &migration,
        (goal, args.wait, args.patience),
    )
    .await
}

/// Rules a rollback out.
pub async fn finalize(context: &Context, args: FinalizeArgs) -> Result<Code, Stop> {
    let confirm = args.confirm.as_deref();
    if args.local.local {
        let here = Here::find(context, &args.local, &args.name).await?;
        confirmed(context, ("finalized", &here.migration.name), confirm).await?;
        let call = here::call(context, "finalize", &[&here.migration.name]);
        let target = here.target(&args.guard);
        let after = here
            .store
            .command_once(&call, &target, &Command::Finalize, None)
            .await;
        return context.show(&after.map_err(|error| here::stop(&error))?);
    }
    let remote = context.remote()?;
    let (known, _) = remote.migration(&args.name).await?;
    confirmed(context, ("finalized", &known.name), confirm).await?;
    let etag = args.guard.etag.unwrap_or_default();
    let migration = remote.finalize(&args.name, &etag).await?;
    context.show(&migration)
}

/// Changes settings while the migration runs.
pub async fn set(context: &Context, args: SetArgs) -> Result<Code, Stop> {
    let entity = args.entity.as_deref();
    let migration = if args.local.local {
        set_here(context, &args, &args.local).await?
    } else {
        let etag = args.guard.etag.as_deref().unwrap_or_default();
        let remote = context.remote()?;
        let what = (entity.unwrap_or_default(), args.settings.as_slice());
        remote.set((&args.name, etag), what).await?
    };
    for line in crate::render::migration::settings(&migration) {
        context.say(format!("in force: {line}"));
    }
    context.show(&migration)
}

async fn set_here(
    context: &Context,
    args: &SetArgs,
    local: &LocalArgs,
) -> Result<MigrationOrchestration, Stop> {
    let here = Here::find(context, local, &args.name).await?;
    let entity = args.entity.as_deref();
    let said = format!("{entity:?} {:?}", args.settings);
    let call = here::call(context, "set", &[&here.migration.name, &said]);
    let target = here.target(&args.guard);
    let set = here
        .store
        .set_once(&call, &target, (entity, &args.settings))
        .await;
    set.map_err(|error| here::stop(&error))
}

/// The same without a controller: whoever runs the migration does it, else this process.
async fn halt_here(
    context: &Context,
    here: &Here,
    (halt, command, guard): (&Halt, Command, &GuardArgs),
    (goal, must_wait, patience): (WantedState, bool, PatienceArgs),
) -> Result<Code, Stop> {
    let said = format!("{} {:?}", halt.reason, halt.deadline);
    let call = here::call(context, command.verb(), &[&here.migration.name, &said]);
    let seconds = halt.deadline.map(|within| within.as_secs());
    let seconds = seconds.map(|seconds| i32::try_from(seconds).unwrap_or(i32::MAX));
    let asked = here
        .store
        .stop_once(&call, &here.target(guard), (&command, seconds))
        .await;
    let asked = asked.map_err(|error| here::stop(&error))?;
    let is_run = here.is_run().await?;
    if asked.activity == Some(Activity::Pausing) && !is_run {
        here.bring_about(context).await?;
    }
    let now = match must_wait || !is_run {
        true => {
            let is_over =
                |now: &MigrationOrchestration| goal.holds(now) || now.state().is_at_rest();
            here.until(context, patience.wait_timeout, is_over).await?
        }
        false => here.now().await?,
    };
    context.show(&now)
}

/// Waits, where that is wanted, until a migration is where a command wants it, and shows it.
pub async fn reach(
    context: &Context,
    remote: &Remote,
    migration: &MigrationOrchestration,
    (wanted, must_wait, patience): (WantedState, bool, PatienceArgs),
) -> Result<Code, Stop> {
    if !must_wait {
        return context.show(migration);
    }
    let watch = remote.watch(migration.id.to_string());
    let mut painter = Painter::quiet(context);
    let goal = (Goal::State(wanted), patience.wait_timeout);
    let end = follow::follow(context, watch, goal.0, (&mut painter, goal.1)).await?;
    context.show(&end.migration)
}
