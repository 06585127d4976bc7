//! What is known of one agent.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{ControllerFrame, HeldPartition, Hello};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::agent::Line;

/// Whether an agent gets work. Set by the operator, not stored: a restarted agent is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// It gets work.
    Active,
    /// It keeps what it has and gets nothing new.
    Cordoned,
    /// It gives everything back and gets nothing new.
    Draining,
}

/// An agent as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberView {
    /// Its process.
    pub holder: Uuid,
    /// Its configured name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Connections it can open.
    pub connections: Vec<String>,
    /// Partitions it works on at the same time, at most.
    pub capacity: u32,
    /// What it holds, of all migrations.
    pub held: Vec<HeldPartition>,
    /// Migrations whose snapshot it holds.
    pub snapshots: BTreeSet<Uuid>,
    /// Whether it gets work.
    pub duty: Duty,
    /// Its stream is open.
    pub is_connected: bool,
    /// Version of its build.
    pub version: String,
    /// Version of its codec.
    pub codec_version: u32,
    /// When this process was first seen.
    pub connected_at: DateTime<Utc>,
    /// When it was last heard of.
    pub last_seen_at: DateTime<Utc>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) hello: Hello,
    /// Number of its present or last stream.
    pub(super) connection: u64,
    pub(super) duty: Duty,
    pub(super) snapshots: BTreeSet<Uuid>,
    pub(super) first_seen: DateTime<Utc>,
    pub(super) last_seen: DateTime<Utc>,
    held: HashSet<HeldPartition>,
    /// Batches of its present stream that are not acknowledged yet, by migration.
    owed: HashMap<Uuid, u32>,
    line: Option<Line>,
    closing: CancellationToken,
}

impl Member {
    pub(super) fn new(hello: Hello, connection: u64, line: Line, now: DateTime<Utc>) -> Self {
        Self {
            closing: CancellationToken::new(),
            held: hello.held.iter().copied().collect(),
            snapshots: hello.snapshots.iter().copied().collect(),
            owed: HashMap::new(),
            hello,
            connection,
            duty: Duty::Active,
            first_seen: now,
            last_seen: now,
            line: Some(line),
        }
    }

    /// The way to it, while its stream is open.
    pub(super) fn line(&self) -> Option<Line> {
        self.line.clone()
    }

    /// Its stream ended, or is to end.
    pub(super) fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            line.hang_up();
        }
        self.closing.cancel();
    }

    /// Cancelled when its present stream is to end.
    pub(super) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// It was assigned a partition; an earlier assignment of the same partition is over.
    pub(super) fn hold(&mut self, held: HeldPartition) {
        let key = (held.migration_id, held.partition_id);
        self.held
            .retain(|one| (one.migration_id, one.partition_id) != key);
        self.held.insert(held);
    }

    /// One assignment ended; a later one of the same partition stands.
    pub(super) fn let_go(&mut self, held: &HeldPartition) {
        self.held.remove(held);
    }

    /// A partition is no longer its own, under whatever generation.
    pub(super) fn drop_held(&mut self, migration_id: Uuid, partition_id: Uuid) {
        self.held
            .retain(|held| (held.migration_id, held.partition_id) != (migration_id, partition_id));
    }

    /// A batch came: it is acknowledged sooner or later.
    pub(super) fn owe(&mut self, migration_id: Uuid) {
        *self.owed.entry(migration_id).or_default() += 1;
    }

    /// Acknowledges batches of a migration: so many, but no more than came over the present stream.
    pub(super) fn acknowledge(&mut self, migration_id: Uuid, credits: u32) {
        let owed = self.owed.remove(&migration_id).unwrap_or_default();
        let credits = credits.min(owed);
        if owed > credits {
            self.owed.insert(migration_id, owed - credits);
        }
        if let Some(line) = self.line.as_ref().filter(|_| credits > 0) {
            // One that is gone, or must dial again, starts with all its credits.
            if line
                .order(ControllerFrame::Acknowledge { credits })
                .is_err()
            {
                self.closing.cancel();
            }
        }
    }

    /// Migrations of which it holds a partition or the snapshot.
    pub(super) fn known(&self) -> BTreeSet<Uuid> {
        let held = self.held.iter().map(|held| held.migration_id);
        held.chain(self.snapshots.iter().copied()).collect()
    }

    /// Has it give back and forget a migration; one that is away is told when it says what it holds.
    pub(super) fn forget(&mut self, migration_id: Uuid) {
        let frame = ControllerFrame::Forget { migration_id };
        if let Some(line) = &self.line
            && line.order(frame).is_ok()
        {
            self.snapshots.remove(&migration_id);
        }
    }

    pub(super) fn held_of(&self, migration_id: Uuid) -> Vec<HeldPartition> {
        let of = |held: &&HeldPartition| held.migration_id == migration_id;
        self.held.iter().filter(of).copied().collect()
    }

    pub(super) fn view(&self) -> MemberView {
        let hello = &self.hello;
        MemberView {
            holder: hello.holder,
            name: hello.agent_id.clone(),
            region: hello.region.clone(),
            labels: hello.labels.clone(),
            connections: hello.connections.clone(),
            capacity: hello.capacity,
            held: self.held.iter().copied().collect(),
            snapshots: self.snapshots.clone(),
            duty: self.duty,
            is_connected: self.line.is_some(),
            version: hello.version.clone(),
            codec_version: hello.codec_version,
            connected_at: self.first_seen,
            last_seen_at: self.last_seen,
        }
    }
}

pub(super) fn gone() -> Failure {
    Failure::new(FailureKind::NoAgent, "the agent is gone")
}
