//! Arrays of one dimension in PostgreSQL's binary form.

use proto::domain::failure::{Failure, FailureKind};

use super::encode::put;

/// Type oid of `uuid`.
const UUID: u32 = 2950;

/// The elements of an array; NULL elements are `None`.
///
/// # Errors
/// `Internal` when the bytes are not an array of at most one dimension.
pub fn elements(bytes: &[u8]) -> Result<Vec<Option<&[u8]>>, Failure> {
    let mut rest = bytes;
    let dimensions = int(&mut rest)?;
    let _flags = int(&mut rest)?;
    let _element_type = int(&mut rest)?;
    let count = match dimensions {
        0 => 0,
        1 => {
            let count = int(&mut rest)?;
            let _lower_bound = int(&mut rest)?;
            count
        }
        _ => return Err(malformed()),
    };
    let mut found = Vec::new();
    for _ in 0..count {
        let length = int(&mut rest)?;
        if length == -1 {
            found.push(None);
            continue;
        }
        let length = usize::try_from(length).map_err(|_| malformed())?;
        let (element, after) = rest.split_at_checked(length).ok_or_else(malformed)?;
        found.push(Some(element));
        rest = after;
    }
    if rest.is_empty() {
        Ok(found)
    } else {
        Err(malformed())
    }
}

/// An array of uuids.
pub fn of_uuids(ids: &[uuid::Uuid]) -> Vec<u8> {
    let elements = ids.iter().map(|id| Some(id.as_bytes().as_slice()));
    of(elements, UUID)
}

/// An array of elements of a type; `None` is NULL.
pub fn of<'a>(
    elements: impl ExactSizeIterator<Item = Option<&'a [u8]>> + Clone,
    element_type: u32,
) -> Vec<u8> {
    let length = elements.len();
    let mut out = Vec::with_capacity(20 + length * 20);
    let dimensions: i32 = if length == 0 { 0 } else { 1 };
    let has_nulls = elements.clone().any(|element| element.is_none());
    out.extend_from_slice(&dimensions.to_be_bytes());
    out.extend_from_slice(&i32::from(has_nulls).to_be_bytes());
    out.extend_from_slice(&element_type.to_be_bytes());
    if length == 0 {
        return out;
    }
    let count = i32::try_from(length).unwrap_or(i32::MAX);
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    for element in elements {
        put(&mut out, element);
    }
    out
}

fn int(rest: &mut &[u8]) -> Result<i32, Failure> {
    let (first, after) = rest.split_first_chunk::<4>().ok_or_else(malformed)?;
    *rest = after;
    Ok(i32::from_be_bytes(*first))
}

fn malformed() -> Failure {
    Failure::new(
        FailureKind::Internal,
        "a field is not the array that it was compiled to be",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_array_has_no_dimension() {
        let empty = of_uuids(&[]);
        assert_eq!(empty.len(), 12);
        assert!(elements(&empty).unwrap().is_empty());
    }

    #[test]
    fn null_elements_are_told_apart() {
        let mut bytes = Vec::new();
        for word in [1, 1, 23, 2, 1, 4, 7, -1] {
            bytes.extend_from_slice(&i32::to_be_bytes(word));
        }
        assert_eq!(elements(&bytes).unwrap(), [Some(&[0, 0, 0, 7][..]), None]);
    }

    proptest! {
        #[test]
        fn ids_are_read_as_they_were_written(ids in proptest::collection::vec(any::<u128>(), 0..40)) {
            let ids: Vec<uuid::Uuid> = ids.into_iter().map(uuid::Uuid::from_u128).collect();
            let bytes = of_uuids(&ids);
            let read: Vec<Option<&[u8]>> = elements(&bytes).unwrap();
            let written: Vec<Option<&[u8]>> = ids.iter().map(|id| Some(&id.as_bytes()[..])).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn no_bytes_are_read_past_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = elements(&bytes);
        }
    }
}
