//! Why a command did not do what was asked: exit code, words, and the next step.
//!
//! The only way for a command to fail. It is printed once, at the end of `main`, on stderr: lines
//! for people, one JSON object for machines. No text in it holds a credential or a row value.

use proto::domain::failure::{Failure, FailureKind, policy};
use serde_json::{Map, Value, json};

use crate::exit::Code;
use crate::render::Format;
use crate::screen::Screen;

/// What a command ends with when it did not do what was asked. One pointer wide.
#[derive(Debug)]
pub struct Stop(Box<Words>);

#[derive(Debug)]
struct Words {
    code: Code,
    /// Upper snake case: which case of the code it is.
    reason: String,
    message: String,
    /// Further lines, such as one per problem of a plan.
    lines: Vec<String>,
    hint: Option<String>,
    metadata: Map<String, Value>,
}

impl Stop {
    /// A stop with a reason in upper snake case.
    pub fn new(code: Code, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self(Box::new(Words {
            code,
            reason: reason.into(),
            message: message.into(),
            lines: Vec::new(),
            hint: None,
            metadata: Map::new(),
        }))
    }

    /// The command line or a setting is not valid.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, "INVALID_USAGE", message)
    }

    /// Nothing of that name, or nothing at all.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, "NOT_FOUND", message)
    }

    /// More than one; the candidates are listed.
    pub fn ambiguous(message: impl Into<String>, candidates: Vec<String>) -> Self {
        let mut stop = Self::new(Code::NotFound, "AMBIGUOUS", message);
        stop.0
            .metadata
            .insert("candidates".to_owned(), json!(candidates));
        stop.0.lines = candidates;
        stop
    }

    /// Somebody asked for the end.
    pub fn interrupted(message: impl Into<String>) -> Self {
        Self::new(Code::Interrupted, "INTERRUPTED", message)
    }

    /// A failure before anything was started; the hint is the one of its kind.
    pub fn failed(failure: &Failure) -> Self {
        Self::of(code_before_start(failure.kind), failure)
    }

    /// A failure to read what is stored: nothing is to be run again.
    pub fn unread(failure: &Failure) -> Self {
        let mut stop = Self::failed(failure);
        stop.0.hint = match failure.kind {
            FailureKind::Unreachable | FailureKind::Timeout => {
                Some("check that the server runs and the address is right".to_owned())
            }
            FailureKind::Denied => {
                Some("check user, password and grants of the connection".to_owned())
            }
            _ => None,
        };
        stop
    }

    /// Several databases were asked and none of them answered: the first failure, then the others.
    pub fn all(failures: Vec<Self>) -> Option<Self> {
        let mut failures = failures.into_iter();
        let first = failures.next()?;
        Some(first.listing(failures.map(|other| other.0.message).collect()))
    }

    /// A migration that stands still.
    pub fn blocked(failure: &Failure) -> Self {
        let code = match failure.kind {
            FailureKind::TooManyErrors => Code::Threshold,
            _ => Code::Blocked,
        };
        let mut stop = Self::of(code, failure);
        stop.0.message = format!("the migration is blocked: {}", stop.0.message);
        stop
    }

    fn of(code: Code, failure: &Failure) -> Self {
        let mut stop = Self::new(code, kind_name(failure.kind), &failure.message)
            .hinting(policy(failure.kind).1);
        if let Some(sqlstate) = &failure.sqlstate {
            stop.0
                .metadata
                .insert("sqlstate".to_owned(), json!(sqlstate));
        }
        stop
    }

    /// The same, with the next step for the operator.
    #[must_use]
    pub fn hinting(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same in other words.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// The same, with further lines for people.
    #[must_use]
    pub fn listing(mut self, lines: Vec<String>) -> Self {
        self.0.lines = lines;
        self
    }

    /// The same, with a value for machines.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.0.metadata.insert(key.to_owned(), value);
        self
    }

    /// The exit code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Whether this is its reason.
    pub fn is_reason(&self, reason: &str) -> bool {
        self.0.reason == reason
    }

    /// What is wrong, in words.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Prints it; returns the exit code.
    pub fn finish(self, format: Format, screen: &Screen) -> Code {
        match format {
            Format::Table | Format::Wide | Format::Name => {
                self.to_lines().iter().for_each(|line| screen.say(line))
            }
            Format::Json | Format::Jsonl => screen.say(&self.to_json().to_string()),
        }
        self.0.code
    }

    fn to_lines(&self) -> Vec<String> {
        let prefix = if self.0.code == Code::Interrupted {
            ""
        } else {
            "error: "
        };
        let mut lines = vec![format!("{prefix}{}", self.0.message)];
        lines.extend(self.0.lines.iter().map(|line| format!("  {line}")));
        lines.extend(self.0.hint.iter().map(|hint| format!("next: {hint}")));
        lines
    }

    fn to_json(&self) -> Value {
        json!({"error": {
            "code": self.0.code.name(),
            "exit_code": self.0.code.number(),
            "reason": self.0.reason,
            "message": self.0.message,
            "hint": self.0.hint,
            "metadata": self.0.metadata,
        }})
    }
}

/// The exit code of a failure that came before anything was started.
fn code_before_start(kind: FailureKind) -> Code {
    use FailureKind as K;
    match kind {
        K::Unreachable | K::Timeout | K::NoAgent => Code::Unreachable,
        K::Denied => Code::Denied,
        K::PlanChanged | K::IdentityChanged | K::AlreadyRunning | K::Fenced => Code::WrongState,
        K::TooManyErrors => Code::Threshold,
        K::UndoConflict
        | K::SnapshotLost
        | K::SourceWritten
        | K::RowRefused
        | K::ConstraintBroken
        | K::AgentsLost => Code::Blocked,
        K::Unconfirmed | K::ChangeRefused => Code::WrongState,
        K::Busy | K::Exhausted | K::SchemaDrift | K::Internal => Code::Failed,
    }
}

fn kind_name(kind: FailureKind) -> String {
    match serde_json::to_value(kind) {
        Ok(Value::String(name)) => name.to_uppercase(),
        _ => "INTERNAL".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_before_the_start_has_its_code() {
        use FailureKind as K;
        let cases = [
            (K::Unreachable, 6),
            (K::Timeout, 6),
            (K::Denied, 5),
            (K::PlanChanged, 4),
            (K::IdentityChanged, 4),
            (K::AlreadyRunning, 4),
            (K::Exhausted, 1),
            (K::Internal, 1),
        ];
        for (kind, number) in cases {
            assert_eq!(
                Stop::failed(&Failure::new(kind, "x")).code().number(),
                number,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn a_blocked_run_is_8_and_9_where_the_threshold_blocked_it() {
        let blocked = |kind| Stop::blocked(&Failure::new(kind, "x")).code().number();
        assert_eq!(blocked(FailureKind::Unreachable), 8);
        assert_eq!(blocked(FailureKind::ConstraintBroken), 8);
        assert_eq!(blocked(FailureKind::TooManyErrors), 9);
    }

    #[test]
    fn people_get_lines_and_machines_get_one_object() {
        let stop = Stop::failed(&Failure::new(FailureKind::PlanChanged, "offices changed"))
            .listing(vec!["entities[0]: other rules (line 3)".to_owned()]);
        let lines = stop.to_lines();
        assert_eq!(lines[0], "error: offices changed");
        assert_eq!(lines[1], "  entities[0]: other rules (line 3)");
        assert!(lines[2].starts_with("next: restore"), "{lines:?}");
        let error = &stop.to_json()["error"];
        assert_eq!(error["reason"], "PLAN_CHANGED");
        assert_eq!(error["exit_code"], 4);
    }
}
