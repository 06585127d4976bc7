//! A migration and its entities, as a table and as one JSON object.

use chrono::{DateTime, Utc};
use proto::domain::compiled::ConsistencyHeld;
use proto::domain::record::{
    EntityIntent, EntityMigrationStatus, EntityStatus, MigrationOrchestration, RETRIED_ROWS,
};
use proto::domain::settings::Overrides;
use serde::Serialize;

use super::human;
use super::table::{Align, Table};

/// A migration as it is stored: the orchestration's attributes, and its entities beside them.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The migration.
    #[serde(flatten)]
    pub migration: MigrationOrchestration,
    /// Its entities in order of dependency.
    pub entities: Vec<EntityMigrationStatus>,
}

/// Where the rows of an entity went. Source rows = the sum of the others, once all are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fates {
    /// Rows of the source, those that `where` leaves out included.
    pub source: i64,
    /// In the destination.
    pub written: i64,
    /// Set aside for a fault of their own.
    pub quarantined: i64,
    /// Set aside because their parent is.
    pub held: i64,
    /// Left out by `where`.
    pub filtered: i64,
    /// Left as they were by `on_conflict: skip`.
    pub skipped: i64,
}

impl Fates {
    /// The fates of an entity's rows so far.
    pub fn of(entity: &EntityMigrationStatus) -> Self {
        Self {
            source: entity.records_total + entity.records_filtered,
            written: entity.records_written,
            quarantined: entity.records_failed - entity.records_held,
            held: entity.records_held,
            filtered: entity.records_filtered,
            skipped: entity.records_skipped,
        }
    }

    /// The sums over several entities.
    pub fn sum(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::default(), |sum, one| Self {
            source: sum.source + one.source,
            written: sum.written + one.written,
            quarantined: sum.quarantined + one.quarantined,
            held: sum.held + one.held,
            filtered: sum.filtered + one.filtered,
            skipped: sum.skipped + one.skipped,
        })
    }

    /// Every source row has one fate.
    pub fn is_balanced(&self) -> bool {
        self.source == self.written + self.quarantined + self.held + self.filtered + self.skipped
    }

    fn cells(&self) -> [String; 6] {
        [
            self.source,
            self.written,
            self.quarantined,
            self.held,
            self.filtered,
            self.skipped,
        ]
        .map(|count| count.to_string())
    }
}

impl Report {
    /// The fates of all rows.
    pub fn total(&self) -> Fates {
        Fates::sum(self.entities.iter().map(Fates::of))
    }

    /// The head line, why it stands still if it does, and the table of entities.
    pub fn render(&self, now: DateTime<Utc>) -> String {
        format!(
            "{}\n{}{}\n{}",
            self.head(now),
            self.consistency(),
            self.wishes() + &self.standstill(),
            self.table()
        )
    }

    /// The head line and the table of entities.
    pub fn render_result(&self, now: DateTime<Utc>) -> String {
        format!(
            "{}\n{}\n{}",
            self.head(now),
            self.consistency(),
            self.table()
        )
    }

    fn head(&self, now: DateTime<Utc>) -> String {
        let migration = &self.migration;
        let mut parts = vec![
            migration.name.clone(),
            state(migration),
            format!("{:.1}%", migration.progress_percentage),
            format!(
                "{}/{} entities",
                migration.completed_entities, migration.total_entities
            ),
        ];
        if let Some(started) = migration.started_at {
            let ended = migration.completed_at.unwrap_or(now);
            parts.push(human::age(started, ended));
        }
        parts.push(migration.id.to_string());
        parts.join("  ")
    }

    /// What the rows have in common.
    fn consistency(&self) -> String {
        match ConsistencyHeld::stored(&self.migration.configuration) {
            Some(held) => {
                let retried = self.migration.configuration[RETRIED_ROWS].as_f64();
                let later = retried
                    .filter(|rows| *rows > 0.0)
                    .map_or_else(String::new, |rows| {
                        format!("; {rows} rows that were retried, at a later one")
                    });
                format!("consistency: {}{later}\n", held.words())
            }
            None => String::new(),
        }
    }

