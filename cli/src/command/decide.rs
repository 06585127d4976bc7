//! `drover error retry` and `drover error skip`.

use std::time::Duration;

use controller::commands::error_ids;
use controller::store::ErrorFilter;
use proto::domain::record::{Activity, RetryProgress, RetryState};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::error::filter;
use crate::args::{ErrorFilterArgs, ErrorRetryArgs, ErrorSkipArgs, LocalArgs};
use crate::context::Context;
use crate::exit::Code;
use crate::here::{self, Here};
use crate::local;
use crate::remote::Remote;
use crate::stop::Stop;

/// How often it is looked whether rows were tried.
const LOOK: Duration = Duration::from_millis(300);

/// Has rows tried again that failed.
pub async fn retry(context: &Context, args: ErrorRetryArgs) -> Result<Code, Stop> {
    let mut wanted = meant((&args.filter, &args.ids, args.all))?;
    if args.ids.is_empty() {
        wanted.is_resolved = Some(false);
    }
    let named = (args.migration.as_deref(), wanted.entity.as_deref());
    let (place, asked) = if args.local.local {
        let (here, wanted) = here_of(context, (&args.local, named), (&wanted, &args.ids)).await?;
        let said = format!("{wanted:?}");
        let call = here::call(context, "retry errors", &[&here.migration.name, &said]);
        let target = here.target(&args.guard);
        let made = here.store.retry_once(&call, &target, &wanted);
        let made = made.await.map_err(|error| here::stop(&error))?;
        let made = made
            .into_iter()
            .map(RetryProgress::from)
            .collect::<Vec<_>>();
        (Place::Here(Box::new(here)), made)
    } else {
        let remote = context.remote()?;
        let name = remote.choose(named.0, named.1).await?;
        let etag = args.guard.etag.as_deref().unwrap_or_default();
        let made = remote
            .retry_errors((&name, etag), &wanted, &args.ids)
            .await?;
        (Place::Remote(Box::new(remote), name), made)
    };
    if asked.is_empty() {
        context.say("no row is meant, or all of them wait for a retry already");
        return context.show_list(&asked);
    }
    let ids: Vec<Uuid> = asked.iter().map(|retry| retry.id).collect();
    if !place.work(context).await? && !args.wait {
        return context.show_list(&asked);
    }
    let ended = wait(context, &place, (&ids, args.patience.wait_timeout)).await?;
    tell(context, &ended);
    context.show_list(&ended)
}

/// Decides that rows stay away.
pub async fn skip(context: &Context, args: ErrorSkipArgs) -> Result<Code, Stop> {
    if args.reason.trim().is_empty() {
        return Err(Stop::usage("a skip needs a reason").hinting("say why with --reason TEXT"));
    }
    let wanted = meant((&args.filter, &args.ids, args.all))?;
    let named = (args.migration.as_deref(), wanted.entity.as_deref());
    let skipped = if args.local.local {
        let (here, wanted) = here_of(context, (&args.local, named), (&wanted, &args.ids)).await?;
        let said = format!("{wanted:?} {}", args.reason);
        let call = here::call(context, "skip errors", &[&here.migration.name, &said]);
        let what = (&wanted, &*args.reason);
        let target = here.target(&args.guard);
        let skipped = here.store.skip_errors_once(&call, &target, what);
        let skipped = skipped.await.map_err(|error| here::stop(&error))?;
        i64::try_from(skipped).unwrap_or(i64::MAX)
    } else {
        let remote = context.remote()?;
        let name = remote.choose(named.0, named.1).await?;
        let etag = args.guard.etag.as_deref().unwrap_or_default();
        let which = (&wanted, args.ids.as_slice());
        remote
            .skip_errors((&name, etag), which, &args.reason)
            .await?
    };
    match context.output.is_json() {
        true => context
            .screen
            .print(&format!("{}\n", serde_json::json!({ "skipped": skipped }))),
        false => context
            .screen
            .print(&format!("{skipped} errors are skipped\n")),
    }
    Ok(Code::Done)
}

