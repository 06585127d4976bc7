//! Settings that an operator may change while a migration runs. They stand beside the plan's own, win over
//! them, and are in no hash. Pure.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::compiled::{CompiledPlan, MaxQuarantined};

/// Where the settings stand in a migration's configuration.
pub const KEY: &str = "overrides";
/// The name under which a setting of every entity stands.
const EVERY: &str = "*";
/// The value that gives a setting back to the plan.
const PLAN: &str = "plan";
/// The value of no limit.
const NONE: &str = "none";
/// The names of all settings, for messages.
pub const NAMES: &str =
    "batch_size, max_quarantined, parallel_partitions, max_rows_per_second, max_retries";

/// Settings over the plan's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overrides {
    /// Partitions that are worked on at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel_partitions: Option<u32>,
    /// Tries of one batch before its partition blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// Rows a second by all agents together: a number, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rows_per_second: Option<String>,
    /// Rows a batch starts with, by entity; `*` is every other.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub batch_size: BTreeMap<String, u32>,
    /// Bad rows that are let through, by entity; `*` is every other.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub max_quarantined: BTreeMap<String, String>,
}

/// A setting that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such setting.
    #[error("there is no setting {0:?}; there are {NAMES}")]
    Unknown(String),
    /// Not such a value.
    #[error("{name} must be {expected}, or `plan` for what the plan says; it is {value:?}")]
    Value {
        /// The setting.
        name: String,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        value: String,
    },
    /// It is one of the whole migration.
    #[error("{0} is a setting of the whole migration, not of one entity")]
    NotOfEntity(String),
}

impl Overrides {
    /// Those that are stored in a migration's configuration.
    pub fn stored(configuration: &serde_json::Value) -> Self {
        serde_json::from_value(configuration[KEY].clone()).unwrap_or_default()
    }

    /// Changes one setting, of one entity or of all.
    ///
    /// # Errors
    /// See [`SettingError`]; nothing is changed then.
    pub fn set(
        &mut self,
        entity: Option<&str>,
        name: &str,
        value: &str,
    ) -> Result<(), SettingError> {
        let value = value.trim();
        let wrong = |expected| SettingError::Value {
            name: name.to_owned(),
            expected,
            value: value.to_owned(),
        };
        let whole = || match entity {
            Some(_) => Err(SettingError::NotOfEntity(name.to_owned())),
            None => Ok(()),
        };
        let positive = || -> Result<u32, SettingError> {
            let number: Option<u32> = value.parse().ok();
            number
                .filter(|number| *number > 0)
                .ok_or_else(|| wrong("a whole number from 1 on"))
        };
        let of_plan = value == PLAN;
        let place = entity.unwrap_or(EVERY).to_owned();
        match name {
            "parallel_partitions" => {
                whole()?;
                self.parallel_partitions = if of_plan { None } else { Some(positive()?) };
            }
            "max_retries" => {
                whole()?;
                let number = || value.parse().map_err(|_| wrong("a whole number"));
                self.max_retries = if of_plan { None } else { Some(number()?) };
            }
            "max_rows_per_second" => {
                whole()?;
                self.max_rows_per_second = match value {
                    PLAN => None,
                    NONE => Some(NONE.to_owned()),
                    _ => {
                        let number = positive();
                        let expected = "a whole number from 1 on, or `none`";
                        Some(number.map_err(|_| wrong(expected))?.to_string())
                    }
                };
            }
            "batch_size" if of_plan => {
                self.batch_size.remove(&place);
            }
            "batch_size" => {
                self.batch_size.insert(place, positive()?);
            }
            "max_quarantined" if of_plan => {
                self.max_quarantined.remove(&place);
            }
            "max_quarantined" => {
                let expected = "a number of rows, or a share from 0% to 100%";
                share(value).ok_or_else(|| wrong(expected))?;
                self.max_quarantined.insert(place, value.to_owned());
            }
            other => return Err(SettingError::Unknown(other.to_owned())),
        }
        Ok(())
    }

    /// Rows a batch of an entity starts with; none: as the plan says.
    pub fn batch_size(&self, entity: &str) -> Option<u32> {
        let sizes = &self.batch_size;
        sizes.get(entity).or_else(|| sizes.get(EVERY)).copied()
    }

    /// Bad rows of an entity that are let through; none: as the plan says.
    pub fn max_quarantined(&self, entity: &str) -> Option<MaxQuarantined> {
        let shares = &self.max_quarantined;
        let text = shares.get(entity).or_else(|| shares.get(EVERY))?;
        share(text)
    }

