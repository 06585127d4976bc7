//! Everything before the first partition is handed out, and after a crash everything again: each
//! step is idempotent and looks at the destination, which is right about position.

mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::domain::compiled::{CompiledEntity, CompiledPlan, Consistency};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{
    DatabaseIdentity, DestinationState, PartitionState, PrepareOrder, Query, QueryAnswer, RunOrder,
};
use proto::domain::record::{EntityIntent, EntityMigrationStatus, MigrationOrchestration};
use proto::domain::settings::Overrides;
use uuid::Uuid;

use crate::crew::Crew;
use crate::fleet::misfit;
use crate::partition::{SETTLING, partitions};
use crate::sample::{Sampled, sample};
use crate::schedule::{EntityWork, Hold, PartitionWork, RunWork, Step};
use crate::store::{Store, StoreError, Tick};

/// Short questions.
pub const SHORT: Duration = Duration::from_secs(60);
/// Questions that may read or lock much.
pub const LONG: Duration = Duration::from_secs(1800);
/// Batches that are read out of the ledger at a time.
const LEDGER_PAGE: u32 = 200;

/// A migration that is being prepared or worked on.
pub struct Job {
    /// The agents that can work on it.
    pub crew: Crew,
    /// The metadata.
    pub store: Store,
    /// The plan.
    pub compiled: CompiledPlan,
    /// The migration.
    pub migration: MigrationOrchestration,
    /// Start of the run, as the destination has it.
    pub run_now: chrono::DateTime<chrono::Utc>,
    /// The snapshot that was ordered last.
    pub snapshot: Option<String>,
    /// How often entities were undone alone within the attempt, as the destination has it.
    pub rounds: BTreeMap<String, i32>,
}

/// What came of ordering a run.
#[derive(Debug, Default)]
pub struct Ordered {
    /// To be told to the operator.
    pub note: Option<String>,
    /// No row was written under an earlier snapshot: counts taken under one say nothing any more.
    pub is_new_snapshot: bool,
    /// The agent that holds the snapshot, where there is one.
    pub snapshot_holder: Option<Uuid>,
}

/// Which servers are behind the plan's connections.
pub async fn identify(crew: &Crew) -> Result<(DatabaseIdentity, DatabaseIdentity), Failure> {
    match crew.ask(Query::Identify, SHORT).await? {
        QueryAnswer::Identities {
            source,
            destination,
        } => Ok((source, destination)),
        _ => Err(misfit()),
    }
}

/// What the destination knows of the migration.
pub async fn read_state(crew: &Crew, name: &str) -> Result<Option<DestinationState>, Failure> {
    let query = Query::ReadState {
        name: name.to_owned(),
    };
    match crew.ask(query, SHORT).await? {
        QueryAnswer::State(state) => Ok(state.map(|state| *state)),
        _ => Err(misfit()),
    }
}

/// Refuses a plan or a server that is not the one the migration was started with.
pub fn check_start(
    state: &DestinationState,
    compiled: &CompiledPlan,
    source: &DatabaseIdentity,
    destination: &DatabaseIdentity,
) -> Result<(), Failure> {
    for (what, then, now) in [
        ("source", &state.source, source),
        ("destination", &state.destination, destination),
    ] {
        then.must_be(what, now)?;
    }
    let now: BTreeMap<&str, &str> = compiled
        .entities
        .iter()
        .map(|entity| (entity.entity.as_str(), entity.hash.as_str()))
        .collect();
    let added = compiled
        .entities
        .iter()
        .filter(|entity| entity.is_active)
        .find(|entity| {
            let is_known = |known: &String| *known == entity.entity;
            let hashes = state.entity_hashes.iter().map(|(known, _)| known);
            // One that was undone alone comes back by whatever rules it has now.
            let undone = state.rounds.iter().map(|(known, _)| known);
            !hashes.chain(undone).any(is_known)
        });
    if let Some(added) = added.filter(|_| !state.partitions.is_empty()) {
        return Err(Failure::new(
            FailureKind::PlanChanged,
            format!(
                "entity {} was not part of the plan when the migration was started",
                added.entity
            ),
        ));
    }
    for (entity, hash) in &state.entity_hashes {
        if now.get(entity.as_str()) != Some(&hash.as_str()) {
            return Err(Failure::new(
                FailureKind::PlanChanged,
                format!("the rules of {entity} are not those the migration was started with"),
            ));
        }
    }
    Ok(())
}

