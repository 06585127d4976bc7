//! Has an agent sample the plan's entities: where to cut them, and how many rows there are.

use futures::{StreamExt, TryStreamExt, stream};
use proto::domain::compiled::CompiledEntity;
use proto::domain::failure::Failure;
use proto::domain::frame::{Query, QueryAnswer};
use proto::domain::key::KeyValue;
use tracing::{Instrument, info_span};

use crate::fleet::misfit;
use crate::partition::wished_parts;
use crate::prepare::{Job, LONG};

/// What an agent says of an entity's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampled<'a> {
    /// The entity.
    pub entity: &'a CompiledEntity,
    /// Bounds of its partitions.
    pub bounds: Vec<KeyValue>,
    /// Rows that its filter lets through.
    pub records_total: i64,
    /// They were counted.
    pub is_exact: bool,
}

impl Sampled<'_> {
    /// Entity, rows, and whether they were counted.
    pub fn total(&self) -> (&str, i64, bool) {
        (&self.entity.entity, self.records_total, self.is_exact)
    }
}

/// Samples these entities, as many side by side as there are lanes; in the plan's order.
///
/// # Errors
/// The first failure of the agent's.
pub async fn sample<'a>(
    job: &'a Job,
    entities: &[&'a CompiledEntity],
    lanes: u32,
) -> Result<Vec<Sampled<'a>>, Failure> {
    let samples: Vec<_> = entities
        .iter()
        .map(|entity| sample_one(job, entity, lanes))
        .collect();
    stream::iter(samples)
        .buffered(usize::try_from(lanes).unwrap_or(1))
        .try_collect()
        .await
}

async fn sample_one<'a>(
    job: &Job,
    entity: &'a CompiledEntity,
    lanes: u32,
) -> Result<Sampled<'a>, Failure> {
    let query = Query::Sample {
        entity: entity.entity.clone(),
        parts: wished_parts(lanes),
    };
    let asked = job.ask(query, LONG).instrument(info_span!("partition"));
    match asked.await? {
        QueryAnswer::Sampled {
            bounds,
            records_total,
            is_exact,
        } => Ok(Sampled {
            entity,
            bounds,
            records_total,
            is_exact,
        }),
        _ => Err(misfit()),
    }
}
