//! Checks a compiled plan against both databases without reading or writing a row.

use proto::domain::compiled::{CompiledEntity, CompiledPlan, ConstraintMode};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::{KeyRange, RunConstants};
use sqlx::Executor;
use sqlx::postgres::PgConnection;

use crate::failure::{During, database_error};

/// Problems as (entity, words); empty when every SELECT can be prepared and nothing is hidden.
pub async fn check_plan(
    source: &mut PgConnection,
    destination: &mut PgConnection,
    plan: &CompiledPlan,
) -> Result<Vec<(String, String)>, Failure> {
    let mut problems = Vec::new();
    for entity in plan.entities.iter().filter(|entity| entity.is_active) {
        let mut found = Vec::new();
        read_right(source, entity).await?;
        found.extend(unknown_zone(source, entity).await?);
        found.extend(prepare_select(source, entity).await?);
        found.extend(hidden_rows(source, entity).await?);
        found.extend(write_rights(destination, entity).await?);
        problems.extend(
            found
                .into_iter()
                .map(|words| (entity.entity.clone(), words)),
        );
    }
    Ok(problems)
}

async fn prepare_select(
    source: &mut PgConnection,
    entity: &CompiledEntity,
) -> Result<Option<String>, Failure> {
    let run = RunConstants {
        now: "2000-01-01T00:00:00Z".to_owned(),
        migration_id: uuid::Uuid::nil().to_string(),
    };
    let select = entity.read.select(&KeyRange::default(), &run);
    match source.prepare(&select).await {
        Ok(_) => Ok(None),
        Err(error) => match database_error(&error) {
            Some(refusal) => Ok(Some(format!(
                "the source refuses the SELECT: {}",
                refusal.message()
            ))),
            None => Err(error).during("prepare a SELECT"),
        },
    }
}

async fn unknown_zone(
    source: &mut PgConnection,
    entity: &CompiledEntity,
) -> Result<Option<String>, Failure> {
    let Some(zone) = &entity.read.time_zone else {
        return Ok(None);
    };
    let known = sqlx::query("select now() at time zone $1")
        .bind(zone)
        .execute(source)
        .await;
    match known {
        Ok(_) => Ok(None),
        Err(error) if database_error(&error).is_some() => {
            Ok(Some(format!("the source knows no time zone {zone}")))
        }
        Err(error) => Err(error).during("check the time zone"),
    }
}

async fn hidden_rows(
    source: &mut PgConnection,
    entity: &CompiledEntity,
) -> Result<Option<String>, Failure> {
    let is_hidden: bool = sqlx::query_scalar("select row_security_active($1::regclass)")
        .bind(entity.read.source.quoted())
        .fetch_one(source)
        .await
        .during("check row level security")?;
    Ok(is_hidden.then(|| {
        format!(
            "row level security would hide rows of {} from this role: use one with BYPASSRLS",
            entity.read.source
        )
    }))
}

/// What the destination's role must be able to do; a missing right is a failure, not a problem of
/// the plan.
async fn write_rights(
    destination: &mut PgConnection,
    entity: &CompiledEntity,
) -> Result<Option<String>, Failure> {
    let rights: (bool, bool, bool, bool) = sqlx::query_as(
        "select row_security_active(c.oid), has_table_privilege(c.oid, 'insert'), pg_has_role(c.relowner, 'usage'), \
                has_database_privilege(current_database(), 'create') or to_regnamespace('drover') is not null \
         from pg_class c where c.oid = $1::regclass",
    )
    .bind(entity.destination.quoted())
    .fetch_one(destination)
    .await
    .during("check the rights at the destination")?;
    let (is_filtered, can_insert, is_owner, can_create) = rights;
    let table = &entity.destination;
    if !can_insert {
        return Err(denied(format!(
            "the destination's role may not insert into {table}"
        )));
    }
    if !is_owner && !matches!(entity.settings.constraints, ConstraintMode::Keep) {
        return Err(denied(format!(
            "the destination's role must own {table} to rebuild its keys, or the plan says `constraints: keep`"
        )));
    }
    if !can_create {
        return Err(denied(
            "the destination's role may not create schema drover".to_owned(),
        ));
    }
    let words = format!("COPY into {table} needs a role that bypasses row level security");
    Ok(is_filtered.then_some(words))
}

async fn read_right(source: &mut PgConnection, entity: &CompiledEntity) -> Result<(), Failure> {
    let can_read: bool = sqlx::query_scalar(
        "select has_table_privilege(c.oid, 'select') or not exists (select from pg_attribute a \
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
               and not has_column_privilege(c.oid, a.attnum, 'select')) \
         from pg_class c where c.oid = $1::regclass",
    )
    .bind(entity.read.source.quoted())
    .fetch_one(source)
    .await
    .during("check the rights at the source")?;
    if can_read {
        return Ok(());
    }
    Err(denied(format!(
        "the source's role may not read {}",
        entity.read.source
    )))
}

fn denied(message: String) -> Failure {
    Failure::new(FailureKind::Denied, message)
}
