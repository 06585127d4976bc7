//! Cuts a binary COPY stream into tuples and fields.
//!
//! The server sends one message per row, so nearly every chunk is exactly one tuple and is read in
//! place; anything else is gathered first. Format: PostgreSQL manual, COPY, "Binary Format".

use bytes::Bytes;
use proto::domain::failure::{Failure, FailureKind};

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Bytes of a field's length.
const LENGTH: usize = 4;

/// Where a field's bytes lie in its tuple; behind a length word of four bytes.
#[derive(Debug, Clone, Copy)]
struct FieldSpan {
    start: u32,
    end: u32,
    is_null: bool,
}

/// A tuple: its bytes and the spans of its fields.
#[derive(Debug, Default)]
pub struct Tuple {
    bytes: Bytes,
    spans: Vec<FieldSpan>,
    /// A field was made NULL that is not in the bytes.
    is_edited: bool,
}

impl Tuple {
    /// The bytes of a field; `None` for NULL or a field that is not there.
    pub fn field(&self, at: usize) -> Option<&[u8]> {
        let span = self.spans.get(at)?;
        if span.is_null {
            return None;
        }
        self.bytes.get(span.start as usize..span.end as usize)
    }

    /// The fields `first..=last` as they came, lengths included; none where one of the tuple was made NULL since.
    pub fn encoded(&self, first: usize, last: usize) -> Option<&[u8]> {
        if self.is_edited {
            return None;
        }
        let start = (self.spans.get(first)?.start as usize).checked_sub(LENGTH)?;
        self.bytes.get(start..self.spans.get(last)?.end as usize)
    }

    /// Bytes of all fields.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Lets go of the bytes; no field is there any more.
    pub fn release(&mut self) {
        self.bytes = Bytes::new();
        self.spans.clear();
    }

    /// Makes a field NULL.
    pub fn set_null(&mut self, at: usize) {
        if let Some(span) = self.spans.get_mut(at) {
            span.is_null = true;
            self.is_edited = true;
        }
    }

    /// A tuple of these fields.
    #[cfg(test)]
    pub fn of(fields: &[Option<Vec<u8>>]) -> Self {
        let mut bytes = Vec::new();
        let span = |field: &Option<Vec<u8>>| {
            let value = field.as_deref().unwrap_or_default();
            let length = i32::try_from(value.len()).unwrap();
            let length = if field.is_some() { length } else { -1 };
            bytes.extend_from_slice(&length.to_be_bytes());
            let start = narrow(bytes.len()).unwrap();
            bytes.extend_from_slice(value);
            let end = narrow(bytes.len()).unwrap();
            FieldSpan {
                start,
                end,
                is_null: field.is_none(),
            }
        };
        let spans = fields.iter().map(span).collect();
        Self {
            bytes: bytes.into(),
            spans,
            is_edited: false,
        }
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether it has no field.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

/// Reads tuples from chunks.
#[derive(Debug, Default)]
pub struct TupleReader {
    rest: Bytes,
    has_header: bool,
    has_ended: bool,
}

impl TupleReader {
    /// Adds the next chunk of the stream.
    pub fn push(&mut self, chunk: Bytes) {
        if self.rest.is_empty() {
            self.rest = chunk;
        } else {
            let mut joined = Vec::with_capacity(self.rest.len() + chunk.len());
            joined.extend_from_slice(&self.rest);
            joined.extend_from_slice(&chunk);
            self.rest = joined.into();
        }
    }

    /// Whether the trailer was read.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Moves the next whole tuple into `tuple`; false when more bytes are needed or the stream is
    /// over.
    ///
    /// # Errors
    /// `Internal` when the bytes are not binary COPY.
    pub fn next(&mut self, tuple: &mut Tuple) -> Result<bool, Failure> {
        if !self.has_header && !self.read_header()? {
            return Ok(false);
        }
        if self.has_ended {
            return Ok(false);
        }
        let Some(count) = read_i16(&self.rest, 0) else {
            return Ok(false);
        };
        if count == -1 {
            self.has_ended = true;
            return Ok(false);
        }
        tuple.spans.clear();
        tuple.is_edited = false;
        let mut at = 2;
        for _ in 0..count {
            let Some(length) = read_i32(&self.rest, at) else {
                return Ok(false);
            };
            at += LENGTH;
            let end = at + usize::try_from(length).unwrap_or(0);
            if length < -1 {
                return Err(malformed());
            }
            if end > self.rest.len() {
                return Ok(false);
            }
            tuple.spans.push(FieldSpan {
                start: narrow(at)?,
                end: narrow(end)?,
                is_null: length < 0,
            });
            at = end;
        }
        tuple.bytes = if at == self.rest.len() {
            std::mem::take(&mut self.rest)
        } else {
            self.rest.split_to(at)
        };
        Ok(true)
    }

    fn read_header(&mut self) -> Result<bool, Failure> {
        let fixed = SIGNATURE.len() + 8;
        if self.rest.len() < fixed {
            return Ok(false);
        }
        if !self.rest.starts_with(SIGNATURE) {
            return Err(malformed());
        }
        let extension = read_i32(&self.rest, SIGNATURE.len() + 4).unwrap_or_default();
        let length = fixed + usize::try_from(extension).map_err(|_| malformed())?;
        if self.rest.len() < length {
            return Ok(false);
        }
        let _ = self.rest.split_to(length);
        self.has_header = true;
        Ok(true)
    }
}

fn malformed() -> Failure {
    Failure::new(
        FailureKind::Internal,
        "the source's answer is not binary COPY",
    )
}

fn narrow(at: usize) -> Result<u32, Failure> {
    u32::try_from(at).map_err(|_| malformed())
}

fn read_i16(bytes: &[u8], at: usize) -> Option<i16> {
    Some(i16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn read_i32(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        let mut out = SIGNATURE.to_vec();
        out.extend_from_slice(&[0; 8]);
        for word in [Some("ab"), None, Some("")] {
            out.extend_from_slice(&2i16.to_be_bytes());
            out.extend_from_slice(&1i32.to_be_bytes());
            out.push(7);
            match word {
                Some(word) => {
                    out.extend_from_slice(&i32::try_from(word.len()).unwrap().to_be_bytes());
                    out.extend_from_slice(word.as_bytes());
                }
                None => out.extend_from_slice(&(-1i32).to_be_bytes()),
            }
        }
        out.extend_from_slice(&(-1i16).to_be_bytes());
        out
    }

    #[test]
    fn tuples_are_the_same_however_the_stream_is_cut() {
        let stream = stream();
        for size in 1..=stream.len() {
            let mut reader = TupleReader::default();
            let mut tuple = Tuple::default();
            let mut seen = Vec::new();
            for chunk in stream.chunks(size) {
                reader.push(Bytes::copy_from_slice(chunk));
                while reader.next(&mut tuple).unwrap() {
                    seen.push(tuple.field(1).map(<[u8]>::to_vec));
                    assert_eq!(tuple.field(0), Some(&[7u8][..]));
                    assert_eq!(tuple.field(2), None);
                }
            }
            assert!(reader.has_ended());
            assert_eq!(
                seen,
                [Some(b"ab".to_vec()), None, Some(Vec::new())],
                "size {size}"
            );
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let mut reader = TupleReader::default();
        reader.push(Bytes::from_static(
            b"COPY as text is not what was asked for",
        ));
        assert!(reader.next(&mut Tuple::default()).is_err());
    }
}
