//! Takes batches of an entity back, newest first, some at a time in one transaction each.
//!
//! A transaction marks its batches, puts pre-images back and deletes the rows they inserted, all by set: tables
//! may be without any index now, so each pass costs one scan of the id map and of the table, and takes so many
//! batches that there are few passes. Killed anywhere, what was marked is undone and the rest is not.

use std::time::Duration;

use proto::domain::failure::Failure;
use proto::domain::undo::{ConflictPolicy, UndoProgress};
use sqlx::Row;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;
use tracing::{Instrument, info_span, warn};

use super::site::{INSERTED, Site};
use super::survey::KEPT;
use super::whole::empty;
use crate::connect::{fetch_sql, run_sql};
use crate::failure::During;

const UNDOING: &str = "take rows back";

/// Rows of one transaction, at least.
const PASS: i64 = 200_000;
/// Transactions that an entity takes, at most: each looks at whole tables.
const PASSES: i64 = 20;
/// How long one question goes on.
const STRETCH: Duration = Duration::from_secs(10);

/// How the rows of an entity are taken back.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// Where they are.
    pub site: &'a Site,
    /// Right to undo.
    pub token: i64,
    /// What becomes of conflicts.
    pub policy: Option<ConflictPolicy>,
    /// Rows of it are among the conflicts.
    pub has_conflicts: bool,
}

/// Takes batches back for a while.
///
/// # Errors
/// `Fenced` where somebody undoes under another token; whatever the destination refuses.
pub async fn undo_rows(
    connection: &mut PgConnection,
    way: &Way<'_>,
) -> Result<UndoProgress, Failure> {
    if let Some(progress) = empty(connection, way).await? {
        return Ok(progress);
    }
    let begun = Instant::now();
    let rows = rows_left(connection, way.site).await?;
    let limit = PASS.max(rows / PASSES);
    let mut progress = UndoProgress::default();
    loop {
        let span = info_span!("undo", entity = %way.site.entity);
        let passed = pass(connection, way, limit).instrument(span).await?;
        if passed.batches == 0 {
            break;
        }
        progress.batches += passed.batches;
        progress.deleted += passed.deleted;
        progress.restored += passed.restored;
        if begun.elapsed() >= STRETCH {
            progress.rows_left = rows_left(connection, way.site).await?;
            return Ok(progress);
        }
    }
    progress.changed_meanwhile = look_again(connection, way).await?;
    progress.is_done = true;
    if progress.deleted > 0 {
        tidy(connection, way.site).await;
    }
    Ok(progress)
}

/// Rows of batches that are not undone.
pub async fn rows_left(connection: &mut PgConnection, site: &Site) -> Result<i64, Failure> {
    sqlx::query_scalar(
        "select coalesce(sum(greatest(l.n_written, 0)), 0)::bigint \
         from drover.ledger l join drover.partition p using (partition_id) \
         where p.entity_no = $1 and l.attempt = $2 and l.undone_at is null",
    )
    .bind(site.entity_no)
    .bind(site.attempt)
    .fetch_one(connection)
    .await
    .during(UNDOING)
}

/// One transaction.
async fn pass(
    connection: &mut PgConnection,
    way: &Way<'_>,
    limit: i64,
) -> Result<UndoProgress, Failure> {
    begin(connection, way).await?;
    // First, so that rows that are put back count as ours in what follows.
    let batches = mark(connection, way.site, limit).await?;
    if batches == 0 {
        run_sql(connection, "rollback").await.during(UNDOING)?;
        return Ok(UndoProgress::default());
    }
    let restored = match way.site.changed.is_empty() {
        true => 0,
        false => count(connection, &restore(way)).await?,
    };
    let deleted = count(connection, &delete(way)).await?;
    run_sql(connection, "commit").await.during(UNDOING)?;
    Ok(UndoProgress {
        batches,
        deleted,
        restored,
        ..UndoProgress::default()
    })
}

/// Marks the newest batches with at least `limit` rows together as undone by this transaction; their number.
async fn mark(connection: &mut PgConnection, site: &Site, limit: i64) -> Result<i64, Failure> {
    run_sql(&mut *connection, &choose(site, limit))
        .await
        .during(UNDOING)?;
    sqlx::query("select drover.mark_undone($1)")
        .bind(site.attempt)
        .execute(&mut *connection)
        .await
        .during(UNDOING)?;
    sqlx::query_scalar("select count(*) from pg_temp.drover_undo")
        .fetch_one(connection)
        .await
        .during(UNDOING)
}

