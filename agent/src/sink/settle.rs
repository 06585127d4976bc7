//! Settles late references once the rows at both of their ends are there: a row whose parent failed meanwhile
//! is removed and held, and so on until none is left. Every round is a ledgered batch of its entity.
//!
//! Entities that refer to each other (a knot) are settled together: what one loses, another may refer to.

mod orphans;
mod undo;

use std::sync::Arc;

use proto::domain::catalog::quote_texts;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{BatchReport, Counts};
use proto::domain::key::KeyValue;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use self::orphans::{Failed, Orphan, failed_keys, find_orphans};
use super::fence::{Fence, Position, take_over};
use super::ledger::{read_batch, read_batches};
use super::write::{Advance, advance_call};
use crate::batch::count;
use crate::connect::{Purpose, fetch_sql, open, run_sql};
use crate::failure::During;
use crate::patience::{InTime, WRITE};
use crate::run::{EntityContext, RunContext};
use crate::source::redact::read_snapshots;

const SETTLING: &str = "settle late references";

/// An entity of the knot and where its settling partition stands.
struct Member {
    entity: Arc<EntityContext>,
    fence: Fence,
    position: Position,
}

/// Settles the knot of an entity under a token of its own; the batches that made. The entity's own
/// settling partition stands for all of them.
///
/// # Errors
/// `Fenced` when somebody else settles it; whatever the destination refuses.
pub async fn settle(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    partition_id: Uuid,
    token: i64,
) -> Result<Vec<BatchReport>, Failure> {
    let mut connection = open(&run.destination, Purpose::Write).await?;
    let mut members = members(&mut connection, run, entity, (partition_id, token)).await?;
    // Reports of an earlier try were lost with its answer; they are taken once.
    let mut reports = Vec::new();
    for member in &members {
        let of_member = member.fence.partition_id;
        reports.extend(read_batches(&mut connection, of_member, 0, u32::MAX).await?);
    }
    if members.iter().any(|member| !member.position.is_done) {
        let mut failed = failed_keys(&mut connection, run, &members).await?;
        while take_round(
            &mut connection,
            run,
            (&mut members, &mut failed),
            &mut reports,
        )
        .await?
        {}
        finish(&mut connection, &members).await?;
        for member in &members {
            let (of_member, seq) = (member.fence.partition_id, member.position.seq + 1);
            reports.push(read_batch(&mut connection, of_member, seq).await?);
        }
    }
    run.destination.give_back(Purpose::Write, connection).await;
    Ok(reports)
}

/// Takes away again what a retry has written and what refers to rows that failed, once the knot of its entity is
/// settled: nobody else looks at that any more. The position behind the rounds that made.
///
/// # Errors
/// As those of [`settle`].
pub async fn settle_retried(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &Arc<EntityContext>,
    (fence, position): (&Fence, Position),
) -> Result<Position, Failure> {
    let is_settled: Option<bool> = sqlx::query_scalar(
        "select done from drover.partition where entity_no = $1 and attempt = $2 and number = -1",
    )
    .bind(entity.entity_no)
    .bind(fence.attempt)
    .fetch_optional(&mut *connection)
    .in_time(WRITE)
    .await
    .during(SETTLING)?;
    let mut members = [Member {
        entity: entity.clone(),
        fence: fence.clone(),
        position,
    }];
    if is_settled == Some(true) {
        let mut failed = failed_keys(connection, run, &members).await?;
        let mut reports = Vec::new();
        while take_round(connection, run, (&mut members, &mut failed), &mut reports).await? {}
    }
    let [member] = members;
    Ok(member.position)
}

/// The active entities of the knot, all taken over; the one that stands for them first.
async fn members(
    connection: &mut PgConnection,
    run: &RunContext,
    entity: &EntityContext,
    (partition_id, token): (Uuid, i64),
) -> Result<Vec<Member>, Failure> {
    let sql = format!(
        "select e.entity, p.partition_id from drover.partition p join drover.entity e using (entity_no) \
         where e.migration_id = '{}' and p.attempt = {} and p.round = e.round and p.number = -1 and e.entity = any({})",
        run.order.migration_id,
        run.order.attempt,
        quote_texts(entity.compiled.knot.iter().map(String::as_str)),
    );
    let rows = fetch_sql(&mut *connection, &sql).in_time(WRITE).await;
    let rows = rows.during(SETTLING)?;
    let known: Result<Vec<(String, Uuid)>, sqlx::Error> =
        rows.iter().map(FromRow::from_row).collect();
    let mut known = known.during(SETTLING)?;
    known.sort_by_key(|(name, id)| (*id != partition_id, name.clone()));
    let mut members = Vec::with_capacity(known.len());
    for (name, partition_id) in known {
        let entity = run.entity(&name)?;
        let fence = Fence {
            partition_id,
            attempt: run.order.attempt,
            token,
            holder: run.holder,
            entity_hash: entity.compiled.hash.clone(),
        };
        let position = take_over(&mut *connection, &fence).await?;
        members.push(Member {
            entity,
            fence,
            position,
        });
    }
    Ok(members)
}

