//! The source database: catalogs, samples, snapshots and rows. Everything here is read-only.

pub mod activity;
pub mod again;
pub mod baseline;
pub mod catalog;
pub mod check;
pub mod frozen;
pub mod isolate;
pub mod lag;
pub mod parents;
pub mod read;
pub mod redact;
pub mod sample;
pub mod snapshot;
pub mod tuple;
