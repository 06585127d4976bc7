//! Generated from `drover/v1/*.proto`: the messages of the operator API. Only `wire` and the doors
//! of the servers use them.
#![allow(missing_docs, clippy::all)]

/// Descriptors of the messages, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/drover.v1.bin"));

include!(concat!(env!("OUT_DIR"), "/drover.v1.rs"));
