//! Changes of a schema: what a plan declares, what a catalog says, and the operations that follow.
//!
//! Pure: an agent reads [`TableFacts`] (`agent::sink::schema`), [`generate`] makes of a
//! [`DeclaredChange`] and the facts a [`PlannedChange`]: ordered operations, each with its statements,
//! its way back, its risk with the reasons, and its checks. `DROP … CASCADE` is never made; what hangs on
//! a column becomes an operation of its own, or a refusal that names it.

mod backup;
mod check;
mod column;
mod consent;
mod declared;
mod facts;
mod generate;
mod journal;
mod planned;
mod risk;
#[cfg(test)]
mod tests;

pub use backup::{BACKUP_SCHEMA, Backup};
pub use check::{CheckOutcome, CheckStatus, Expected, Phase, SchemaCheck, Severity};
pub use consent::{Consent, Unconfirmed};
pub use declared::{
    Change, ColumnType, DeclaredChange, IdentityKind, Moment, NewColumn, NewConstraint, declared,
};
pub use facts::{
    ColumnFacts, ConstraintFacts, ConstraintKind, Dependant, Fit, IndexFacts, ObjectFacts,
    SequenceFacts, TableFacts, TypeFacts, UpdateTrigger,
};
pub use generate::{FitQuestions, fit_questions, generate, offenders, rehearsal};
pub use journal::{JournalEntry, LoadedDefinition, position};
pub use planned::{Operation, PlannedChange, Run, SchemaStep};
pub use risk::{Escalation, Risk};
