//! What is found out about settings after they were read: every problem with its place.
//!
//! A setting that was found wrong already is not found wrong again, so that one mistake is one problem.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Secret;

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A configuration file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag, as it is shown.
    Flag(String),
}

impl Origin {
    /// Where to look for a setting of this origin.
    pub(super) fn place(&self, name: &str) -> String {
        match self {
            Self::File(path) => format!("{}: {name}", path.display()),
            Self::Variable(variable) => variable.clone(),
            Self::Flag(flag) => flag.clone(),
        }
    }
}

/// One thing that is wrong with the settings. Its words hold no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingProblem {
    /// File and key, variable, or flag.
    pub place: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for SettingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Everything that is wrong with the settings; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Invalid(pub Vec<SettingProblem>);

/// A line each.
impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Settings as they were read, and what is known about them.
#[derive(Debug)]
pub struct Read<T> {
    /// The settings; none where they do not even fit their struct.
    pub raw: Option<T>,
    /// What was found out so far.
    pub check: Check,
}

impl<T> Read<T> {
    /// The settings and the check of them.
    ///
    /// # Errors
    /// What was found out so far, where there are no settings.
    pub fn parts(self) -> Result<(T, Check), Invalid> {
        match self.raw {
            Some(raw) => Ok((raw, self.check)),
            None => Err(Invalid(self.check.problems)),
        }
    }
}

/// Collects problems. Names are those of settings, such as `etcd.prefix`.
#[derive(Debug)]
pub struct Check {
    prefix: &'static str,
    origins: BTreeMap<String, Origin>,
    broken: BTreeSet<String>,
    problems: Vec<SettingProblem>,
}

impl Check {
    pub(super) fn new(
        prefix: &'static str,
        origins: BTreeMap<String, Origin>,
        broken: BTreeSet<String>,
        problems: Vec<SettingProblem>,
    ) -> Self {
        Self {
            prefix,
            origins,
            broken,
            problems,
        }
    }

    /// Something is wrong with a setting, unless that is known already.
    pub fn problem(&mut self, name: &str, message: impl Into<String>) {
        if !self.broken.insert(name.to_owned()) {
            return;
        }
        let place = self.place(name);
        self.problems.push(SettingProblem {
            place,
            message: message.into(),
        });
    }

    /// One of several things is wrong within a setting, or with something that is none of ours.
    pub fn problem_of(&mut self, name: &str, message: impl Into<String>) {
        let place = self.place(name);
        self.problems.push(SettingProblem {
            place,
            message: message.into(),
        });
    }

    /// A setting that must be given is not.
    pub fn missing(&mut self, name: &str) {
        let variable = self.variable(name);
        let words = format!("is missing; set it in the configuration file or as {variable}");
        self.problem(name, words);
    }

    /// A text that must be given and not be empty.
    pub fn required(&mut self, name: &str, text: Option<String>) -> Option<String> {
        let text = text.filter(|text| !text.trim().is_empty());
        if text.is_none() {
            self.missing(name);
        }
        text
    }

    /// A number within bounds; the lowest where it is not.
    pub fn number(&mut self, name: &str, number: i64, within: RangeInclusive<i64>) -> i64 {
        if within.contains(&number) {
            return number;
        }
        let (low, high) = (within.start(), within.end());
        self.problem(name, format!("must be between {low} and {high}"));
        *low
    }

    /// A duration such as `30s` within bounds; the shortest where it is not.
    pub fn duration(
        &mut self,
        name: &str,
        text: &str,
        within: RangeInclusive<Duration>,
    ) -> Duration {
        let (low, high) = (*within.start(), *within.end());
        match parse_duration(text) {
            Some(span) if within.contains(&span) => return span,
            Some(_) => self.problem(name, format!("must be between {low:?} and {high:?}")),
            None => self.problem(name, "must be a duration like 500ms, 30s, 5m or 2h"),
        }
        low
    }

    /// The path that a setting names: relative to the configuration file that says so, else to the
    /// process.
    pub fn path(&self, name: &str, text: &str) -> PathBuf {
        match self.origins.get(name) {
            Some(Origin::File(file)) => file.parent().unwrap_or(Path::new(".")).join(text),
            Some(Origin::Variable(_) | Origin::Flag(_)) | None => PathBuf::from(text),
        }
    }

    /// The content, without its line end, of the file that a setting names.
    pub fn secret(&mut self, name: &str, text: Option<&str>) -> Option<Secret> {
        let path = self.path(name, text?);
        match std::fs::read_to_string(&path) {
            Ok(text) => Some(Secret::new(text.trim_end_matches(['\r', '\n']))),
            Err(error) => {
                self.problem(name, format!("{}: {error}", path.display()));
                None
            }
        }
    }

    /// Where a setting, or what is around it, came from: its name, where it was not set.
    pub fn place(&self, name: &str) -> String {
        let mut around = name;
        loop {
            if let Some(origin) = self.origins.get(around) {
                return origin.place(name);
            }
            let Some(at) = around.rfind('.') else {
                return name.to_owned();
            };
            around = &around[..at];
        }
    }

    /// The variable of a setting.
    pub fn variable(&self, name: &str) -> String {
        let rest = name.replace('.', "__").to_uppercase();
        format!("{}__{rest}", self.prefix)
    }

    /// What was made of the settings.
    ///
    /// # Errors
    /// Every problem, in the order they were found.
    pub fn finish<T>(self, made: Option<T>) -> Result<T, Invalid> {
        match made {
            Some(made) if self.problems.is_empty() => Ok(made),
            _ => Err(Invalid(self.problems)),
        }
    }
}

/// `500ms`, `30s`, `5m`, `2h`: a whole number and a unit.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let at = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}
