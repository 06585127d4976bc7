//! `drover migration watch` and `wait`.

use crate::args::{WaitArgs, WatchArgs};
use crate::command::follow::{self, Goal, Painter};
use crate::context::Context;
use crate::exit::Code;
use crate::render::Format;
use crate::stop::Stop;

use super::read;

/// Follows a migration until it ends or needs somebody.
pub async fn watch(context: &Context, args: &WatchArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let mut painter = Painter::of(context);
    let watch = remote.watch(&*args.name);
    let ended = follow::follow(context, watch, Goal::End, (&mut painter, None)).await;
    let last = painter.finish();
    // Programs that read lines have had every one of them.
    if let (Some(report), true) = (last, context.output != Format::Jsonl) {
        read::print(context, &report)?;
    }
    ended.map(|_| Code::Done)
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
