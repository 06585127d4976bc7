//! The destination database: fence, batches, id map, constraints. The only module that writes.

pub mod analyze;
pub mod breach;
pub mod catalog;
pub mod conflict;
pub mod copy;
pub mod ddl;
pub mod fence;
pub mod install;
pub mod isolate;
pub mod ledger;
pub mod load;
pub mod lookup;
pub mod matches;
pub mod persist;
pub mod rebuild;
pub mod retry;
pub mod seal;
pub mod sequences;
pub mod settle;
pub mod stage;
pub mod state;
pub mod waiting;
pub mod write;
