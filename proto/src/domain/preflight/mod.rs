//! The preflight of a migration: facts of both databases in, named checks, steps and predictions out.
//!
//! An agent gathers the facts (`agent::source::survey`) and tries a sample (`agent::sink::trial`), the
//! controller judges them here. Pure: no I/O, no clock. [`judge`] is the whole list, [`quick`] the part of it
//! that every start looks at too, in the same words.

mod access;
mod activity;
mod facts;
mod grants;
mod load;
mod server;
mod space;
mod steps;
mod targets;
#[cfg(test)]
mod tests;
mod trial;

use serde::{Deserialize, Serialize};

use super::compiled::CompiledPlan;
use super::failure::{Failure, FailureKind};
use super::record::text_enum;

pub use facts::{
    Facts, ForeignTarget, LeaseFacts, LockFact, LongTransaction, PlanRefusal, Prepared, ReadFacts,
    ReplicaFacts, SequenceFact, ServerFacts, WriteFacts,
};
pub use grants::{Grantees, Grants, grants};
pub use load::{Load, load};
pub use steps::{Inverse, InverseClass, Step, inverse, steps};
pub use trial::{NullCount, PredictedError, Trial, TrialAsk};

text_enum! {
    /// What a check came to.
    pub enum Verdict {
        /// Nothing is wrong.
        Pass = "pass",
        /// It can be run, and this is to be known.
        Warn = "warn",
        /// It cannot be run like this.
        Block = "block",
    }
}

text_enum! {
    /// Where a check looked.
    pub enum Place {
        /// The legacy database.
        Source = "source",
        /// The new database.
        Destination = "destination",
        /// Who works now: etcd, or the memory of one process.
        LeaseStore = "lease_store",
    }
}

/// One named check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Where it looked.
    pub place: Place,
    /// Its name, the same in every version.
    pub name: String,
    /// What it came to.
    pub verdict: Verdict,
    /// What was found, in words.
    pub found: String,
    /// What mends it: sentences, or SQL statements that end with a semicolon. None where it passed.
    pub mend: Vec<String>,
}

/// Everything that is known before the first row is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Preflight {
    /// The named checks: source, destination, lease store.
    pub checks: Vec<Check>,
    /// What will happen, in order.
    pub steps: Vec<Step>,
    /// How it is undone, in the order of undoing.
    pub inverse: Vec<Inverse>,
    /// What became of a sample of each entity's rows; empty where none was asked for.
    pub trials: Vec<Trial>,
    /// Predicted rows, bytes and time.
    pub load: Load,
    /// Rights that the two roles need, as scripts.
    pub grants: Grants,
}

impl Preflight {
    /// The checks that block.
    pub fn blocks(&self) -> impl Iterator<Item = &Check> {
        let all = self.checks.iter();
        all.filter(|check| check.verdict == Verdict::Block)
    }
}

/// Every check, in the order it is shown.
pub fn judge(plan: &CompiledPlan, facts: &Facts, lease: &LeaseFacts, load: &Load) -> Vec<Check> {
    let mut checks = quick(plan, facts);
    checks.extend(activity::checks(plan, facts));
    checks.extend(targets::checks(plan, facts));
    checks.extend(space::checks(facts, load));
    checks.push(server::lease_check(lease));
    checks.sort_by_key(|check| check.place as u8);
    checks
}

/// The checks that cost a start nothing but one question: versions, settings, connections, rights and row
/// level security. Whether a pooler shares backends is seen by the whole preflight only.
pub fn quick(plan: &CompiledPlan, facts: &Facts) -> Vec<Check> {
    let mut checks = server::checks(plan, facts);
    checks.extend(access::checks(plan, facts));
    checks.sort_by_key(|check| check.place as u8);
    checks
}

/// Why a start is refused that looked at the quick checks only, row level security aside ([`Facts::filtered`]
/// tells that by entity): every right that is missing, else the first other check that blocks.
pub fn refusal(plan: &CompiledPlan, facts: &Facts) -> Option<Failure> {
    let denied = facts.denied(plan);
    if !denied.is_empty() {
        return Some(Failure::new(FailureKind::Denied, denied.join("; ")));
    }
    let checks = quick(plan, facts);
    let check = checks.iter().find(|check| {
        check.verdict == Verdict::Block
            && !["row_level_security", "selects", "step_keys"].contains(&check.name.as_str())
    })?;
    let kind = match check.name.as_str() {
        "connections" => FailureKind::Exhausted,
        _ => FailureKind::Denied,
    };
    let words = format!(
        "{}: {}: {}",
        check.place,
        check.found,
        check.mend.join("; ")
    );
    Some(Failure::new(kind, words))
}

impl Check {
    fn pass(place: Place, name: &str, found: impl Into<String>) -> Self {
        Self {
            place,
            name: name.to_owned(),
            verdict: Verdict::Pass,
            found: found.into(),
            mend: Vec::new(),
        }
    }

    fn warn(place: Place, name: &str, found: impl Into<String>, mend: Vec<String>) -> Self {
        Self {
            verdict: Verdict::Warn,
            mend,
            ..Self::pass(place, name, found)
        }
    }

    fn block(place: Place, name: &str, found: impl Into<String>, mend: Vec<String>) -> Self {
        Self {
            verdict: Verdict::Block,
            mend,
            ..Self::pass(place, name, found)
        }
    }

    /// The worst of several findings, all of them told; `well` where there is none.
    fn worst(place: Place, name: &str, found: Vec<(Verdict, String, String)>, well: &str) -> Self {
        let verdict = found.iter().map(|(verdict, ..)| *verdict);
        let Some(verdict) = verdict.max_by_key(|verdict| *verdict as u8) else {
            return Self::pass(place, name, well);
        };
        let words: Vec<&str> = found.iter().map(|(_, words, _)| words.as_str()).collect();
        let mut mend: Vec<String> = found.iter().map(|(.., mend)| mend.clone()).collect();
        mend.dedup();
        Self {
            verdict,
            mend,
            ..Self::pass(place, name, words.join("; "))
        }
    }
}

/// Names in a sentence; of many the first ones.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    match names.len() > SHOWN {
        true => format!(
            "{} and {} more",
            names[..SHOWN].join(", "),
            names.len() - SHOWN
        ),
        false => names.join(", "),
    }
}

/// A number of bytes for people.
fn bytes(bytes: i64) -> String {
    let mut scaled = bytes.max(0) as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if scaled < 1024.0 {
            return match unit {
                "B" => format!("{scaled:.0} {unit}"),
                _ => format!("{scaled:.1} {unit}"),
            };
        }
        scaled /= 1024.0;
    }
    format!("{scaled:.1} TiB")
}