impl Job {
    /// Asks one of the job's agents.
    pub async fn ask(&self, query: Query, deadline: Duration) -> Result<QueryAnswer, Failure> {
        self.crew.ask(query, deadline).await
    }

    /// Installs the destination's schema and records the start there.
    pub async fn prepare_destination(&mut self) -> Result<DestinationState, Failure> {
        let order = PrepareOrder {
            migration_id: self.migration.id,
            attempt: self.migration.attempt,
            run_now: self.run_now,
            plan: self.compiled.clone(),
        };
        match self.ask(Query::Prepare(Box::new(order)), LONG).await? {
            QueryAnswer::State(Some(state)) => {
                self.run_now = state.run_now;
                self.rounds = state.rounds.iter().cloned().collect();
                Ok(*state)
            }
            _ => Err(misfit()),
        }
    }

    /// Has a snapshot held, where the plan wants one and rows are left to read, and sends the run's
    /// order. Tells in words when the run goes on under another snapshot than it began with.
    ///
    /// # Errors
    /// `SnapshotLost` or `SourceWritten` when the source's tables were written to since.
    pub async fn order_run(&mut self, is_read: bool) -> Result<Ordered, Failure> {
        let (snapshot, ordered) = match self.compiled.consistency {
            // Writes of after the last look matter, even where nothing is left to read.
            Consistency::Frozen => (None, self.watch_source().await?),
            Consistency::None => {
                self.mix_moments(is_read).await?;
                (None, Ordered::default())
            }
            Consistency::Snapshot if is_read => (None, Ordered::default()),
            Consistency::Snapshot => {
                let (snapshot, ordered) = self.hold_snapshot().await?;
                (Some(snapshot), ordered)
            }
        };
        self.brief(snapshot)?;
        Ok(ordered)
    }

    /// Sends the run's order, with the snapshot to read under where there is one.
    ///
    /// # Errors
    /// `Internal` where what is stored cannot be read.
    pub fn brief(&self, snapshot: Option<String>) -> Result<(), Failure> {
        let identity = |stored: &Option<serde_json::Value>| {
            let malformed = "the migration's stored identities cannot be read";
            serde_json::from_value::<DatabaseIdentity>(stored.clone().unwrap_or_default())
                .map_err(|_| Failure::new(FailureKind::Internal, malformed))
        };
        let order = RunOrder {
            migration_id: self.migration.id,
            attempt: self.migration.attempt,
            run_now: self.run_now,
            plan: self.compiled.clone(),
            source: identity(&self.migration.source_identity)?,
            destination: identity(&self.migration.destination_identity)?,
            snapshot,
        };
        self.crew.brief(order);
        Ok(())
    }

    /// Puts the operator's settings over the plan's.
    pub fn heed_overrides(&mut self) {
        Overrides::stored(&self.migration.configuration).apply(&mut self.compiled);
    }

