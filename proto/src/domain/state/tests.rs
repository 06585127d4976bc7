//! The whole table: every state times every command.

use super::*;

/// Every state that exists, with its name in the table below.
const STATES: [(&str, State); 13] = [
    ("pending", at(MigrationStatus::Pending, None, false)),
    (
        "running",
        at(MigrationStatus::Running, Some(Activity::Running), false),
    ),
    (
        "running/pausing",
        at(MigrationStatus::Running, Some(Activity::Pausing), false),
    ),
    (
        "running/paused",
        at(MigrationStatus::Running, Some(Activity::Paused), false),
    ),
    (
        "running/blocked",
        at(MigrationStatus::Running, Some(Activity::Blocked), false),
    ),
    ("completed", at(MigrationStatus::Completed, None, false)),
    ("completed!", at(MigrationStatus::Completed, None, true)),
    ("failed", at(MigrationStatus::Failed, None, false)),
    ("failed!", at(MigrationStatus::Failed, None, true)),
    (
        "undoing",
        at(MigrationStatus::RollingBack, Some(Activity::Running), false),
    ),
    (
        "undoing/pausing",
        at(MigrationStatus::RollingBack, Some(Activity::Pausing), false),
    ),
    (
        "undoing/paused",
        at(MigrationStatus::RollingBack, Some(Activity::Paused), false),
    ),
    (
        "undoing/blocked",
        at(MigrationStatus::RollingBack, Some(Activity::Blocked), false),
    ),
];

/// Row: state. Columns: start, pause, paused, resume, block, complete, cancel, rollback,
/// rollback done, reset done, finalize. `-` is illegal, `=` leaves the state as it is.
const TABLE: &str = "
pending          running - - - - - - - - - -
running          = running/pausing - = running/blocked completed failed undoing - - -
running/pausing  - = running/paused running running/blocked completed failed undoing - - -
running/paused   - = = running running/blocked - failed undoing - - -
running/blocked  - running/pausing - running = - failed undoing - - -
completed        - - - - - - - undoing - - completed!
completed!       - - - - - - - - - - =
failed           - - - - - - - undoing - - failed!
failed!          - - - - - - - - - - =
undoing          - undoing/pausing - = undoing/blocked - - = pending running/paused -
undoing/pausing  - = undoing/paused undoing undoing/blocked - - = pending running/paused -
undoing/paused   - = = undoing undoing/blocked - - - - - -
undoing/blocked  - undoing/pausing - undoing = - - - - - -
";

const fn at(status: MigrationStatus, activity: Option<Activity>, is_finalized: bool) -> State {
    State {
        status,
        activity,
        is_finalized,
    }
}

fn commands() -> [Command; 11] {
    [
        Command::Start,
        Command::Pause,
        Command::Paused,
        Command::Resume,
        Command::Block {
            reason: "disk full".to_owned(),
            hint: "give it room".to_owned(),
        },
        Command::Complete,
        Command::Cancel,
        Command::Rollback,
        Command::RollbackDone,
        Command::ResetDone,
        Command::Finalize,
    ]
}

fn named(name: &str) -> State {
    STATES
        .iter()
        .find(|(known, _)| *known == name)
        .expect("a state of the table")
        .1
}

#[test]
fn every_state_and_command_has_the_outcome_of_the_table() {
    let rows: Vec<Vec<&str>> = TABLE
        .trim()
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows.len(), STATES.len());
    for row in rows {
        let state = named(row[0]);
        assert_eq!(row.len(), 12, "{}", row[0]);
        for (command, expected) in commands().iter().zip(&row[1..]) {
            let outcome = next(state, command).map(|next| next.state);
            match *expected {
                "-" => assert!(outcome.is_err(), "{} {command:?}: {outcome:?}", row[0]),
                "=" => assert_eq!(outcome, Ok(state), "{} {command:?}", row[0]),
                name => assert_eq!(outcome, Ok(named(name)), "{} {command:?}", row[0]),
            }
        }
    }
}