/// As [`mark`], every batch that is left.
pub(super) async fn mark_all(connection: &mut PgConnection, site: &Site) -> Result<i64, Failure> {
    mark(connection, site, i64::MAX).await
}

/// Begins a transaction with the right to undo the entity.
pub(super) async fn begin(connection: &mut PgConnection, way: &Way<'_>) -> Result<(), Failure> {
    let begin = format!(
        "begin isolation level read committed; select drover.hold_undo({}, {}, {})",
        way.site.entity_no, way.site.attempt, way.token
    );
    run_sql(connection, &begin).await.during(UNDOING)
}

async fn count(connection: &mut PgConnection, sql: &str) -> Result<i64, Failure> {
    let rows = fetch_sql(connection, sql).await.during(UNDOING)?;
    let count = rows.first().map(|row| row.try_get(0)).transpose();
    Ok(count.during(UNDOING)?.unwrap_or(0))
}

/// The newest batches with at least `limit` rows together.
fn choose(site: &Site, limit: i64) -> String {
    format!(
        "create temp table drover_undo on commit drop as \
         select partition_id, seq, xid, written_at, is_settling from ( \
             select l.partition_id, l.seq, l.xid::xid as xid, l.written_at, p.number < 0 as is_settling, \
                    sum(greatest(l.n_written, 0)) over (order by l.written_at desc, l.partition_id, l.seq desc \
                        rows between unbounded preceding and 1 preceding) as newer \
             from drover.ledger l join drover.partition p using (partition_id) \
             where p.entity_no = {} and l.attempt = {} and l.undone_at is null) b \
         where coalesce(newer, 0) < {limit}; \
         analyze pg_temp.drover_undo",
        site.entity_no, site.attempt
    )
}

/// Puts rows back as they were before the oldest of the batches changed them.
fn restore(way: &Way<'_>) -> String {
    let site = way.site;
    format!(
        "with image as ( \
             select distinct on (p.row_key) p.row_key, p.image, p.exact \
             from drover.pre_image p join pg_temp.drover_undo b using (partition_id, seq) \
             where p.attempt = {attempt} and p.kind = 'changed' and not b.is_settling \
             order by p.row_key, b.written_at, b.seq, p.ordinal), \
         back as (update {table} t set {sets} from image i where {same} and {may} returning 1) \
         select count(*) from back",
        attempt = site.attempt,
        table = site.table.quoted(),
        sets = site.restored(),
        same = site.has_key("i.row_key"),
        may = may_touch(way),
    )
}

/// Deletes the rows that the batches inserted.
fn delete(way: &Way<'_>) -> String {
    let site = way.site;
    let chosen = "(select xid from pg_temp.drover_undo)";
    let (using, test) = match site.is_mapped() {
        true => (
            format!(" using {} m", site.map()),
            format!(
                "m.xmin in {chosen} and {INSERTED} and {} and {}",
                site.is_entry(),
                may_touch(way)
            ),
        ),
        // What was put back has another transaction by now.
        false => {
            let free = match way.spares() {
                true => format!(" and {}", site.is_free(KEPT)),
                false => String::new(),
            };
            (String::new(), format!("t.xmin in {chosen}{free}"))
        }
    };
    format!(
        "with gone as (delete from {} t{using} where {test} returning 1) select count(*) from gone",
        site.table.quoted()
    )
}

/// The row is as this migration wrote it and nothing speaks for it; or all is to go.
fn may_touch(way: &Way<'_>) -> String {
    match way.policy {
        Some(ConflictPolicy::Force) => "true".to_owned(),
        Some(ConflictPolicy::Keep) | None => {
            let ours = format!("t.xmin in {}", way.site.ours());
            match way.spares() {
                true => format!("{ours} and {}", way.site.is_free(KEPT)),
                false => ours,
            }
        }
    }
}

impl Way<'_> {
    /// Some rows are left alone.
    fn spares(&self) -> bool {
        self.has_conflicts && self.policy != Some(ConflictPolicy::Force)
    }
}

