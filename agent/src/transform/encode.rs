//! Fields of a binary tuple.

/// Begins a tuple: the number of fields, and the row's own number where it has one.
pub fn put_head(out: &mut Vec<u8>, fields: usize, number: Option<usize>) {
    let fields = i16::try_from(fields + usize::from(number.is_some())).unwrap_or(i16::MAX);
    out.extend_from_slice(&fields.to_be_bytes());
    if let Some(number) = number {
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        put(out, Some(&number.to_be_bytes()));
    }
}

/// Appends a field.
pub fn put(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(bytes) => {
            let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(bytes);
        }
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
    }
}

/// Appends a field that `write` appends the bytes of.
pub fn put_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out);
    let length = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numbered_tuple_has_its_number_in_front_and_one_field_more() {
        let (mut plain, mut numbered) = (Vec::new(), Vec::new());
        put_head(&mut plain, 2, None);
        put_head(&mut numbered, 2, Some(7));
        assert_eq!(plain, [0, 2]);
        assert_eq!(numbered, [0, 3, 0, 0, 0, 4, 0, 0, 0, 7]);
    }
}
