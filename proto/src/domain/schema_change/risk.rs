//! How much an operation risks: a base by its kind, raised by what surrounds it.

use serde::{Deserialize, Serialize};

use super::declared::DeclaredChange;
use super::facts::TableFacts;
use crate::domain::frame::Side;
use crate::domain::record::RiskLevel;

/// Rows from which on a scan or rewrite is one level worse.
const MANY_ROWS: i64 = 1_000_000;
/// Bytes from which on it is.
const MANY_BYTES: i64 = 1 << 30;

/// A level with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// The level.
    pub level: RiskLevel,
    /// Why, the base first.
    pub reasons: Vec<String>,
}

impl Risk {
    /// A level and what it comes from.
    pub fn new(level: RiskLevel, reason: impl Into<String>) -> Self {
        Self {
            level,
            reasons: vec![reason.into()],
        }
    }

    /// Nothing is lost and nobody waits.
    pub fn low(reason: impl Into<String>) -> Self {
        Self::new(RiskLevel::Low, reason)
    }

    /// The same, at least this level.
    #[must_use]
    pub fn at_least(mut self, level: RiskLevel, reason: impl Into<String>) -> Self {
        if rank(level) > rank(self.level) {
            self.level = level;
        }
        self.reasons.push(reason.into());
        self
    }

    /// One level worse.
    fn escalate(&mut self, reason: impl Into<String>) {
        self.level = match self.level {
            RiskLevel::Low => RiskLevel::Medium,
            RiskLevel::Medium => RiskLevel::High,
            RiskLevel::High | RiskLevel::Critical => RiskLevel::Critical,
        };
        self.reasons.push(reason.into());
    }

    /// The same, raised by everything that makes it worse.
    #[must_use]
    pub fn escalated(
        mut self,
        change: &DeclaredChange,
        facts: &TableFacts,
        by: Escalation,
    ) -> Self {
        if by.is_heavy && (facts.rows > MANY_ROWS || facts.bytes > MANY_BYTES) {
            self.escalate(format!(
                "{} is large: {} rows, {} MiB",
                facts.name,
                facts.rows,
                facts.bytes >> 20
            ));
        }
        if by.takes_lock && facts.has_long_transactions {
            self.escalate(
                "a transaction has been open for more than a minute: it may hold the lock back",
            );
        }
        if let Some(column) = by.column.filter(|name| facts.is_referenced_by(name)) {
            self.escalate(format!("other tables refer to {}.{column}", facts.name));
        }
        if by.is_published && !facts.publications.is_empty() {
            self.escalate(format!(
                "{} is published by {}",
                facts.name,
                facts.publications.join(", ")
            ));
        }
        if change.side == Side::Source {
            self.escalate("it changes the source, which is in use");
        }
        if by.is_final {
            self.escalate("nothing brings back what was before");
        }
        if by.is_rewritten && !facts.written_by.is_empty() {
            self.escalate(format!(
                "rows of {} are written anew: a rollback of it can only compare their content",
                facts.written_by.join(", ")
            ));
        }
        self
    }
}

/// What an operation is like, as far as its surroundings matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Escalation<'a> {
    /// It reads or writes every row.
    pub is_heavy: bool,
    /// It takes a lock that others wait for.
    pub takes_lock: bool,
    /// The column that it changes for those who refer to it.
    pub column: Option<&'a str>,
    /// Subscribers of publications notice it.
    pub is_published: bool,
    /// There is no way back.
    pub is_final: bool,
    /// Rows are written anew.
    pub is_rewritten: bool,
}

/// The order of levels.
pub(super) const fn rank(level: RiskLevel) -> u8 {
    match level {
        RiskLevel::Low => 0,
        RiskLevel::Medium => 1,
        RiskLevel::High => 2,
        RiskLevel::Critical => 3,
    }
}
