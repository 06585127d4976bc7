//! Source row to destination row, or a row failure: pure, the same for load and verification.

pub mod array;
pub mod datetime;
pub mod email;
pub mod ids;
pub mod json;
pub mod key;
pub mod presence;
pub mod row;
pub mod steps;
