//! What holds for every entity unless it says otherwise, and the limits of the whole migration.

use super::declare::{choice, object, plain_choice};
use super::name::Name;
use super::share::{Ceiling, Positive, Share};
use super::vocabulary::OnRowError;

object! {
    /// Defaults of the entities.
    #[derive(Default)]
    pub struct Defaults {
        /// Time zone of naive timestamps; no default, asked for where needed.
        "timezone" timezone: Option<Name>,
        /// Source columns that are neither mapped nor dropped.
        "unmapped_columns" unmapped_columns: Option<UnmappedColumns>,
        /// A row that does not fit.
        "on_row_error" on_row_error: Option<OnRowError>,
        /// Bad rows that are let through per entity; 0 where it is left out.
        "max_quarantined" max_quarantined: Option<Share>,
        /// Rows a batch starts with; 20,000 where it is left out.
        "batch_size" batch_size: Option<Positive>,
        /// The destination's constraints during the load.
        "constraints" constraints: Option<Constraints>,
        /// What the reads of one run have in common.
        "consistency" consistency: Option<ReadConsistency>,
    }
}

object! {
    /// Limits of the whole migration.
    #[derive(Default)]
    pub struct PlanLimits {
        /// Partitions that are worked on at the same time; 4 where it is left out.
        "parallel_partitions" parallel_partitions: Option<Positive>,
        /// Tries of one batch; 5 where it is left out.
        "max_retries" max_retries: Option<u32>,
        /// Rows that are read a second, by all agents together; as many as can be where it is left out or null.
        #[schemars(default)]
        "max_rows_per_second" max_rows_per_second: Ceiling,
        /// Seconds that the source, where it is a replica, or its slowest replica may lag behind; reading waits
        /// beyond that.
        #[schemars(default)]
        "source_max_lag_seconds" source_max_lag_seconds: Ceiling,
    }
}

choice! {
    /// Source columns that are neither mapped nor dropped.
    pub enum UnmappedColumns {
        /// A problem (default).
        Error = "error";
        /// Left behind.
        Ignore = "ignore";
    }
}

choice! {
    /// The destination's constraints during the load.
    pub enum Constraints {
        /// Rebuilt when the target is empty at the start, else kept (default).
        Auto = "auto";
        /// Dropped before, rebuilt after.
        Rebuild = "rebuild";
        /// In force all the time.
        Keep = "keep";
    }
}

choice! {
    /// What the reads of one run have in common.
    pub enum ReadConsistency {
        /// One point in time (default).
        Snapshot = "snapshot";
        /// Nobody writes, which is checked.
        Frozen = "frozen";
        /// Nothing.
        None = "none";
    }
}

plain_choice!(UnmappedColumns, Constraints, ReadConsistency);
