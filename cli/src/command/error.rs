//! `drover error list`.

use proto::domain::record::MigrationError;

use crate::args::ErrorListArgs;
use crate::context::Context;
use crate::exit::Code;
use crate::local::{self, Found};
use crate::render::table::{Align, Table};
use crate::render::{self, Format, human};
use crate::stop::Stop;

/// Lists the errors of a migration.
pub async fn list(context: &Context, args: &ErrorListArgs) -> Result<Code, Stop> {
    let found = wanted(context, args).await?;
    let limit = i64::from(args.limit);
    let mut errors = found
        .store
        .errors(found.migration.id, args.entity.as_deref(), limit + 1, None)
        .await
        .map_err(|error| local::read_failed(&error))?;
    if i64::try_from(errors.len()).is_ok_and(|count| count > limit) {
        errors.pop();
        context.say(format!(
            "only the first {limit} are shown; --limit shows more"
        ));
    }
    let text = match context.output {
        Format::Table => table(&errors),
        format => render::list(format, &errors)?,
    };
    context.screen.print(&text);
    Ok(Code::Done)
}

/// The migration that is meant: the named one, or the only one that holds the entity.
async fn wanted(context: &Context, args: &ErrorListArgs) -> Result<Found, Stop> {
    let found = match &args.migration {
        Some(name) => vec![local::find(context, &args.local, name).await?],
        None => local::migrations(context, &args.local).await?,
    };
    let mut holders = Vec::new();
    for one in found {
        let Some(entity) = &args.entity else {
            holders.push(one);
            continue;
        };
        let entities = one.store.entities(one.migration.id).await;
        let entities = entities.map_err(|error| local::read_failed(&error))?;
        if entities.iter().any(|known| known.entity == *entity) {
            holders.push(one);
        }
    }
    match &args.entity {
        Some(entity) if holders.is_empty() => Err(Stop::not_found(format!(
            "no migration has an entity `{entity}`"
        ))),
        _ => local::only(holders, "which migration? name it with --migration"),
    }
}

/// Errors as a table.
pub fn table(errors: &[MigrationError]) -> String {
    let mut table = Table::new(&[
        ("id", Align::Left),
        ("entity", Align::Left),
        ("type", Align::Left),
        ("code", Align::Left),
        ("key", Align::Left),
        ("message", Align::Left),
    ]);
    for error in errors {
        let id: String = error.id.to_string().chars().take(8).collect();
        table.row([
            id,
            error.entity.clone().unwrap_or_default(),
            error.error_type.to_string(),
            error.error_code.clone(),
            human::clip(error.source_record_id.as_deref().unwrap_or_default(), 40),
            human::clip(&error.error_message, 60),
        ]);
    }
    table.render()
}
