//! `--local`: Drover's records, read straight from the databases that hold them.
//!
//! Looks at the metadata database where one is named, else at every configured connection. A
//! database that does not answer is said and left out: what was looked for may be in another one.

use std::time::Duration;

use controller::store::{self, Store, StoreError};
use futures::future::join_all;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::record::MigrationOrchestration;
use sqlx::postgres::PgConnectOptions;
use tokio::time::timeout;

use crate::args::LocalArgs;
use crate::command::METADATA_SCHEMA;
use crate::config::{self, Connection};
use crate::context::Context;
use crate::stop::Stop;

/// How long one database may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Migrations that are read at a time.
const PAGE: i64 = 500;

/// A migration and where its records are.
#[derive(Clone)]
pub struct Found {
    /// Name of the connection it was found through.
    pub place: String,
    /// The records' database.
    pub store: Store,
    /// The way to it.
    pub options: PgConnectOptions,
    /// The migration.
    pub migration: MigrationOrchestration,
}

/// A database that holds records.
#[derive(Clone)]
pub struct Place {
    /// Name of its connection.
    pub name: String,
    /// The records.
    pub store: Store,
    /// The way to them.
    pub options: PgConnectOptions,
}

/// Every migration of every database that holds records, newest first within each.
pub async fn migrations(context: &Context, local: &LocalArgs) -> Result<Vec<Found>, Stop> {
    let mut all = Vec::new();
    for place in stores(context, local).await? {
        let mut after = None;
        loop {
            let page = place.store.list_migrations(PAGE, after).await;
            let page = page.map_err(|error| read_failed(&error))?;
            after = page.last().map(|migration| migration.id);
            let is_last = i64::try_from(page.len()).is_ok_and(|count| count < PAGE);
            add(&mut all, &place, page);
            if is_last {
                break;
            }
        }
    }
    Ok(all)
}

/// The one migration that a name, an id or the beginning of an id means.
pub async fn find(context: &Context, local: &LocalArgs, wanted: &str) -> Result<Found, Stop> {
    let mut hits = Vec::new();
    for place in stores(context, local).await? {
        let found = place
            .store
            .find_migration(wanted)
            .await
            .map_err(|error| read_failed(&error))?;
        let found = match found {
            store::Found::None => Vec::new(),
            store::Found::One(one) => vec![*one],
            store::Found::Ambiguous(several) => several,
        };
        add(&mut hits, &place, found);
    }
    choose(hits, wanted)
}

/// Two connections may lead to one database: a migration that is known is not added again.
fn add(all: &mut Vec<Found>, at: &Place, migrations: Vec<MigrationOrchestration>) {
    for migration in migrations {
        if !all.iter().any(|known| known.migration.id == migration.id) {
            let (place, store) = (at.name.clone(), at.store.clone());
            all.push(Found {
                place,
                store,
                options: at.options.clone(),
                migration,
            });
        }
    }
}

/// Every database that holds records; at least one, or what is wrong.
async fn stores(context: &Context, local: &LocalArgs) -> Result<Vec<Place>, Stop> {
    let connections = places(context, local)?;
    let opened = join_all(connections.iter().map(open_place)).await;
    let (mut stores, mut failures) = (Vec::new(), Vec::new());
    for result in opened {
        match result {
            Ok(place) => stores.extend(place),
            Err(stop) => failures.push(stop),
        }
    }
    if !stores.is_empty() {
        failures
            .iter()
            .for_each(|stop| context.say(format!("warning: {}", stop.message())));
        return Ok(stores);
    }
    let looked: Vec<String> = connections.iter().map(|one| format!("{one:?}")).collect();
    Err(Stop::all(failures).unwrap_or_else(|| {
        Stop::not_found(format!(
            "no schema {METADATA_SCHEMA} in {}",
            looked.join(", ")
        ))
        .hinting("run a plan first, or name the database of the records with --metadata-url")
    }))
}

async fn open_place(connection: &Connection) -> Result<Option<Place>, Stop> {
    let opened = timeout(ANSWER_WITHIN, Box::pin(open(&connection.options))).await;
    match opened {
        Ok(Ok(store)) => Ok(Some(Place {
            name: connection.name.clone(),
            store,
            options: connection.options.clone(),
        })),
        Ok(Err(StoreError::NotInstalled { .. })) => Ok(None),
        Ok(Err(error)) => Err(Stop::failed(
            &error.failure().during(format!("{connection:?}")),
        )),
        Err(_) => {
            let words = format!("{connection:?}: no answer in time");
            Err(Stop::unread(&Failure::new(FailureKind::Unreachable, words)))
        }
    }
}

