//! The shared language of Drover: what both sides say and mean.
//!
//! `domain` is pure (no I/O, no clock); `runtime` is the plumbing every process needs and knows no
//! domain word. Imports go down only: domain, then lease and runtime, then the adapters of other
//! crates.

pub mod domain;
pub mod lease;
pub mod pb;
pub mod runtime;
pub mod wire;
