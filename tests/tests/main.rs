//! End to end: one binary, one private PostgreSQL, many databases.
#![allow(missing_docs)]

mod clinic;
mod faults;
mod fence;
mod kill;
mod layering;
mod metadata_schema;
mod metadata_store;
