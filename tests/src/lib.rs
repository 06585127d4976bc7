//! What the end-to-end tests share: a private PostgreSQL, the demo clinic, the real binary.

pub mod clients;
pub mod clinic;
pub mod drover;
pub mod pg;
