//! Table `command`: what was asked once and answered, so that the same request is answered the same way.

use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

/// How long a request is remembered.
const KEPT: &str = "24 hours";

/// A command as it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandCall {
    /// The client's number for it.
    pub request_id: Uuid,
    /// The command.
    pub verb: &'static str,
    /// Hash of everything else that was asked.
    pub body_hash: String,
    /// Who asked.
    pub actor: String,
}

/// An earlier request of the same number.
#[derive(Debug, Clone, PartialEq)]
pub enum Earlier {
    /// The same command: its answer.
    Same(Value),
    /// Another one.
    Other,
}

/// Looks for an earlier request of the same number; forgets old ones. Holds off the same number until the
/// transaction ends.
pub async fn find(
    conn: &mut PgConnection,
    call: &CommandCall,
) -> Result<Option<Earlier>, sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('drover command ' || $1::text, 0))")
        .bind(call.request_id)
        .execute(&mut *conn)
        .await?;
    sqlx::query(&format!(
        "delete from command where created_at < clock_timestamp() - interval '{KEPT}'"
    ))
    .execute(&mut *conn)
    .await?;
    let row: Option<(String, String, Option<Json<Value>>)> =
        sqlx::query_as("select verb, body_hash, result from command where id = $1")
            .bind(call.request_id)
            .fetch_optional(conn)
            .await?;
    Ok(row.map(|(verb, body_hash, result)| {
        let is_same = verb == call.verb && body_hash == call.body_hash;
        match result {
            Some(Json(result)) if is_same => Earlier::Same(result),
            _ => Earlier::Other,
        }
    }))
}

/// Keeps a command with its answer.
pub async fn insert(
    conn: &mut PgConnection,
    call: &CommandCall,
    migration_id: Option<Uuid>,
    result: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into command (id, migration_id, verb, body_hash, result, actor)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(call.request_id)
    .bind(migration_id)
    .bind(call.verb)
    .bind(&call.body_hash)
    .bind(Json(result))
    .bind(&call.actor)
    .execute(conn)
    .await
    .map(drop)
}