/// What is meant: something must be said, since everything would be much.
fn meant((args, ids, is_all): (&ErrorFilterArgs, &[String], bool)) -> Result<ErrorFilter, Stop> {
    let wanted = filter(args, None);
    match wanted == ErrorFilter::default() && ids.is_empty() && !is_all {
        true => Err(Stop::usage("which errors? none is named")
            .hinting("name ids, --entity, --code or --type, or say --all")),
        false => Ok(wanted),
    }
}

/// Who is asked.
enum Place {
    Here(Box<Here>),
    Remote(Box<Remote>, String),
}

impl Place {
    /// Does it in this process where nobody else will; whether it did.
    async fn work(&self, context: &Context) -> Result<bool, Stop> {
        let Self::Here(here) = self else {
            return Ok(false);
        };
        if here.is_run().await? {
            return Ok(false);
        }
        let now = here.now().await?;
        if matches!(
            now.activity,
            Some(Activity::Running | Activity::Pausing | Activity::Paused)
        ) {
            context.say("the rows are tried again when the plan is run: drover run PLAN");
            return Ok(false);
        }
        here.bring_about(context).await?;
        Ok(true)
    }

    async fn retries(&self, ids: &[Uuid]) -> Result<Vec<RetryProgress>, Stop> {
        match self {
            Self::Remote(remote, name) => remote.retries(name, ids).await,
            Self::Here(here) => {
                let found = here.store.retries(here.migration.id, Some(ids)).await;
                let found = found.map_err(|error| local::read_failed(&error))?;
                Ok(found.into_iter().map(RetryProgress::from).collect())
            }
        }
    }
}

/// The migration on this machine, and the errors by their ids.
async fn here_of(
    context: &Context,
    (args, named): (&LocalArgs, (Option<&str>, Option<&str>)),
    (wanted, ids): (&ErrorFilter, &[String]),
) -> Result<(Here, ErrorFilter), Stop> {
    let here = Here::of(local::wanted(context, args, named).await?).await?;
    let ids = error_ids(&here.store, here.migration.id, ids).await;
    let wanted = ErrorFilter {
        ids: ids.map_err(here::stop_command)?,
        ..wanted.clone()
    };
    Ok((here, wanted))
}

/// Waits until retries have ended, those that follow from them included.
async fn wait(
    context: &Context,
    place: &Place,
    (ids, within): (&[Uuid], Option<Duration>),
) -> Result<Vec<RetryProgress>, Stop> {
    let deadline = within.map(|within| Instant::now() + within);
    let token = context.shutdown.token();
    loop {
        let retries = place.retries(ids).await?;
        let is_done = |retry: &RetryProgress| retry.state != RetryState::Pending;
        if retries.iter().all(is_done) {
            return Ok(retries);
        }
        if let Place::Here(here) = place
            && !here.is_run().await?
        {
            // Nobody is left to do the rest: it waits for the run.
            return Ok(retries);
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

/// What became of all of them together.
fn tell(context: &Context, retries: &[RetryProgress]) {
    let sum = |count: fn(&RetryProgress) -> i64| retries.iter().map(count).sum::<i64>();
    let (written, failed) = (sum(|it| it.rows_written), sum(|it| it.rows_failed));
    let mut words = format!("{written} rows are written, {failed} failed again");
    let gone = sum(|it| it.rows_gone);
    if gone > 0 {
        words.push_str(&format!(", {gone} are no longer at the source"));
    }
    context.say(words);
    if written > 0 {
        context
            .say("they were read as the source is now: a later moment than that of the other rows");
    }
    let waiting = retries.iter().filter(|it| it.state == RetryState::Pending);
    let waiting: i64 = waiting.map(|it| it.row_count).sum();
    if waiting > 0 {
        context.say(format!("{waiting} rows wait until the migration goes on"));
    }
}
