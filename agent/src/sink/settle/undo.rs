//! Takes rows away again that lost their parent: those that this migration wrote are removed, those that it
//! only changed become what they were. Both leave their image and an error.

use std::collections::HashMap;

use proto::domain::catalog::quote_ident;
use proto::domain::compiled::{CompiledEntity, ConflictRule, IdRule};
use proto::domain::failure::Failure;
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::Fence;
use super::orphans::Orphan;
use crate::failure::During;
use crate::patience::{InTime, WRITE};
use crate::run::EntityContext;
use crate::transform::map_entry::KeyShape;

/// Takes rows and mappings away.
pub(super) async fn take_away(
    connection: &mut PgConnection,
    entity: &EntityContext,
    attempt: i32,
    orphans: &[Orphan],
) -> Result<(), Failure> {
    let (column, cast) = match &entity.compiled.id {
        IdRule::Uuid5 { column, .. } => (quote_ident(column), "uuid"),
        IdRule::Keep { column } => (quote_ident(column), "text"),
        IdRule::None { .. } => return Ok(()),
    };
    let (foreign, own): (Vec<&Orphan>, Vec<&Orphan>) =
        orphans.iter().partition(|orphan| orphan.is_foreign);
    let is_one = format!("{column}::{cast} = any($1::{cast}[])");
    if !foreign.is_empty() {
        restore(connection, entity, (attempt, &column), &foreign).await?;
    }
    let rows = Removal {
        table: entity.compiled.destination.quoted(),
        is_one,
        keys: own.iter().map(|it| it.row_key.as_str()).collect(),
        places: own.iter().map(|it| it.row_place.as_str()).collect(),
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

/// Puts rows back as they were before their batch changed them.
async fn restore(
    connection: &mut PgConnection,
    entity: &EntityContext,
    (attempt, id): (i32, &str),
    foreign: &[&Orphan],
) -> Result<(), Failure> {
    let target = entity.compiled.destination.quoted();
    let columns: Vec<String> = changed(&entity.compiled)
        .into_iter()
        .map(|name| {
            let name = quote_ident(name);
            format!("{name} = (i.was).{name}")
        })
        .collect();
    if columns.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "update {target} t set {} from ( \
             select p.row_key #>> '{{}}' as row_key, jsonb_populate_record(null::{target}, p.image) as was \
             from drover.pre_image p join drover.partition q using (partition_id) \
             where q.entity_no = $1 and p.attempt = $2 and p.kind = 'changed' and p.row_key #>> '{{}}' = any($3)) i \
         where t.{id}::text = i.row_key",
        columns.join(", ")
    );
    let keys: Vec<&str> = foreign.iter().map(|it| it.row_key.as_str()).collect();
    sqlx::query(&sql)
        .bind(entity.entity_no)
        .bind(attempt)
        .bind(keys)
        .execute(connection)
        .in_time(WRITE)
        .await
        .map(drop)
        .during("put rows back as they were")
}

/// Columns that a batch changes in a row that is there.
fn changed(entity: &CompiledEntity) -> Vec<&str> {
    match &entity.on_conflict {
        ConflictRule::Error | ConflictRule::Skip => Vec::new(),
        ConflictRule::Merge(names) => names.iter().map(String::as_str).collect(),
        ConflictRule::Overwrite => {
            let key = entity.id.columns();
            let names = entity.columns.iter().map(|column| &column.name);
            names
                .filter(|name| !key.contains(name))
                .map(String::as_str)
                .collect()
        }
    }
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
        if self.keys.is_empty() {
            return Ok(());
        }
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

/// Keeps the images and errors of a round's rows; one statement, since there may be thousands and the
/// destination may be far.
pub(super) async fn journal(
    connection: &mut PgConnection,
    (fence, entity_no, seq): (&Fence, i32, i64),
    orphans: &[Orphan],
    snapshots: &HashMap<String, Value>,
) -> Result<(), Failure> {
    let rows = (0i32..).zip(orphans).map(|(ordinal, orphan)| {
        let name = format!("{}:{seq}:{ordinal}", fence.attempt);
        json!({
            "ordinal": ordinal,
            "row_key": orphan.row_key,
            "image": orphan.image,
            "kind": if orphan.is_foreign { "changed" } else { "removed" },
            "id": Uuid::new_v5(&fence.partition_id, name.as_bytes()),
            "source_record_id": orphan.source_id,
            "message": format!("the row's parent in {} failed", orphan.parent_entity),
            "source_data": snapshots.get(&orphan.source_id).cloned().unwrap_or_else(|| json!({})),
            "context": { "column": orphan.reference, "parent_entity": orphan.parent_entity,
                         "parent_destination_id": orphan.parent },
        })
    });
    sqlx::query(
        "with fresh as materialized ( \
             select * from jsonb_to_recordset($1) as r (ordinal integer, row_key jsonb, image jsonb, kind text, id uuid, \
                 source_record_id text, message text, source_data jsonb, context jsonb)), \
         kept as (insert into drover.pre_image (partition_id, attempt, seq, ordinal, row_key, image, kind) \
                  select $2, $3, $4, ordinal, row_key, image, kind from fresh) \
         insert into drover.error (id, partition_id, entity_no, attempt, seq, ordinal, source_record_id, \
             error_code, error_message, source_data, context, is_held, occurred_at) \
         select id, $2, $5, $3, $4, ordinal, source_record_id, 'DROVER_PARENT_QUARANTINED', message, source_data, \
                context, true, now() from fresh",
    )
    .bind(Value::Array(rows.collect()))
    .bind(fence.partition_id)
    .bind(fence.attempt)
    .bind(seq)
    .bind(entity_no)
    .execute(connection)
    .in_time(WRITE)
    .await
    .map(drop)
    .during("journal rows without their parent")
}