    /// What operators wish beside the state.
    fn wishes(&self) -> String {
        let mut lines = String::new();
        let settings = settings(&self.migration);
        if !settings.is_empty() {
            lines.push_str(&format!("set: {}\n", settings.join(", ")));
        }
        for entity in &self.entities {
            let Some(intent) = entity.intent else {
                continue;
            };
            let by = entity.intent_by.as_deref().unwrap_or("unknown");
            let reason = entity.intent_reason.as_ref();
            let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            lines.push_str(&format!("{} {intent} by {by}{reason}\n", entity.entity));
        }
        lines
    }

    fn standstill(&self) -> String {
        let migration = &self.migration;
        [
            ("reason", &migration.activity_reason),
            ("next", &migration.activity_hint),
        ]
        .iter()
        .filter_map(|(word, text)| Some(format!("{word}: {}\n", text.as_ref()?)))
        .collect()
    }

    /// One line per entity, and their sum.
    pub fn table(&self) -> String {
        let right = [
            "source",
            "written",
            "quarantined",
            "held",
            "filtered",
            "skipped",
            "rate",
        ];
        let mut columns = vec![("entity", Align::Left), ("state", Align::Left)];
        columns.extend(right.map(|name| (name, Align::Right)));
        let mut table = Table::new(&columns);
        for entity in &self.entities {
            let counts = match entity.status {
                EntityStatus::Pending | EntityStatus::Skipped => Default::default(),
                EntityStatus::Running | EntityStatus::Completed | EntityStatus::Failed => {
                    Fates::of(entity).cells()
                }
            };
            table.row(row(
                &entity.entity,
                &entity_state(entity),
                counts,
                Some(entity.throughput_per_second),
            ));
        }
        if self.entities.len() > 1 {
            table.row(row("total", "", self.total().cells(), None));
        }
        table.render()
    }
}

fn row(entity: &str, state: &str, counts: [String; 6], rate: Option<f64>) -> Vec<String> {
    let mut cells = vec![entity.to_owned(), state.to_owned()];
    cells.extend(counts);
    cells.push(human::rate(rate));
    cells
}

/// Status, and what happens inside it where that is not just running.
pub fn state(migration: &MigrationOrchestration) -> String {
    let status = migration.status.as_str().to_uppercase();
    match migration.activity.map(|activity| activity.as_str()) {
        None | Some("running") => status,
        Some(activity) => format!("{status}/{activity}"),
    }
}

/// Status of an entity, or that it stands still, or is about to.
pub fn entity_state(entity: &EntityMigrationStatus) -> String {
    let status = entity.status.as_str().to_uppercase();
    match (&entity.blocked_reason, entity.intent) {
        (_, Some(EntityIntent::Paused)) if entity.intent_reached_at.is_some() => {
            format!("{status}/paused")
        }
        (_, Some(EntityIntent::Paused)) => format!("{status}/pausing"),
        (_, Some(EntityIntent::Skipped)) if entity.status != EntityStatus::Skipped => {
            format!("{status}/skipping")
        }
        (Some(_), _) => "BLOCKED".to_owned(),
        (None, _) => status,
    }
}

/// Settings that an operator put over the plan's, a line each.
pub fn settings(migration: &MigrationOrchestration) -> Vec<String> {
    Overrides::stored(&migration.configuration).describe()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_one_fate() {
        let one = Fates {
            source: 10,
            written: 5,
            quarantined: 2,
            held: 1,
            filtered: 2,
            skipped: 0,
        };
        let two = Fates {
            source: 3,
            skipped: 3,
            ..Fates::default()
        };
        let sum = Fates::sum([one, two]);
        assert_eq!(sum.cells().join(" "), "13 5 2 1 2 3");
        assert!(one.is_balanced() && two.is_balanced() && sum.is_balanced());
        assert!(
            !Fates {
                source: 1,
                ..Fates::default()
            }
            .is_balanced()
        );
    }
}