#[test]
fn states_that_do_not_exist_accept_nothing() {
    for status in MigrationStatus::ALL {
        for activity in Activity::ALL.iter().copied().map(Some).chain([None]) {
            for is_finalized in [false, true] {
                let state = at(*status, activity, is_finalized);
                if STATES.iter().any(|(_, known)| *known == state) {
                    assert!(state.is_sound(), "{state:?}");
                    continue;
                }
                for command in commands() {
                    assert!(next(state, &command).is_err(), "{state:?} {command:?}");
                }
            }
        }
    }
}

#[test]
fn only_a_finished_rollback_begins_a_new_attempt() {
    for (_, state) in STATES {
        for command in commands() {
            if let Ok(next) = next(state, &command) {
                let expected = command == Command::RollbackDone;
                assert_eq!(next.is_new_attempt, expected, "{state:?} {command:?}");
            }
        }
    }
}

#[test]
fn only_cancel_leads_to_failed_and_says_cancelled() {
    for (_, state) in STATES {
        for command in commands() {
            let Ok(next) = next(state, &command) else {
                continue;
            };
            let entered = next.state.status == MigrationStatus::Failed
                && state != next.state
                && state.status != MigrationStatus::Failed;
            assert_eq!(entered, command == Command::Cancel, "{state:?} {command:?}");
            assert_eq!(
                entered,
                next.reason == Reason::Cancelled,
                "{state:?} {command:?}"
            );
        }
    }
}

#[test]
fn a_refusal_says_the_state_the_command_and_the_way_out() {
    let refused = next(named("running/paused"), &Command::Start);
    assert_eq!(
        refused.map_err(|illegal| illegal.to_string()),
        Err("a migration that is running (paused) cannot start: resume it".to_owned())
    );
}

#[test]
fn every_illegal_command_leaves_something_legal_to_name() {
    for (name, state) in STATES {
        let legal = state.legal();
        let refused = commands()
            .into_iter()
            .any(|command| next(state, &command).is_err());
        assert!(!refused || !legal.is_empty(), "{name}");
        for verb in &legal {
            let leads_on = match *verb {
                "delete" => state.is_at_rest(),
                verb => commands().iter().any(|command| {
                    (command.verb() == verb || (verb, command) == ("rollback", &Command::Rollback))
                        && next(state, command).is_ok_and(|it| it.state != state)
                }),
            };
            assert!(leads_on, "{name} {verb}");
        }
    }
    assert_eq!(named("completed!").legal(), ["delete"]);
    assert_eq!(
        named("running/blocked").legal(),
        ["pause", "resume", "cancel", "rollback"]
    );
}

#[test]
fn a_cancel_stops_what_is_under_way_before_the_migration_is_cancelled() {
    for name in ["running", "running/pausing", "running/blocked"] {
        let stopping = next_observed(named(name), None, &Command::Cancel).unwrap();
        assert_eq!(stopping.state, named("running/pausing"), "{name}");
        assert_eq!(stopping.reason, Reason::Cancelling);
        let ended = next_observed(stopping.state, Some(CANCELLING), &Command::Paused).unwrap();
        assert_eq!(ended.state, named("failed"));
        assert_eq!(ended.reason, Reason::Cancelled);
        // Whoever changes their mind before that goes on.
        let resumed = next_observed(stopping.state, Some(CANCELLING), &Command::Resume).unwrap();
        assert_eq!(
            (resumed.state, resumed.reason),
            (named("running"), Reason::Clear)
        );
    }
    let at_once = next_observed(named("running/paused"), None, &Command::Cancel).unwrap();
    assert_eq!(at_once.state, named("failed"));
    let paused = next_observed(named("running/pausing"), None, &Command::Paused).unwrap();
    assert_eq!(paused.state, named("running/paused"));
    for name in [
        "undoing",
        "undoing/blocked",
        "pending",
        "completed",
        "failed!",
    ] {
        assert!(
            next_observed(named(name), None, &Command::Cancel).is_err(),
            "{name}"
        );
    }
}