    /// Cuts every active entity and begins the load; after a crash the partitions are there already.
    /// Returns the destination's partitions.
    pub async fn begin_load(
        &self,
        known: Vec<PartitionState>,
        lanes: u32,
    ) -> Result<Vec<PartitionState>, Failure> {
        let is_begun = |entity: &&CompiledEntity| {
            known
                .iter()
                .any(|partition| partition.entity == entity.entity)
        };
        let active = self.compiled.entities.iter().filter(|it| it.is_active);
        let new: Vec<&CompiledEntity> = active.filter(|entity| !is_begun(entity)).collect();
        // Once it is begun, only what was undone alone begins anew.
        let is_anew = |entity: &&&CompiledEntity| {
            known.is_empty() || self.rounds.contains_key(&entity.entity)
        };
        let new: Vec<&CompiledEntity> = new.iter().filter(is_anew).copied().collect();
        if new.is_empty() {
            return Ok(known);
        }
        let (id, attempt) = (self.migration.id, self.migration.attempt);
        // What is left out from the start gets no partitions: it is complete as it is.
        let skipped = self.skipped().await?;
        let samples = sample(self, &new, lanes).await?;
        let totals: Vec<_> = samples.iter().map(Sampled::total).collect();
        let stored = self.store.set_entity_totals(id, &totals).await;
        stored.map_err(|error| error.failure())?;
        let all = samples
            .iter()
            .filter(|sample| !skipped.contains(&sample.entity.entity))
            .flat_map(|sample| {
                let round = self.rounds.get(&sample.entity.entity).copied().unwrap_or(0);
                partitions(id, (attempt, round), sample.entity, &sample.bounds)
            })
            .collect();
        let query = Query::BeginLoad {
            migration_id: id,
            attempt,
            partitions: all,
        };
        self.ask(query, LONG).await?;
        let state = read_state(&self.crew, &self.compiled.name).await?;
        Ok(state.map(|state| state.partitions).unwrap_or_default())
    }

    /// Opens what was closed of entities that an operator wants in again.
    pub async fn open_again(&self, states: &[PartitionState]) -> Result<(), Failure> {
        let closed = states.iter().filter(|state| state.is_closed);
        let closed: BTreeSet<&str> = closed.map(|state| state.entity.as_str()).collect();
        if closed.is_empty() {
            return Ok(());
        }
        let skipped = self.skipped().await?;
        for entity in closed
            .into_iter()
            .filter(|name| !skipped.iter().any(|it| it == name))
        {
            let query = Query::CloseEntity {
                entity: entity.to_owned(),
                attempt: self.migration.attempt,
                is_open: true,
            };
            self.ask(query, SHORT).await?;
        }
        Ok(())
    }

    /// Entities that an operator wants left out.
    async fn skipped(&self) -> Result<Vec<String>, Failure> {
        let rows = self.store.entities(self.migration.id).await;
        let rows = rows.map_err(|error| error.failure())?.into_iter();
        let skipped = rows.filter(|row| row.intent == Some(EntityIntent::Skipped));
        Ok(skipped.map(|row| row.entity).collect())
    }

    /// Brings the metadata up to the destination: positions, then every batch it does not know.
    pub async fn catch_up(&self, states: &[PartitionState]) -> Result<(), Failure> {
        let (id, attempt) = (self.migration.id, self.migration.attempt);
        let known = self
            .store
            .sync_partitions(id, attempt, states)
            .await
            .map_err(|error| error.failure())?;
        for partition in known {
            self.replay(partition.partition_id, partition.acked_seq, partition.seq)
                .await?;
        }
        Ok(())
    }

    /// Stores the batches `(after, upto]` of a partition out of the destination's ledger.
    pub async fn replay(&self, partition_id: Uuid, after: i64, upto: i64) -> Result<(), Failure> {
        let mut after_seq = after;
        while after_seq < upto {
            let query = Query::ReadLedger {
                partition_id,
                after_seq,
                limit: LEDGER_PAGE,
            };
            let batches = match self.ask(query, SHORT).await? {
                QueryAnswer::Ledger(batches) => batches,
                _ => return Err(misfit()),
            };
            let Some(last) = batches.last() else { break };
            after_seq = last.seq;
            let tick = Tick {
                max_retries: self.max_retries(),
                batches,
                ..Tick::default()
            };
            self.persist(&tick).await.map_err(|error| error.failure())?;
        }
        Ok(())
    }

    /// Every active entity has its partitions, and every row of them is read.
    pub fn is_read(&self, partitions: &[PartitionState]) -> bool {
        let mut active = self.compiled.entities.iter().filter(|it| it.is_active);
        let is_begun = |entity: &CompiledEntity| {
            partitions
                .iter()
                .any(|partition| partition.entity == entity.entity)
        };
        !partitions.is_empty() && partitions.iter().all(|part| part.is_done) && active.all(is_begun)
    }

    /// All rows are read under one snapshot, or under others that show the same rows.
    pub fn is_point_in_time(&self) -> bool {
        matches!(self.compiled.consistency, Consistency::Snapshot)
    }

