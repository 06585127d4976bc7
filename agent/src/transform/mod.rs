//! Source row to destination row, or a row failure: pure, the same for load and verification.

pub mod datetime;
pub mod email;
pub mod json;
pub mod json_path;
pub mod key;
pub mod phone;
pub mod presence;
pub mod row;
pub mod secrecy;
pub mod steps;
