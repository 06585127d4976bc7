//! Tables `validation_unit` and `validation_sketch`: pieces of validations, and what they add up to.

use proto::domain::frame::{ValidateAnswer, ValidateQuestion};
use sqlx::types::Json;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// A piece of a validation.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredUnit {
    /// Number within the validation.
    pub number: i32,
    /// What is asked.
    pub question: ValidateQuestion,
    /// The answer, once there is one; a sketch is added to the sums and not kept in it.
    pub answer: Option<ValidateAnswer>,
    /// Milliseconds that it took.
    pub duration_ms: i64,
}

/// Adds pieces; those that are there stay as they are.
pub async fn insert(
    conn: &mut PgConnection,
    run_id: Uuid,
    units: &[(i32, ValidateQuestion)],
) -> Result<(), sqlx::Error> {
    for (number, question) in units {
        sqlx::query(
            "insert into validation_unit (run_id, number, question) values ($1, $2, $3) on conflict do nothing",
        )
        .bind(run_id)
        .bind(number)
        .bind(Json(question))
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// All pieces by number.
pub async fn list(conn: &mut PgConnection, run_id: Uuid) -> Result<Vec<StoredUnit>, sqlx::Error> {
    let rows = sqlx::query(
        "select number, question, answer, duration_ms from validation_unit where run_id = $1 order by number",
    )
    .bind(run_id)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let answer: Option<Json<ValidateAnswer>> = row.try_get("answer")?;
            Ok(StoredUnit {
                number: row.try_get("number")?,
                question: row.try_get::<Json<ValidateQuestion>, _>("question")?.0,
                answer: answer.map(|json| json.0),
                duration_ms: row.try_get("duration_ms")?,
            })
        })
        .collect()
}

/// Keeps an answer; false where it was answered before.
pub async fn answer(
    conn: &mut PgConnection,
    (run_id, number): (Uuid, i32),
    answer: &ValidateAnswer,
    duration_ms: i64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "update validation_unit set answer = $3, duration_ms = $4, done_at = clock_timestamp()
         where run_id = $1 and number = $2 and done_at is null",
    )
    .bind(run_id)
    .bind(number)
    .bind(Json(answer))
    .bind(duration_ms)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The sum of the sketches of one side of an entity, locked.
pub async fn sketch(
    conn: &mut PgConnection,
    (run_id, entity, is_source): (Uuid, &str, bool),
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select sketch from validation_sketch where run_id = $1 and entity = $2 and is_source = $3 for update",
    )
    .bind(run_id)
    .bind(entity)
    .bind(is_source)
    .fetch_optional(conn)
    .await
}

/// Stores it.
pub async fn set_sketch(
    conn: &mut PgConnection,
    (run_id, entity, is_source): (Uuid, &str, bool),
    sketch: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into validation_sketch (run_id, entity, is_source, sketch) values ($1, $2, $3, $4)
         on conflict (run_id, entity, is_source) do update set sketch = excluded.sketch",
    )
    .bind(run_id)
    .bind(entity)
    .bind(is_source)
    .bind(sketch)
    .execute(conn)
    .await
    .map(drop)
}

/// All sums: entity, side, sketch.
pub async fn sketches(
    conn: &mut PgConnection,
    run_id: Uuid,
) -> Result<Vec<(String, bool, String)>, sqlx::Error> {
    sqlx::query_as("select entity, is_source, sketch from validation_sketch where run_id = $1")
        .bind(run_id)
        .fetch_all(conn)
        .await
}

/// Forgets the sums of a validation that has ended.
pub async fn delete_sketches(conn: &mut PgConnection, run_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query("delete from validation_sketch where run_id = $1")
        .bind(run_id)
        .execute(conn)
        .await
        .map(drop)
}