    /// `limits.max_retries` in force.
    pub fn max_retries(&self) -> i32 {
        i32::try_from(self.compiled.limits.max_retries).unwrap_or(i32::MAX)
    }

    /// Stores a tick.
    pub async fn persist(&self, tick: &Tick) -> Result<crate::store::TickOutcome, StoreError> {
        self.store.apply_tick(self.migration.id, tick).await
    }

    /// What is to be done, from what the destination and the metadata know.
    pub async fn work(&self, states: &[PartitionState], lanes: u32) -> Result<RunWork, Failure> {
        let rows = self
            .store
            .entities(self.migration.id)
            .await
            .map_err(|error| error.failure())?;
        let rows: BTreeMap<String, EntityMigrationStatus> = rows
            .into_iter()
            .map(|row| (row.entity.clone(), row))
            .collect();
        let entities = self
            .compiled
            .entities
            .iter()
            .filter(|entity| entity.is_active);
        let entities = entities.map(|entity| {
            let mut all: Vec<PartitionWork> = states
                .iter()
                .filter(|state| state.entity == entity.entity)
                .map(partition_work)
                .collect();
            let settling = all
                .iter()
                .position(|partition| partition.number == SETTLING)
                .map(|at| all.remove(at));
            // Those that are still to be done are told by the metadata.
            let (retries, all) = all
                .into_iter()
                .partition(|partition: &PartitionWork| partition.number < SETTLING);
            let retries: Vec<PartitionWork> = retries;
            let retries = retries.into_iter().map(|retry| PartitionWork {
                step: Step::Done,
                ..retry
            });
            let row = rows.get(&entity.entity);
            let hold = row.map_or(Hold::None, hold_of);
            let is_closed = row.is_some_and(|row| row.intent_reached_at.is_some());
            EntityWork {
                entity: entity.entity.clone(),
                entity_hash: entity.hash.clone(),
                destination: entity.destination.clone(),
                dependencies: entity.dependencies.clone(),
                knot: entity.knot.clone(),
                late: late_parents(entity),
                partitions: all,
                settling,
                retries: retries.collect(),
                hold,
                closing: match hold {
                    Hold::Skipped if !is_closed => Step::OPEN,
                    Hold::Skipped | Hold::Paused | Hold::None => Step::Done,
                },
                rebuild: Step::OPEN,
                records_total: row.map_or(0, |row| row.records_total),
                is_exact: row.is_some_and(|row| row.records_total_exact),
                max_quarantined: entity.settings.max_quarantined,
            }
        });
        Ok(RunWork {
            entities: entities.collect(),
            lanes: usize::try_from(lanes).unwrap_or(1),
            source_watch: match self.compiled.consistency {
                Consistency::Frozen => Step::OPEN,
                Consistency::Snapshot | Consistency::None => Step::Done,
            },
            foreign_keys: Step::OPEN,
            // Also where there are none: what was dropped for the load is stored then.
            schema_changes: Step::OPEN,
            finish: Step::OPEN,
        })
    }
}

/// What an operator wishes of an entity, as the schedule has it.
pub fn hold_of(row: &EntityMigrationStatus) -> Hold {
    match row.intent {
        None => Hold::None,
        Some(EntityIntent::Paused) => Hold::Paused,
        Some(EntityIntent::Skipped) => Hold::Skipped,
    }
}

/// Entities outside its knot whose rows must be settled before its own are.
fn late_parents(entity: &CompiledEntity) -> Vec<String> {
    let parents = entity.late.iter().map(|late| late.entity.clone());
    parents.filter(|name| !entity.knot.contains(name)).collect()
}

/// A partition as the destination has it.
pub fn partition_work(state: &PartitionState) -> PartitionWork {
    PartitionWork {
        partition_id: state.partition_id,
        number: state.number,
        range: state.range.clone(),
        step: if state.is_done {
            Step::Done
        } else {
            Step::OPEN
        },
        totals: state.totals,
        in_flight: 0,
        generation: 0,
        holder: None,
        seq: state.seq,
        token: state.token,
        is_last_seen: state.is_done,
    }
}
