//! Rows that are at the destination already and match by a natural key.
//!
//! They are found once per attempt, before the entity's first row is written, in one transaction: who
//! comes second waits for it and reads what it stored. So a repeated batch gets the same ids.

use std::time::Duration;

use futures::TryStreamExt;
use proto::domain::catalog::quote_ident;
use proto::domain::compiled::{MatchRule, ReadRule, ValueRule};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::key::{KeyRange, record_id};
use sqlx::postgres::PgConnection;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use super::copy::{HEADER, PIECE, TRAILER};
use super::fence::Fence;
use crate::connect::{Purpose, open, run_sql};
use crate::failure::{During, from_sqlx};
use crate::patience::{InTime, Patience, READ, WRITE};
use crate::run::{EntityContext, RunContext};
use crate::source::read::begin;
use crate::source::tuple::{Tuple, TupleReader};
use crate::transform::encode::{put, put_head};
use crate::transform::overrides::{Match, Overrides};
use crate::transform::row::named;
use crate::transform::secrecy::Keys;
use crate::transform::{key, steps};

/// Between two looks whether another agent is done.
const PAUSE: Duration = Duration::from_millis(300);
/// First half of the advisory lock of an entity's matching.
const LOCK: i32 = 0x6d61_7463;

const MATCHING: &str = "match rows that are there already";

/// Tells an entity's transform the ids that are no uuid5: its own and those it refers to.
///
/// # Errors
/// Whatever source or destination refuse.
pub async fn know_overrides(
    run: &RunContext,
    entity: &EntityContext,
    fence: &Fence,
    destination: &mut PgConnection,
) -> Result<(), Failure> {
    if entity.transform.knows_overrides() {
        return Ok(());
    }
    if let Some(rule) = &entity.compiled.matches {
        match_once(run, entity, rule, fence)
            .instrument(info_span!("match", entity = %entity.compiled.entity))
            .await?;
    }
    // Rows that come later may match, too: their ids are needed now.
    for late in &entity.compiled.late {
        match_late(run, &late.entity, fence).await?;
    }
    let plan = run.plan();
    let is_matched = |name: &&str| {
        plan.entity(name)
            .is_some_and(|named| named.matches.is_some())
    };
    let names: Vec<&str> = entity.transform.names().filter(is_matched).collect();
    let mut overrides = Overrides::default();
    if !names.is_empty() {
        let rows: Vec<(String, String, Option<Uuid>, Option<String>)> = sqlx::query_as(
            "select n.entity, o.source_id, o.id, o.refusal from drover.override o join drover.entity n using (entity_no) \
             where n.migration_id = $1 and n.entity = any($2)",
        )
        .bind(run.order.migration_id)
        .bind(names)
        .fetch_all(destination)
        .in_time(WRITE)
        .await
        .during(MATCHING)?;
        for (name, source_id, id, refusal) in rows {
            let verdict = match (id, refusal.as_deref()) {
                (Some(id), _) => Match::Id(id),
                (None, Some("ambiguous")) => Match::Ambiguous,
                (None, _) => Match::Duplicate,
            };
            overrides
                .0
                .entry(name)
                .or_default()
                .insert(source_id, verdict);
        }
    }
    entity.transform.know_overrides(overrides);
    Ok(())
}

/// Matches the rows of the entity that names the ids of a late parent.
async fn match_late(run: &RunContext, parent: &str, fence: &Fence) -> Result<(), Failure> {
    let Some(parent) = run.plan().entity(parent) else {
        return Ok(());
    };
    let Ok(named) = run.entity(named(parent)) else {
        // It is left out of the run: none of its rows is written.
        return Ok(());
    };
    match &named.compiled.matches {
        Some(rule) => match_once(run, &named, rule, fence).await,
        None => Ok(()),
    }
}

