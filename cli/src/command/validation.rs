//! `drover validation`: whether the copied data is right.

use std::time::Duration;

use controller::commands::CommandError;
use controller::store::StoreError;
use controller::validate::alone::{ValidateRequest, validate};
use proto::domain::record::{
    DataValidationResult, ValidationRun, ValidationRunStatus, ValidationStatus,
};
use proto::runtime::clock;
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::METADATA_SCHEMA;
use super::machine::{Databases, LocalAgent};
use crate::actor;
use crate::args::{
    ValidationCommand, ValidationDiffArgs, ValidationGetArgs, ValidationListArgs,
    ValidationStartArgs,
};
use crate::config;
use crate::context::Context;
use crate::exit::Code;
use crate::local::{self, Found};
use crate::render::record::FoundRow;
use crate::render::{self, Format};
use crate::stop::Stop;

/// How often a validation is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(500);

/// A validation and its results.
#[derive(Debug, Serialize)]
struct Validated {
    validation: ValidationRun,
    results: Vec<DataValidationResult>,
}

/// Runs a verb.
pub async fn run(context: &Context, command: ValidationCommand) -> Result<Code, Stop> {
    match command {
        ValidationCommand::Start(args) if args.local.local => start_local(context, &args).await,
        ValidationCommand::Start(args) => start(context, &args).await,
        ValidationCommand::Get(args) => {
            let found = read(context, &args).await?;
            show(context, &found)
        }
        ValidationCommand::List(args) => list(context, &args).await,
        ValidationCommand::Diff(args) => diff(context, &args).await,
        ValidationCommand::Cancel(args) => {
            let run = context.remote()?.cancel_validation(&args.name).await?;
            context.show(&run)
        }
    }
}

async fn start(context: &Context, args: &ValidationStartArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let level = args.level.map(|level| level.to_string());
    let run = remote
        .start_validation(&args.name, (level, &args.entity))
        .await?;
    if !args.wait {
        context.say(format!("next: drover validation get {}", args.name));
        return context.show(&run);
    }
    let migration = run.migration_id.to_string();
    let deadline = args.patience.wait_timeout.map(|time| Instant::now() + time);
    let token = context.shutdown.token();
    loop {
        let (run, results) = remote
            .validation(&migration, Some(&run.id.to_string()))
            .await?;
        if run.status != ValidationRunStatus::Running {
            return conclude(context, &run, &results);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let words = "the validation is still under way";
            return Err(Stop::new(Code::WaitTimeout, "WAIT_TIMEOUT", words)
                .hinting(format!("drover validation get {}", args.name)));
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = token.cancelled() => {
                return Err(Stop::interrupted("detached; the validation goes on"));
            }
        }
    }
}

/// Controller and agent in this process. Interrupted, the same command goes on with what is left.
async fn start_local(context: &Context, args: &ValidationStartArgs) -> Result<Code, Stop> {
    let found = local::find(context, &args.local, &args.name).await?;
    check_entities(&found, &args.entity).await?;
    let (databases, metadata) = databases(context, args, &found).await?;
    let (shared, agent) = LocalAgent::start(context, &databases, args.lanes);
    let request = ValidateRequest {
        migration_id: found.migration.id,
        level: args.level.map(|level| level.to_string()),
        entities: args.entity.clone(),
        created_by: actor::name(&context.environment),
        metadata,
        schema: METADATA_SCHEMA.to_owned(),
    };
    found.store.close().await;
    let (view, _seen) = watch::channel((0, 0));
    let token = context.shutdown.token();
    let validated = Box::pin(validate(request, shared.link, view, &token)).await;
    let agent_failure = agent.end().await;
    let (run, results) = match (validated, agent_failure) {
        (Ok(ended), _) => ended,
        // The controller only sees that the agent is gone; the agent knows why.
        (Err(CommandError::Failed(_)), Some(failure)) => return Err(Stop::failed(&failure)),
        (Err(error), _) => return Err(refused(error)),
    };
    if run.status == ValidationRunStatus::Running {
        return Err(Stop::interrupted(
            "stopped; run the same command again to go on",
        ));
    }
    conclude(context, &run, &results)
}

async fn check_entities(found: &Found, wanted: &[String]) -> Result<(), Stop> {
    let known = found.store.entities(found.migration.id).await;
    let known = known.map_err(|error| local::read_failed(&error))?;
    let is_unknown = |name: &&String| !known.iter().any(|entity| entity.entity == **name);
    match wanted.iter().find(is_unknown) {
        Some(name) => Err(Stop::not_found(format!("no entity `{name}`"))),
        None => Ok(()),
    }
}

/// The migration's two databases, and the one that its records are in.
async fn databases(
    context: &Context,
    args: &ValidationStartArgs,
    found: &Found,
) -> Result<(Databases, PgConnectOptions), Stop> {
    let configured = context.connections()?;
    let named = config::metadata(args.local.metadata_url.as_deref(), &context.environment)?;
    let metadata = match named {
        Some(options) => options,
        None => configured.get(&found.place)?.options,
    };
    let name = |side: &str| {
        let name = found.migration.configuration[side]["connection"].as_str();
        name.map(str::to_owned)
            .ok_or_else(|| Stop::usage("the migration's records name no connections"))
    };
    let (source, destination) = (
        configured.get(&name("source")?)?,
        configured.get(&name("destination")?)?,
    );
    let options = destination.options.clone();
    let connections = [
        (source.name, source.options),
        (destination.name, destination.options),
    ];
    let databases = Databases {
        connections: connections.into(),
        destination: options,
    };
    Ok((databases, metadata))
}

