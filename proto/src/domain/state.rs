//! The states of a migration and what a command makes of them: one total, pure function.
//!
//! The controller asks [`next`] before it stores a change; the metadata database's triggers refuse
//! whatever did not come from here. Nothing here knows a clock: times are stamped where they are
//! stored.

use super::record::{Activity, MigrationStatus};

/// Where a migration stands, as far as commands care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// The data model's status.
    pub status: MigrationStatus,
    /// What happens inside running and rolling back; absent in every other status.
    pub activity: Option<Activity>,
    /// Rolling back was ruled out.
    pub is_finalized: bool,
}

/// What an operator asks for, or the controller sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Operator: begin.
    Start,
    /// Operator: stop all work, keep everything.
    Pause,
    /// Seen: every partition is released or sealed, nothing can commit any more.
    Paused,
    /// Operator: go on after a pause or a block.
    Resume,
    /// Seen: only the operator can help.
    Block {
        /// Why.
        reason: String,
        /// What the operator can do.
        hint: String,
    },
    /// Seen: every entity is completed or skipped.
    Complete,
    /// Operator: give up, keep what was written.
    Cancel,
    /// Operator: undo what was written.
    Rollback,
    /// Seen: everything is undone.
    RollbackDone,
    /// Seen: some entities are undone, the others stay; they are copied again when it is resumed.
    ResetDone,
    /// Operator: rule out a rollback.
    Finalize,
}

/// What a command leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Next {
    /// The state that follows; the same one where there is nothing to do.
    pub state: State,
    /// `activity_reason` that follows.
    pub reason: Reason,
    /// A new attempt begins.
    pub is_new_attempt: bool,
}

/// What becomes of `activity_reason` and `activity_hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// They stay.
    Keep,
    /// Both are taken away.
    Clear,
    /// The migration was cancelled: reason `cancelled`, and nothing else leads to it.
    Cancelled,
    /// It stops its work and is cancelled then: reason `cancelling`.
    Cancelling,
    /// Why it is blocked and what to do.
    Blocked {
        /// Why.
        reason: String,
        /// What the operator can do.
        hint: String,
    },
}

/// `activity_reason` of a cancelled migration.
pub const CANCELLED: &str = "cancelled";
/// `activity_reason` of one that stops its work because it is to be cancelled.
pub const CANCELLING: &str = "cancelling";

/// A command that does not fit the state, and what fits instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a migration that is {} cannot {verb}: {why}", .state.describe())]
pub struct Illegal {
    /// The state.
    pub state: State,
    /// The command's verb.
    pub verb: &'static str,
    /// Why, or what to do instead.
    pub why: &'static str,
}

impl State {
    /// The state in words.
    pub const fn describe(&self) -> &'static str {
        match (self.status, self.activity) {
            (MigrationStatus::Pending, _) => "pending",
            (MigrationStatus::Completed, _) if self.is_finalized => "completed and finalized",
            (MigrationStatus::Completed, _) => "completed",
            (MigrationStatus::Failed, _) if self.is_finalized => "cancelled and finalized",
            (MigrationStatus::Failed, _) => "cancelled",
            (MigrationStatus::Running, Some(Activity::Pausing)) => "running (pausing)",
            (MigrationStatus::Running, Some(Activity::Paused)) => "running (paused)",
            (MigrationStatus::Running, Some(Activity::Blocked)) => "running (blocked)",
            (MigrationStatus::Running, Some(Activity::Running) | None) => "running",
            (MigrationStatus::RollingBack, Some(Activity::Pausing)) => "rolling back (pausing)",
            (MigrationStatus::RollingBack, Some(Activity::Paused)) => "rolling back (paused)",
            (MigrationStatus::RollingBack, Some(Activity::Blocked)) => "rolling back (blocked)",
            (MigrationStatus::RollingBack, Some(Activity::Running) | None) => "rolling back",
        }
    }

    /// The state is one of those that exist: activity only inside running and rolling back,
    /// finalized only at the end.
    pub const fn is_sound(&self) -> bool {
        match self.status {
            MigrationStatus::Pending => self.activity.is_none() && !self.is_finalized,
            MigrationStatus::Completed | MigrationStatus::Failed => self.activity.is_none(),
            MigrationStatus::Running | MigrationStatus::RollingBack => {
                self.activity.is_some() && !self.is_finalized
            }
        }
    }
}

