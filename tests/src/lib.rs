//! What the end-to-end tests share: a private PostgreSQL, the demo clinic, the real binary.

pub mod catalog;
pub mod clients;
pub mod clinic;
pub mod cluster;
pub mod corruption;
pub mod drover;
pub mod pair;
pub mod pg;
pub mod process;
pub mod proxy;
pub mod simulated;

#[path = "../../proto/tests/support/etcd.rs"]
pub mod etcd;
