//! Frames and orders survive the stream; what is not whole, too large or of another version is refused
//! by the field's name.

mod large;
mod refusals;
mod round_trips;
mod samples;

use prost::Message;

use super::{FrameReader, write_frame};
use crate::domain::frame::AgentFrame;
use crate::pb::agent_stream as pb;
use crate::wire::WireError;

/// The messages of a frame, as they come out at the other end.
fn sent(frame: AgentFrame) -> Vec<pb::SessionRequest> {
    let messages = write_frame(frame).expect("the frame has messages");
    messages.iter().map(over_the_wire).collect()
}

fn over_the_wire<M: Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).expect("what was encoded is decoded")
}

/// Every frame that the messages make whole.
fn read_all(
    reader: &mut FrameReader,
    messages: Vec<pb::SessionRequest>,
) -> Result<Vec<AgentFrame>, WireError> {
    let mut frames = Vec::new();
    for message in messages {
        frames.extend(reader.read(message)?);
    }
    Ok(frames)
}

/// A frame that goes through alone comes out alone, and leaves nothing behind.
fn assert_comes_back(frame: AgentFrame) {
    let mut reader = FrameReader::default();
    let read = read_all(&mut reader, sent(frame.clone()));
    assert_eq!(read, Ok(vec![frame]));
    assert!(reader.is_idle());
}
