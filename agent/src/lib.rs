//! The agent: reads, transforms and writes rows near the source.
//!
//! Start at [`worker`]: one partition, five visible steps. [`session`] talks to the controller,
//! [`source`] and [`sink`] are the only modules that speak SQL, [`transform`] is pure.

pub mod allocator;
pub mod app;
pub mod batch;
pub mod config;
pub mod connect;
pub mod desk;
pub mod failure;
pub mod lanes;
pub mod membership;
pub mod outbox;
pub mod patience;
pub mod pipe;
pub mod pool;
pub mod query;
pub mod run;
pub mod session;
pub mod sink;
pub mod sizer;
pub mod source;
pub mod spares;
pub mod supervisor;
#[cfg(test)]
mod testing;
pub mod throttle;
pub mod transform;
pub mod verify;
pub mod worker;
