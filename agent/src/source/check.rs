//! Checks a compiled plan against both databases without reading or writing a row: the preflight's quick
//! checks, and every SELECT prepared.

use std::collections::BTreeSet;

use proto::domain::compiled::{CompiledEntity, CompiledPlan};
use proto::domain::failure::Failure;
use proto::domain::key::{KeyRange, RunConstants};
use proto::domain::preflight;
use sqlx::Executor;
use sqlx::postgres::PgConnection;

use super::survey::{self, active, refused};
use crate::connect::{Purpose, open};
use crate::failure::{During, database_error};
use crate::pool::Server;

/// Problems as (entity, words); empty when every SELECT can be prepared and nothing is hidden.
///
/// # Errors
/// `Denied` with every right that is missing; `Exhausted` and others where a quick check of the preflight
/// blocks.
pub async fn check_plan(
    source: &Server,
    destination: &Server,
    plan: &CompiledPlan,
) -> Result<Vec<(String, String)>, Failure> {
    let facts = survey::quick(source, destination, plan).await?;
    if let Some(failure) = preflight::refusal(plan, &facts) {
        return Err(failure);
    }
    let mut problems = facts.filtered(plan);
    let mut connection = open(source, Purpose::Read).await?;
    let found = refused(&mut connection, &active(plan)).await?;
    source.give_back(Purpose::Read, connection).await;
    problems.extend(found.into_iter().map(|one| (one.entity, one.message)));
    Ok(problems)
}

/// Why the source refuses to prepare an entity's SELECTs, if it does.
pub(super) async fn prepare_select(
    source: &mut PgConnection,
    entity: &CompiledEntity,
) -> Result<Option<String>, Failure> {
    let run = RunConstants {
        now: "2000-01-01T00:00:00Z".to_owned(),
        migration_id: uuid::Uuid::nil().to_string(),
    };
    let matched = entity.matches.as_ref().map(|rule| rule.read(&entity.read));
    for read in [&entity.read].into_iter().chain(&matched) {
        let select = read.select(&KeyRange::default(), &run);
        match source.prepare(&select).await {
            Ok(_) => {}
            Err(error) => match database_error(&error) {
                Some(refusal) => {
                    let words = refusal.message();
                    return Ok(Some(format!("the source refuses the SELECT: {words}")));
                }
                None => return Err(error).during("prepare a SELECT"),
            },
        }
    }
    Ok(None)
}

/// Time zones of the entities that the source does not know.
pub(super) async fn unknown_zones(
    source: &mut PgConnection,
    entities: &[&CompiledEntity],
) -> Result<BTreeSet<String>, Failure> {
    let mut zones: BTreeSet<String> = entities
        .iter()
        .filter_map(|entity| entity.read.time_zone.clone())
        .collect();
    for zone in zones.clone() {
        let known = sqlx::query("select now() at time zone $1")
            .bind(&zone)
            .execute(&mut *source)
            .await;
        match known {
            Ok(_) => drop(zones.remove(&zone)),
            Err(error) if database_error(&error).is_some() => {}
            Err(error) => return Err(error).during("check the time zone"),
        }
    }
    Ok(zones)
}
