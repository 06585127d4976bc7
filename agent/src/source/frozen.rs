//! `consistency: frozen`: nobody writes to the source, and that is looked at. No snapshot is held, so any
//! number of agents and restarts work; the counters are noted at the destination.

use proto::domain::catalog::TableName;
use proto::domain::failure::{Failure, FailureKind};
use sqlx::postgres::PgConnection;
use tracing::warn;
use uuid::Uuid;

use super::activity::{SourceActivity, read_activity, wait_for_reports};
use super::baseline::{note, noted};
use crate::connect::{Purpose, open};
use crate::failure::During;
use crate::pool::Server;

/// Looks whether tables were written to since the run began; true where this is its beginning. At the end
/// (`is_end`) no write may be overlooked: sessions that have not reported theirs are waited for.
///
/// # Errors
/// `SourceWritten` names the tables that were written to, or why that cannot be ruled out.
pub async fn watch(
    source: &Server,
    destination: &Server,
    (migration_id, tables): (Uuid, &[TableName]),
    is_end: bool,
) -> Result<bool, Failure> {
    let mut journal = open(destination, Purpose::Write).await?;
    let mut counters = open(source, Purpose::Read).await?;
    let mut noted = noted(&mut journal, migration_id).await?;
    // The end is judged also where no row was there to be written.
    noted.has_rows |= is_end;
    let earlier = noted.binding();
    match &earlier {
        Some(earlier) => compare(&mut counters, tables, earlier, is_end).await?,
        None => {
            let activity = begin(&mut counters, tables).await?;
            note(&mut journal, migration_id, None, &activity).await?;
        }
    }
    source.give_back(Purpose::Read, counters).await;
    destination.give_back(Purpose::Write, journal).await;
    Ok(earlier.is_none())
}

/// The counters before the first row is read.
async fn begin(
    counters: &mut PgConnection,
    tables: &[TableName],
) -> Result<SourceActivity, Failure> {
    let is_counting: bool = sqlx::query_scalar("select current_setting('track_counts')::boolean")
        .fetch_one(&mut *counters)
        .await
        .during("look whether the source counts writes")?;
    if !is_counting {
        let words = "the source does not count writes (track_counts is off), so that nobody can see whether it is frozen";
        return Err(Failure::new(FailureKind::SourceWritten, words));
    }
    // Writes of before that are reported late would look like writes of now.
    if !wait_for_reports(counters).await? {
        warn!(
            "sessions of the source are at work: what they wrote before may show as a write of now"
        );
    }
    read_activity(counters, tables).await
}

async fn compare(
    counters: &mut PgConnection,
    tables: &[TableName],
    earlier: &SourceActivity,
    is_end: bool,
) -> Result<(), Failure> {
    let now = read_activity(counters, tables).await?;
    refuse_writes(&now, earlier)?;
    if !is_end {
        return Ok(());
    }
    let is_certain = wait_for_reports(counters).await?;
    refuse_writes(&read_activity(counters, tables).await?, earlier)?;
    if is_certain {
        return Ok(());
    }
    let words = "whether the source was written to cannot be told while other sessions of its database are at work: \
                 end them and run the plan again";
    Err(Failure::new(FailureKind::SourceWritten, words))
}

fn refuse_writes(now: &SourceActivity, earlier: &SourceActivity) -> Result<(), Failure> {
    let changed = now.changed_since(earlier);
    if changed.is_empty() {
        return Ok(());
    }
    let words = if *earlier == SourceActivity::default() {
        "rows were read before anybody looked whether the source is written to".to_owned()
    } else if now.is_reset_since(earlier) {
        "the source's statistics were reset since the run began (a crash does that, too): whether it was written to cannot be told".to_owned()
    } else {
        let names: Vec<String> = changed.iter().map(ToString::to_string).collect();
        format!(
            "the source is not frozen: {} were written to since the run began",
            names.join(", ")
        )
    };
    Err(Failure::new(FailureKind::SourceWritten, words))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn activity(reset: &str, inserts: i64) -> SourceActivity {
        let tables = BTreeMap::from([
            ("public.t".to_owned(), [inserts, 0, 0, 1]),
            ("public.u".to_owned(), [0, 0, 0, 2]),
        ]);
        SourceActivity {
            stats_reset: Some(reset.to_owned()),
            tables,
        }
    }

    #[test]
    fn a_write_names_its_tables_a_reset_and_a_missing_look_say_so() {
        let before = activity("a", 1);
        assert_eq!(refuse_writes(&before, &before), Ok(()));
        for (now, earlier, words) in [
            (activity("a", 2), before.clone(), "t were written"),
            (activity("b", 1), before.clone(), "statistics were reset"),
            (before, SourceActivity::default(), "before anybody looked"),
        ] {
            let failure = refuse_writes(&now, &earlier).unwrap_err();
            assert_eq!(failure.kind, FailureKind::SourceWritten);
            assert!(failure.message.contains(words), "{failure}");
        }
    }
}