fn refused(error: CommandError) -> Stop {
    match error {
        CommandError::Store(error @ StoreError::Illegal(_)) => {
            Stop::new(Code::WrongState, "ILLEGAL_STATE", error.to_string())
        }
        CommandError::Store(error) => Stop::failed(&error.failure()),
        CommandError::Failed(failure) => Stop::failed(&failure),
        error @ (CommandError::Plan(_)
        | CommandError::NoMigration { .. }
        | CommandError::Ambiguous { .. }
        | CommandError::NotConfirmed { .. }
        | CommandError::NoEntity { .. }
        | CommandError::StillNeeded { .. }
        | CommandError::NoError { .. }) => Stop::not_found(error.to_string()),
    }
}

/// Prints the results; what is wrong with them is said with the exit code.
fn conclude(
    context: &Context,
    run: &ValidationRun,
    results: &[DataValidationResult],
) -> Result<Code, Stop> {
    let reason = run.reason.as_deref().unwrap_or_default();
    match run.status {
        ValidationRunStatus::Completed | ValidationRunStatus::Running => {}
        ValidationRunStatus::Failed => {
            let words = format!("the validation could not be brought to its end: {reason}");
            return Err(Stop::new(Code::Failed, "VALIDATION_BROKEN", words)
                .hinting("mend that, then start another one"));
        }
        ValidationRunStatus::Cancelled => {
            let words = format!("the validation was cancelled: {reason}");
            return Err(Stop::new(Code::Failed, "VALIDATION_CANCELLED", words));
        }
    }
    context.show_list(results)?;
    let failed = results
        .iter()
        .filter(|result| result.status == ValidationStatus::Failed);
    match failed.count() {
        0 => Ok(Code::Done),
        count => Err(Stop::new(
            Code::Threshold,
            "VALIDATION_FAILED",
            format!("{count} of {} checks failed", results.len()),
        )
        .hinting("`drover validation diff` lists the rows")),
    }
}

/// A stored validation: the named one, or the newest.
async fn read(context: &Context, args: &ValidationGetArgs) -> Result<Validated, Stop> {
    let (validation, results) = match args.local.local {
        false => {
            let remote = context.remote()?;
            remote.validation(&args.name, args.id.as_deref()).await?
        }
        true => {
            let found = local::find(context, &args.local, &args.name).await?;
            read_local(&found, args.id.as_deref()).await?
        }
    };
    Ok(Validated {
        validation,
        results,
    })
}

async fn read_local(
    found: &Found,
    id: Option<&str>,
) -> Result<(ValidationRun, Vec<DataValidationResult>), Stop> {
    let missing = || Stop::not_found("there is no such validation");
    let failed = |error: StoreError| local::read_failed(&error);
    let (store, migration_id) = (&found.store, found.migration.id);
    let run = match id {
        None => store
            .validation_runs(migration_id, 1, None)
            .await
            .map_err(failed)?
            .pop(),
        Some(id) => {
            let id = Uuid::try_parse(id).map_err(|_| missing())?;
            let run = store.validation_run(id).await.map_err(failed)?;
            run.filter(|run| run.migration_id == migration_id)
        }
    };
    let run = run.ok_or_else(missing)?;
    let results = store.validation_results(run.id).await.map_err(failed)?;
    Ok((run, results))
}

fn show(context: &Context, found: &Validated) -> Result<Code, Stop> {
    match context.output {
        Format::Json | Format::Jsonl => {
            let text = render::object(context.output, found)?;
            context.screen.print(&text);
        }
        Format::Name => context.screen.print(&format!("{}\n", found.validation.id)),
        Format::Table | Format::Wide => {
            context.show(&found.validation)?;
            if !found.results.is_empty() {
                let rows = render::rows(context.style(), &found.results, clock::now())?;
                context.screen.print(&format!("\n{rows}"));
            }
        }
    }
    Ok(Code::Done)
}

async fn list(context: &Context, args: &ValidationListArgs) -> Result<Code, Stop> {
    if !args.local.local {
        let remote = context.remote()?;
        let listed = remote.validations(&args.name, args.limit.limit).await?;
        return context.show_listed(&listed);
    }
    let found = local::find(context, &args.local, &args.name).await?;
    let limit = i64::from(args.limit.limit);
    let runs = found
        .store
        .validation_runs(found.migration.id, limit, None)
        .await
        .map_err(|error| local::read_failed(&error))?;
    context.show_list(&runs)
}

async fn diff(context: &Context, args: &ValidationDiffArgs) -> Result<Code, Stop> {
    let found = read(context, &args.validation).await?;
    let wanted = |result: &&DataValidationResult| {
        let entity = args.entity.as_ref();
        entity.is_none_or(|entity| *entity == result.entity)
    };
    let results: Vec<&DataValidationResult> = found.results.iter().filter(wanted).collect();
    let rows: Vec<FoundRow> = results
        .iter()
        .flat_map(|result| FoundRow::of(result))
        .collect();
    let code = context.show_list(&rows)?;
    let left_out: i64 = results
        .iter()
        .filter_map(|result| result.issue_details.as_ref())
        .filter_map(|details| details["findings_left_out"].as_i64())
        .sum();
    if left_out > 0 {
        context.say(format!("{left_out} more were counted and are not listed"));
    }
    Ok(code)
}
