//! `drover migration start`, `pause` and `resume`.

use std::path::Path;

use proto::domain::record::{Activity, MigrationOrchestration};

use crate::args::{GoOnArgs, PatienceArgs, PauseArgs, ResumeArgs, WantedState};
use crate::command::file;
use crate::command::follow::{self, Goal, Painter};
use crate::context::Context;
use crate::exit::Code;
use crate::remote::{GoOn, Remote};
use crate::stop::Stop;

/// Starts a migration.
pub async fn start(context: &Context, args: GoOnArgs) -> Result<Code, Stop> {
    let migration = context.remote()?.start(go_on(args)?).await?;
    context.show(&migration)?;
    context.say(format!("next: drover migration watch {}", migration.name));
    Ok(Code::Done)
}

/// Asks for a pause, and waits until it is one.
pub async fn pause(context: &Context, args: PauseArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let migration = remote.pause(&args.name, &args.reason).await?;
    if args.wait {
        context.say("pausing: agents finish the batches in hand");
        return reach(
            context,
            &remote,
            &migration,
            (Activity::Paused, args.patience),
        )
        .await;
    }
    context.show(&migration)
}

/// Lets a migration go on.
pub async fn resume(context: &Context, args: ResumeArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let migration = remote.resume(go_on(args.go_on)?).await?;
    if args.wait {
        return reach(
            context,
            &remote,
            &migration,
            (Activity::Running, args.patience),
        )
        .await;
    }
    context.show(&migration)
}

/// Waits until a migration is where a command wants it, and shows it.
async fn reach(
    context: &Context,
    remote: &Remote,
    migration: &MigrationOrchestration,
    (activity, patience): (Activity, PatienceArgs),
) -> Result<Code, Stop> {
    let goal = Goal::State(WantedState::Activity(activity));
    let watch = remote.watch(migration.id.to_string());
    let mut painter = Painter::quiet(context);
    let end = follow::follow(context, watch, goal, (&mut painter, patience.wait_timeout)).await?;
    context.show(&end.migration)
}

fn go_on(args: GoOnArgs) -> Result<GoOn, Stop> {
    let read = |path: &Path| file::for_controller(path);
    Ok(GoOn {
        plan: args
            .file
            .as_deref()
            .map(read)
            .transpose()?
            .unwrap_or_default(),
        name: args.name,
    })
}
