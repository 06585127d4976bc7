//! The exit codes: a contract with scripts, printed by `drover exit-codes`.

use std::fmt::Write;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Done.
    Done,
    /// The action failed.
    Failed,
    /// The command line, a setting or the plan is not valid.
    Usage,
    /// No such name, or more than one.
    NotFound,
    /// The state does not allow it.
    WrongState,
    /// A server refused user, password or right.
    Denied,
    /// A server did not answer.
    Unreachable,
    /// A wait ended before what it waited for.
    WaitTimeout,
    /// The migration stands still and needs an operator.
    Blocked,
    /// Too many rows are wrong.
    Threshold,
    /// There is something to do.
    Changes,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

/// Every code with its number, its name in JSON errors, and what it means.
pub const TABLE: [(Code, u8, &str, &str); 12] = [
    (
        Code::Done,
        0,
        "OK",
        "done; also when a migration was completed already",
    ),
    (Code::Failed, 1, "INTERNAL", "the action failed"),
    (
        Code::Usage,
        2,
        "INVALID_ARGUMENT",
        "the command line, a setting or the plan is not valid",
    ),
    (
        Code::NotFound,
        3,
        "NOT_FOUND",
        "no such name or key, or an ambiguous one",
    ),
    (
        Code::WrongState,
        4,
        "FAILED_PRECONDITION",
        "wrong state: another run is alive, the plan changed, or a connection leads elsewhere",
    ),
    (
        Code::Denied,
        5,
        "PERMISSION_DENIED",
        "a server refused the user, the password or a right",
    ),
    (
        Code::Unreachable,
        6,
        "UNAVAILABLE",
        "a server did not answer in time",
    ),
    (
        Code::WaitTimeout,
        7,
        "DEADLINE_EXCEEDED",
        "a wait ended early; the work goes on",
    ),
    (
        Code::Blocked,
        8,
        "ABORTED",
        "the migration, or its preflight, is blocked: it needs you, then the same command",
    ),
    (
        Code::Threshold,
        9,
        "OUT_OF_RANGE",
        "blocked by max_quarantined; a validation failed; or, with --strict, completed with quarantined rows",
    ),
    (
        Code::Changes,
        10,
        "CHANGES",
        "there are changes to apply (only where --exit-code asks)",
    ),
    (
        Code::Interrupted,
        130,
        "CANCELLED",
        "interrupted; run the same command again to go on",
    ),
];

impl Code {
    /// The number the process ends with.
    pub fn number(self) -> u8 {
        self.row().1
    }

    /// The name in errors that are printed as JSON.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Code, u8, &'static str, &'static str) {
        TABLE.iter().find(|row| row.0 == self).unwrap_or(&TABLE[1])
    }
}

/// The table for people.
pub fn text() -> String {
    let mut text = String::from("CODE  MEANING\n");
    for (_, number, _, meaning) in TABLE {
        let _ = writeln!(text, "{number:>4}  {meaning}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_contract() {
        let numbers: Vec<(Code, u8)> = TABLE.iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(
            numbers,
            [
                (Code::Done, 0),
                (Code::Failed, 1),
                (Code::Usage, 2),
                (Code::NotFound, 3),
                (Code::WrongState, 4),
                (Code::Denied, 5),
                (Code::Unreachable, 6),
                (Code::WaitTimeout, 7),
                (Code::Blocked, 8),
                (Code::Threshold, 9),
                (Code::Changes, 10),
                (Code::Interrupted, 130),
            ]
        );
        for (code, number, name, _) in TABLE {
            assert_eq!((code.number(), code.name()), (number, name));
        }
    }

    #[test]
    fn the_table_for_people_has_every_code() {
        let text = text();
        assert_eq!(text.lines().count(), TABLE.len() + 1);
        assert!(text.contains("\n 130  interrupted"), "{text}");
    }
}
