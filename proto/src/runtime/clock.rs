//! The wall clock: the one place that reads it, so that everybody else takes `now` as an argument.
//!
//! Durations are measured with `tokio::time::Instant`, never with this.

use chrono::{DateTime, Utc};

/// The time of day by this machine's clock. Called at the edges only; decisions get it passed in.
#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