/// Looks once at every entity of the knot; whether a row was taken away.
async fn take_round(
    connection: &mut PgConnection,
    run: &RunContext,
    (members, failed): (&mut [Member], &mut Failed),
    reports: &mut Vec<BatchReport>,
) -> Result<bool, Failure> {
    let mut has_taken = false;
    for member in members {
        let orphans = find_orphans(connection, run, &member.entity, failed).await?;
        if orphans.is_empty() {
            continue;
        }
        has_taken = true;
        write_round(connection, run, member, &orphans).await?;
        member.position.seq += 1;
        let (partition_id, seq) = (member.fence.partition_id, member.position.seq);
        reports.push(read_batch(connection, partition_id, seq).await?);
        let name = member.entity.compiled.entity.clone();
        let keys = orphans.into_iter().map(|orphan| orphan.source_id);
        failed.entry(name).or_default().extend(keys);
    }
    Ok(has_taken)
}

fn parse_key(record_id: &str, width: usize) -> Result<KeyValue, Failure> {
    if width == 1 {
        return Ok(KeyValue(vec![record_id.to_owned()]));
    }
    serde_json::from_str(record_id)
        .map_err(|_| Failure::new(FailureKind::Internal, "a stored key cannot be read"))
}

/// One round of an entity: rows and mappings removed, pre-images and errors kept, the fence moved.
async fn write_round(
    connection: &mut PgConnection,
    run: &RunContext,
    member: &Member,
    orphans: &[Orphan],
) -> Result<(), Failure> {
    let Member {
        entity,
        fence,
        position,
    } = member;
    let width = entity.compiled.read.key.len();
    let keys: Result<Vec<KeyValue>, Failure> = orphans
        .iter()
        .map(|orphan| parse_key(&orphan.source_id, width))
        .collect();
    let snapshots = read_snapshots(run, entity, &keys?, &mut None).await?;
    begin(&mut *connection, fence).await?;
    undo::take_away(connection, entity, fence.attempt, orphans).await?;
    let seq = position.seq + 1;
    undo::journal(
        connection,
        (fence, entity.entity_no, seq),
        orphans,
        &snapshots,
    )
    .await?;
    let moved = count(orphans.len());
    let counts = Counts {
        written: -moved,
        failed: moved,
        held: moved,
        ..Counts::default()
    };
    let call = advance(member, counts, false);
    run_sql(connection, &format!("select 1 from {call}; commit"))
        .in_time(WRITE)
        .await
        .map(drop)
        .during(SETTLING)
}

/// The last batch of every entity, in one transaction: the knot is settled or it is not.
async fn finish(connection: &mut PgConnection, members: &[Member]) -> Result<(), Failure> {
    let Some(first) = members.first() else {
        return Ok(());
    };
    begin(&mut *connection, &first.fence).await?;
    let calls: Vec<String> = members
        .iter()
        .map(|member| {
            let call = advance(member, Counts::default(), true);
            format!("select 1 from {call}; ")
        })
        .collect();
    run_sql(connection, &format!("{}commit", calls.concat()))
        .in_time(WRITE)
        .await
        .map(drop)
        .during(SETTLING)
}

async fn begin(connection: &mut PgConnection, fence: &Fence) -> Result<(), Failure> {
    let begin = format!(
        "begin isolation level read committed; set local application_name = '{}'",
        fence.marker()
    );
    run_sql(connection, &begin)
        .in_time(WRITE)
        .await
        .map(drop)
        .during(SETTLING)
}

fn advance(member: &Member, counts: Counts, is_last: bool) -> String {
    advance_call(&Advance {
        fence: &member.fence,
        position: &member.position,
        lo: member.position.cursor.as_ref(),
        hi: None,
        counts,
        is_last,
        retry_count: 0,
        was_bisected: false,
    })
}
