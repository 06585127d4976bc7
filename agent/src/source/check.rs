//! Checks a compiled plan against both databases without reading or writing a row.

use std::collections::BTreeSet;

use proto::domain::catalog::{TableName, quote_texts};
use proto::domain::compiled::{CompiledEntity, CompiledPlan, ConflictRule, ConstraintMode};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::{KeyRange, RunConstants};
use sqlx::postgres::PgConnection;
use sqlx::{Executor, FromRow};

use crate::connect::fetch_sql;
use crate::failure::{During, database_error};
use crate::sink::stage;

/// Problems as (entity, words); empty when every SELECT can be prepared and nothing is hidden.
pub async fn check_plan(
    source: &mut PgConnection,
    destination: &mut PgConnection,
    plan: &CompiledPlan,
) -> Result<Vec<(String, String)>, Failure> {
    let entities: Vec<&CompiledEntity> = plan
        .entities
        .iter()
        .filter(|entity| entity.is_active)
        .collect();
    let (of_source, of_destination) = tokio::try_join!(
        check_source(source, &entities),
        check_destination(destination, &entities)
    )?;
    let mut problems = Vec::new();
    for ((entity, at_source), at_destination) in
        entities.into_iter().zip(of_source).zip(of_destination)
    {
        let found = at_source.into_iter().chain(at_destination);
        problems.extend(found.map(|words| (entity.entity.clone(), words)));
    }
    Ok(problems)
}

/// What the source has against each entity.
async fn check_source(
    source: &mut PgConnection,
    entities: &[&CompiledEntity],
) -> Result<Vec<Vec<String>>, Failure> {
    let hidden = read_rights(source, entities).await?;
    let unknown = unknown_zones(source, entities).await?;
    let mut problems = Vec::with_capacity(entities.len());
    for (entity, hidden) in entities.iter().zip(hidden) {
        let zone = entity.read.time_zone.as_ref();
        let zone = zone.filter(|zone| unknown.contains(zone.as_str()));
        let mut found = Vec::new();
        found.extend(zone.map(|zone| format!("the source knows no time zone {zone}")));
        found.extend(prepare_select(source, entity).await?);
        found.extend(hidden.map(|table| {
            format!("row level security would hide rows of {table} from this role: use one with BYPASSRLS")
        }));
        problems.push(found);
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
async fn unknown_zones(
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

/// The table of each entity's read, if any, whose rows row level security would hide; a missing right
/// is a failure.
async fn read_rights(
    source: &mut PgConnection,
    entities: &[&CompiledEntity],
) -> Result<Vec<Option<TableName>>, Failure> {
    let tables: BTreeSet<&TableName> = entities.iter().flat_map(|entity| reads(entity)).collect();
    let names: Vec<String> = tables.iter().map(|table| table.quoted()).collect();
    let rights: Vec<(bool, bool)> = sqlx::query_as(
        "select has_table_privilege(c.oid, 'select') or not exists (select from pg_attribute a \
             where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
               and not has_column_privilege(c.oid, a.attnum, 'select')), row_security_active(c.oid) \
         from unnest($1::text[]) with ordinality t(name, at) join pg_class c on c.oid = t.name::regclass \
         order by t.at",
    )
    .bind(names)
    .fetch_all(source)
    .await
    .during("check the rights at the source")?;
    let refused = tables.iter().zip(&rights).find(|(_, right)| !right.0);
    if let Some((table, _)) = refused {
        return Err(denied(format!("the source's role may not read {table}")));
    }
    let hidden: BTreeSet<&TableName> = tables
        .into_iter()
        .zip(rights)
        .filter_map(|(table, (_, is_hidden))| is_hidden.then_some(table))
        .collect();
    let first =
        |entity: &&CompiledEntity| reads(entity).find(|table| hidden.contains(table)).cloned();
    Ok(entities.iter().map(first).collect())
}

/// The tables that an entity's SELECT reads.
fn reads(entity: &CompiledEntity) -> impl Iterator<Item = &TableName> {
    [&entity.read.source].into_iter().chain(&entity.read.also)
}

/// What the destination has against each entity. What its role must be able to do and may not is a
/// failure, not a problem of the plan.
async fn check_destination(
    destination: &mut PgConnection,
    entities: &[&CompiledEntity],
) -> Result<Vec<Vec<String>>, Failure> {
    let tables: Vec<String> = entities
        .iter()
        .map(|entity| entity.destination.quoted())
        .collect();
    let sql = format!(
        "select row_security_active(c.oid) as is_filtered, has_table_privilege(c.oid, 'insert') as can_insert, \
                has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'update') as can_change, \
                has_database_privilege(current_database(), 'temporary') as can_stage, \
                pg_has_role(c.relowner, 'usage') as is_owner, \
                has_schema_privilege(c.relnamespace, 'create') as can_index, \
                has_database_privilege(current_database(), 'create') or to_regnamespace('drover') is not null \
                    as can_create \
         from unnest({}) with ordinality t(name, at) join pg_class c on c.oid = t.name::regclass \
         order by t.at",
        quote_texts(tables.iter().map(String::as_str))
    );
    let rows = fetch_sql(destination, &sql)
        .await
        .during("check the rights at the destination")?;
    let rights: Result<Vec<WriteRights>, sqlx::Error> =
        rows.iter().map(WriteRights::from_row).collect();
    let rights = rights.during("check the rights at the destination")?;
    let mut problems = Vec::with_capacity(entities.len());
    for (entity, rights) in entities.iter().zip(rights) {
        let words = write_problem(entity, &rights)?;
        problems.push(words.into_iter().collect());
    }
    Ok(problems)
}

#[derive(FromRow)]
struct WriteRights {
    is_filtered: bool,
    can_insert: bool,
    can_change: bool,
    can_stage: bool,
    is_owner: bool,
    can_index: bool,
    can_create: bool,
}

fn write_problem(entity: &CompiledEntity, rights: &WriteRights) -> Result<Option<String>, Failure> {
    let table = &entity.destination;
    if !rights.can_insert {
        return Err(denied(format!(
            "the destination's role may not insert into {table}"
        )));
    }
    let looks = entity.on_conflict != ConflictRule::Error;
    if stage::is_needed(&entity.columns) && !rights.can_stage {
        return Err(denied(format!(
            "values of {table} travel as text, which needs a role at the destination that may make temporary tables"
        )));
    }
    if looks && !(rights.can_change && rights.can_stage) {
        return Err(denied(format!(
            "on_conflict needs a role at the destination that may select from and update {table} and make \
             temporary tables"
        )));
    }
    if !rights.is_owner && !matches!(entity.settings.constraints, ConstraintMode::Keep) {
        return Err(denied(format!(
            "the destination's role must own {table} to rebuild its keys, or the plan says `constraints: keep`"
        )));
    }
    if !rights.can_index && !matches!(entity.settings.constraints, ConstraintMode::Keep) {
        return Err(denied(format!(
            "the destination's role must be granted create on schema {} to rebuild the keys of {table}, or the \
             plan says `constraints: keep`",
            table.schema
        )));
    }
    if !rights.can_create {
        return Err(denied(
            "the destination's role may not create schema drover".to_owned(),
        ));
    }
    let words = format!("COPY into {table} needs a role that bypasses row level security");
    Ok(rights.is_filtered.then_some(words))
}

fn denied(message: String) -> Failure {
    Failure::new(FailureKind::Denied, message)
}
