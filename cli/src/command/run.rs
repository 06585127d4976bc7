//! `drover run`: a whole migration on this machine, from start or from where it stopped.

use controller::app::{RunOutcome, RunRequest};
use controller::progress::ProgressView;
use controller::store::StoreError;
use proto::runtime::clock;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use uuid::Uuid;

use super::METADATA_SCHEMA;
use super::machine::{Databases, LocalAgent};
use super::plan::{self, PlanFile};
use crate::actor;
use crate::args::RunArgs;
use crate::config;
use crate::context::Context;
use crate::exit::Code;
use crate::local;
use crate::progress;
use crate::render::migration::Report;
use crate::render::{self, Format};
use crate::stop::Stop;

/// A migration to be run.
pub struct Job {
    /// Its plan.
    pub file: PlanFile,
    /// Its databases.
    pub databases: Databases,
    /// Where Drover's own records are.
    pub metadata: PgConnectOptions,
    /// Partitions at the same time.
    pub lanes: u32,
}

/// How a run ended, and what is stored of it.
pub struct Ended {
    /// How it ended.
    pub outcome: RunOutcome,
    /// Its records, where they could be read.
    pub report: Option<Report>,
}

/// Runs a plan.
pub async fn run(context: &Context, args: RunArgs) -> Result<Code, Stop> {
    let file = plan::read(&args.plan)?;
    let databases = Databases::of(context, &file)?;
    let metadata = config::metadata(args.metadata_url.as_deref(), &context.environment)?
        .unwrap_or_else(|| databases.destination.clone());
    let job = Job {
        file,
        databases,
        metadata,
        lanes: args.lanes,
    };
    let ended = Box::pin(drive(context, job)).await?;
    if let Some(report) = &ended.report {
        print(context, report)?;
    }
    conclude(context, &ended, args.strict)
}

/// Runs a migration to its end and reads its records; prints nothing but progress.
pub async fn drive(context: &Context, job: Job) -> Result<Ended, Stop> {
    let (shared, agent) = LocalAgent::start(context, &job.databases, job.lanes);
    let (progress, views) = watch::channel(ProgressView::default());
    let has_bars = context.screen.has_bars(&context.environment);
    let painter = context.shutdown.spawn(
        "progress",
        progress::show(views, context.screen.clone(), has_bars),
    );
    let request = RunRequest {
        plan_text: job.file.text,
        created_by: actor::name(&context.environment),
        metadata: job.metadata.clone(),
        schema: METADATA_SCHEMA.to_owned(),
    };
    let token = context.shutdown.token();
    let run = controller::app::run(request, shared.lease, shared.link, progress, token.clone());
    let mut run = Box::pin(run);
    let result = tokio::select! {
        biased;
        result = &mut run => result,
        () = token.cancelled() => {
            context.say("stopping after the batches in hand; once more to stop at once");
            run.await
        }
    };
    let agent_failure = agent.end().await;
    // It ends with its sender.
    let _ = painter.await;
    let outcome = result.map_err(|error| match agent_failure {
        // The controller only sees that the agent is gone; the agent knows why.
        Some(failure) if !matches!(error, controller::app::RunError::Plan(_)) => {
            Stop::failed(&failure)
        }
        _ => plan::refused(&error),
    })?;
    let report = report(context, &job.metadata, migration_id(&outcome)).await;
    Ok(Ended { outcome, report })
}

/// Prints the result. Why it stands still, if it does, is said with the exit code.
fn print(context: &Context, report: &Report) -> Result<(), Stop> {
    let text = match context.output {
        Format::Table | Format::Wide => report.render_result(clock::now()),
        Format::Name => report.migration.name.clone(),
        format => render::object(format, report)?,
    };
    context.screen.print(&text);
    Ok(())
}

/// The exit code of a run that ended, and the words for it.
pub fn conclude(context: &Context, ended: &Ended, is_strict: bool) -> Result<Code, Stop> {
    match &ended.outcome {
        RunOutcome::Completed {
            already,
            quarantined,
            ..
        } => {
            if *already {
                context.say("already completed: nothing was done");
            }
            if *quarantined == 0 {
                return Ok(Code::Done);
            }
            let look = "look at `drover error list --local`";
            if is_strict {
                return Err(Stop::new(
                    Code::Threshold,
                    "ROWS_QUARANTINED",
                    format!("completed, but {quarantined} rows were set aside"),
                )
                .hinting(look));
            }
            context.say(format!("{quarantined} rows were set aside: {look}"));
            Ok(Code::Done)
        }
        RunOutcome::Blocked { failure, .. } => Err(Stop::blocked(failure)),
        RunOutcome::Paused { .. } => Err(Stop::new(
            Code::Interrupted,
            "PAUSED",
            "paused by an operator: nothing is written any more",
        )
        .hinting("run the same command again to go on")),
        RunOutcome::Cancelled { .. } => Err(Stop::new(
            Code::Blocked,
            "CANCELLED",
            "cancelled by an operator; what was written stays",
        )),
        RunOutcome::Interrupted { .. } => Err(Stop::interrupted(
            "stopped; run the same command again to go on",
        )),
    }
}

fn migration_id(outcome: &RunOutcome) -> Uuid {
    match outcome {
        RunOutcome::Completed { migration_id, .. }
        | RunOutcome::Paused { migration_id }
        | RunOutcome::Cancelled { migration_id }
        | RunOutcome::Blocked { migration_id, .. }
        | RunOutcome::Interrupted { migration_id } => *migration_id,
    }
}

/// What is stored of a migration. That it cannot be read changes nothing about how the run ended.
async fn report(context: &Context, metadata: &PgConnectOptions, id: Uuid) -> Option<Report> {
    let read = async {
        let store = local::open(metadata).await?;
        let (migration, entities) = (store.migration(id).await?, store.entities(id).await?);
        Ok::<_, StoreError>(Report {
            migration,
            entities,
        })
    };
    match Box::pin(read).await {
        Ok(report) => Some(report),
        Err(error) => {
            context.say(format!(
                "warning: the result cannot be read: {}",
                error.failure().message
            ));
            None
        }
    }
}
