//! What the operator has agreed to, and whether that is enough.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::declared::DeclaredChange;
use crate::domain::record::RiskLevel;

/// What was agreed to: `--yes`, and names that were typed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Consent {
    /// `--yes`.
    pub yes: bool,
    /// `--confirm`, each.
    pub names: BTreeSet<String>,
}

/// What is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{label} is of {level} risk and was not confirmed: give {flags}")]
pub struct Unconfirmed {
    /// The change.
    pub label: String,
    /// Its level.
    pub level: RiskLevel,
    /// Flags of `drover schema apply` that confirm it.
    pub flags: String,
}

impl Consent {
    /// Whether a change of this risk may be made.
    ///
    /// # Errors
    /// What is missing: nothing for low, `--yes` for medium, its name for high, its table's name for
    /// critical.
    pub fn covers(&self, change: &DeclaredChange, level: RiskLevel) -> Result<(), Unconfirmed> {
        let typed = |name: &str| self.yes && self.names.contains(name);
        let (is_covered, name) = match level {
            RiskLevel::Low => (true, None),
            RiskLevel::Medium => (self.yes, None),
            RiskLevel::High => (typed(&change.label()), Some(change.label())),
            RiskLevel::Critical => {
                let table = change.table.to_string();
                (typed(&table), Some(table))
            }
        };
        if is_covered {
            return Ok(());
        }
        Err(Unconfirmed {
            label: change.label(),
            level,
            flags: match name {
                Some(name) => format!("--yes --confirm {}", shell_word(&name)),
                None => "--yes".to_owned(),
            },
        })
    }
}

/// A word as a shell takes it.
fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
