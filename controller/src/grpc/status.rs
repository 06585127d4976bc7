//! What went wrong in the controller as a gRPC status; the words and details are `wire`'s.

use proto::wire::status::{
    Reason, not_found, not_leader, of_failure, of_problems, precondition, with,
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
            let blockers = ["pause it first, then cancel it or roll it back".to_owned()];
            precondition(Reason::UnderWay, words, &id.to_string(), &blockers)
        }
        StoreError::Illegal(refused) => {
            let blockers = [refused.why.to_owned()];
            precondition(Reason::IllegalState, words, "migration", &blockers)
        }
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

/// An agent that was not taken.
pub fn of_refusal(refusal: &Refusal) -> Status {
    let reason = match refusal {
        Refusal::NoHello => Reason::HelloMissing,
        Refusal::CodecVersion { .. } => Reason::CodecVersion,
        Refusal::NameTaken { .. } => Reason::AgentNameTaken,
    };
    with(reason, refusal.to_string(), &[])
}
