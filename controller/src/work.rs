//! What is to be done in a run, piece by piece, and how far each piece is. Pure.

use std::time::Duration;

use proto::domain::catalog::TableName;
use proto::domain::compiled::MaxQuarantined;
use proto::domain::frame::Counts;
use proto::domain::key::KeyRange;
use uuid::Uuid;

/// A moment, as time since the run began.
pub type Moment = Duration;

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Not begun, or to be tried again; not before this moment.
    Open {
        /// Failed tries so far.
        tries: u32,
        /// Earliest next try.
        not_before: Moment,
    },
    /// Under way.
    Running {
        /// Failed tries so far.
        tries: u32,
    },
    /// Done.
    Done,
}

impl Step {
    /// A step that can begin at once.
    pub const OPEN: Self = Self::Open {
        tries: 0,
        not_before: Duration::ZERO,
    };

    /// Whether it may begin at this moment.
    pub fn can_begin(self, now: Moment) -> bool {
        matches!(self, Self::Open { not_before, .. } if not_before <= now)
    }

    /// Begins it.
    pub fn begin(&mut self) {
        if let Self::Open { tries, .. } = *self {
            *self = Self::Running { tries };
        }
    }

    /// It failed: the number of failed tries by now.
    pub fn fail(&mut self, not_before: Moment) -> u32 {
        let tries = match *self {
            Self::Open { tries, .. } | Self::Running { tries } => tries + 1,
            Self::Done => return 0,
        };
        *self = Self::Open { tries, not_before };
        tries
    }

    /// Failed tries since it last got further.
    pub const fn tries(self) -> u32 {
        match self {
            Self::Open { tries, .. } | Self::Running { tries } => tries,
            Self::Done => 0,
        }
    }

    /// It got further: earlier failures no longer count.
    pub fn progressed(&mut self) {
        if let Self::Running { tries } = self {
            *tries = 0;
        }
    }

    /// It was let go without a fault.
    pub fn reopen(&mut self) {
        if let Self::Running { tries } = *self {
            *self = Self::Open {
                tries,
                not_before: Duration::ZERO,
            };
        }
    }

    /// It could not be begun: not before this moment.
    pub fn postpone(&mut self, not_before: Moment) {
        if let Self::Running { tries } = *self {
            *self = Self::Open { tries, not_before };
        }
    }

    /// It is under way.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// A partition of an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionWork {
    /// The partition.
    pub partition_id: Uuid,
    /// Its number.
    pub number: i32,
    /// Its keys.
    pub range: KeyRange,
    /// How far it is.
    pub step: Step,
    /// Totals so far.
    pub totals: Counts,
    /// Rows read beyond the last batch.
    pub in_flight: i64,
    /// Rises with every assignment.
    pub generation: i64,
    /// The agent it is assigned to, while it runs.
    pub holder: Option<Uuid>,
    /// Batches that were reported, without a gap.
    pub seq: i64,
    /// Highest token that was seen; 0 before the first claim.
    pub token: i64,
    /// Its last batch was reported.
    pub is_last_seen: bool,
}

/// What an operator wishes of an entity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hold {
    /// That it goes on.
    #[default]
    None,
    /// That nothing of it is handed out.
    Paused,
    /// That others go on without it.
    Skipped,
}

/// An entity in the works.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityWork {
    /// Its name.
    pub entity: String,
    /// Hash of its rules.
    pub entity_hash: String,
    /// Table that its rows go to; others may write it too.
    pub destination: TableName,
    /// Entities whose rows must be settled first.
    pub dependencies: Vec<String>,
    /// Entities that are settled together with it, itself among them.
    pub knot: Vec<String>,
    /// Others whose rows must be settled before its late references are.
    pub late: Vec<String>,
    /// Its partitions, the settling one apart.
    pub partitions: Vec<PartitionWork>,
    /// The settling partition, where it is in a knot.
    pub settling: Option<PartitionWork>,
    /// Rows that failed and are tried again, or were.
    pub retries: Vec<PartitionWork>,
    /// What an operator wishes of it.
    pub hold: Hold,
    /// Nothing of it can commit any more; looked at where it is skipped.
    pub closing: Step,
    /// Keys and indexes.
    pub rebuild: Step,
    /// Rows it is thought to have.
    pub records_total: i64,
    /// They were counted.
    pub is_exact: bool,
    /// Limit of bad rows.
    pub max_quarantined: MaxQuarantined,
}

impl EntityWork {
    /// Every row is copied, or nothing more of it will be.
    pub fn is_copied(&self) -> bool {
        if self.hold == Hold::Skipped {
            return self.is_idle() && self.closing == Step::Done;
        }
        self.partitions
            .iter()
            .all(|partition| partition.step == Step::Done)
    }

    /// No partition of its rows is in an agent's hands.
    pub fn is_idle(&self) -> bool {
        !self
            .partitions
            .iter()
            .any(|partition| partition.step.is_running())
    }

    /// Rows of it are being tried again.
    pub fn is_retrying(&self) -> bool {
        self.retries
            .iter()
            .any(|partition| partition.step.is_running())
    }

    /// Rows of it are still to be tried again.
    pub fn has_retries(&self) -> bool {
        let mut retries = self.retries.iter();
        self.hold != Hold::Skipped && retries.any(|partition| partition.step != Step::Done)
    }

    /// Every row is copied and no late reference hangs: children may start.
    pub fn is_settled(&self) -> bool {
        self.is_copied()
            && self
                .settling
                .as_ref()
                .is_none_or(|part| part.step == Step::Done)
    }

    /// Nothing is left to do but foreign keys.
    pub fn is_complete(&self) -> bool {
        self.is_settled() && self.rebuild == Step::Done
    }

    /// Totals over its partitions.
    pub fn totals(&self) -> Counts {
        self.all().fold(Counts::default(), |sum, partition| {
            sum.plus(&partition.totals)
        })
    }

    /// All partitions with the settling one and those of retries.
    pub fn all(&self) -> impl Iterator<Item = &PartitionWork> {
        let copied = self.partitions.iter().chain(&self.settling);
        copied.chain(&self.retries)
    }

    /// All partitions with the settling one and those of retries.
    pub fn all_mut(&mut self) -> impl Iterator<Item = &mut PartitionWork> {
        let copied = self.partitions.iter_mut().chain(&mut self.settling);
        copied.chain(&mut self.retries)
    }
}
