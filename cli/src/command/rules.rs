//! `drover rules check`, `explain` and `schema`: a plan against both catalogs, without a row moved.

use std::path::Path;

use proto::domain::compile;
use proto::domain::compiled::CompiledPlan;
use proto::domain::plan;

use super::machine::{Databases, LocalAgent};
use super::plan::{read, refused};
use crate::context::Context;
use crate::exit::Code;
use crate::render::table::{Align, Table};
use crate::render::{self, Format};
use crate::stop::Stop;

/// Checks a plan.
pub async fn check(context: &Context, path: &Path) -> Result<Code, Stop> {
    let plan = compiled(context, path).await?;
    let text = match context.output {
        Format::Json | Format::Jsonl => render::object(context.output, &plan)?,
        Format::Name => names(&plan),
        Format::Table | Format::Wide => table(&plan),
    };
    context.screen.print(&text);
    for warning in &plan.warnings {
        context.say(format!("warning: {}: {}", warning.entity, warning.message));
    }
    context.say(format!(
        "plan {} is valid: {} entities",
        plan.name,
        plan.entities.len()
    ));
    Ok(Code::Done)
}

/// Shows what an entity is compiled to.
pub async fn explain(context: &Context, entity: &str, path: &Path) -> Result<Code, Stop> {
    let plan = compiled(context, path).await?;
    let Some(compiled) = plan.entity(entity) else {
        let known: Vec<&str> = plan
            .entities
            .iter()
            .map(|one| one.entity.as_str())
            .collect();
        return Err(Stop::not_found(format!(
            "no entity `{entity}` in the plan; it has {}",
            known.join(", ")
        )));
    };
    let explanation = compile::explain(compiled);
    let text = match context.output {
        Format::Json | Format::Jsonl => render::object(context.output, &explanation)?,
        Format::Table | Format::Wide | Format::Name => render::explanation::text(&explanation),
    };
    context.screen.print(&text);
    Ok(Code::Done)
}

/// Prints the JSON Schema of plan files.
pub fn schema(context: &Context) -> Result<Code, Stop> {
    let text = render::object(context.output, &plan::json_schema())?;
    context.screen.print(&text);
    Ok(Code::Done)
}

async fn compiled(context: &Context, path: &Path) -> Result<CompiledPlan, Stop> {
    let file = read(path)?;
    let databases = Databases::of(context, &file)?;
    let (shared, agent) = LocalAgent::start(context, &databases, 1);
    let token = context.shutdown.token();
    let result = tokio::select! {
        biased;
        () = token.cancelled() => None,
        result = Box::pin(controller::app::check(&file.text, shared.link)) => Some(result),
    };
    let agent_failure = agent.end().await;
    let Some(result) = result else {
        return Err(Stop::interrupted("stopped"));
    };
    result.map_err(|error| match agent_failure {
        Some(failure) => Stop::failed(&failure),
        None => refused(&error),
    })
}

fn names(plan: &CompiledPlan) -> String {
    let lines = plan.entities.iter().map(|one| format!("{}\n", one.entity));
    lines.collect()
}

fn table(plan: &CompiledPlan) -> String {
    let mut table = Table::new(&[
        ("order", Align::Right),
        ("entity", Align::Left),
        ("source", Align::Left),
        ("destination", Align::Left),
        ("columns", Align::Right),
        ("waits-on", Align::Left),
    ]);
    for (at, entity) in plan.entities.iter().enumerate() {
        let name = if entity.is_active {
            entity.entity.clone()
        } else {
            format!("{} (inactive)", entity.entity)
        };
        table.row([
            (at + 1).to_string(),
            name,
            entity.read.source.to_string(),
            entity.destination.to_string(),
            entity.columns.len().to_string(),
            entity.dependencies.join(", "),
        ]);
    }
    table.render()
}
