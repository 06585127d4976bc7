//! What is wrong with a plan: every problem with its path, all of them at once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

/// One thing that is wrong, at one place of the plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Problem {
    /// Where, for instance `entities[3].transformation_rules.rate[1].map`; empty for the whole
    /// document.
    pub path: String,
    /// Line in the document, from 1.
    pub line: Option<usize>,
    /// Column in that line, from 1.
    pub column: Option<usize>,
    /// What, in lower case and without row values.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)?;
        } else {
            write!(f, "{}: {}", self.path, self.message)?;
        }
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a plan, in the order of the document; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// Where each path of a plan stands in its document, so that the compiler's problems have lines too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions(BTreeMap<String, Position>);

impl Positions {
    /// Notes where a path stands; the first word counts.
    pub(super) fn note(&mut self, path: &str, position: Position) {
        if !self.0.contains_key(path) {
            self.0.insert(path.to_owned(), position);
        }
    }

    /// The position of a path, or of the nearest thing around it.
    pub fn find(&self, path: &str) -> Option<Position> {
        let mut rest = path;
        loop {
            if let Some(position) = self.0.get(rest) {
                return Some(*position);
            }
            let cut = rest.rfind(['.', '['])?;
            rest = &rest[..cut];
        }
    }
}

/// Collects problems; shared by everything that reads one plan.
#[derive(Debug, Default)]
pub struct ProblemLog {
    positions: Positions,
    found: RefCell<Vec<Problem>>,
}

impl ProblemLog {
    /// An empty log that knows where paths stand.
    pub fn new(positions: Positions) -> Self {
        Self {
            positions,
            found: RefCell::default(),
        }
    }

    /// Notes a problem at a path.
    pub fn add(&self, path: impl Into<String>, message: impl Into<String>) {
        let path = path.into();
        let position = self.positions.find(&path);
        self.add_at(path, position, message);
    }

    /// Notes a problem at a known position.
    pub fn add_at(
        &self,
        path: impl Into<String>,
        position: Option<Position>,
        message: impl Into<String>,
    ) {
        self.found.borrow_mut().push(Problem {
            path: path.into(),
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            message: message.into(),
        });
    }

    /// How many were noted so far.
    pub fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// `value` when nothing was noted and there is one, else every problem in document order.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problems> {
        let mut found = self.found.into_inner();
        match value {
            Some(value) if found.is_empty() => Ok(value),
            _ => {
                found.sort_by_key(|problem| (problem.line, problem.column));
                found.dedup();
                Err(Problems(found))
            }
        }
    }
}