/// Matches the rows of an entity unless that is done for this attempt.
async fn match_once(
    run: &RunContext,
    entity: &EntityContext,
    rule: &MatchRule,
    fence: &Fence,
) -> Result<(), Failure> {
    let mut connection = open(&run.destination, Purpose::Write).await?;
    let begin = format!(
        "begin isolation level read committed; set local application_name = '{}'; set local statement_timeout = 0",
        fence.marker()
    );
    loop {
        run_sql(&mut connection, &begin)
            .in_time(WRITE)
            .await
            .during(MATCHING)?;
        // The lock first: who gets it sees what its last holder has committed.
        let has_lock: bool = sqlx::query_scalar("select pg_try_advisory_xact_lock($1, $2)")
            .bind(LOCK)
            .bind(entity.entity_no)
            .fetch_one(&mut connection)
            .in_time(WRITE)
            .await
            .during(MATCHING)?;
        let is_done: bool = sqlx::query_scalar(
            "select coalesce(matched_attempt >= $2, false) from drover.entity where entity_no = $1",
        )
        .bind(entity.entity_no)
        .bind(fence.attempt)
        .fetch_one(&mut connection)
        .in_time(WRITE)
        .await
        .during(MATCHING)?;
        if is_done || has_lock {
            if !is_done {
                match_rows(run, entity, rule, (&mut connection, fence.attempt)).await?;
            }
            run_sql(&mut connection, "commit")
                .in_time(WRITE)
                .await
                .during(MATCHING)?;
            run.destination.give_back(Purpose::Write, connection).await;
            return Ok(());
        }
        run_sql(&mut connection, "rollback")
            .in_time(WRITE)
            .await
            .during(MATCHING)?;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Stages the natural keys of all source rows, and stores what they match.
async fn match_rows(
    run: &RunContext,
    entity: &EntityContext,
    rule: &MatchRule,
    (connection, attempt): (&mut PgConnection, i32),
) -> Result<(), Failure> {
    let (compiled, entity_no) = (&entity.compiled, entity.entity_no);
    let target = compiled.destination.quoted();
    let stage = format!("pg_temp.drover_match_{entity_no}");
    let columns: Vec<String> = rule
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| format!("{} as m{at}", quote_ident(&column.name)))
        .collect();
    let make = format!(
        "create temp table drover_match_{entity_no} on commit drop as \
         select null::text as source_id, {} from {target} with no data",
        columns.join(", ")
    );
    run_sql(&mut *connection, &make)
        .in_time(WRITE)
        .await
        .during(MATCHING)?;
    stage_rows(run, entity, rule, (connection, &stage)).await?;
    run_sql(&mut *connection, &format!("analyze {stage}"))
        .await
        .during(MATCHING)?;
    let tests: Vec<String> = rule
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| format!("t.{} = m.m{at}", quote_ident(&column.name)))
        .collect();
    let writers: Vec<i32> = sqlx::query_scalar(
        "select o.entity_no from drover.entity o join drover.entity e \
             using (migration_id, destination_schema, destination_table) \
         where e.entity_no = $1 order by o.entity_no",
    )
    .bind(entity_no)
    .fetch_all(&mut *connection)
    .in_time(WRITE)
    .await
    .during(MATCHING)?;
    let id = quote_ident(compiled.id.columns().first().map_or("", String::as_str));
    // Rows that this migration wrote are no matches; those it only changed are.
    let foreign: Vec<String> = writers
        .iter()
        .map(|number| {
            format!(
                " and not exists (select from drover.id_map_{number} x where x.id = t.{id} \
                 and not coalesce(x.meta ? 'on_conflict', false))"
            )
        })
        .collect();
    let store = format!(
        "delete from drover.override where entity_no = {entity_no} and kind = 'match'; \
         insert into drover.override (entity_no, source_id, id, refusal, kind) \
         select distinct on (source_id) {entity_no}, source_id, \
                case when hits = 1 and claims = 1 then id end, \
                case when hits > 1 then 'ambiguous' when claims > 1 then 'duplicate' end, 'match' \
         from (select m.source_id, t.{id} as id, count(*) over (partition by m.source_id) as hits, \
                      count(*) over (partition by t.{id}) as claims \
               from {stage} m join {target} t on {}{}) found \
         order by source_id; \
         update drover.entity set matched_attempt = {attempt} where entity_no = {entity_no}",
        tests.join(" and "),
        foreign.concat(),
    );
    run_sql(connection, &store).await.during(MATCHING)
}

