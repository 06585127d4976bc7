//! `drover mapping lookup`: which row a legacy row became. The id map lives beside the data, so every
//! configured connection is asked.

use futures::future::join_all;
use proto::domain::failure::FailureKind;
use proto::domain::record::MigrationMapping;
use serde_json::Value;

use crate::args::LookupArgs;
use crate::context::Context;
use crate::exit::Code;
use crate::local;
use crate::render::table::{Align, Table};
use crate::render::{self, Format};
use crate::stop::Stop;

/// Looks one legacy key up.
pub async fn lookup(context: &Context, args: &LookupArgs) -> Result<Code, Stop> {
    local::require(&args.local)?;
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
    let text = match context.output {
        Format::Table => table(entity, &hits),
        format => render::list(format, &hits)?,
    };
    context.screen.print(&text);
    Ok(Code::Done)
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

/// Old and new ids as a table.
pub fn table(entity: &str, hits: &[MigrationMapping]) -> String {
    let mut table = Table::new(&COLUMNS);
    hits.iter().for_each(|hit| table.row(row(entity, hit)));
    table.render()
}

/// Columns of [`row`].
pub const COLUMNS: [(&str, Align); 6] = [
    ("entity", Align::Left),
    ("source", Align::Left),
    ("legacy-key", Align::Left),
    ("destination", Align::Left),
    ("new-id", Align::Left),
    ("key", Align::Left),
];

/// One mapping as cells.
pub fn row(entity: &str, hit: &MigrationMapping) -> [String; 6] {
    [
        entity.to_owned(),
        hit.source_table.clone(),
        hit.source_id.clone(),
        hit.destination_table.clone(),
        hit.destination_id.to_string(),
        real_key(&hit.mapping_metadata),
    ]
}

/// The row's own key in the destination, where it is not the new id: a kept one, or several columns.
fn real_key(metadata: &Value) -> String {
    match metadata.get("destination_key") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(key)) => key.clone(),
        Some(Value::Object(columns)) => columns
            .iter()
            .map(|(column, key)| match key {
                Value::String(key) => format!("{column}={key}"),
                other => format!("{column}={other}"),
            })
            .collect::<Vec<_>>()
            .join(" "),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_the_new_id_is_shown_beside_it() {
        let key = |metadata| real_key(&metadata);
        assert_eq!(key(serde_json::json!({"entity": "offices"})), "");
        assert_eq!(key(serde_json::json!({"destination_key": "1"})), "1");
        assert_eq!(
            key(serde_json::json!({"destination_key": {"a": "x", "b": 2}})),
            "a=x b=2"
        );
    }

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
