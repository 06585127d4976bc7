//! Table `outbox`: events, stored in the transaction of what caused them.

use proto::domain::record::{Event, EventData};
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use tracing::{Instrument, info_span};
use uuid::Uuid;

/// An event to be delivered.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Type, for instance `migration_progress`.
    pub event_type: String,
    /// The entity, or `*` for the whole migration.
    pub entity: String,
    /// 0 to 100.
    pub progress_percentage: f64,
    /// Rows per second.
    pub throughput: f64,
    /// Further keys of `data`.
    pub more: Map<String, Value>,
}

impl NewEvent {
    /// The event's `data`.
    fn data(&self) -> Value {
        let mut data = self.more.clone();
        data.insert("entity".to_owned(), Value::from(self.entity.as_str()));
        data.insert(
            "progress_percentage".to_owned(),
            Value::from(self.progress_percentage),
        );
        data.insert("throughput".to_owned(), Value::from(self.throughput));
        Value::Object(data)
    }
}

/// Adds events, in this order.
pub async fn insert(
    conn: &mut PgConnection,
    migration_id: Uuid,
    events: &[NewEvent],
) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let types: Vec<&str> = events
        .iter()
        .map(|event| event.event_type.as_str())
        .collect();
    let data: Vec<Value> = events.iter().map(NewEvent::data).collect();
    sqlx::query(
        "insert into outbox (event_type, migration_id, data)
         select e.event_type, $1, e.data
         from unnest($2::text[], $3::jsonb[]) with ordinality as e (event_type, data, at)
         order by e.at",
    )
    .bind(migration_id)
    .bind(types)
    .bind(data)
    .execute(conn)
    .instrument(info_span!("event", events = events.len()))
    .await?;
    Ok(())
}

/// Events of a migration behind the one with number `after`, in order.
pub async fn list(
    conn: &mut PgConnection,
    migration_id: Uuid,
    after: i64,
    limit: i64,
) -> Result<Vec<Event>, sqlx::Error> {
    let rows = sqlx::query(
        "select id, event_type, migration_id, \"timestamp\", data from outbox
         where migration_id = $1 and id > $2 order by id limit $3",
    )
    .bind(migration_id)
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let Json(data): Json<EventData> = row.try_get("data")?;
            Ok(Event {
                id: row.try_get("id")?,
                event_type: row.try_get("event_type")?,
                migration_id: row.try_get("migration_id")?,
                timestamp: row.try_get("timestamp")?,
                data,
            })
        })
        .collect()
}

/// Number of a migration's newest event; 0 before the first.
pub async fn newest(conn: &mut PgConnection, migration_id: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select coalesce(max(id), 0) from outbox where migration_id = $1")
        .bind(migration_id)
        .fetch_one(conn)
        .await
}
