//! `drover migration plan`: the preflight, by way of a controller or from this machine.

use controller::preflight::Asked;
use proto::domain::preflight::{Grantees, Preflight};
use serde::Serialize;

use crate::args::{GrantSide, PlanArgs};
use crate::command::file;
use crate::command::machine::{Databases, LocalAgent};
use crate::command::plan::{read, refused};
use crate::context::Context;
use crate::exit::Code;
use crate::render::record::PlannedEntity;
use crate::render::{self, Format};
use crate::stop::Stop;

/// What a plan comes to.
#[derive(Debug, Serialize)]
pub struct Planned {
    /// The plan's name.
    pub name: String,
    /// Its entities in the order they are copied.
    pub entities: Vec<PlannedEntity>,
    /// Checks, steps, their inverse, the sample.
    #[serde(flatten)]
    pub preflight: Preflight,
}

/// Shows what a plan comes to, and what stands in its way.
pub async fn plan(context: &Context, args: PlanArgs) -> Result<Code, Stop> {
    let asked = asked(&args);
    let planned = match args.local {
        true => Box::pin(local(context, &args, &asked)).await?,
        false => {
            let text = file::for_controller(&args.file)?;
            context.remote()?.plan(text, args.region, &asked).await?
        }
    };
    if let Some(side) = args.grants {
        let grants = &planned.preflight.grants;
        context.screen.print(match side {
            GrantSide::Source => &grants.source,
            GrantSide::Destination => &grants.destination,
        });
        return Ok(Code::Done);
    }
    show(context, &planned)?;
    verdict(context, &planned)
}

fn asked(args: &PlanArgs) -> Asked {
    let of = |side| args.role.clone().filter(|_| args.grants == Some(side));
    Asked {
        sample_rows: match args.grants {
            Some(_) => 0,
            None => args.sample,
        },
        grantees: Grantees {
            source: of(GrantSide::Source),
            destination: of(GrantSide::Destination),
        },
    }
}

/// Controller and agent in this process.
async fn local(context: &Context, args: &PlanArgs, asked: &Asked) -> Result<Planned, Stop> {
    let file = read(&args.file)?;
    let databases = Databases::of(context, &file)?;
    let (shared, agent) = LocalAgent::start(context, &databases, 1);
    let token = context.shutdown.token();
    let look = controller::app::preflight(&file.text, shared.link, asked);
    let result = tokio::select! {
        biased;
        () = token.cancelled() => None,
        result = Box::pin(look) => Some(result),
    };
    let agent_failure = agent.end().await;
    let Some(result) = result else {
        return Err(Stop::interrupted("stopped; nothing is left"));
    };
    let (compiled, preflight) = result.map_err(|error| match agent_failure {
        Some(failure) => Stop::failed(&failure),
        None => refused(&error),
    })?;
    Ok(Planned {
        entities: PlannedEntity::all(&compiled),
        name: compiled.name,
        preflight,
    })
}

fn show(context: &Context, planned: &Planned) -> Result<(), Stop> {
    match context.output {
        Format::Json | Format::Jsonl => {
            let text = render::object(context.output, planned)?;
            context.screen.print(&match context.output {
                Format::Jsonl => format!("{text}\n"),
                _ => text,
            });
        }
        Format::Name => {
            context.show_list(&planned.entities)?;
        }
        Format::Table | Format::Wide => {
            let entities = render::columns(
                context.style(),
                &planned.entities,
                proto::runtime::clock::now(),
            );
            let is_wide = context.output == Format::Wide;
            let text = render::preflight::text(&planned.preflight, &entities, is_wide);
            context.screen.print(&text);
        }
    }
    Ok(())
}

fn verdict(context: &Context, planned: &Planned) -> Result<Code, Stop> {
    let names: Vec<String> = planned
        .preflight
        .blocks()
        .map(|check| format!("{} {}", check.place, check.name))
        .collect();
    if names.is_empty() {
        context.say(format!(
            "plan {} is valid and nothing blocks it: {} entities",
            planned.name,
            planned.entities.len()
        ));
        return Ok(Code::Done);
    }
    let words = format!(
        "the preflight of {} is blocked by {}",
        planned.name,
        names.join(", ")
    );
    Err(Stop::new(Code::Blocked, "PREFLIGHT_BLOCKED", words)
        .with("checks", serde_json::json!(names))
        .hinting("mend what the checks say, then the same command"))
}
