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
