//! The controller: owns the plan, schedules partitions, keeps the metadata.
//!
//! Start at [`app`]. [`schedule`], [`partition`] and [`quarantine`] are pure; [`store`] is the only
//! module that speaks SQL; agents do all work at source and destination.

pub mod advice;
pub mod app;
pub mod commands;
pub mod config;
pub mod crew;
pub mod entity_command;
pub mod era;
pub mod fleet;
pub mod grpc;
pub mod intake;
pub mod local;
pub mod manager;
pub mod partition;
pub mod placement;
pub mod plan;
pub mod preflight;
pub mod prepare;
pub mod progress;
pub mod quarantine;
pub mod quiesce;
pub mod reconcile;
pub mod retry;
pub mod rollback;
pub mod sample;
pub mod schedule;
pub mod schema;
pub mod server;
pub mod store;
pub mod supervise;
pub mod tend;
pub mod undo;
pub mod validate;
pub mod work;