    /// Puts them over a plan's own.
    pub fn apply(&self, plan: &mut CompiledPlan) {
        if let Some(parallel) = self.parallel_partitions {
            plan.limits.parallel_partitions = parallel;
        }
        if let Some(retries) = self.max_retries {
            plan.limits.max_retries = retries;
        }
        if let Some(rate) = &self.max_rows_per_second {
            plan.limits.max_rows_per_second = rate.parse().ok();
        }
        for entity in &mut plan.entities {
            if let Some(size) = self.batch_size(&entity.entity) {
                entity.settings.batch_size = size;
            }
            if let Some(limit) = self.max_quarantined(&entity.entity) {
                entity.settings.max_quarantined = limit;
            }
        }
    }

    /// One line for each, for people.
    pub fn describe(&self) -> Vec<String> {
        let of = |place: &str| match place {
            EVERY => String::new(),
            entity => format!(" of {entity}"),
        };
        let mut lines = Vec::new();
        let whole = [
            (
                "parallel_partitions",
                self.parallel_partitions.map(|it| it.to_string()),
            ),
            ("max_retries", self.max_retries.map(|it| it.to_string())),
            ("max_rows_per_second", self.max_rows_per_second.clone()),
        ];
        for (name, value) in whole {
            lines.extend(value.map(|value| format!("{name} {value}")));
        }
        for (place, size) in &self.batch_size {
            lines.push(format!("batch_size{} {size}", of(place)));
        }
        for (place, limit) in &self.max_quarantined {
            lines.push(format!("max_quarantined{} {limit}", of(place)));
        }
        lines
    }
}

/// A number of rows, or a percentage.
fn share(text: &str) -> Option<MaxQuarantined> {
    let Some(number) = text.strip_suffix('%') else {
        return text.parse().ok().map(MaxQuarantined::Rows);
    };
    let number = number.trim();
    let is_decimal = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    let percent: f64 = number
        .parse()
        .ok()
        .filter(|_| number.bytes().all(is_decimal))?;
    (percent <= 100.0).then_some(MaxQuarantined::Share(percent / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::compile::tests::clinic;
    use serde_json::json;

    #[test]
    fn a_setting_wins_over_the_plan_until_it_is_given_back() {
        let mut plan = clinic();
        let before = plan.clone();
        let (first, second) = (
            before.entities[0].entity.clone(),
            before.entities[1].entity.clone(),
        );
        let first = first.as_str();
        let mut overrides = Overrides::default();
        for (entity, name, value) in [
            (None, "batch_size", "500"),
            (Some(first), "batch_size", "7"),
            (None, "max_quarantined", "0.5%"),
            (Some(first), "max_quarantined", "3"),
            (None, "parallel_partitions", "9"),
            (None, "max_rows_per_second", "none"),
            (None, "max_retries", "0"),
        ] {
            overrides.set(entity, name, value).unwrap();
        }
        let stored = json!({ KEY: overrides });
        assert_eq!(Overrides::stored(&stored), overrides);
        overrides.apply(&mut plan);
        let settings = |name: &str| &plan.entity(name).unwrap().settings;
        assert_eq!(settings(first).batch_size, 7);
        assert_eq!(settings(first).max_quarantined, MaxQuarantined::Rows(3));
        assert_eq!(settings(&second).batch_size, 500);
        assert_eq!(
            settings(&second).max_quarantined,
            MaxQuarantined::Share(0.005)
        );
        assert_eq!(plan.limits.parallel_partitions, 9);
        assert_eq!(plan.limits.max_rows_per_second, None);
        assert_eq!(plan.limits.max_retries, 0);
        assert_eq!(overrides.describe().len(), 7);
        // In no hash.
        let hashes = |plan: &CompiledPlan| -> Vec<String> {
            plan.entities.iter().map(|it| it.hash.clone()).collect()
        };
        assert_eq!(hashes(&plan), hashes(&before));
        for (entity, name) in [
            (None, "batch_size"),
            (Some(first), "batch_size"),
            (None, "max_quarantined"),
            (Some(first), "max_quarantined"),
            (None, "parallel_partitions"),
            (None, "max_rows_per_second"),
            (None, "max_retries"),
        ] {
            overrides.set(entity, name, "plan").unwrap();
        }
        assert_eq!(overrides, Overrides::default());
        let mut again = before.clone();
        overrides.apply(&mut again);
        assert_eq!(again, before);
    }

    #[test]
    fn what_cannot_be_set_is_refused_with_what_can() {
        let mut overrides = Overrides::default();
        for (entity, name, value) in [
            (None, "batch_size", "0"),
            (None, "batch_size", "many"),
            (None, "max_quarantined", "101%"),
            (None, "max_quarantined", "-1"),
            (None, "max_rows_per_second", "0"),
            (None, "parallel_partitions", ""),
            (None, "max_retries", "-1"),
            (Some("offices"), "parallel_partitions", "2"),
            (None, "consistency", "none"),
        ] {
            let refused = overrides.set(entity, name, value).unwrap_err();
            assert!(refused.to_string().contains(name), "{refused}");
            assert_eq!(overrides, Overrides::default(), "{name} {value}");
        }
    }
}
