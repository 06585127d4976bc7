//! Settles self references once an entity's rows are all there: a row whose parent in the same
//! table failed is removed and held, and so on until none is left. Every round is a ledgered batch.

use std::sync::Arc;

use proto::domain::catalog::quote_ident;
use proto::domain::compiled::IdRule;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{BatchReport, Counts};
use proto::domain::id::IdMaker;
use proto::domain::key::KeyValue;
use serde_json::{Value, json};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::fence::{Fence, Position, take_over};
use super::ledger::{read_batch, read_batches};
use super::write::{Advance, advance_call};
use crate::batch::count;
use crate::connect::{Purpose, open, run_sql};
use crate::failure::During;
use crate::patience::{InTime, WRITE};
use crate::run::{EntityContext, RunContext};
use crate::source::redact::read_snapshots;
use crate::transform::map_entry::KeyShape;
use crate::transform::row::named;

/// Rows of one round.
const ROUND: i64 = 5000;

#[derive(Debug, FromRow)]
struct Orphan {
    source_id: String,
    row_key: String,
    image: Value,
    parent: String,
    reference: String,
    row_place: String,
    map_place: String,
}

/// Settles an entity under a token of its own; the batches it made.
///
/// # Errors
/// `Fenced` when somebody else settles it; whatever the destination refuses.
pub async fn settle(
    run: &Arc<RunContext>,
    entity: &EntityContext,
    partition_id: Uuid,
    token: i64,
) -> Result<Vec<BatchReport>, Failure> {
    let fence = Fence {
        partition_id,
        attempt: run.order.attempt,
        token,
        holder: run.holder,
        entity_hash: entity.compiled.hash.clone(),
    };
    let mut connection = open(&run.destination, Purpose::Write).await?;
    let mut position = take_over(&mut connection, &fence).await?;
    // Reports of an earlier try were lost with its answer; they are taken once.
    let mut reports = read_batches(&mut connection, partition_id, 0, u32::MAX).await?;
    let mut failed = failed_keys(&mut connection, run, entity).await?;
    while !position.is_done {
        let orphans = find_orphans(&mut connection, run, entity, &failed).await?;
        write_round(&mut connection, run, entity, &fence, &position, &orphans).await?;
        position.seq += 1;
        position.is_done = orphans.is_empty();
        failed.extend(orphans.into_iter().map(|orphan| orphan.source_id));
        reports.push(read_batch(&mut connection, partition_id, position.seq).await?);
    }
    run.destination.give_back(Purpose::Write, connection).await;
    Ok(reports)
}

/// Keys of all rows of the entity that failed.
async fn failed_keys(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
) -> Result<Vec<String>, Failure> {
    sqlx::query_scalar(
        "select r.source_record_id from drover.error r join drover.partition p using (partition_id) \
         where r.entity_no = $1 and p.attempt = $2 and not r.is_resolved",
    )
    .bind(entity.entity_no)
    .bind(run.order.attempt)
    .fetch_all(connection)
    .in_time(WRITE)
    .await
    .during("read failed rows")
}

