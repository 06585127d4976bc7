//! Source row to destination row, or a row failure: pure, the same for load and verification.

pub mod array;
pub mod datetime;
mod document;
pub mod email;
pub mod encode;
pub mod ids;
pub mod json;
pub mod json_path;
pub mod key;
pub mod map_entry;
pub mod objection;
pub mod overrides;
pub mod phone;
pub mod presence;
pub mod row;
pub mod secrecy;
pub mod steps;
