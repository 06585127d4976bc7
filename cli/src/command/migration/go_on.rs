//! `drover migration start` and `resume`.

use std::path::Path;

use proto::domain::record::Activity;
use proto::domain::state::Command;

use super::stop::reach;
use crate::args::{GoOnArgs, GuardArgs, ResumeArgs, WantedState};
use crate::command::file;
use crate::context::Context;
use crate::exit::Code;
use crate::here::{self, Here};
use crate::remote::GoOn;
use crate::stop::Stop;

/// Starts a migration.
pub async fn start(context: &Context, args: GoOnArgs) -> Result<Code, Stop> {
    let migration = context.remote()?.start(go_on(args)?).await?;
    context.show(&migration)?;
    context.say(format!("next: drover migration watch {}", migration.name));
    Ok(Code::Done)
}

/// Lets a migration go on.
pub async fn resume(context: &Context, args: ResumeArgs) -> Result<Code, Stop> {
    if args.local.local {
        return resume_here(context, &args).await;
    }
    let remote = context.remote()?;
    let migration = remote.resume(go_on(args.go_on)?).await?;
    let goal = WantedState::Activity(Activity::Running);
    reach(
        context,
        &remote,
        &migration,
        (goal, args.wait, args.patience),
    )
    .await
}

/// Without a controller a plan goes on by being run, unless a process runs it already.
async fn resume_here(context: &Context, args: &ResumeArgs) -> Result<Code, Stop> {
    if args.go_on.file.is_some() {
        return Err(Stop::usage(
            "an edited plan takes effect with `drover run PLAN`",
        ));
    }
    let here = Here::find(context, &args.local, &args.go_on.name).await?;
    let call = here::call(context, "resume", &[&here.migration.name]);
    let target = here.target(&GuardArgs::default());
    let after = here
        .store
        .command_once(&call, &target, &Command::Resume, None)
        .await;
    let after = after.map_err(|error| here::stop(&error))?;
    if !here.is_run().await? {
        context.say("next: drover run PLAN");
    }
    context.show(&after)
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
