//! The source database: catalogs, samples, snapshots and rows. Everything here is read-only.

pub mod activity;
pub mod again;
pub mod baseline;
pub mod catalog;
pub mod check;
pub mod frozen;
pub mod isolate;
pub mod keyed;
pub mod lag;
pub mod parents;
pub mod read;
pub mod recheck;
pub mod redact;
pub mod sample;
pub mod server;
pub mod snapshot;
pub mod survey;
pub mod taste;
pub mod tuple;