impl State {
    /// Verbs of the CLI that lead somewhere from here.
    pub fn legal(self) -> Vec<&'static str> {
        const OPERATORS: [(Command, &str); 6] = [
            (Command::Start, "start"),
            (Command::Pause, "pause"),
            (Command::Resume, "resume"),
            (Command::Cancel, "cancel"),
            (Command::Rollback, "rollback"),
            (Command::Finalize, "finalize"),
        ];
        let leads_on = |command: &Command| next(self, command).is_ok_and(|it| it.state != self);
        let mut verbs: Vec<&str> = OPERATORS
            .iter()
            .filter(|(command, _)| leads_on(command))
            .map(|(_, verb)| *verb)
            .collect();
        if self.is_at_rest() {
            verbs.push("delete");
        }
        verbs
    }

    /// Nothing is under way: it can be forgotten.
    pub const fn is_at_rest(self) -> bool {
        match self.status {
            MigrationStatus::Pending | MigrationStatus::Completed | MigrationStatus::Failed => true,
            MigrationStatus::Running | MigrationStatus::RollingBack => false,
        }
    }
}

impl Command {
    /// The command's verb, as the CLI has it.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Paused => "become paused",
            Self::Resume => "resume",
            Self::Block { .. } => "block",
            Self::Complete => "complete",
            Self::Cancel => "cancel",
            Self::Rollback => "roll back",
            Self::RollbackDone => "finish its rollback",
            Self::ResetDone => "finish the reset of entities",
            Self::Finalize => "finalize",
        }
    }
}

/// The state that follows a command, or why the command does not fit.
pub fn next(state: State, command: &Command) -> Result<Next, Illegal> {
    let illegal = |why| {
        Err(Illegal {
            state,
            verb: command.verb(),
            why,
        })
    };
    if !state.is_sound() {
        return illegal("there is no such state");
    }
    match state.activity {
        Some(activity) => inside(state, activity, command),
        None => at_rest(state, command),
    }
    .or_else(illegal)
}

/// As [`next`], where what is asked and what is seen differ: a cancel first stops what is under way, as a pause
/// does, and the migration is cancelled once nothing can commit any more. `reason` is its `activity_reason`.
pub fn next_observed(
    state: State,
    reason: Option<&str>,
    command: &Command,
) -> Result<Next, Illegal> {
    let may_commit = state
        .activity
        .is_some_and(|activity| activity != Activity::Paused);
    match command {
        Command::Cancel if may_commit => {
            next(state, command)?;
            let stopping = next(state, &Command::Pause)?;
            Ok(Next {
                reason: Reason::Cancelling,
                ..stopping
            })
        }
        Command::Paused if reason == Some(CANCELLING) => next(state, &Command::Cancel),
        _ => next(state, command),
    }
}

/// Commands to a migration that is pending, completed or failed.
fn at_rest(state: State, command: &Command) -> Result<Next, &'static str> {
    use MigrationStatus::{Completed, Failed, Pending, RollingBack, Running};
    let is_pending = match state.status {
        Pending => true,
        Completed | Failed => false,
        Running | RollingBack => return Err("there is no such state"),
    };
    match command {
        Command::Start if is_pending => Ok(enter(Running)),
        Command::Start => Err("it has ended; roll it back to run it again"),
        Command::Rollback if is_pending => Err("nothing was written"),
        Command::Rollback if state.is_finalized => Err("it is finalized"),
        Command::Rollback => Ok(enter(RollingBack)),
        Command::Finalize if is_pending => Err("it has not ended"),
        Command::Finalize => Ok(stay(
            State {
                is_finalized: true,
                ..state
            },
            Reason::Keep,
        )),
        Command::Cancel if is_pending => Err("it was never started; delete it"),
        Command::Pause
        | Command::Paused
        | Command::Resume
        | Command::Block { .. }
        | Command::Complete
        | Command::Cancel
        | Command::RollbackDone
        | Command::ResetDone => Err("it is not under way"),
    }
}

