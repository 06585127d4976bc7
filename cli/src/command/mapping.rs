//! `drover mapping lookup` and `reverse`: which row a legacy row became, and back. The id map lives
//! beside the data: without a controller, every configured connection is asked.

use futures::future::join_all;
use proto::domain::failure::FailureKind;
use proto::domain::record::MigrationMapping;
use serde_json::Value;

use crate::args::{LookupArgs, ReverseArgs};
use crate::context::Context;
use crate::exit::Code;
use crate::render::record::NamedMapping;
use crate::stop::Stop;

/// Looks one legacy key up.
pub async fn lookup(context: &Context, args: &LookupArgs) -> Result<Code, Stop> {
    if args.local.local {
        return lookup_local(context, args).await;
    }
    let remote = context.remote()?;
    let migration = remote
        .choose(args.migration.as_deref(), Some(&args.entity))
        .await?;
    let found = remote
        .lookup(&migration, &args.entity, &key(&args.key))
        .await?;
    show(context, &[found], Some(&args.entity))
}

/// Finds the legacy row of a new id.
pub async fn reverse(context: &Context, args: &ReverseArgs) -> Result<Code, Stop> {
    let remote = context.remote()?;
    let entity = args.entity.as_deref();
    let migration = remote.choose(args.migration.as_deref(), entity).await?;
    let found = remote.reverse(&migration, entity, &args.id).await?;
    show(context, &found, entity)
}

fn show(context: &Context, found: &[MigrationMapping], asked: Option<&str>) -> Result<Code, Stop> {
    let rows: Vec<NamedMapping> = found
        .iter()
        .map(|mapping| NamedMapping::of(mapping, asked))
        .collect();
    context.show_list(&rows)
}

async fn lookup_local(context: &Context, args: &LookupArgs) -> Result<Code, Stop> {
    let places = context.connections()?.all()?;
    if places.is_empty() {
        return Err(Stop::usage("no connection is configured")
            .hinting("set DROVER_CONNECTION_<NAME> of the destination"));
    }
    let key = key(&args.key);
    let (migration, entity) = (args.migration.as_deref(), args.entity.as_str());
    let asked = places
        .iter()
        .map(|place| agent::sink::lookup::lookup_mapping(&place.options, migration, entity, &key));
    let mut hits: Vec<MigrationMapping> = Vec::new();
    let mut failures = Vec::new();
    for (place, answer) in places.iter().zip(join_all(asked).await) {
        match answer {
            Ok(found) => {
                let new: Vec<_> = found
                    .into_iter()
                    .filter(|one| {
                        !hits
                            .iter()
                            .any(|hit| (hit.id, hit.migration_id) == (one.id, one.migration_id))
                    })
                    .collect();
                hits.extend(new);
            }
            // The source, for one, has no id map.
            Err(failure) if failure.kind == FailureKind::SchemaDrift => {}
            Err(failure) => {
                failures.push(Stop::unread(&failure.during(format!("{place:?}"))));
            }
        }
    }
    if hits.is_empty() {
        let words = format!("no mapping of {entity} {}", args.key.join(" "));
        return Err(Stop::all(failures).unwrap_or_else(|| Stop::not_found(words)));
    }
    failures
        .iter()
        .for_each(|stop| context.say(format!("warning: {}", stop.message())));
    only_one_migration(&hits)?;
    show(context, &hits, Some(entity))
}

fn only_one_migration(hits: &[MigrationMapping]) -> Result<(), Stop> {
    let mut ids: Vec<String> = hits
        .iter()
        .map(|hit| hit.migration_id.to_string())
        .collect();
    ids.sort();
    ids.dedup();
    if ids.len() < 2 {
        return Ok(());
    }
    Err(Stop::ambiguous("several migrations hold this row", ids)
        .hinting("name one with --migration"))
}

/// The parts of a key: several arguments, or one JSON array.
pub fn key(arguments: &[String]) -> Vec<String> {
    if let [one] = arguments
        && let Ok(Value::Array(parts)) = serde_json::from_str::<Value>(one)
    {
        return parts
            .into_iter()
            .map(|part| match part {
                Value::String(text) => text,
                other => other.to_string(),
            })
            .collect();
    }
    arguments.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composite_key_is_several_arguments_or_one_array() {
        let keys = |arguments: &[&str]| {
            key(&arguments
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>())
        };
        assert_eq!(keys(&["7", "U"]), ["7", "U"]);
        assert_eq!(keys(&[r#"[7,"U"]"#]), ["7", "U"]);
        assert_eq!(keys(&["7"]), ["7"]);
        assert_eq!(keys(&["[7"]), ["[7"]);
        assert_eq!(keys(&[r#"["[7]"]"#]), ["[7]"]);
    }
}
