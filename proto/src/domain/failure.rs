//! What can go wrong, and what follows: one table from kind to policy, one from SQLSTATE to action.
//!
//! Adapters map their library's errors to a [`FailureKind`] in one file each; everybody else asks
//! [`policy`]. No text of an error is ever matched, and none holds a row value.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A failure as it crosses a process: its kind and words for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind of failure it is; decides what happens next.
    pub kind: FailureKind,
    /// Words without row values, credentials or tokens.
    pub message: String,
    /// SQLSTATE, where a database gave one.
    pub sqlstate: Option<String>,
}

impl Failure {
    /// A failure without an SQLSTATE.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            sqlstate: None,
        }
    }

    /// The same again may work by itself.
    pub fn is_passing(&self) -> bool {
        policy(self.kind).0 == Policy::Retry
    }

    /// The same failure, with the action that failed in front.
    #[must_use]
    pub fn during(mut self, action: impl fmt::Display) -> Self {
        self.message = format!("{action}: {}", self.message);
        self
    }
}

/// The kinds of failure Drover tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A server cannot be reached, or the connection broke.
    Unreachable,
    /// No agent is connected that could do it.
    NoAgent,
    /// One agent after the other was lost over the same piece of work.
    AgentsLost,
    /// Wrong password, unknown role, missing right.
    Denied,
    /// Deadlock, serialization failure, lock time-out: the same again may work.
    Busy,
    /// The statement took too long.
    Timeout,
    /// Disk, memory or connections of a server are used up, or it is read-only.
    Exhausted,
    /// The database is not what the plan was compiled for.
    SchemaDrift,
    /// The server behind a connection is not the one that was recorded.
    IdentityChanged,
    /// The plan differs from the one that was started.
    PlanChanged,
    /// The source's point in time is lost and the source changed.
    SnapshotLost,
    /// The source was written to although it shall not be, or that cannot be ruled out.
    SourceWritten,
    /// More rows failed than `max_quarantined` allows.
    TooManyErrors,
    /// A rule, or `on_row_error: fail`, stops the run at a row.
    RowRefused,
    /// A constraint of the destination cannot be rebuilt over the rows.
    ConstraintBroken,
    /// Rows stand in the way of a rollback: others changed them, or rows that stay refer to them.
    UndoConflict,
    /// A schema change needs the operator's word first.
    Unconfirmed,
    /// A schema change cannot be made, or a check took it back.
    ChangeRefused,
    /// Another holder owns the partition.
    Fenced,
    /// Another process runs this migration.
    AlreadyRunning,
    /// A bug of ours.
    Internal,
}

/// What follows a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Try again with backoff; after `limits.max_retries` it becomes the operator's.
    Retry,
    /// The run blocks and says what to do.
    Operator,
    /// This worker stops what it does; somebody else owns it.
    Stop,
}

