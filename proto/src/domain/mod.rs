//! Ids, keys, plans, rules, states and failures: pure data and functions.
//!
//! Nothing here does I/O, reads a clock or draws a random number; `now` and randomness come in as
//! arguments.

mod agent_op;
pub mod catalog;
pub mod compile;
pub mod compiled;
pub mod failure;
pub mod fingerprint;
pub mod frame;
pub mod graph;
pub mod id;
pub mod json_rows;
pub mod key;
pub mod plan;
pub mod preflight;
pub mod record;
mod reread;
pub mod rules;
pub mod schema_change;
pub mod settings;
pub mod sketch;
pub mod state;
pub mod token;
pub mod undo;
