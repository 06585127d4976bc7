//! The source's write counters as they were when the run began: noted at the destination, so that they
//! outlive every process.

use proto::domain::failure::Failure;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::activity::SourceActivity;
use crate::failure::During;

/// What is noted of a migration.
#[derive(Debug, Default)]
pub struct Noted {
    /// The counters; none where nobody looked.
    pub activity: Option<SourceActivity>,
    /// Rows were written in this attempt.
    pub has_rows: bool,
    /// A snapshot was taken in this attempt.
    pub has_snapshot: bool,
}

impl Noted {
    /// What rows that are read now must belong with; none where no row was written yet. Rows that were
    /// written without a look belong with nothing.
    pub fn binding(self) -> Option<SourceActivity> {
        self.has_rows.then(|| self.activity.unwrap_or_default())
    }
}

/// Reads it.
pub async fn noted(journal: &mut PgConnection, migration_id: Uuid) -> Result<Noted, Failure> {
    let row: Option<(Option<Json<SourceActivity>>, bool, bool)> = sqlx::query_as(
        "select m.source_activity, exists (select from drover.ledger l join drover.partition p using (partition_id) \
             join drover.entity e using (entity_no) where e.migration_id = m.migration_id and p.attempt = m.attempt), \
                m.snapshot is not null \
         from drover.migration m where m.migration_id = $1",
    )
    .bind(migration_id)
    .fetch_optional(journal)
    .await
    .during("read the source's counters as they were noted")?;
    Ok(
        row.map_or_else(Noted::default, |(activity, has_rows, has_snapshot)| Noted {
            activity: activity.map(|Json(activity)| activity),
            has_rows,
            has_snapshot,
        }),
    )
}

/// A snapshot that was taken behind the counters.
#[derive(Debug, Clone, Copy)]
pub struct Taken<'a> {
    /// As the source exported it.
    pub snapshot_id: &'a str,
    /// Which transactions it sees, where it is the first of the attempt.
    pub sees: Option<&'a str>,
}

/// Notes it, with the snapshot that was taken behind it where there is one.
pub async fn note(
    journal: &mut PgConnection,
    migration_id: Uuid,
    taken: Option<Taken<'_>>,
    activity: &SourceActivity,
) -> Result<(), Failure> {
    sqlx::query(
        "update drover.migration set snapshot = $2, source_activity = $3, \
             source_snapshot = coalesce($4, source_snapshot) where migration_id = $1",
    )
    .bind(migration_id)
    .bind(taken.map(|taken| taken.snapshot_id))
    .bind(Json(activity))
    .bind(taken.and_then(|taken| taken.sees))
    .execute(journal)
    .await
    .map(drop)
    .during("note the source's counters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_look_belong_with_nothing_and_no_rows_bind_nobody() {
        let noted = |has_rows| Noted {
            activity: None,
            has_rows,
            has_snapshot: false,
        };
        assert_eq!(noted(true).binding(), Some(SourceActivity::default()));
        assert_eq!(noted(false).binding(), None);
    }
}