/// Rows in the target whose self reference points at a failed row.
async fn find_orphans(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
    failed: &[String],
) -> Result<Vec<Orphan>, Failure> {
    if failed.is_empty() {
        return Ok(Vec::new());
    }
    let targets = target_ids(run, entity, failed)?;
    let (IdRule::Uuid5 { column, .. } | IdRule::Keep { column }) = &entity.compiled.id else {
        return Ok(Vec::new());
    };
    let (id, leaf) = (
        quote_ident(column),
        format!("drover.id_map_{}", entity.entity_no),
    );
    // Tables have no index and no statistics now: each side is found by one pass over it.
    let (key, cast) = match &entity.compiled.id {
        IdRule::Uuid5 { .. } => ("m.id", "uuid"),
        IdRule::Keep { .. } | IdRule::None { .. } => ("m.k::text", "text"),
    };
    for reference in &entity.compiled.self_references {
        let parent = quote_ident(&reference.column);
        let sql = format!(
            "with orphan as materialized ( \
                 select t.{id}::text as row_key, to_jsonb(t) as image, t.{parent}::text as parent, \
                        t.ctid::text as row_place \
                 from {} t where t.{parent}::{cast} = any($1::{cast}[]) limit {ROUND}), \
             known as materialized ( \
                 select m.k::text as source_id, {key}::text as row_key, m.ctid::text as map_place from {leaf} m \
                 where {key} = any(array(select row_key::{cast} from orphan)) \
                   and not coalesce(m.meta ? 'on_conflict', false)) \
             select source_id, row_key, image, parent, $2::text as reference, row_place, map_place \
             from orphan join known using (row_key) order by source_id",
            entity.compiled.destination.quoted(),
        );
        let orphans: Vec<Orphan> = sqlx::query_as(&sql)
            .bind(&targets)
            .bind(&reference.column)
            .fetch_all(&mut *connection)
            .in_time(WRITE)
            .await
            .during("look for rows without their parent")?;
        if !orphans.is_empty() {
            return Ok(orphans);
        }
    }
    Ok(Vec::new())
}

/// What the references of failed rows' children hold: uuids, or kept keys.
fn target_ids(
    run: &RunContext,
    entity: &EntityContext,
    failed: &[String],
) -> Result<Vec<String>, Failure> {
    if matches!(entity.compiled.id, IdRule::Keep { .. }) {
        return Ok(failed.to_vec());
    }
    let maker = IdMaker::new(run.plan().namespace, named(&entity.compiled));
    failed
        .iter()
        .map(|record_id| {
            let key = parse_key(record_id, entity.compiled.read.key.len())?;
            let mut builder = maker.start();
            for part in &key.0 {
                builder.push_part(part.as_bytes());
            }
            Ok(builder.finish().to_string())
        })
        .collect()
}

fn parse_key(record_id: &str, width: usize) -> Result<KeyValue, Failure> {
    if width == 1 {
        return Ok(KeyValue(vec![record_id.to_owned()]));
    }
    serde_json::from_str(record_id)
        .map_err(|_| Failure::new(FailureKind::Internal, "a stored key cannot be read"))
}

/// One round: rows and mappings removed, pre-images and errors kept, the fence moved.
async fn write_round(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
    fence: &Fence,
    position: &Position,
    orphans: &[Orphan],
) -> Result<(), Failure> {
    let width = entity.compiled.read.key.len();
    let keys: Result<Vec<KeyValue>, Failure> = orphans
        .iter()
        .map(|orphan| parse_key(&orphan.source_id, width))
        .collect();
    let snapshots = read_snapshots(run, entity, &keys?, &mut None).await?;
    let begin = format!(
        "begin isolation level read committed; set local application_name = '{}'",
        fence.marker()
    );
    run_sql(&mut *connection, &begin)
        .in_time(WRITE)
        .await
        .during("settle self references")?;
    if !orphans.is_empty() {
        remove_rows(connection, entity, orphans).await?;
        let seq = position.seq + 1;
        for (ordinal, orphan) in (0i32..).zip(orphans) {
            let data = snapshots
                .get(&orphan.source_id)
                .cloned()
                .unwrap_or_else(|| json!({}));
            insert_orphan(connection, entity, fence, seq, ordinal, orphan, data).await?;
        }
    }
    let moved = count(orphans.len());
    let call = advance_call(&Advance {
        fence,
        position,
        lo: position.cursor.as_ref(),
        hi: None,
        counts: Counts {
            written: -moved,
            failed: moved,
            held: moved,
            ..Counts::default()
        },
        is_last: orphans.is_empty(),
        retry_count: 0,
        was_bisected: false,
    });
    run_sql(connection, &format!("select 1 from {call}; commit"))
        .in_time(WRITE)
        .await
        .map(drop)
        .during("settle self references")
}

