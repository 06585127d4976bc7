//! What a rollback does to an entity.

use chrono::{DateTime, Utc};
use proto::domain::undo::{ConflictKind, UndoConflict, UndoEffect};

use crate::render::{Column, Row, left, right};

impl Row for UndoEffect {
    const COLUMNS: &'static [Column] = &[
        left("entity"),
        left("destination"),
        right("batches"),
        right("delete"),
        right("restore"),
        right("gone"),
        right("conflicts"),
        right("constraints"),
        right("sequences"),
    ];

    fn cells(&self, _now: DateTime<Utc>) -> Vec<String> {
        let conflicts: i64 = self.conflicts.iter().map(|conflict| conflict.count).sum();
        vec![
            self.entity.clone(),
            self.table.clone(),
            self.batches.to_string(),
            self.rows_to_delete.to_string(),
            self.rows_to_restore.to_string(),
            self.rows_gone.to_string(),
            conflicts.to_string(),
            self.constraints.len().to_string(),
            self.sequences.len().to_string(),
        ]
    }

    fn name(&self) -> String {
        self.entity.clone()
    }
}

/// What the table has no room for: names and keys, line by line.
pub fn details(effects: &[UndoEffect]) -> Vec<String> {
    let mut lines = Vec::new();
    for effect in effects {
        lines.extend(effect.conflicts.iter().map(conflict));
        if !effect.constraints.is_empty() {
            let names = effect.constraints.join(", ");
            lines.push(format!("{}: put back {names}", effect.table));
        }
        if !effect.sequences.is_empty() {
            let names = effect.sequences.join(", ");
            lines.push(format!("{}: set back {names}", effect.table));
        }
    }
    lines
}

fn conflict(conflict: &UndoConflict) -> String {
    let what = match (conflict.kind, &conflict.referrer) {
        (ConflictKind::Referred, Some(referrer)) => format!(
            "are referred to by rows of {referrer} that stay (foreign key {})",
            conflict.constraint.as_deref().unwrap_or_default()
        ),
        (ConflictKind::Referred, None) | (ConflictKind::Changed, _) => {
            "were changed by others".to_owned()
        }
    };
    format!(
        "{}: {} rows {what}: {}",
        conflict.table,
        conflict.count,
        conflict.keys.join(", ")
    )
}
