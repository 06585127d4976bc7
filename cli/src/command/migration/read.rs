//! `drover migration get` and `drover migration list`.

use controller::advice::{Subject, next_steps};
use proto::runtime::clock;
use serde::Serialize;

use crate::args::{GetArgs, ListArgs};
use crate::context::Context;
use crate::exit::Code;
use crate::local;
use crate::render::migration::Report;
use crate::render::record::ReadMigration;
use crate::render::{self, Format};
use crate::stop::Stop;

/// Most entities of one migration that are shown.
const ENTITIES: u32 = 100_000;

/// A migration with its entities, and what can be done with it next.
#[derive(Debug, Serialize)]
struct Advised {
    #[serde(flatten)]
    report: Report,
    next_steps: Vec<String>,
}

/// Shows one migration.
pub async fn get(context: &Context, args: &GetArgs) -> Result<Code, Stop> {
    if args.local.local {
        return get_local(context, args).await;
    }
    let remote = context.remote()?;
    let (migration, next_steps) = remote.migration(&args.name).await?;
    let id = migration.id.to_string();
    let entities = remote.entities(&id, &[], ENTITIES).await?.items;
    let report = Report {
        migration,
        entities,
    };
    advise(context, report, next_steps)
}

/// Prints a migration and what can be done next.
fn advise(context: &Context, report: Report, next_steps: Vec<String>) -> Result<Code, Stop> {
    match context.output.is_json() {
        false => {
            print(context, &report)?;
            next_steps
                .iter()
                .for_each(|step| context.say(format!("next: {step}")));
        }
        true => {
            let advised = Advised { report, next_steps };
            let text = render::object(context.output, &advised)?;
            context.screen.print(&text);
        }
    }
    Ok(Code::Done)
}

async fn get_local(context: &Context, args: &GetArgs) -> Result<Code, Stop> {
    let found = local::find(context, &args.local, &args.name).await?;
    let entities = found
        .store
        .entities(found.migration.id)
        .await
        .map_err(|error| local::read_failed(&error))?;
    let read = |error| local::read_failed(&error);
    let id = found.migration.id;
    let subject = Subject {
        migration: &found.migration,
        entities: &entities,
        open_errors: found.store.open_errors(id).await.map_err(read)?,
        open_retries: found.store.retries(id, None).await.map_err(read)?.len(),
        is_local: true,
    };
    let steps = next_steps(&subject);
    let report = Report {
        migration: found.migration,
        entities,
    };
    advise(context, report, steps)
}

/// Prints a migration with its entities.
fn print(context: &Context, report: &Report) -> Result<(), Stop> {
    let text = match context.output {
        Format::Table | Format::Wide => report.render(clock::now()),
        Format::Name => report.migration.name.clone(),
        Format::Json | Format::Jsonl => render::object(context.output, report)?,
    };
    context.screen.print(&text);
    Ok(())
}

/// Lists all of them.
pub async fn list(context: &Context, args: &ListArgs) -> Result<Code, Stop> {
    if args.local.local {
        let found = local::migrations(context, &args.local).await?;
        let rows: Vec<ReadMigration> = found
            .iter()
            .map(|one| ReadMigration {
                migration: &one.migration,
                place: &one.place,
            })
            .collect();
        return context.show_list(&rows);
    }
    let listed = context.remote()?.migrations(args.limit.limit).await?;
    context.show_listed(&listed)
}
