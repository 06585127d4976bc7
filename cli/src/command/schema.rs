//! `drover schema`: plan, apply, status and rollback of schema changes.

use controller::schema::Drafted;
use controller::schema::local::{self as machine_schema, LocalSchema, LocalVerb};
use proto::domain::record::{RiskLevel, SchemaChangeOperation, SchemaOperationStatus};
use proto::domain::schema_change::Consent;

use super::machine::{Databases, LocalAgent};
use super::plan::{self, PlanFile};
use super::{confirm, file};
use crate::args::{
    LocalArgs, SchemaApplyArgs, SchemaCommand, SchemaPlanArgs, SchemaRollbackArgs, SchemaStatusArgs,
};
use crate::context::Context;
use crate::exit::Code;
use crate::local;
use crate::render::record::{DraftedChange, schema_reasons};
use crate::render::{self, Format};
use crate::stop::Stop;

/// Runs one verb.
pub async fn run(context: &Context, command: SchemaCommand) -> Result<Code, Stop> {
    match command {
        SchemaCommand::Plan(args) => show_plan(context, args).await,
        SchemaCommand::Apply(args) => apply(context, args).await,
        SchemaCommand::Status(args) => status(context, args).await,
        SchemaCommand::Rollback(args) => rollback(context, args).await,
    }
}

async fn show_plan(context: &Context, args: SchemaPlanArgs) -> Result<Code, Stop> {
    let (found, is_open) = match (&args.name, &args.file, args.local.local) {
        (Some(name), _, true) => {
            let known = known(context, &args.local, name).await?;
            drafts(plan_here(context, &known.0, Some(known.1)).await?)
        }
        (None, Some(path), true) => drafts(plan_here(context, &plan::read(path)?, None).await?),
        (Some(name), _, false) => open(context.remote()?.schema_plan(name).await?),
        (None, Some(path), false) => {
            let text = file::for_controller(path)?;
            open(context.remote()?.schema_plan_of(text, args.region).await?)
        }
        (None, None, _) => return Err(Stop::usage("name a migration, or a plan with --file")),
    };
    print_plan(context, &found)?;
    match is_open && args.exit_code {
        true => Ok(Code::Changes),
        false => Ok(Code::Done),
    }
}

fn print_plan(context: &Context, found: &[DraftedChange]) -> Result<(), Stop> {
    if context.output.is_json() {
        context.screen.print(&render::list(context.output, found)?);
        return Ok(());
    }
    let operations: Vec<SchemaChangeOperation> = found
        .iter()
        .flat_map(|change| change.operations.iter().cloned())
        .collect();
    context.show_list(&operations)?;
    if context.output == Format::Name {
        return Ok(());
    }
    for change in found {
        let open = change.operations.iter().filter(|one| is_open(one));
        for operation in open {
            let level = operation.risk_level.unwrap_or(RiskLevel::Low);
            context.say(format!(
                "{} {}: {level}: {}",
                operation.operation_type,
                change.label,
                schema_reasons(operation).join("; ")
            ));
        }
        for refusal in &change.refusals {
            context.say(format!("{}: refused: {refusal}", change.label));
        }
        if !change.confirmation.is_empty() {
            context.say(format!(
                "{}: confirm with {}",
                change.label, change.confirmation
            ));
        }
    }
    Ok(())
}

fn is_open(operation: &SchemaChangeOperation) -> bool {
    operation.status != SchemaOperationStatus::Completed
}

async fn apply(context: &Context, args: SchemaApplyArgs) -> Result<Code, Stop> {
    let consent = Consent {
        yes: context.global.yes,
        names: args.confirm.iter().cloned().collect(),
    };
    let done = match args.local.local {
        true => {
            let known = known(context, &args.local, &args.name).await?;
            run_here(context, known, LocalVerb::Apply(consent)).await?
        }
        false => {
            let remote = context.remote()?;
            remote
                .schema_apply(&args.name, consent.yes, args.confirm)
                .await?
        }
    };
    context.show_list(&done)
}

async fn status(context: &Context, args: SchemaStatusArgs) -> Result<Code, Stop> {
    let found = match args.local.local {
        true => {
            let known = known(context, &args.local, &args.name).await?;
            run_here(context, known, LocalVerb::Status).await?
        }
        false => context.remote()?.schema_state(&args.name).await?,
    };
    context.show_list(&found)
}

async fn rollback(context: &Context, args: SchemaRollbackArgs) -> Result<Code, Stop> {
    let question = "take its schema changes back";
    let done = match args.local.local {
        true => {
            let known = known(context, &args.local, &args.name).await?;
            let name = known.1.migration.name.clone();
            confirm::name(context, &name, args.confirm.as_deref(), question).await?;
            run_here(context, known, LocalVerb::Rollback).await?
        }
        false => {
            let remote = context.remote()?;
            let (migration, _) = remote.migration(&args.name).await?;
            confirm::name(context, &migration.name, args.confirm.as_deref(), question).await?;
            remote.schema_rollback(&args.name).await?
        }
    };
    context.show_list(&done)
}

/// A migration of a database, with its plan, to be worked on.
async fn known(
    context: &Context,
    local: &LocalArgs,
    name: &str,
) -> Result<(PlanFile, LocalSchema), Stop> {
    let found = local::find(context, local, name).await?;
    let read = |error: controller::store::StoreError| local::read_failed(&error);
    let stored = found.store.plan(found.migration.id).await.map_err(read)?;
    let stored = stored.ok_or_else(|| Stop::not_found("the migration has no plan"))?;
    let file = plan::parse(stored.document)?;
    let store = found.store.writable().await.map_err(read)?;
    let known = LocalSchema {
        store,
        migration: found.migration,
        plan: file.plan.clone(),
    };
    Ok((file, known))
}

async fn plan_here(
    context: &Context,
    file: &PlanFile,
    known: Option<LocalSchema>,
) -> Result<Vec<Drafted>, Stop> {
    let databases = Databases::of(context, file)?;
    let (shared, agent) = LocalAgent::start(context, &databases, 1);
    let planned = machine_schema::plan(&file.plan, known, shared.link).await;
    agent.end().await;
    planned.map_err(|failure| Stop::failed(&failure))
}

async fn run_here(
    context: &Context,
    (file, known): (PlanFile, LocalSchema),
    verb: LocalVerb,
) -> Result<Vec<SchemaChangeOperation>, Stop> {
    let databases = Databases::of(context, &file)?;
    let (shared, agent) = LocalAgent::start(context, &databases, 1);
    let token = context.shutdown.token();
    let done = tokio::select! {
        biased;
        () = token.cancelled() => None,
        done = machine_schema::run(known, verb, shared.link) => Some(done),
    };
    agent.end().await;
    match done {
        Some(done) => done.map_err(|failure| Stop::failed(&failure)),
        None => Err(Stop::interrupted(
            "stopped; run the same command again to go on",
        )),
    }
}

fn drafts(found: Vec<Drafted>) -> (Vec<DraftedChange>, bool) {
    open(found.into_iter().map(drafted).collect())
}

fn open(found: Vec<DraftedChange>) -> (Vec<DraftedChange>, bool) {
    let is_open = found
        .iter()
        .any(|change| change.operations.is_empty() || change.operations.iter().any(is_open));
    (found, is_open)
}

fn drafted(change: Drafted) -> DraftedChange {
    DraftedChange {
        number: i32::try_from(change.change.number).unwrap_or(i32::MAX),
        label: change.change.label(),
        when: change.change.moment.word().to_owned(),
        operations: change.operations,
        refusals: change.refusals,
        confirmation: change.flags.unwrap_or_default(),
    }
}
