//! End to end: one binary, one private PostgreSQL, many databases.
#![allow(missing_docs)]

mod fence;
mod metadata_schema;
