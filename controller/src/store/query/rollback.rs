//! Columns of `migration_orchestration` about its rollback: scope, report, and how far it is.

use proto::domain::undo::{UndoReport, UndoScope};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

/// What is taken back; everything, where nothing else was said.
pub async fn scope(conn: &mut PgConnection, id: Uuid) -> Result<UndoScope, sqlx::Error> {
    let scope: Option<Option<Json<UndoScope>>> =
        sqlx::query_scalar("select rollback_scope from migration_orchestration where id = $1")
            .bind(id)
            .fetch_optional(conn)
            .await?;
    Ok(scope.flatten().map(|json| json.0).unwrap_or_default())
}

/// Stores what is taken back.
pub async fn set_scope(
    conn: &mut PgConnection,
    id: Uuid,
    scope: &UndoScope,
) -> Result<(), sqlx::Error> {
    sqlx::query("update migration_orchestration set rollback_scope = $2 where id = $1")
        .bind(id)
        .bind(Json(scope))
        .execute(conn)
        .await?;
    Ok(())
}

/// Stores what it came to.
pub async fn set_report(
    conn: &mut PgConnection,
    id: Uuid,
    report: &UndoReport,
) -> Result<(), sqlx::Error> {
    sqlx::query("update migration_orchestration set rollback_report = $2 where id = $1")
        .bind(id)
        .bind(Json(report))
        .execute(conn)
        .await?;
    Ok(())
}

/// What the last one came to.
pub async fn report(conn: &mut PgConnection, id: Uuid) -> Result<Option<UndoReport>, sqlx::Error> {
    let report: Option<Option<Json<UndoReport>>> =
        sqlx::query_scalar("select rollback_report from migration_orchestration where id = $1")
            .bind(id)
            .fetch_optional(conn)
            .await?;
    Ok(report.flatten().map(|json| json.0))
}

/// What an event tells of it.
pub async fn told(conn: &mut PgConnection, id: Uuid) -> Result<Map<String, Value>, sqlx::Error> {
    let mut more = Map::new();
    if let Some(report) = report(conn, id).await? {
        more.insert("is_equal".to_owned(), json!(report.is_equal()));
        more.insert("comparison".to_owned(), json!(report.describe()));
    }
    Ok(more)
}

/// Says how far it is, while it goes on.
pub async fn note(conn: &mut PgConnection, id: Uuid, words: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update migration_orchestration set activity_reason = $2
         where id = $1 and status = 'rolling_back' and activity = 'running'
           and activity_reason is distinct from $2",
    )
    .bind(id)
    .bind(words)
    .execute(conn)
    .await?;
    Ok(())
}
