//! Gathers the facts of both databases that the preflight judges; reads and writes no row.

use std::collections::BTreeSet;

use proto::domain::catalog::TableName;
use proto::domain::compiled::{CompiledEntity, CompiledPlan};
use proto::domain::failure::Failure;
use proto::domain::preflight::{Facts, PlanRefusal, ReadFacts};
use sqlx::postgres::PgConnection;

use super::check::{prepare_select, unknown_zones};
use super::server::{keeps_session, read_activity, read_server};
use crate::connect::{Purpose, open};
use crate::failure::During;
use crate::pool::Server;
use crate::sink::survey::read_targets;

/// What every start looks at: servers, sessions, rights.
pub async fn quick(
    source: &Server,
    destination: &Server,
    plan: &CompiledPlan,
) -> Result<Facts, Failure> {
    survey(source, destination, plan, false).await
}

/// Everything.
pub async fn whole(
    source: &Server,
    destination: &Server,
    plan: &CompiledPlan,
) -> Result<Facts, Failure> {
    survey(source, destination, plan, true).await
}

async fn survey(
    source: &Server,
    destination: &Server,
    plan: &CompiledPlan,
    is_whole: bool,
) -> Result<Facts, Failure> {
    let entities = active(plan);
    let at_source = async {
        let mut connection = open(source, Purpose::Read).await?;
        let mut server = read_server(&mut connection).await?;
        let reads = read_tables(&mut connection, &entities).await?;
        let mut refusals = Vec::new();
        if is_whole {
            server.keeps_session = keeps_session(source, Purpose::Read, &mut connection).await?;
            read_activity(&mut connection, &mut server).await?;
            refusals = refused(&mut connection, &entities).await?;
        }
        source.give_back(Purpose::Read, connection).await;
        Ok::<_, Failure>((server, reads, refusals))
    };
    let at_destination = async {
        let mut connection = open(destination, Purpose::Write).await?;
        let mut server = read_server(&mut connection).await?;
        let tables: BTreeSet<&TableName> =
            entities.iter().map(|entity| &entity.destination).collect();
        let writes = read_targets(&mut connection, &tables).await?;
        if is_whole {
            server.keeps_session =
                keeps_session(destination, Purpose::Write, &mut connection).await?;
            read_activity(&mut connection, &mut server).await?;
        }
        destination.give_back(Purpose::Write, connection).await;
        Ok::<_, Failure>((server, writes))
    };
    let ((source, reads, refusals), (destination, writes)) =
        tokio::try_join!(at_source, at_destination)?;
    Ok(Facts {
        source,
        destination,
        reads,
        writes,
        refusals,
        keys: Vec::new(),
    })
}

/// The entities that are not skipped.
pub fn active(plan: &CompiledPlan) -> Vec<&CompiledEntity> {
    let all = plan.entities.iter();
    all.filter(|entity| entity.is_active).collect()
}

/// SELECTs and time zones that the source does not take.
pub async fn refused(
    source: &mut PgConnection,
    entities: &[&CompiledEntity],
) -> Result<Vec<PlanRefusal>, Failure> {
    let unknown = unknown_zones(source, entities).await?;
    let mut found = Vec::new();
    for entity in entities {
        let zone = entity.read.time_zone.as_ref();
        let zone = zone.filter(|zone| unknown.contains(zone.as_str()));
        let zone = zone.map(|zone| format!("the source knows no time zone {zone}"));
        let select = prepare_select(source, entity).await?;
        found.extend(zone.into_iter().chain(select).map(|message| PlanRefusal {
            entity: entity.entity.clone(),
            message,
        }));
    }
    Ok(found)
}

/// Rights and sizes of the tables that the SELECTs read.
async fn read_tables(
    source: &mut PgConnection,
    entities: &[&CompiledEntity],
) -> Result<Vec<ReadFacts>, Failure> {
    let tables: BTreeSet<&TableName> = entities.iter().flat_map(|entity| reads(entity)).collect();
    let (schemas, names): (Vec<&str>, Vec<&str>) = tables
        .iter()
        .map(|table| (table.schema.as_str(), table.name.as_str()))
        .unzip();
    type Row = (String, String, bool, bool, bool, bool, i64, i64);
    let rows: Vec<Row> = sqlx::query_as(
        "select n.nspname::text, c.relname::text, has_schema_privilege(n.oid, 'usage'), \
                has_table_privilege(c.oid, 'select') or not exists (select from pg_attribute a \
                    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped \
                      and not has_column_privilege(c.oid, a.attnum, 'select')), \
                row_security_active(c.oid), c.relrowsecurity and c.relforcerowsecurity, m.rows, m.bytes \
         from unnest($1::text[], $2::text[]) with ordinality t(schema, name, at) \
         join pg_namespace n on n.nspname = t.schema \
         join pg_class c on c.relnamespace = n.oid and c.relname = t.name \
         cross join lateral ( \
             with recursive member(oid) as ( \
                 select c.oid union select i.inhrelid from pg_inherits i join member p on i.inhparent = p.oid) \
             select case when max(k.reltuples) >= 0 then sum(greatest(k.reltuples, 0)) else -1 end::bigint as rows, \
                    coalesce(sum(pg_table_size(k.oid)), 0)::bigint as bytes \
             from pg_class k join member using (oid) where k.relkind in ('r', 'm')) m \
         order by t.at",
    )
    .bind(schemas)
    .bind(names)
    .fetch_all(source)
    .await
    .during("check the rights at the source")?;
    let facts = rows.into_iter().map(
        |(schema, name, can_use, can_select, is_filtered, is_forced, rows, bytes)| ReadFacts {
            table: TableName { schema, name },
            can_use,
            can_select,
            is_filtered,
            is_forced,
            rows,
            bytes,
        },
    );
    Ok(facts.collect())
}

/// The tables that an entity's SELECT reads.
fn reads(entity: &CompiledEntity) -> impl Iterator<Item = &TableName> {
    [&entity.read.source].into_iter().chain(&entity.read.also)
}
