//! `drover error list` and `drover error get`.

use proto::domain::record::MigrationError;
use proto::runtime::clock;
use uuid::Uuid;

use crate::args::{ErrorGetArgs, ErrorListArgs};
use crate::context::Context;
use crate::exit::Code;
use crate::local::{self, Found};
use crate::render::{self, Format, Style};
use crate::stop::Stop;

/// Lists the errors of a migration.
pub async fn list(context: &Context, args: &ErrorListArgs) -> Result<Code, Stop> {
    if args.local.local {
        return list_local(context, args).await;
    }
    let remote = context.remote()?;
    let (migration, entity) = (args.migration.as_deref(), args.entity.as_deref());
    let migration = remote.choose(migration, entity).await?;
    let listed = remote.errors(&migration, entity, args.limit.limit).await?;
    context.show_listed(&listed)
}

/// Shows one error with everything it says.
pub async fn get(context: &Context, args: &ErrorGetArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let migration = match (&args.migration, Uuid::try_parse(&args.id)) {
        (Some(name), _) => Some(name.clone()),
        (None, Ok(_)) => None,
        (None, Err(_)) => Some(remote.choose(None, None).await?),
    };
    let error = remote.error(&args.id, migration.as_deref()).await?;
    match context.output {
        Format::Table | Format::Wide => {
            context.screen.print(&render::record::error_details(&error));
            Ok(Code::Done)
        }
        Format::Json | Format::Jsonl | Format::Name => context.show(&error),
    }
}

async fn list_local(context: &Context, args: &ErrorListArgs) -> Result<Code, Stop> {
    let found = wanted(context, args).await?;
    let limit = i64::from(args.limit.limit);
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
    context.show_list(&errors)
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
    let style = Style {
        format: Format::Table,
        has_headers: true,
    };
    render::columns(style, errors, clock::now())
}
