//! Cuts entities into partitions. Pure: bounds come from a sample that an agent took.

use proto::domain::compiled::CompiledEntity;
use proto::domain::frame::NewPartition;
use proto::domain::key::{KeyRange, KeyValue};
use uuid::Uuid;

/// Number of the partition that settles late references after the load.
pub const SETTLING: i32 = -1;

/// Partitions to wish for: enough for every lane to find work until the end.
pub fn wished_parts(lanes: u32) -> u32 {
    lanes.saturating_mul(4).clamp(1, 64)
}

/// The partitions of an entity in an attempt and round: ranges `(after, upto]` between the bounds, the outer ends open, and
/// one that settles where the entity refers to itself or to what comes later.
pub fn partitions(
    migration_id: Uuid,
    at: (i32, i32),
    entity: &CompiledEntity,
    bounds: &[KeyValue],
) -> Vec<NewPartition> {
    let mut partitions = Vec::with_capacity(bounds.len() + 2);
    let ends = bounds.iter().cloned().map(Some).chain([None]);
    let mut after = None;
    for (number, upto) in (0i32..).zip(ends) {
        let range = KeyRange {
            after,
            upto: upto.clone(),
        };
        partitions.push(partition(migration_id, at, entity, number, range));
        after = upto;
    }
    if !entity.knot.is_empty() {
        let range = KeyRange::default();
        partitions.push(partition(migration_id, at, entity, SETTLING, range));
    }
    partitions
}

/// The id of a partition: the same whenever it is made.
pub fn partition_id(
    migration_id: Uuid,
    (attempt, round): (i32, i32),
    entity: &str,
    number: i32,
) -> Uuid {
    let round = match round {
        0 => String::new(),
        round => format!(":round {round}"),
    };
    let name = format!("partition:{attempt}:{entity}:{number}{round}");
    Uuid::new_v5(&migration_id, name.as_bytes())
}

fn partition(
    migration_id: Uuid,
    (attempt, round): (i32, i32),
    entity: &CompiledEntity,
    number: i32,
    range: KeyRange,
) -> NewPartition {
    NewPartition {
        partition_id: partition_id(migration_id, (attempt, round), &entity.entity, number),
        entity: entity.entity.clone(),
        number,
        range,
        entity_hash: entity.hash.clone(),
    }
}
