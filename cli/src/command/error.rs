//! `drover error list`, `group`, `get` and `export`.

use std::io::Write;
use std::path::Path;

use controller::store::ErrorFilter;
use proto::domain::record::{ErrorGroup, MigrationError};
use proto::runtime::clock;
use uuid::Uuid;

use crate::args::{
    ErrorExportArgs, ErrorFilterArgs, ErrorGetArgs, ErrorGroupArgs, ErrorListArgs, ExportFormat,
};
use crate::context::Context;
use crate::exit::Code;
use crate::local;
use crate::render::record::csv;
use crate::render::{self, Format, Style};
use crate::stop::Stop;

/// Errors that are read at a time.
const PAGE: i64 = 500;

/// The errors that are meant.
pub fn filter(args: &ErrorFilterArgs, is_resolved: Option<bool>) -> ErrorFilter {
    ErrorFilter {
        entity: args.entity.clone(),
        code: args.code.clone(),
        error_type: args.error_type.map(Into::into),
        is_resolved,
        ids: None,
    }
}

/// Lists the errors of a migration.
pub async fn list(context: &Context, args: &ErrorListArgs) -> Result<Code, Stop> {
    let wanted = filter(&args.filter, args.resolved);
    let (name, entity) = (args.migration.as_deref(), wanted.entity.as_deref());
    if args.local.local {
        return list_local(context, (args, &wanted)).await;
    }
    let remote = context.remote()?;
    let migration = remote.choose(name, entity).await?;
    let listed = remote.errors(&migration, &wanted, args.limit.limit).await?;
    context.show_listed(&listed)
}

/// Counts errors by what they have in common.
pub async fn group(context: &Context, args: &ErrorGroupArgs) -> Result<Code, Stop> {
    let wanted = filter(&args.filter, args.resolved);
    let (name, entity) = (args.migration.as_deref(), wanted.entity.as_deref());
    let groups: Vec<ErrorGroup> = if args.local.local {
        let found = local::wanted(context, &args.local, (name, entity)).await?;
        let groups = found.store.error_groups(found.migration.id, &wanted).await;
        groups.map_err(|error| local::read_failed(&error))?
    } else {
        let remote = context.remote()?;
        let migration = remote.choose(name, entity).await?;
        remote.error_groups(&migration, &wanted).await?
    };
    context.show_list(&groups)
}

/// Shows one error with everything it says.
pub async fn get(context: &Context, args: &ErrorGetArgs) -> Result<Code, Stop> {
    let error = match args.local.local {
        true => get_local(context, args).await?,
        false => get_remote(context, args).await?,
    };
    match context.output {
        Format::Table | Format::Wide => {
            context.screen.print(&render::record::error_details(&error));
            Ok(Code::Done)
        }
        Format::Json | Format::Jsonl | Format::Name => context.show(&error),
    }
}

async fn get_remote(context: &Context, args: &ErrorGetArgs) -> Result<MigrationError, Stop> {
    let remote = context.remote()?;
    let migration = match (&args.migration, Uuid::try_parse(&args.id)) {
        (Some(name), _) => Some(name.clone()),
        (None, Ok(_)) => None,
        (None, Err(_)) => Some(remote.choose(None, None).await?),
    };
    remote.error(&args.id, migration.as_deref()).await
}

async fn get_local(context: &Context, args: &ErrorGetArgs) -> Result<MigrationError, Stop> {
    let found = local::wanted(context, &args.local, (args.migration.as_deref(), None)).await?;
    let errors = found.store.find_errors(&args.id, Some(found.migration.id));
    let mut errors = errors.await.map_err(|error| local::read_failed(&error))?;
    match (errors.pop(), errors.is_empty()) {
        (Some(error), true) => Ok(error),
        (None, _) => Err(Stop::not_found(format!("no error `{}`", args.id))),
        (Some(last), false) => {
            errors.push(last);
            let ids = errors.iter().map(|error| error.id.to_string());
            let words = format!("`{}` means more than one error", args.id);
            Err(Stop::ambiguous(words, ids.collect()))
        }
    }
}

async fn list_local(
    context: &Context,
    (args, wanted): (&ErrorListArgs, &ErrorFilter),
) -> Result<Code, Stop> {
    let named = (args.migration.as_deref(), wanted.entity.as_deref());
    let found = local::wanted(context, &args.local, named).await?;
    let limit = i64::from(args.limit.limit);
    let mut errors = found
        .store
        .errors(found.migration.id, wanted, limit + 1, None)
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

/// Writes all errors that are meant, with their rows as they were stored: sensitive values are masked.
pub async fn export(context: &Context, args: &ErrorExportArgs) -> Result<Code, Stop> {
    let errors = all(context, args).await?;
    let text = match args.format {
        ExportFormat::Jsonl => render::list(Format::Jsonl, &errors)?,
        ExportFormat::Csv => csv::errors(&errors),
    };
    if args.file == Path::new("-") {
        context.screen.print(&text);
    } else {
        let written = std::fs::File::create(&args.file).and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        });
        written.map_err(|error| {
            let words = format!("{} cannot be written: {error}", args.file.display());
            Stop::new(Code::Failed, "FILE", words)
        })?;
    }
    context.say(format!("{} errors are exported", errors.len()));
    Ok(Code::Done)
}

async fn all(context: &Context, args: &ErrorExportArgs) -> Result<Vec<MigrationError>, Stop> {
    let wanted = filter(&args.filter, args.resolved);
    let named = (args.migration.as_deref(), wanted.entity.as_deref());
    if !args.local.local {
        let remote = context.remote()?;
        let migration = remote.choose(named.0, named.1).await?;
        return Ok(remote.errors(&migration, &wanted, u32::MAX).await?.items);
    }
    let found = local::wanted(context, &args.local, named).await?;
    let (mut errors, mut after) = (Vec::new(), None);
    loop {
        let page = found.store.errors(found.migration.id, &wanted, PAGE, after);
        let page = page.await.map_err(|error| local::read_failed(&error))?;
        after = page.last().map(|error| error.id);
        let is_last = i64::try_from(page.len()).is_ok_and(|count| count < PAGE);
        errors.extend(page);
        if is_last {
            return Ok(errors);
        }
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
