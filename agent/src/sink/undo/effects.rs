//! What an undo would do, told without doing it: the same conditions, counted.

use proto::domain::compiled::IdRule;
use proto::domain::failure::Failure;
use proto::domain::undo::{ConflictPolicy, UndoEffect};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::site::{INSERTED, Site};
use super::survey::survey;
use crate::connect::run_sql;
use crate::failure::During;
use crate::sink::start_state::{Current, sequences};

const LOOKING: &str = "look what a rollback would do";
/// The conflicts of this look alone.
const FOUND: &str = "pg_temp.drover_conflict";

#[derive(Debug, Default, FromRow)]
struct Counted {
    rows_to_delete: i64,
    rows_gone: i64,
}

/// The effects on every site; nothing is changed.
pub async fn effects(
    connection: &mut PgConnection,
    sites: &[Site],
    policy: Option<ConflictPolicy>,
) -> Result<Vec<UndoEffect>, Failure> {
    run_sql(
        &mut *connection,
        "begin isolation level repeatable read; \
         create temp table drover_conflict (entity_no integer, row_key jsonb, kind text, \
             primary key (entity_no, row_key)) on commit drop",
    )
    .await
    .during(LOOKING)?;
    let survey = survey(connection, sites, (FOUND, policy)).await?;
    let mut effects = Vec::new();
    for site in sites {
        let untouched = match survey.concerns(site) {
            true => None,
            false => untouched(connection, site).await?,
        };
        let counted = match untouched {
            Some(counted) => counted,
            None => rows(connection, site, policy).await?,
        };
        let conflicts = survey.conflicts.iter();
        effects.push(UndoEffect {
            entity: site.entity.clone(),
            table: site.table.to_string(),
            batches: batches(connection, site).await?,
            rows_to_delete: counted.rows_to_delete,
            rows_to_restore: images(connection, site, policy).await?,
            rows_gone: counted.rows_gone,
            conflicts: conflicts
                .filter(|it| it.entity == site.entity)
                .cloned()
                .collect(),
            constraints: dropped(connection, site).await?,
            sequences: moved(connection, site, sites).await?,
        });
    }
    run_sql(connection, "rollback").await.during(LOOKING)?;
    Ok(effects)
}

/// `t` would be touched.
fn may_touch(site: &Site, policy: Option<ConflictPolicy>) -> String {
    match policy {
        Some(ConflictPolicy::Force) => "true".to_owned(),
        Some(ConflictPolicy::Keep) | None => {
            format!("(t.xmin in {} and {})", site.ours(), site.is_free(FOUND))
        }
    }
}

async fn rows(
    connection: &mut PgConnection,
    site: &Site,
    policy: Option<ConflictPolicy>,
) -> Result<Counted, Failure> {
    let sql = match site.is_mapped() {
        true => {
            // Several source rows may have become one row of a join table.
            let row = match &site.id {
                IdRule::Uuid5 { .. } | IdRule::Keep { .. } => "*",
                IdRule::None { .. } => "distinct (t.tableoid, t.ctid)",
            };
            format!(
                "select count({row}) filter (where t.ctid is not null and {may}) as rows_to_delete, \
                        count(*) filter (where t.ctid is null) as rows_gone \
                 from {map} m left join {table} t on {on} where m.xmin in {open} and {INSERTED}",
                may = may_touch(site, policy),
                map = site.map(),
                table = site.table.quoted(),
                on = site.is_entry(),
                open = site.open(),
            )
        }
        false => format!(
            "select count(*) as rows_to_delete, 0::bigint as rows_gone from {} t where t.xmin in {} \
             and not exists (select from ({}) i where {})",
            site.table.quoted(),
            site.open(),
            site.images(),
            site.has_key("i.row_key")
        ),
    };
    sqlx::query_as(&sql)
        .fetch_one(connection)
        .await
        .during(LOOKING)
}

/// Where the table holds as many rows as were inserted and every one as it was written, none has to be looked up.
async fn untouched(connection: &mut PgConnection, site: &Site) -> Result<Option<Counted>, Failure> {
    if !site.is_mapped() || !site.changed.is_empty() {
        return Ok(None);
    }
    let sql = format!(
        "select (select count(*) from {map} m where m.xmin in {open} and {INSERTED}), \
                count(*) filter (where t.xmin in {open}), count(*) from {table} t",
        map = site.map(),
        open = site.open(),
        table = site.table.quoted(),
    );
    let (entries, ours, all): (i64, i64, i64) = sqlx::query_as(&sql)
        .fetch_one(connection)
        .await
        .during(LOOKING)?;
    Ok((entries == ours && ours == all).then_some(Counted {
        rows_to_delete: ours,
        rows_gone: 0,
    }))
}

async fn images(
    connection: &mut PgConnection,
    site: &Site,
    policy: Option<ConflictPolicy>,
) -> Result<i64, Failure> {
    if site.changed.is_empty() {
        return Ok(0);
    }
    let sql = format!(
        "select count(*) from ({}) i join {} t on {} where {}",
        site.images(),
        site.table.quoted(),
        site.has_key("i.row_key"),
        may_touch(site, policy)
    );
    sqlx::query_scalar(&sql)
        .fetch_one(connection)
        .await
        .during(LOOKING)
}

async fn batches(connection: &mut PgConnection, site: &Site) -> Result<i64, Failure> {
    sqlx::query_scalar(
        "select count(*) from drover.ledger l join drover.partition p using (partition_id) \
         where p.entity_no = $1 and l.attempt = $2 and l.undone_at is null",
    )
    .bind(site.entity_no)
    .bind(site.attempt)
    .fetch_one(connection)
    .await
    .during(LOOKING)
}

/// Names of what the load dropped of its table.
async fn dropped(connection: &mut PgConnection, site: &Site) -> Result<Vec<String>, Failure> {
    sqlx::query_scalar(
        "select object_name from drover.ddl where migration_id = $1 and table_schema = $2 and table_name = $3 \
         and state = 'dropped' order by ddl_id",
    )
    .bind(site.migration_id)
    .bind(&site.table.schema)
    .bind(&site.table.name)
    .fetch_all(connection)
    .await
    .during(LOOKING)
}

/// Sequences of its table that would be set back.
async fn moved(
    connection: &mut PgConnection,
    site: &Site,
    sites: &[Site],
) -> Result<Vec<String>, Failure> {
    let mut moved = Vec::new();
    for sequence in sequences(connection, site.migration_id, &site.table).await? {
        let Current { value, is_called } = sequence.current(connection).await?;
        if (value, is_called) == (sequence.last_value, sequence.is_called) {
            continue;
        }
        let writers = sites.iter().filter(|it| it.table == site.table);
        let kept: Vec<String> = writers
            .map(|it| format!(" or not {}", it.is_free(FOUND)))
            .collect();
        let stays = format!("(t.xmin not in {}{})", site.ours(), kept.concat());
        if !sequence.is_used(connection, &stays).await? {
            moved.push(sequence.sequence_sql.clone());
        }
    }
    Ok(moved)
}