/// The policy of a kind, and the hint that the CLI prints.
pub const fn policy(kind: FailureKind) -> (Policy, &'static str) {
    use FailureKind as K;
    match kind {
        K::Unreachable => (
            Policy::Retry,
            "check that the server runs and the address is right, then go on: `drover migration resume NAME`, or `drover run PLAN`",
        ),
        K::NoAgent => (
            Policy::Retry,
            "start an agent that has both connections of the plan, in a region that the migration may use; `drover agent list` shows who is there",
        ),
        K::AgentsLost => (
            Policy::Operator,
            "look at the logs of the agents that were lost (out of memory, for instance), then go on: `drover migration resume NAME`, or `drover run PLAN`",
        ),
        K::Denied => (
            Policy::Operator,
            "mend what the message names (user, password or grants of the connection, or a key in the agent's environment), then go on: `drover migration resume NAME`, or `drover run PLAN`",
        ),
        K::Busy => (
            Policy::Retry,
            "another session holds locks on the tables; end it, then go on: `drover migration resume NAME`, or `drover run PLAN`",
        ),
        K::Timeout => (
            Policy::Retry,
            "lower the batches with `drover migration set NAME batch_size=1000`, then go on: `drover migration resume NAME`, or `drover run PLAN`",
        ),
        K::Exhausted => (
            Policy::Operator,
            "give the server room (disk, memory, connections), then go on: `drover migration resume NAME`, or `drover run PLAN`",
        ),
        K::SchemaDrift => (
            Policy::Operator,
            "mend the schema or the plan; `drover rules check PLAN` tells all problems",
        ),
        K::IdentityChanged => (
            Policy::Operator,
            "point the connection to the server that the migration was started on, then go on: `drover migration resume NAME`, or `drover run PLAN`",
        ),
        K::PlanChanged => (
            Policy::Operator,
            "restore the plan's rules and go on with `drover run PLAN`, or migrate under another name into a fresh destination",
        ),
        K::SnapshotLost => (
            Policy::Operator,
            "set `defaults.consistency: none` in the plan and go on with `drover run PLAN`, or `drover migration resume NAME -f PLAN`; or start over under another name with a fresh destination",
        ),
        K::SourceWritten => (
            Policy::Operator,
            "stop whoever writes, then migrate under another name into a fresh destination; or accept it: set `defaults.consistency: none` in the plan and go on with `drover run PLAN`, or `drover migration resume NAME -f PLAN`",
        ),
        K::TooManyErrors => (
            Policy::Operator,
            "look at `drover error group`, mend the rows at the source and try them again with `drover error retry --all`; or raise `max_quarantined` with `drover migration set NAME max_quarantined=1%`; then go on: `drover migration resume NAME`, or `drover run PLAN`",
        ),
        K::RowRefused => (
            Policy::Operator,
            "mend the row at the source, set `defaults.consistency: none` in the plan and go on with `drover run PLAN`, or `drover migration resume NAME -f PLAN`; or start over under another name with a rule that quarantines it",
        ),
        K::ConstraintBroken => (
            Policy::Operator,
            "mend or delete the rows in the destination, then run the plan again (`drover run PLAN`, or `drover migration resume NAME`): only the rebuild is repeated; or migrate under another name into a fresh destination with rules that keep such rows apart",
        ),
        K::UndoConflict => (
            Policy::Operator,
            "look at them (`drover migration rollback NAME --dry-run`), then roll back again with `--conflicts keep` (they stay) or `--conflicts force` (they are undone, too)",
        ),
        K::Unconfirmed => (
            Policy::Operator,
            "look at it with `drover schema plan NAME`, confirm it with `drover schema apply NAME` and the flags that the message names, then run the plan again",
        ),
        K::ChangeRefused => (
            Policy::Operator,
            "mend what the message names, or take the change out of the plan; `drover schema status NAME` shows every check",
        ),
        K::Fenced => (
            Policy::Stop,
            "another holder owns the partition; nothing was written",
        ),
        K::AlreadyRunning => (
            Policy::Operator,
            "another `drover run` of this migration is alive; end it first, or steer it: `drover migration pause NAME --local`",
        ),
        K::Internal => (
            Policy::Operator,
            "this is a fault of Drover's: report it with the log; then go on: `drover migration resume NAME`, or `drover run PLAN`",
        ),
    }
}

/// What an SQLSTATE of a data statement means for the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlAction {
    /// A row is at fault: isolate it.
    Row,
    /// The same batch again after a backoff.
    Retry,
    /// The same rows in a smaller batch.
    SmallerBatch,
    /// The connection broke: the outcome of a commit is unknown until the fence is read.
    UnknownOutcome,
    /// Block the whole run with this kind.
    BlockRun(FailureKind),
    /// Block the entity with this kind.
    BlockEntity(FailureKind),
    /// The fence refused us.
    Fenced,
}

/// SQLSTATE of `drover.advance` when token, holder, seq, cursor or hash do not match.
pub const SQLSTATE_FENCED: &str = "DR001";