/// Copies record id and natural key of every source row that has one.
async fn stage_rows(
    run: &RunContext,
    entity: &EntityContext,
    rule: &MatchRule,
    (connection, stage): (&mut PgConnection, &str),
) -> Result<(), Failure> {
    let read = rule.read(&entity.compiled.read);
    let select = read.select(&KeyRange::default(), &run.constants);
    let mut source = begin(run, read.time_zone.as_deref()).await?;
    {
        let copy = format!("copy ({select}\n) to stdout (format binary)");
        let mut stream = source
            .copy_out_raw(&copy)
            .in_time(READ)
            .await
            .during("read natural keys")?;
        let mut into = connection
            .copy_in_raw(&format!("copy {stage} from stdin (format binary)"))
            .await
            .during(MATCHING)?;
        let mut patience = Patience::new(READ);
        let (mut reader, mut tuple) = (TupleReader::default(), Tuple::default());
        let mut out = HEADER.to_vec();
        while let Some(chunk) = patience
            .wait(stream.try_next())
            .await
            .map_err(|error| from_sqlx("read natural keys", &error))?
        {
            reader.push(chunk);
            while reader.next(&mut tuple)? {
                put_row(&mut out, (&read, rule), entity.transform.keys(), &tuple)?;
            }
            if out.len() >= PIECE {
                let piece = std::mem::take(&mut out);
                into.send(piece).await.during(MATCHING)?;
            }
        }
        if !reader.has_ended() {
            let words = "the source's answer was cut short";
            return Err(Failure::new(FailureKind::Unreachable, words));
        }
        out.extend_from_slice(TRAILER);
        into.send(out).await.during(MATCHING)?;
        into.finish().await.during(MATCHING)?;
    }
    run_sql(&mut source, "commit")
        .in_time(READ)
        .await
        .during("end the read")?;
    run.source.give_back(Purpose::Read, source).await;
    Ok(())
}

/// Appends a row of the stage; nothing where a value is NULL or does not fit: that matches no row.
fn put_row(
    out: &mut Vec<u8>,
    (read, rule): (&ReadRule, &MatchRule),
    keys: &Keys,
    tuple: &Tuple,
) -> Result<(), Failure> {
    let mut values: Vec<Vec<u8>> = Vec::with_capacity(rule.columns.len() + 1);
    let mut texts = Vec::with_capacity(read.key.len());
    for (at, column) in read.key.iter().enumerate() {
        let null = || Failure::new(FailureKind::SchemaDrift, "a key column holds NULL");
        let mut text = String::new();
        key::push_text(&mut text, column.text, tuple.field(at).ok_or_else(null)?)?;
        texts.push(text);
    }
    values.push(record_id(texts.iter().map(String::as_str)).into_bytes());
    for column in &rule.columns {
        let value = match &column.value {
            ValueRule::Field(field) => tuple.field(*field).map(<[u8]>::to_vec),
            ValueRule::Steps { field, steps } => match steps::run(steps, keys, tuple.field(*field))
            {
                steps::Outcome::Value(value) => Some(value),
                steps::Outcome::Null | steps::Outcome::Refused { .. } => None,
            },
            ValueRule::Id(_)
            | ValueRule::FirstId(_)
            | ValueRule::Ids(_)
            | ValueRule::EachSteps(_)
            | ValueRule::Document(_) => None,
        };
        let Some(value) = value else { return Ok(()) };
        values.push(value);
    }
    put_head(out, values.len(), None);
    values.iter().for_each(|value| put(out, Some(value)));
    Ok(())
}
