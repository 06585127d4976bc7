use super::*;
use proptest::prelude::*;

fn form(form: &ValueForm, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    form.write(value, &mut out);
    out
}

fn number(weight: i16, sign: u16, scale: i16, digits: &[i16]) -> Vec<u8> {
    let mut bytes = i16::try_from(digits.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(&weight.to_be_bytes());
    bytes.extend_from_slice(&sign.to_be_bytes());
    bytes.extend_from_slice(&scale.to_be_bytes());
    digits
        .iter()
        .for_each(|digit| bytes.extend_from_slice(&digit.to_be_bytes()));
    bytes
}

#[test]
fn numbers_are_compared_by_value() {
    let of = |bytes: Vec<u8>| form(&ValueForm::Numeric, &bytes);
    // 1.5 as it is sent, and as numeric(10,4) has it.
    let sent = of(number(0, 0, 1, &[1, 5000]));
    assert_eq!(sent, of(number(0, 0, 4, &[1, 5000])));
    assert_eq!(sent, of(number(1, 0, 4, &[0, 1, 5000, 0])));
    assert_ne!(sent, of(number(0, 0x4000, 1, &[1, 5000])));
    assert_ne!(sent, of(number(1, 0, 1, &[1, 5000])));
    assert_ne!(sent, of(number(0, 0, 1, &[1, 5001])));
    let zero = of(number(0, 0, 2, &[]));
    assert_eq!(zero, of(number(5, 0x4000, 0, &[0, 0])));
    let strange: Vec<Vec<u8>> = [0xC000, 0xD000, 0xF000]
        .map(|sign| of(number(0, sign, 0, &[])))
        .into();
    assert!(strange.iter().all(|one| *one != zero));
    assert!(strange[0] != strange[1] && strange[1] != strange[2]);
}

#[test]
fn padding_and_parts_of_a_second_are_the_types_own() {
    assert_eq!(form(&ValueForm::Padded, b"ab   "), b"ab");
    assert_eq!(form(&ValueForm::Padded, b"   "), b"");
    assert_eq!(
        form(&ValueForm::Cut(3), "äöü  ".as_bytes()),
        "äöü".as_bytes()
    );
    assert_eq!(form(&ValueForm::Cut(3), b"abcd"), b"abcd");
    for (micros, near) in [
        (1_499_999, 1_000_000),
        (1_500_000, 2_000_000),
        (-1_500_000, -2_000_000),
    ] {
        let micros: i64 = micros;
        let near: i64 = near;
        assert_eq!(
            form(&ValueForm::Rounded(0), &micros.to_be_bytes()),
            near.to_be_bytes()
        );
    }
    let infinite = i64::MAX.to_be_bytes();
    assert_eq!(form(&ValueForm::Rounded(3), &infinite), infinite);
}

#[test]
fn a_type_says_its_form() {
    let of = |oid, modifier, is_array| {
        ValueForm::of(ColumnType {
            oid,
            modifier,
            is_array,
        })
    };
    assert_eq!(of(VARCHAR, -1, false), ValueForm::Plain);
    assert_eq!(of(VARCHAR, 24, false), ValueForm::Cut(20));
    assert_eq!(of(TIMESTAMPTZ, -1, false), ValueForm::Plain);
    assert_eq!(of(TIMESTAMPTZ, 6, false), ValueForm::Plain);
    assert_eq!(of(TIMESTAMP, 0, false), ValueForm::Rounded(0));
    assert_eq!(
        of(NUMERIC, 655_366, true),
        ValueForm::Array(Box::new(ValueForm::Numeric))
    );
}

fn array(flags: i32, elements: &[Option<&[u8]>]) -> Vec<u8> {
    let mut bytes = [1i32, flags, 1700, i32::try_from(elements.len()).unwrap(), 1]
        .iter()
        .flat_map(|word| word.to_be_bytes())
        .collect::<Vec<u8>>();
    for element in elements {
        match element {
            Some(value) => {
                bytes.extend_from_slice(&i32::try_from(value.len()).unwrap().to_be_bytes());
                bytes.extend_from_slice(value);
            }
            None => bytes.extend_from_slice(&(-1i32).to_be_bytes()),
        }
    }
    bytes
}

#[test]
fn arrays_are_compared_element_by_element() {
    let numbers = ValueForm::Array(Box::new(ValueForm::Numeric));
    let (sent, stored) = (number(0, 0, 1, &[1, 5000]), number(0, 0, 4, &[1, 5000]));
    let of = |flags, elements: &[Option<&[u8]>]| form(&numbers, &array(flags, elements));
    assert_eq!(of(0, &[Some(&sent)]), of(1, &[Some(&stored)]));
    assert_ne!(of(0, &[Some(&sent), None]), of(0, &[Some(&sent)]));
    assert_ne!(of(0, &[Some(&sent), None]), of(0, &[None, Some(&sent)]));
}

proptest! {
    #[test]
    fn any_bytes_have_a_form_and_none_ends_in_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..80), which in 0..7usize,
    ) {
        let forms = [
            ValueForm::Plain,
            ValueForm::Numeric,
            ValueForm::Padded,
            ValueForm::Cut(3),
            ValueForm::Rounded(2),
            ValueForm::Jsonb,
            ValueForm::Array(Box::new(ValueForm::Jsonb)),
        ];
        let _ = form(&forms[which], &bytes);
    }
}