/// The action for an SQLSTATE. An unlisted code blocks the entity; it never becomes a row error.
pub fn sql_action(sqlstate: &str) -> SqlAction {
    use SqlAction as A;
    match sqlstate {
        SQLSTATE_FENCED => return A::Fenced,
        // Our own COPY framing or type widths: never the row's fault.
        "22P03" | "22P04" | "08P01" => return A::BlockRun(FailureKind::Internal),
        "57014" => return A::SmallerBatch,
        "55P03" => return A::Retry,
        "25006" => return A::BlockRun(FailureKind::Exhausted),
        "42501" => return A::BlockEntity(FailureKind::Denied),
        "53300" => return A::Retry,
        // The server ended a session that stood still inside a transaction.
        "25P03" | "25P04" => return A::UnknownOutcome,
        // A value too large for an index or a row, or nested too deep.
        "54000" | "54001" => return A::Row,
        _ => {}
    }
    match sqlstate.get(..2).unwrap_or_default() {
        // Beside data and constraints: what a trigger or a function says of the row that it is given
        // (RAISE, a subquery of several rows, a foreign routine), and a view's own condition.
        "22" | "23" | "21" | "2F" | "38" | "39" | "44" | "P0" => A::Row,
        "40" => A::Retry,
        "08" => A::UnknownOutcome,
        "57" => A::UnknownOutcome,
        "53" | "54" | "58" => A::BlockRun(FailureKind::Exhausted),
        "28" => A::BlockEntity(FailureKind::Denied),
        "42" | "0A" => A::BlockEntity(FailureKind::SchemaDrift),
        "XX" => A::BlockRun(FailureKind::Internal),
        _ => A::BlockEntity(FailureKind::Internal),
    }
}

/// The action for an SQLSTATE of a SELECT of the source. What was prepared before and fails now fails for
/// a value: a corrupt one, or one that an expression has no answer for.
pub fn read_action(sqlstate: &str) -> SqlAction {
    match sqlstate {
        "XX000" | "XX001" | "0A000" => SqlAction::Row,
        _ => sql_action(sqlstate),
    }
}

/// The same where values travel as text. What reads the text of an extension's type may call a malformed
/// one a syntax error (ltree) or even an internal one (hstore): the row is at fault.
pub fn text_action(sqlstate: &str) -> SqlAction {
    match sqlstate {
        "42601" | "XX000" => SqlAction::Row,
        other => sql_action(other),
    }
}

/// `error_type` of the data model for an SQLSTATE or a `DROVER_*` code.
pub fn error_type(code: &str) -> &'static str {
    if code.starts_with("DROVER_") {
        return "data_validation";
    }
    match code {
        "57014" | "55P03" => return "timeout",
        _ => {}
    }
    match code.get(..2).unwrap_or_default() {
        "22" => "data_validation",
        "23" => "constraint_violation",
        "08" => "connection_error",
        "57" if code.starts_with("57P") => "connection_error",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlisted_code_blocks_and_never_blames_a_row() {
        for code in [
            "", "0", "01000", "42883", "99999", "DR002", "HV000", "XX000", "XX001", "54011",
            "53100",
        ] {
            assert!(!matches!(sql_action(code), SqlAction::Row), "{code}");
        }
    }

    #[test]
    fn what_a_read_or_a_trigger_says_of_a_row_is_the_rows() {
        for code in [
            "21000", "22012", "23514", "44000", "54000", "54001", "P0001", "P0004",
        ] {
            assert_eq!(sql_action(code), SqlAction::Row, "{code}");
            assert_eq!(read_action(code), SqlAction::Row, "{code}");
        }
        for code in ["XX000", "XX001", "0A000"] {
            assert_eq!(read_action(code), SqlAction::Row, "{code}");
        }
        for code in [
            "42501", "42703", "53200", "57014", "08006", "XX002", "22P04", "40001",
        ] {
            assert_eq!(read_action(code), sql_action(code), "{code}");
            assert_ne!(read_action(code), SqlAction::Row, "{code}");
        }
    }

    #[test]
    fn a_text_that_an_extension_calls_a_syntax_error_is_the_rows() {
        for code in ["42601", "XX000", "22P02"] {
            assert_eq!(text_action(code), SqlAction::Row);
        }
        assert_eq!(text_action("42501"), sql_action("42501"));
    }

    #[test]
    fn our_own_framing_faults_stop_instead_of_quarantining() {
        for code in ["22P03", "22P04", "08P01"] {
            assert_eq!(sql_action(code), SqlAction::BlockRun(FailureKind::Internal));
        }
    }

    #[test]
    fn classes_map_to_the_data_models_error_types() {
        let cases = [
            ("22003", "data_validation"),
            ("23502", "constraint_violation"),
            ("08006", "connection_error"),
            ("57P01", "connection_error"),
            ("57014", "timeout"),
            ("55P03", "timeout"),
            ("XX000", "unknown"),
            ("DROVER_EMAIL_INVALID", "data_validation"),
        ];
        for (code, expected) in cases {
            assert_eq!(error_type(code), expected, "{code}");
        }
    }
}
