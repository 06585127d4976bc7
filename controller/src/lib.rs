//! The controller: owns the plan, schedules partitions, keeps the metadata.
//!
//! Start at [`app`]. [`schedule`], [`partition`] and [`quarantine`] are pure; [`store`] is the only
//! module that speaks SQL; agents do all work at source and destination.

pub mod app;
pub mod intake;
pub mod partition;
pub mod plan;
pub mod prepare;
pub mod progress;
pub mod quarantine;
pub mod reconcile;
pub mod registry;
pub mod sample;
pub mod schedule;
pub mod store;
