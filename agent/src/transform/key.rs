//! Canonical text of key fields, as PostgreSQL itself would print them.

use proto::domain::compiled::KeyText;
use proto::domain::failure::{Failure, FailureKind};
use std::fmt::Write;

/// Appends the canonical text of a binary key field.
///
/// # Errors
/// `Internal` when the bytes do not have the width of the type the compiler promised.
pub fn push_text(out: &mut String, text: KeyText, bytes: &[u8]) -> Result<(), Failure> {
    let done = match text {
        KeyText::Int2 => bytes
            .try_into()
            .map(|b| push_int(out, i16::from_be_bytes(b).into()))
            .is_ok(),
        KeyText::Int4 => bytes
            .try_into()
            .map(|b| push_int(out, i32::from_be_bytes(b).into()))
            .is_ok(),
        KeyText::Int8 => bytes
            .try_into()
            .map(|b| push_int(out, i64::from_be_bytes(b)))
            .is_ok(),
        KeyText::Text => std::str::from_utf8(bytes)
            .map(|text| out.push_str(text))
            .is_ok(),
        KeyText::Uuid => uuid::Uuid::from_slice(bytes)
            .map(|id| write!(out, "{id}"))
            .is_ok(),
    };
    if done { Ok(()) } else { Err(mistyped()) }
}

fn push_int(out: &mut String, value: i64) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// The integer of a key field that is one.
pub fn as_int8(text: KeyText, bytes: &[u8]) -> Option<i64> {
    match text {
        KeyText::Int2 => bytes.try_into().map(i16::from_be_bytes).map(i64::from).ok(),
        KeyText::Int4 => bytes.try_into().map(i32::from_be_bytes).map(i64::from).ok(),
        KeyText::Int8 => bytes.try_into().map(i64::from_be_bytes).ok(),
        KeyText::Text | KeyText::Uuid => None,
    }
}

fn mistyped() -> Failure {
    Failure::new(
        FailureKind::Internal,
        "a key field is not of its compiled type",
    )
}