/// The named migration, or the only one that holds the entity.
pub async fn wanted(
    context: &Context,
    local: &LocalArgs,
    (name, entity): (Option<&str>, Option<&str>),
) -> Result<Found, Stop> {
    let found = match name {
        Some(name) => vec![find(context, local, name).await?],
        None => migrations(context, local).await?,
    };
    let Some(entity) = entity else {
        return only(found, "which migration? name it with --migration");
    };
    let mut holders = Vec::new();
    for one in found {
        let entities = one.store.entities(one.migration.id).await;
        let entities = entities.map_err(|error| read_failed(&error))?;
        if entities.iter().any(|known| known.entity == entity) {
            holders.push(one);
        }
    }
    if holders.is_empty() {
        let words = format!("no migration has an entity `{entity}`");
        return Err(Stop::not_found(words));
    }
    only(holders, "which migration? name it with --migration")
}

/// The one that a name, an id or the beginning of an id means.
pub fn choose(found: Vec<Found>, wanted: &str) -> Result<Found, Stop> {
    let ranks: Vec<u8> = found
        .iter()
        .map(|one| rank(wanted, &one.migration.name, &one.migration.id.to_string()))
        .collect();
    let best = ranks.iter().copied().max().unwrap_or(0);
    if best == 0 {
        return Err(Stop::not_found(format!("no migration `{wanted}`"))
            .hinting("`drover migration list --local` shows all"));
    }
    let hits = found
        .into_iter()
        .zip(ranks)
        .filter(|(_, rank)| *rank == best);
    only(
        hits.map(|(one, _)| one).collect(),
        &format!("`{wanted}` means more than one migration"),
    )
}

/// The only one, or the candidates.
pub fn only(mut found: Vec<Found>, words: &str) -> Result<Found, Stop> {
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(Stop::not_found("there is no migration")),
        (Some(last), false) => {
            found.push(last);
            let lines = found.iter().map(|one| {
                format!(
                    "{}  {}  in {}",
                    one.migration.id, one.migration.name, one.place
                )
            });
            Err(Stop::ambiguous(words, lines.collect()).hinting("name it by its id"))
        }
    }
}

/// How well a text names something: 2 for its name or id, 1 for at least four characters that its id
/// begins with, else 0.
fn rank(wanted: &str, name: &str, id: &str) -> u8 {
    let wanted_id = wanted.to_lowercase();
    if wanted == name || wanted_id == id {
        2
    } else if wanted_id.len() >= 4 && id.starts_with(&wanted_id) {
        1
    } else {
        0
    }
}

fn places(context: &Context, local: &LocalArgs) -> Result<Vec<Connection>, Stop> {
    if let Some(options) = config::metadata(local.metadata_url.as_deref(), &context.environment)? {
        return Ok(vec![Connection {
            name: "metadata".to_owned(),
            options,
        }]);
    }
    let places = context.connections()?.all()?;
    if places.is_empty() {
        return Err(Stop::usage("no connection is configured")
            .hinting("set DROVER_CONNECTION_<NAME> or DROVER_METADATA_URL"));
    }
    Ok(places)
}

/// The records of a database, to be read only.
pub async fn open(options: &PgConnectOptions) -> Result<Store, StoreError> {
    Store::open_existing(options.clone(), METADATA_SCHEMA).await
}

/// A failed read of the records.
pub fn read_failed(error: &StoreError) -> Stop {
    Stop::unread(&error.failure())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_wins_over_the_beginning_of_an_id() {
        let id = "019394c2-5b1e-7d3a-9c55-6f1f0a2b8e44";
        for (wanted, expected) in [
            ("clinic", 2),
            (id, 2),
            ("019394C2-5B1E-7D3A-9C55-6F1F0A2B8E44", 2),
            ("0193", 1),
            ("019394c2-5b", 1),
            ("019", 0),
            ("clin", 0),
            ("", 0),
        ] {
            assert_eq!(rank(wanted, "clinic", id), expected, "{wanted}");
        }
        assert_eq!(rank("0193", "0193", id), 2);
    }
}
