//! The nine entities of the data model as plain data, with the data model's names; beside them the
//! event schema's event and the agents.
//!
//! The controller's store reads and writes them, `wire` turns them into messages, the CLI prints
//! them as JSON. Attributes beside the data model's own say so. They hold no behaviour: what may
//! follow what is in [`super::state`], what may be stored at all in `migrations/controller`.

pub mod agent;
pub mod batch;
pub mod checkpoint;
pub mod decision;
pub mod entity;
pub mod error;
pub mod event;
pub mod mapping;
pub mod migration;
pub mod rules;
pub mod schema_change;
pub mod validation;
pub mod validation_run;

pub use agent::{AgentState, AgentStatus};
pub use batch::{BatchProcessingStatus, BatchStatus};
pub use checkpoint::{CheckpointType, MigrationCheckpoint};
pub use decision::{ErrorGroup, RETRIED_ROWS, RetryProgress, RetryState};
pub use entity::{EntityIntent, EntityMigrationStatus, EntityStatus};
pub use error::{ErrorType, MigrationError};
pub use event::{Event, EventData, WHOLE_MIGRATION};
pub use mapping::MigrationMapping;
pub use migration::{Activity, MigrationOrchestration, MigrationStatus, MigrationType};
pub use rules::LegacyEntityMapping;
pub use schema_change::{
    RiskLevel, SchemaChangeOperation, SchemaOperationStatus, SchemaOperationType,
};
pub use validation::{DataValidationResult, ValidationSeverity, ValidationStatus, ValidationType};
pub use validation_run::{ValidationRun, ValidationRunStatus};

/// A text that is none of an enumeration's values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no {kind}")]
pub struct UnknownValue {
    /// Name of the enumeration.
    pub kind: &'static str,
    /// The text.
    pub value: String,
}

/// An enumeration whose values are texts of the data model, used alike in JSON, SQL and for people.
macro_rules! text_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $( $(#[$variant_meta])* #[serde(rename = $text)] $variant, )+
        }

        impl $name {
            /// Every value, in the data model's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The data model's text for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::record::UnknownValue;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::domain::record::UnknownValue {
                        kind: stringify!($name),
                        value: text.to_owned(),
                    }),
                }
            }
        }
    };
}
pub(crate) use text_enum;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