/// Removes rows and mappings.
async fn remove_rows(
    connection: &mut PgConnection,
    entity: &EntityContext,
    orphans: &[Orphan],
) -> Result<(), Failure> {
    let (column, cast) = match &entity.compiled.id {
        IdRule::Uuid5 { column, .. } => (quote_ident(column), "uuid"),
        IdRule::Keep { column } => (quote_ident(column), "text"),
        IdRule::None { .. } => return Ok(()),
    };
    let rows = Removal {
        table: entity.compiled.destination.quoted(),
        is_one: format!("{column}::{cast} = any($1::{cast}[])"),
        keys: orphans.iter().map(|it| it.row_key.as_str()).collect(),
        places: orphans.iter().map(|it| it.row_place.as_str()).collect(),
    };
    rows.run(connection).await?;
    let key = match KeyShape::of(&entity.compiled) {
        KeyShape::Int8 => "bigint",
        KeyShape::Text => "text",
    };
    let mappings = Removal {
        table: format!("drover.id_map_{}", entity.entity_no),
        is_one: format!("k = any($1::{key}[])"),
        keys: orphans.iter().map(|it| it.source_id.as_str()).collect(),
        places: orphans.iter().map(|it| it.map_place.as_str()).collect(),
    };
    mappings.run(connection).await
}

/// Rows to be removed from a table without an index, and where they were a moment ago.
struct Removal<'a> {
    table: String,
    is_one: String,
    keys: Vec<&'a str>,
    places: Vec<&'a str>,
}

impl Removal<'_> {
    async fn run(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let at_places = format!(
            "delete from {} where ctid = any($2::tid[]) and {}",
            self.table, self.is_one
        );
        let removed = sqlx::query(&at_places)
            .bind(&self.keys)
            .bind(&self.places)
            .execute(&mut *connection)
            .in_time(WRITE)
            .await
            .during("remove rows without their parent")?;
        if removed.rows_affected() >= self.keys.len() as u64 {
            return Ok(());
        }
        // Somebody moved one by an UPDATE: look for the rest everywhere.
        sqlx::query(&format!("delete from {} where {}", self.table, self.is_one))
            .bind(&self.keys)
            .execute(connection)
            .in_time(WRITE)
            .await
            .map(drop)
            .during("remove rows without their parent")
    }
}

async fn insert_orphan(
    connection: &mut PgConnection,
    entity: &EntityContext,
    fence: &Fence,
    seq: i64,
    ordinal: i32,
    orphan: &Orphan,
    source_data: Value,
) -> Result<(), Failure> {
    let name = format!("{}:{seq}:{ordinal}", fence.attempt);
    sqlx::query(
        "with kept as (insert into drover.pre_image (partition_id, attempt, seq, ordinal, row_key, image) \
                       values ($1, $2, $3, $4, $5, $6)) \
         insert into drover.error (id, partition_id, entity_no, attempt, seq, ordinal, source_record_id, \
             error_code, error_message, source_data, context, is_held, occurred_at) \
         values ($7, $1, $8, $2, $3, $4, $9, 'DROVER_PARENT_QUARANTINED', $10, $11, $12, true, now())",
    )
    .bind(fence.partition_id)
    .bind(fence.attempt)
    .bind(seq)
    .bind(ordinal)
    .bind(json!(orphan.row_key))
    .bind(&orphan.image)
    .bind(Uuid::new_v5(&fence.partition_id, name.as_bytes()))
    .bind(entity.entity_no)
    .bind(&orphan.source_id)
    .bind(format!("the row's parent in {} failed", entity.compiled.entity))
    .bind(source_data)
    .bind(json!({ "column": orphan.reference, "parent_entity": entity.compiled.entity,
                  "parent_destination_id": orphan.parent }))
    .execute(connection)
    .in_time(WRITE)
    .await
    .map(drop)
    .during("journal a row without its parent")
}
