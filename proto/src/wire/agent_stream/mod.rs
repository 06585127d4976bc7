//! The frames between controller and agent as messages of `drover.agent.v1`.
//!
//! An agent's frame may be several messages: failed rows go before their batch, an answer goes in
//! pieces; [`FrameReader`] puts them together again and keeps a bounded amount meanwhile. An order is
//! one message. Whoever cannot understand a message ends the stream: there is no way back into step.

mod batch;
mod frame_reader;
mod frame_writer;
mod hello;
mod order;
mod value;

pub use frame_reader::{FrameReader, ReadLimits};
pub use frame_writer::write_frame;
pub use order::{query_name, read_order, write_order};
#[cfg(test)]
pub(super) use value::kind_name;

/// Version of the stream's protocol; both ends must have the same.
pub const PROTOCOL_VERSION: u32 = 1;

/// Largest message of an agent, in bytes; what [`write_frame`] makes is well below.
pub const MAX_FRAME_BYTES: usize = 4 << 20;

/// Largest order, in bytes: it may hold a whole compiled plan. Agents must allow their client this
/// much.
pub const MAX_ORDER_BYTES: usize = 64 << 20;

/// Largest piece of an answer, and about the largest message of failed rows, in bytes.
const MAX_PIECE_BYTES: usize = 1 << 20;

/// Most failed rows in one message.
const MAX_ERRORS: usize = 256;

#[cfg(test)]
mod tests;