/// Rows that were to go and are there: others wrote them after the conflicts were looked for. They are
/// conflicts now.
async fn look_again(connection: &mut PgConnection, way: &Way<'_>) -> Result<i64, Failure> {
    let site = way.site;
    if !site.is_mapped() {
        return Ok(0);
    }
    begin(connection, way).await?;
    let all = format!(
        "with found as (insert into {KEPT} (entity_no, row_key, kind) \
             select distinct {}, {}, 'changed' from {} m join {} t on {} \
             where {INSERTED} and m.xmin in {} and t.xmin not in {} \
             on conflict do nothing returning 1) select count(*) from found",
        site.entity_no,
        site.row_key("t"),
        site.map(),
        site.table.quoted(),
        site.is_entry(),
        undone(site),
        site.ours(),
    );
    let found = count(connection, &all).await?;
    run_sql(connection, "commit").await.during(UNDOING)?;
    Ok(found)
}

/// Transactions of the entity's batches that are undone.
fn undone(site: &Site) -> String {
    format!(
        "(select l.xid::xid from drover.ledger l join drover.partition p using (partition_id) \
          where p.entity_no = {} and l.attempt = {} and l.undone_at is not null)",
        site.entity_no, site.attempt
    )
}

/// Gives the space back: foreign keys look through what is dead, too.
async fn tidy(connection: &mut PgConnection, site: &Site) {
    let sql = format!("vacuum (skip_locked, analyze) {}", site.table.quoted());
    if let Err(error) = run_sql(connection, &sql).await {
        let reason = crate::failure::from_sqlx("vacuum a table", &error);
        warn!(table = %site.table, %reason, "the space of deleted rows is not given back yet");
    }
}

#[cfg(test)]
mod tests {
    use proto::domain::compiled::IdRule;

    use super::super::site::tests::site;
    use super::*;

    fn orders() -> Site {
        let (column, entity) = ("id".to_owned(), "orders".to_owned());
        site(IdRule::Uuid5 { column, entity }, &[("id", "uuid")], &[])
    }

    fn way(site: &Site, policy: Option<ConflictPolicy>, has_conflicts: bool) -> Way<'_> {
        Way {
            site,
            token: 9,
            policy,
            has_conflicts,
        }
    }

    #[test]
    fn only_rows_as_they_were_written_are_deleted_unless_all_are_to_go() {
        let site = orders();
        let ours = format!("t.xmin in {}", site.ours());
        let free = site.is_free(KEPT);
        for policy in [None, Some(ConflictPolicy::Keep)] {
            assert_eq!(may_touch(&way(&site, policy, false)), ours);
            let spared = format!("{ours} and {free}");
            assert_eq!(may_touch(&way(&site, policy, true)), spared);
        }
        let force = Some(ConflictPolicy::Force);
        assert_eq!(may_touch(&way(&site, force, true)), "true");
    }

    #[test]
    fn rows_that_were_found_and_not_inserted_are_never_deleted() {
        let site = orders();
        for policy in [
            None,
            Some(ConflictPolicy::Keep),
            Some(ConflictPolicy::Force),
        ] {
            let sql = delete(&way(&site, policy, false));
            assert!(sql.contains(INSERTED), "{sql}");
            assert!(
                sql.contains("m.xmin in (select xid from pg_temp.drover_undo)"),
                "{sql}"
            );
        }
    }

    #[test]
    fn a_join_table_whose_key_the_map_does_not_tell_goes_by_its_transactions() {
        let columns = vec!["a".to_owned(), "n".to_owned()];
        let site = site(
            IdRule::None { columns },
            &[("a", "uuid"), ("n", "int4")],
            &["a"],
        );
        let sql = delete(&way(&site, None, false));
        let expected = "with gone as (delete from \"public\".\"orders\" t \
             where t.xmin in (select xid from pg_temp.drover_undo) returning 1) select count(*) from gone";
        assert_eq!(sql, expected);
    }

    #[test]
    fn settled_batches_give_nothing_back_and_the_oldest_image_counts() {
        let sql = restore(&way(&orders(), None, false));
        assert!(sql.contains("not b.is_settling"), "{sql}");
        assert!(
            sql.contains("order by p.row_key, b.written_at, b.seq, p.ordinal"),
            "{sql}"
        );
    }
}
