//! An entity of a plan that was checked and not stored.

use chrono::{DateTime, Utc};
use proto::domain::compiled::CompiledPlan;
use proto::domain::key::{KeyRange, RunConstants};
use serde::Serialize;

use crate::render::{Column, Row, human, left, right};

/// What would be copied.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedEntity {
    /// The plan's name of it.
    pub entity: String,
    /// Source table.
    pub entity_name: String,
    /// Destination table.
    pub target_entity: String,
    /// 1..n, a topological order.
    pub dependency_order: i32,
    /// Entities that come first.
    pub dependency_entities: Vec<String>,
    /// False: it is skipped.
    pub is_active: bool,
    /// Hash of its compiled rules.
    pub entity_hash: String,
    /// The SELECT that reads it.
    pub select_sql: String,
}

impl PlannedEntity {
    /// Those of a plan that was compiled on this machine.
    pub fn all(plan: &CompiledPlan) -> Vec<Self> {
        // What only a run knows shows as its name.
        let constants = RunConstants {
            now: "now".to_owned(),
            migration_id: "migration_id".to_owned(),
        };
        let entities = (1..).zip(&plan.entities);
        let entities = entities.map(|(dependency_order, entity)| Self {
            entity: entity.entity.clone(),
            entity_name: entity.read.source.to_string(),
            target_entity: entity.destination.to_string(),
            dependency_order,
            dependency_entities: entity.dependencies.clone(),
            is_active: entity.is_active,
            entity_hash: entity.hash.clone(),
            select_sql: entity.read.select(&KeyRange::default(), &constants),
        });
        entities.collect()
    }
}

impl Row for PlannedEntity {
    const COLUMNS: &'static [Column] = &[
        right("order"),
        left("entity"),
        left("source"),
        left("destination"),
        left("waits-on"),
        left("hash").wide(),
        left("select").wide(),
    ];

    fn cells(&self, _now: DateTime<Utc>) -> Vec<String> {
        let entity = match self.is_active {
            true => self.entity.clone(),
            false => format!("{} (inactive)", self.entity),
        };
        vec![
            self.dependency_order.to_string(),
            entity,
            self.entity_name.clone(),
            self.target_entity.clone(),
            self.dependency_entities.join(", "),
            human::clip(&self.entity_hash, 13),
            human::clip(&self.select_sql, 2000),
        ]
    }

    fn name(&self) -> String {
        self.entity.clone()
    }
}