/// Commands to a migration that is running or rolling back.
fn inside(state: State, activity: Activity, command: &Command) -> Result<Next, &'static str> {
    use Activity::{Blocked, Paused, Pausing, Running};
    let is_rollback = matches!(state.status, MigrationStatus::RollingBack);
    let to = |activity| State {
        activity: Some(activity),
        ..state
    };
    match (command, activity) {
        (Command::Start, Running) if !is_rollback => Ok(stay(state, Reason::Keep)),
        (Command::Start, _) if is_rollback => Err("wait until it is pending again"),
        (Command::Start, _) => Err("resume it"),

        (Command::Pause, Running | Blocked) => Ok(stay(to(Pausing), Reason::Clear)),
        (Command::Pause, Pausing | Paused) => Ok(stay(state, Reason::Keep)),

        (Command::Paused, Pausing) => Ok(stay(to(Paused), Reason::Keep)),
        (Command::Paused, Paused) => Ok(stay(state, Reason::Keep)),
        (Command::Paused, Running | Blocked) => Err("it was not asked to pause"),

        (Command::Resume, Running) => Ok(stay(state, Reason::Keep)),
        (Command::Resume, Pausing | Paused | Blocked) => Ok(stay(to(Running), Reason::Clear)),

        (Command::Block { reason, hint }, _) => {
            let reason = Reason::Blocked {
                reason: reason.clone(),
                hint: hint.clone(),
            };
            Ok(stay(to(Blocked), reason))
        }

        (Command::Complete, _) if is_rollback => Err("it is being undone"),
        (Command::Complete, Running | Pausing) => {
            let state = State {
                status: MigrationStatus::Completed,
                activity: None,
                ..state
            };
            Ok(stay(state, Reason::Clear))
        }
        (Command::Complete, Paused | Blocked) => Err("resume it"),

        (Command::Cancel, _) if is_rollback => Err("a rollback goes on until it is done"),
        (Command::Cancel, _) => {
            let state = State {
                status: MigrationStatus::Failed,
                activity: None,
                ..state
            };
            Ok(stay(state, Reason::Cancelled))
        }

        (Command::Rollback, Running | Pausing) if is_rollback => Ok(stay(state, Reason::Keep)),
        (Command::Rollback, Paused | Blocked) if is_rollback => Err("resume it"),
        (Command::Rollback, _) => Ok(enter(MigrationStatus::RollingBack)),

        (Command::RollbackDone, Running | Pausing) if is_rollback => Ok(Next {
            state: State {
                status: MigrationStatus::Pending,
                activity: None,
                ..state
            },
            reason: Reason::Clear,
            is_new_attempt: true,
        }),
        (Command::RollbackDone, _) if is_rollback => Err("resume it"),
        (Command::RollbackDone, _) => Err("it is not being rolled back"),

        (Command::ResetDone, Running | Pausing) if is_rollback => {
            let state = State {
                status: MigrationStatus::Running,
                activity: Some(Paused),
                ..state
            };
            Ok(stay(state, Reason::Clear))
        }
        (Command::ResetDone, _) if is_rollback => Err("resume it"),
        (Command::ResetDone, _) => Err("it is not being rolled back"),

        (Command::Finalize, _) => Err("it has not ended"),
    }
}

/// A status in which work begins.
const fn enter(status: MigrationStatus) -> Next {
    let state = State {
        status,
        activity: Some(Activity::Running),
        is_finalized: false,
    };
    Next {
        state,
        reason: Reason::Clear,
        is_new_attempt: false,
    }
}

/// A state of the same attempt.
const fn stay(state: State, reason: Reason) -> Next {
    Next {
        state,
        reason,
        is_new_attempt: false,
    }
}

#[cfg(test)]
mod tests;
