//! Follows a migration through whatever happens, until a goal is reached or cannot be any more.

mod paint;
mod picture;
mod verdict;

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::context::Context;
use crate::exit::Code;
use crate::remote::{Update, Watch};
use crate::render::migration::Report;
use crate::stop::Stop;

pub use paint::Painter;
pub use verdict::Goal;

use picture::Picture;

/// Follows until the goal; what the migration then is.
///
/// Ends with 8 or 9 when it needs an operator, 3 when it is deleted, 7 when `within` is over, 130 on
/// Ctrl-C, and 6 when no controller answers for long. The migration goes on in any case.
pub async fn follow(
    context: &Context,
    mut watch: Watch<'_>,
    goal: Goal,
    (painter, within): (&mut Painter, Option<Duration>),
) -> Result<Report, Stop> {
    let token = context.shutdown.token();
    let deadline = within.map(|within| Instant::now() + within);
    let mut picture = Picture::default();
    loop {
        // Kept over ticks: a silence, or the time without a controller, is measured as one.
        let mut next = Box::pin(watch.next());
        let update = loop {
            tokio::select! {
                biased;
                () = token.cancelled() => return Err(detached()),
                () = until(deadline) => return Err(late(&picture, goal, within)),
                () = painter.tick() => painter.refresh(&picture),
                update = &mut next => break update?,
            }
        };
        drop(next);
        picture.apply(&update);
        painter.show(&update, &picture);
        if let Some(end) = verdict(&update, &picture, goal) {
            return end;
        }
    }
}

/// The end that an update brings, if it does.
fn verdict(update: &Update, picture: &Picture, goal: Goal) -> Option<Result<Report, Stop>> {
    if matches!(update, Update::Deleted) {
        return Some(Err(Stop::not_found("the migration was deleted")));
    }
    let report = picture.report()?;
    let is_over = matches!(update, Update::Ended);
    let verdict = verdict::judge(goal, &report.migration, is_over)?;
    Some(verdict.map(|()| report.clone()))
}

/// Ctrl-C ends the watch, never the migration.
fn detached() -> Stop {
    Stop::interrupted("detached, the migration goes on")
}

fn late(picture: &Picture, goal: Goal, within: Option<Duration>) -> Stop {
    let is = match picture.report() {
        Some(report) => crate::render::migration::state(&report.migration),
        None => "not known".to_owned(),
    };
    let words = format!(
        "not {goal} within {:?}: it is {is}",
        within.unwrap_or_default()
    );
    Stop::new(Code::WaitTimeout, "WAIT_TIMEOUT", words).hinting("the migration goes on; wait again")
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_c_says_that_the_migration_goes_on() {
        let stop = detached();
        assert_eq!(stop.message(), "detached, the migration goes on");
        assert_eq!(stop.code().number(), 130);
    }
}
