//! Rows that are at the destination already and match by a natural key.
//!
//! They are found once per attempt, before the entity's first row is written, in one transaction: who
//! comes second waits for it and reads what it stored. So a repeated batch gets the same ids.

use std::time::Duration;

use futures::TryStreamExt;
use proto::domain::catalog::quote_ident;
use proto::domain::compiled::{MatchRule, ReadRule, ValueRule};
use proto::domain::failure::{Failure, FailureKind, SqlAction, sql_action};
use proto::domain::key::{KeyRange, KeyValue};
use sqlx::postgres::{PgConnection, PgCopyIn};
use tracing::{Instrument, info_span};
use uuid::Uuid;

use super::copy::{HEADER, PIECE, TRAILER};
use super::fence::Fence;
use crate::connect::{Purpose, close, open, run_sql};
use crate::failure::{During, from_sqlx, sqlstate};
use crate::patience::{InTime, Patience, READ, WRITE};
use crate::run::{EntityContext, RunContext};
use crate::source::isolate::{Reading, first_bad_row};
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

/// Rows whose natural key cannot be read before the entity blocks: each is looked for by halving.
const MAX_UNREADABLE: usize = 1000;

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
                (None, Some("unreadable")) => Match::Unreadable,
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
    let unreadable = stage_rows(run, entity, rule, (connection, &stage)).await?;
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
    run_sql(&mut *connection, &store).await.during(MATCHING)?;
    sqlx::query(
        "insert into drover.override (entity_no, source_id, refusal, kind) \
         select $1, k, 'unreadable', 'match' from unnest($2::text[]) k",
    )
    .bind(entity_no)
    .bind(unreadable)
    .execute(connection)
    .in_time(WRITE)
    .await
    .map(drop)
    .during(MATCHING)
}

/// Copies record id and natural key of every source row that has one; the record ids of those whose natural
/// key cannot be read.
async fn stage_rows(
    run: &RunContext,
    entity: &EntityContext,
    rule: &MatchRule,
    (connection, stage): (&mut PgConnection, &str),
) -> Result<Vec<String>, Failure> {
    let read = rule.read(&entity.compiled.read);
    let copy = format!("copy {stage} from stdin (format binary)");
    let into = connection.copy_in_raw(&copy).await.during(MATCHING)?;
    let mut staging = Staging {
        run,
        read: &read,
        rule,
        keys: entity.transform.keys(),
        into,
        out: HEADER.to_vec(),
    };
    let reading = Reading {
        run,
        rule: &read,
        more: Vec::new(),
    };
    let (mut rest, mut unreadable) = (KeyRange::default(), Vec::new());
    while let Some((staged, error)) = staging.range(&rest).await? {
        rest.after = staged.or(rest.after);
        if unreadable.len() >= MAX_UNREADABLE {
            return Err(from_sqlx("read natural keys", &error));
        }
        let bad = first_bad_row(&reading, &rest).await?;
        if bad.before.is_some() && bad.before != rest.after {
            let before = KeyRange {
                after: rest.after.clone(),
                upto: bad.before.clone(),
            };
            if let Some((_, error)) = staging.range(&before).await? {
                return Err(from_sqlx("read natural keys", &error));
            }
        }
        unreadable.push(bad.failure.key.to_record_id());
        rest.after = Some(bad.failure.key);
    }
    staging.out.extend_from_slice(TRAILER);
    staging.into.send(staging.out).await.during(MATCHING)?;
    staging.into.finish().await.during(MATCHING)?;
    Ok(unreadable)
}

/// Natural keys on their way into the stage.
struct Staging<'a> {
    run: &'a RunContext,
    read: &'a ReadRule,
    rule: &'a MatchRule,
    keys: &'a Keys,
    into: PgCopyIn<&'a mut PgConnection>,
    out: Vec<u8>,
}

impl Staging<'_> {
    /// Stages the rows of a range; where a row cannot be read, the key of the last one that was, and why.
    async fn range(
        &mut self,
        range: &KeyRange,
    ) -> Result<Option<(Option<KeyValue>, sqlx::Error)>, Failure> {
        let select = self.read.select(range, &self.run.constants);
        let copy = format!("copy ({select}\n) to stdout (format binary)");
        let mut source = begin(self.run, self.read.time_zone.as_deref()).await?;
        let mut last = None;
        let outcome = self.copy(&mut source, &copy, &mut last).await?;
        if let Err(error) = outcome {
            close(source).await;
            return match sqlstate(&error).map(sql_action) {
                Some(SqlAction::Row) => Ok(Some((last, error))),
                _ => Err(from_sqlx("read natural keys", &error)),
            };
        }
        run_sql(&mut source, "commit")
            .in_time(READ)
            .await
            .during("end the read")?;
        self.run.source.give_back(Purpose::Read, source).await;
        Ok(None)
    }

    async fn copy(
        &mut self,
        source: &mut PgConnection,
        copy: &str,
        last: &mut Option<KeyValue>,
    ) -> Result<Result<(), sqlx::Error>, Failure> {
        let mut stream = match source.copy_out_raw(copy).in_time(READ).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(error)),
        };
        let mut patience = Patience::new(READ);
        let (mut reader, mut tuple) = (TupleReader::default(), Tuple::default());
        loop {
            let chunk = match patience.wait(stream.try_next()).await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => return Ok(Err(error)),
            };
            reader.push(chunk);
            while reader.next(&mut tuple)? {
                let key = put_row(&mut self.out, (self.read, self.rule), self.keys, &tuple)?;
                *last = Some(key);
            }
            if self.out.len() >= PIECE {
                let piece = std::mem::take(&mut self.out);
                self.into.send(piece).await.during(MATCHING)?;
            }
        }
        if !reader.has_ended() {
            let words = "the source's answer was cut short";
            return Err(Failure::new(FailureKind::Unreachable, words));
        }
        Ok(Ok(()))
    }
}

/// Appends a row of the stage; nothing where a value is NULL or does not fit: that matches no row. Its key.
fn put_row(
    out: &mut Vec<u8>,
    (read, rule): (&ReadRule, &MatchRule),
    keys: &Keys,
    tuple: &Tuple,
) -> Result<KeyValue, Failure> {
    let mut values: Vec<Vec<u8>> = Vec::with_capacity(rule.columns.len() + 1);
    let mut texts = Vec::with_capacity(read.key.len());
    for (at, column) in read.key.iter().enumerate() {
        let null = || Failure::new(FailureKind::SchemaDrift, "a key column holds NULL");
        let mut text = String::new();
        key::push_text(&mut text, column.text, tuple.field(at).ok_or_else(null)?)?;
        texts.push(text);
    }
    let key = KeyValue(texts);
    values.push(key.to_record_id().into_bytes());
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
        let Some(value) = value else { return Ok(key) };
        values.push(value);
    }
    put_head(out, values.len(), None);
    values.iter().for_each(|value| put(out, Some(value)));
    Ok(key)
}
