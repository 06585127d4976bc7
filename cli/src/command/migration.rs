//! `drover migration get` and `drover migration list`.

use proto::runtime::clock;

use crate::args::LocalArgs;
use crate::context::Context;
use crate::exit::Code;
use crate::local::{self, Found};
use crate::render::migration::{Report, state};
use crate::render::table::{Align, Table};
use crate::render::{self, Format, human};
use crate::stop::Stop;

/// Shows one migration.
pub async fn get(context: &Context, name: &str, local: &LocalArgs) -> Result<Code, Stop> {
    let found = local::find(context, local, name).await?;
    let entities = found
        .store
        .entities(found.migration.id)
        .await
        .map_err(|error| local::read_failed(&error))?;
    let report = Report {
        migration: found.migration,
        entities,
    };
    let text = match context.output {
        Format::Table => report.render(clock::now()),
        format => render::object(format, &report)?,
    };
    context.screen.print(&text);
    Ok(Code::Done)
}

/// Lists all of them.
pub async fn list(context: &Context, local: &LocalArgs) -> Result<Code, Stop> {
    let found = local::migrations(context, local).await?;
    let text = match context.output {
        Format::Table => table(&found),
        format => {
            let items: Vec<_> = found.iter().map(|one| &one.migration).collect();
            render::list(format, &items)?
        }
    };
    context.screen.print(&text);
    Ok(Code::Done)
}

fn table(found: &[Found]) -> String {
    let mut table = Table::new(&[
        ("name", Align::Left),
        ("id", Align::Left),
        ("state", Align::Left),
        ("progress", Align::Right),
        ("entities", Align::Right),
        ("errors", Align::Right),
        ("age", Align::Right),
        ("connection", Align::Left),
    ]);
    let now = clock::now();
    for Found {
        place, migration, ..
    } in found
    {
        let id: String = migration.id.to_string().chars().take(8).collect();
        table.row([
            migration.name.clone(),
            id,
            state(migration),
            format!("{:.1}%", migration.progress_percentage),
            format!(
                "{}/{}",
                migration.completed_entities, migration.total_entities
            ),
            migration.error_count.to_string(),
            human::age(migration.created_at, now),
            place.clone(),
        ]);
    }
    table.render()
}
