//! What the load comes to: rows, bytes and time, from statistics and, where there is one, a sample.

use serde::{Deserialize, Serialize};

use super::access::active;
use super::facts::Facts;
use super::trial::Trial;
use crate::domain::compiled::{CompiledEntity, CompiledPlan, ConflictRule, IdRule};

/// Bytes of a row where nothing is known.
const UNKNOWN_ROW: f64 = 100.0;
/// Bytes of an index entry.
const INDEX_ENTRY: f64 = 36.0;
/// Bytes that a new key adds to a row beyond what the source has: uuids for integers.
const WIDER: f64 = 24.0;
/// Bytes of an id map entry with its primary key: one integer, or one text.
const MAP_INTEGER: f64 = 84.0;
const MAP_TEXT: f64 = 150.0;
/// WAL beyond the bytes that are written, full pages included.
const WAL: f64 = 1.2;

/// Predicted figures of the whole load; an estimate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Rows that will be written.
    pub rows: i64,
    /// Rows that will fail, where a sample was tried.
    pub failing: Option<i64>,
    /// Bytes of the targets' rows and indexes.
    pub data_bytes: i64,
    /// Bytes of the id maps.
    pub map_bytes: i64,
    /// Bytes of WAL written on the way.
    pub wal_bytes: i64,
    /// Bytes of pre-images of rows that are changed.
    pub backup_bytes: i64,
    /// Seconds of the load itself, where a sample was tried; rebuilding keys comes on top.
    pub seconds: Option<i64>,
    /// Entities whose figures come from a sample, the others from statistics.
    pub sampled: Vec<String>,
}

/// Predicts the load.
pub fn load(plan: &CompiledPlan, facts: &Facts, trials: &[Trial]) -> Load {
    let mut sum = Sum::default();
    let mut sampled = Vec::new();
    for entity in active(plan) {
        let trial = trials
            .iter()
            .find(|trial| trial.entity == entity.entity && trial.sampled > 0);
        sampled.extend(trial.map(|trial| trial.entity.clone()));
        sum.add(entity, facts, trial);
    }
    let lanes = f64::from(plan.limits.parallel_partitions.max(1));
    let written = sum.data + sum.map + sum.backup;
    let has_samples = !sampled.is_empty();
    Load {
        rows: whole(sum.rows),
        failing: has_samples.then(|| whole(sum.failing)),
        data_bytes: whole(sum.data),
        map_bytes: whole(sum.map),
        wal_bytes: whole(written * WAL),
        backup_bytes: whole(sum.backup),
        seconds: has_samples.then(|| whole((sum.us / 1e6 / lanes).max(1.0))),
        sampled,
    }
}

#[derive(Default)]
struct Sum {
    rows: f64,
    failing: f64,
    data: f64,
    map: f64,
    backup: f64,
    us: f64,
}

impl Sum {
    fn add(&mut self, entity: &CompiledEntity, facts: &Facts, trial: Option<&Trial>) {
        let source = facts.read(&entity.read.source);
        let bytes = source.map_or(0.0, |source| source.bytes as f64);
        let all = match source.map_or(-1, |source| source.rows) {
            // Never analyzed, or empty then.
            rows if rows <= 0 => bytes / UNKNOWN_ROW,
            rows => rows as f64,
        };
        let target = facts.write(&entity.destination);
        let indexes = target.map_or(1.0, |target| target.indexes as f64);
        let mut rows = all;
        match trial {
            Some(trial) => {
                let looked_at = (trial.sampled + trial.filtered) as f64;
                let sampled = trial.sampled as f64;
                rows = all * sampled / looked_at.max(1.0);
                let failing = rows * trial.failed() as f64 / sampled;
                let fit = rows - failing;
                self.failing += failing;
                self.data += fit * trial.bytes as f64 / (trial.fit as f64).max(1.0);
                self.us += rows * (trial.read_us + trial.write_us) as f64 / sampled;
                rows = fit;
            }
            None => self.data += bytes + rows * (WIDER + indexes * INDEX_ENTRY),
        }
        self.rows += rows;
        self.map += rows * map_entry(entity);
        self.backup += match entity.on_conflict {
            ConflictRule::Overwrite | ConflictRule::Merge(_) => {
                // At most what is there now is kept, as JSON.
                2.0 * target.map_or(0.0, |target| target.bytes as f64)
            }
            ConflictRule::Error | ConflictRule::Skip => 0.0,
        };
    }
}

fn map_entry(entity: &CompiledEntity) -> f64 {
    use crate::domain::compiled::KeyText::{Int2, Int4, Int8};
    let is_integer = match entity.read.key.as_slice() {
        [key] => matches!(key.text, Int2 | Int4 | Int8),
        _ => false,
    };
    let metadata = match entity.id {
        IdRule::Uuid5 { .. } => 0.0,
        IdRule::Keep { .. } | IdRule::None { .. } => 60.0,
    };
    metadata + if is_integer { MAP_INTEGER } else { MAP_TEXT }
}

fn whole(number: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "an estimate")]
    let whole = number.clamp(0.0, 9e18).round() as i64;
    whole
}
