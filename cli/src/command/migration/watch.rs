//! `drover migration watch` and `wait`.

use proto::runtime::clock;

use crate::args::{WaitArgs, WatchArgs};
use crate::command::follow::{self, Goal, Painter};
use crate::context::Context;
use crate::exit::Code;
use crate::render::migration::Report;
use crate::render::{self, Format};
use crate::stop::Stop;

/// Follows a migration until it ends or needs somebody.
pub async fn watch(context: &Context, args: &WatchArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let mut painter = Painter::of(context);
    let watch = remote.watch(&*args.name);
    let ended = follow::follow(context, watch, Goal::End, (&mut painter, None)).await;
    let last = painter.finish();
    // Programs that read lines have had every one of them.
    if let (Some(report), true) = (last, context.output != Format::Jsonl) {
        print(context, &report)?;
    }
    ended.map(|_| Code::Done)
}

/// What it came to. Why it stands still, if it does, is said with the exit code.
fn print(context: &Context, report: &Report) -> Result<(), Stop> {
    let text = match context.output {
        Format::Table | Format::Wide => report.render_result(clock::now()),
        Format::Name => report.migration.name.clone(),
        Format::Json | Format::Jsonl => render::object(context.output, report)?,
    };
    context.screen.print(&text);
    Ok(())
}

/// Waits until a migration is in a state.
pub async fn wait(context: &Context, args: &WaitArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let goal = Goal::State(args.wanted);
    let mut painter = Painter::quiet(context);
    let within = args.patience.wait_timeout;
    let watch = remote.watch(&*args.name);
    let end = follow::follow(context, watch, goal, (&mut painter, within)).await?;
    context.show(&end.migration)
}
