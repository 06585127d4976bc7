//! Source row to destination row, or a row failure: pure, the same for load and verification.

pub mod datetime;
pub mod email;
pub mod encode;
pub mod json;
pub mod key;
pub mod objection;
pub mod overrides;
pub mod presence;
pub mod row;
pub mod steps;
