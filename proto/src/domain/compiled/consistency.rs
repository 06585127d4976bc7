//! What the reads of a run shall have in common, and what they had.

use serde::{Deserialize, Serialize};

use crate::domain::record::text_enum;

/// `defaults.consistency` of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    /// Every row is read under one exported snapshot.
    Snapshot,
    /// Nobody writes to the source, which is checked at every start and at the end.
    Frozen,
    /// Every statement reads what is committed when it starts: no point in time.
    None,
}

text_enum! {
    /// What the reads of a run really had in common. Stored beside the settings in force.
    pub enum ConsistencyHeld {
        /// All of them were under one snapshot.
        Snapshot = "snapshot",
        /// The snapshot was lost and renewed over tables that were not written to in between.
        RenewedSnapshot = "renewed_snapshot",
        /// The source was not written to from the start to the end of the run.
        Frozen = "frozen",
        /// The source shall not be written to; that is verified at the end.
        Unverified = "unverified",
        /// Nothing.
        None = "none",
    }
}

impl ConsistencyHeld {
    /// Its name in the settings in force.
    pub const KEY: &'static str = "consistency_held";

    /// For people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot: every row was read at one moment",
            Self::RenewedSnapshot => {
                "snapshot, renewed: the source was not written to between its snapshots"
            }
            Self::Frozen => "frozen: verified, the source was not written to",
            Self::Unverified => "frozen: not verified yet",
            Self::None => "none: rows were read at different moments",
        }
    }

    /// What is stored among settings.
    pub fn stored(settings: &serde_json::Value) -> Option<Self> {
        settings.get(Self::KEY)?.as_str()?.parse().ok()
    }
}
