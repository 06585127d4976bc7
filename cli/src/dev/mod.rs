//! A private PostgreSQL for trying things out, and the demo clinic that is loaded into it.

pub mod account;
pub mod binaries;
pub mod clinic;
pub mod database;
pub mod home;
pub mod server;
pub mod watcher;
