//! What went wrong in the controller as a gRPC status; the words and details are `wire`'s.

use proto::domain::state::State;
use proto::wire::status::{
    Reason, invalid, not_found, not_leader, of_failure, of_problems, precondition, with,
};
use tonic::Status;

use crate::commands::CommandError;
use crate::fleet::Refusal;
use crate::store::StoreError;

/// A command that was not done.
pub fn of_command(error: CommandError) -> Status {
    match error {
        CommandError::Plan(problems) => of_problems(&problems),
        CommandError::NoMigration { wanted } => {
            not_found(Reason::MigrationNotFound, "migration", &wanted)
        }
        CommandError::Ambiguous { wanted, candidates } => {
            let names: Vec<String> = candidates
                .iter()
                .map(|(id, name)| format!("{id} {name}"))
                .collect();
            let names = names.join(", ");
            with(
                Reason::NameAmbiguous,
                format!("{wanted:?} means more than one migration: {names}"),
                &[("name", wanted), ("candidates", names)],
            )
        }
        CommandError::NotConfirmed { .. } => with(Reason::NotConfirmed, error.to_string(), &[]),
        CommandError::NoEntity { entity } => not_found(Reason::EntityNotFound, "entity", &entity),
        CommandError::StillNeeded { ref needed_by } => {
            let blockers: Vec<String> = needed_by
                .iter()
                .map(|name| format!("drover migration finalize {name}"))
                .collect();
            precondition(
                Reason::StillNeeded,
                error.to_string(),
                "destination",
                &blockers,
            )
        }
        CommandError::NoError { wanted, count: 0 } => {
            not_found(Reason::ErrorNotFound, "error", &wanted)
        }
        CommandError::NoError { wanted, .. } => {
            let words = format!("more than one error's id begins with {wanted:?}");
            with(Reason::NameAmbiguous, words, &[("id", wanted)])
        }
        CommandError::Store(error) => of_store(&error),
        CommandError::Failed(failure) => of_failure(&failure),
    }
}

/// A refusal or failure of the metadata.
pub fn of_store(error: &StoreError) -> Status {
    let words = error.to_string();
    match error {
        StoreError::NameTaken { name } => with(Reason::NameTaken, words, &[("name", name.clone())]),
        StoreError::EtagMismatch { etag } => {
            with(Reason::EtagMismatch, words, &[("etag", etag.clone())])
        }
        StoreError::RequestIdReused => with(Reason::RequestIdReused, words, &[]),
        StoreError::Deposed { .. } => not_leader(None),
        StoreError::UnderWay { id } => {
            let blockers = ["cancel it or roll it back first".to_owned()];
            precondition(Reason::UnderWay, words, &id.to_string(), &blockers)
        }
        StoreError::Illegal(refused) => {
            let blockers = [refused.why.to_owned(), legal_now(refused.state)];
            precondition(Reason::IllegalState, words, "migration", &blockers)
        }
        StoreError::IllegalEntity { entity, why, .. } => {
            let blockers = [(*why).to_owned()];
            precondition(Reason::IllegalState, words, entity, &blockers)
        }
        StoreError::Setting(_) => invalid("settings", words),
        StoreError::NoMigration { id } => {
            not_found(Reason::MigrationNotFound, "migration", &id.to_string())
        }
        StoreError::NoEntity { entity } => not_found(Reason::EntityNotFound, "entity", entity),
        StoreError::PlanChanged { .. }
        | StoreError::Connect(_)
        | StoreError::CreateSchema { .. }
        | StoreError::Upgrade(_)
        | StoreError::NotInstalled { .. }
        | StoreError::OtherVersion { .. }
        | StoreError::AlreadyRunning { .. }
        | StoreError::Lock { .. }
        | StoreError::Database { .. } => of_failure(&error.failure()),
    }
}

/// What can be done with a migration as it is.
pub fn legal_now(state: State) -> String {
    match state.legal().as_slice() {
        [] => "nothing can be done with it now".to_owned(),
        verbs => format!("legal now: {}", verbs.join(", ")),
    }
}

/// An agent that was not taken.
pub fn of_refusal(refusal: &Refusal) -> Status {
    let reason = match refusal {
        Refusal::NoHello => Reason::HelloMissing,
        Refusal::CodecVersion { .. } => Reason::CodecVersion,
        Refusal::NameTaken { .. } => Reason::AgentNameTaken,
    };
    with(reason, refusal.to_string(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::domain::record::{Activity, MigrationStatus};
    use proto::domain::state::{Command, next_observed};
    use proto::wire::status::Refusal as Understood;
    use tonic::Code;

    fn states() -> Vec<State> {
        let mut states = Vec::new();
        for status in MigrationStatus::ALL {
            for activity in Activity::ALL.iter().copied().map(Some).chain([None]) {
                for is_finalized in [false, true] {
                    let state = State {
                        status: *status,
                        activity,
                        is_finalized,
                    };
                    states.extend(state.is_sound().then_some(state));
                }
            }
        }
        states
    }

    #[test]
    fn every_command_that_a_state_does_not_allow_is_refused_with_why_and_what_is_legal() {
        let commands = [
            Command::Start,
            Command::Pause,
            Command::Resume,
            Command::Cancel,
            Command::Rollback,
            Command::Finalize,
        ];
        let (mut refused, mut allowed) = (0, 0);
        assert_eq!(states().len(), 13);
        for state in states() {
            for command in &commands {
                let illegal = match next_observed(state, None, command) {
                    Ok(_) => {
                        allowed += 1;
                        continue;
                    }
                    Err(illegal) => illegal,
                };
                refused += 1;
                let why = illegal.why;
                let status = of_store(&StoreError::Illegal(illegal));
                let place = format!("{} {command:?}: {status:?}", state.describe());
                assert_eq!(status.code(), Code::FailedPrecondition, "{place}");
                let read = Understood::of(&status);
                assert_eq!(read.reason(), Some(Reason::IllegalState), "{place}");
                assert!(read.message.contains(state.describe()), "{place}");
                let said: Vec<&str> = read.violations.iter().map(|(_, words)| &**words).collect();
                assert_eq!(said[0], why, "{place}");
                for verb in state.legal() {
                    assert!(said[1].contains(verb), "{place}");
                    assert!(read.metadata["hint"].contains(verb), "{place}");
                }
            }
        }
        assert_eq!((refused, allowed), (44, 34));
    }

    #[test]
    fn an_entity_that_does_not_allow_a_command_is_a_failed_precondition_too() {
        let status = of_store(&StoreError::IllegalEntity {
            entity: "orders".to_owned(),
            verb: "pause",
            why: "it is skipped; resume it first",
        });
        assert_eq!(status.code(), Code::FailedPrecondition);
        let read = Understood::of(&status);
        assert_eq!(read.reason(), Some(Reason::IllegalState));
        assert!(read.message.contains("orders") && read.message.contains("resume"));
    }
}
