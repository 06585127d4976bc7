//! The plumbing that every process needs, without one domain word.
//!
//! The list of modules is closed: what does not fit one of them belongs to the crate that wants it.
//! Nothing here reads the process environment except [`settings::Environment::from_process`].

pub mod backoff;
pub mod channel;
pub mod clock;
pub mod pipe;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
