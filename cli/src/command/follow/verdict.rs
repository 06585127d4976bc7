//! Whether a migration is where somebody wants it, or will never be. Pure.

use std::fmt;

use proto::domain::failure::{FailureKind, policy};
use proto::domain::record::{Activity, MigrationOrchestration, MigrationStatus};

use crate::args::WantedState;
use crate::exit::Code;
use crate::render::migration::state;
use crate::stop::Stop;

/// What a migration is followed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Its end, or that it needs somebody.
    End,
    /// A state.
    State(WantedState),
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("completed"),
            Self::State(wanted) => f.write_str(wanted.as_str()),
        }
    }
}

/// None: go on. `is_over`: the controller says that nothing more will happen by itself.
pub fn judge(
    goal: Goal,
    migration: &MigrationOrchestration,
    is_over: bool,
) -> Option<Result<(), Stop>> {
    let completed = WantedState::Status(MigrationStatus::Completed);
    let wanted = match goal {
        Goal::End => completed,
        Goal::State(wanted) => wanted,
    };
    if wanted.holds(migration) {
        return Some(Ok(()));
    }
    if migration.activity == Some(Activity::Blocked) {
        return Some(Err(blocked(migration)));
    }
    match migration.status {
        MigrationStatus::Failed => Some(Err(ended(migration, Code::Blocked, "FAILED"))),
        MigrationStatus::Completed => Some(Err(ended(migration, Code::WrongState, "COMPLETED"))),
        MigrationStatus::Pending if is_over => {
            Some(Err(ended(migration, Code::Blocked, "ROLLED_BACK")))
        }
        MigrationStatus::Pending | MigrationStatus::Running | MigrationStatus::RollingBack => {
            is_over.then(|| Err(ended(migration, Code::Blocked, "ENDED")))
        }
    }
}

/// It stands still and says why.
fn blocked(migration: &MigrationOrchestration) -> Stop {
    let reason = migration
        .activity_reason
        .as_deref()
        .unwrap_or("no reason is known");
    let hint = migration.activity_hint.as_deref();
    // The record holds the kind of the block only by its hint, which is ours.
    let is_threshold = hint == Some(policy(FailureKind::TooManyErrors).1);
    let (code, name) = match is_threshold {
        true => (Code::Threshold, "TOO_MANY_ERRORS"),
        false => (Code::Blocked, "BLOCKED"),
    };
    let stop = Stop::new(code, name, format!("the migration is blocked: {reason}"));
    match hint {
        Some(hint) => stop.hinting(hint),
        None => stop.hinting(format!("drover migration get {}", migration.name)),
    }
}

fn ended(migration: &MigrationOrchestration, code: Code, reason: &str) -> Stop {
    let why = migration.activity_reason.as_ref();
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    Stop::new(
        code,
        reason,
        format!("the migration is {}{why}", state(migration)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::samples::migration;

    fn number(goal: Goal, at: (MigrationStatus, Option<Activity>), is_over: bool) -> Option<u8> {
        let migration = migration(at.0, at.1);
        judge(goal, &migration, is_over).map(|end| match end {
            Ok(()) => 0,
            Err(stop) => stop.code().number(),
        })
    }

    #[test]
    fn a_watch_ends_when_nothing_more_happens_without_an_operator() {
        use {Activity as A, MigrationStatus as S};
        for (at, is_over, expected) in [
            ((S::Pending, None), false, None),
            ((S::Pending, None), true, Some(8)),
            ((S::Running, Some(A::Running)), false, None),
            ((S::Running, Some(A::Pausing)), false, None),
            ((S::Running, Some(A::Paused)), false, None),
            ((S::Running, Some(A::Blocked)), false, Some(8)),
            ((S::RollingBack, Some(A::Running)), false, None),
            ((S::RollingBack, Some(A::Blocked)), false, Some(8)),
            ((S::Completed, None), false, Some(0)),
            ((S::Completed, None), true, Some(0)),
            ((S::Failed, None), true, Some(8)),
        ] {
            assert_eq!(number(Goal::End, at, is_over), expected, "{at:?} {is_over}");
        }
    }

    #[test]
    fn a_wait_ends_where_it_is_wanted_or_can_never_be() {
        use {Activity as A, MigrationStatus as S};
        let paused = Goal::State(WantedState::Activity(A::Paused));
        let blocked = Goal::State(WantedState::Activity(A::Blocked));
        let failed = Goal::State(WantedState::Status(S::Failed));
        for (goal, at, expected) in [
            (paused, (S::Running, Some(A::Pausing)), None),
            (paused, (S::Running, Some(A::Paused)), Some(0)),
            (paused, (S::Running, Some(A::Blocked)), Some(8)),
            (paused, (S::Completed, None), Some(4)),
            (paused, (S::Failed, None), Some(8)),
            (blocked, (S::Running, Some(A::Blocked)), Some(0)),
            (blocked, (S::Running, Some(A::Paused)), None),
            (failed, (S::Failed, None), Some(0)),
        ] {
            assert_eq!(number(goal, at, false), expected, "{goal} {at:?}");
        }
    }

    #[test]
    fn too_many_errors_have_a_code_of_their_own() {
        let mut migration = migration(MigrationStatus::Running, Some(Activity::Blocked));
        migration.activity_hint = Some(policy(FailureKind::TooManyErrors).1.to_owned());
        let Some(Err(stop)) = judge(Goal::End, &migration, false) else {
            panic!("it is blocked")
        };
        assert_eq!(stop.code().number(), 9);
    }
}
