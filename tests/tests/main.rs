//! End to end: one binary, one private PostgreSQL, many databases.
// Helpers of a test binary are tests too, whatever the lint thinks of them.
#![allow(missing_docs, clippy::unwrap_used)]

mod clients;
mod clinic;
mod cluster;
mod commands;
mod corpus;
mod faults;
mod fence;
mod frozen;
mod kill;
mod kinds;
mod layering;
mod lost_answers;
mod memory;
mod metadata_schema;
mod metadata_store;
mod model;
mod operator;
mod partitions;
mod pool;
mod preflight;
mod rollback;
mod rules;
mod runs;
mod schema;
mod silence;
mod strangers;
mod throttle;
mod validation;
