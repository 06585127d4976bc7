//! Decimal numbers of any length, as far as figures are compared. Pure.

use std::cmp::Ordering;
use std::fmt;

/// A decimal number: digits without zeroes at the ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    is_negative: bool,
    /// Digits before the point, the first not 0.
    whole: Vec<u8>,
    /// Digits behind it, the last not 0.
    part: Vec<u8>,
}

impl Decimal {
    /// Reads `-12.50`; an exponent is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, is_negative) = match text.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (whole, part) = rest.split_once('.').unwrap_or((rest, ""));
        let are_digits = whole
            .bytes()
            .chain(part.bytes())
            .all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !are_digits {
            return None;
        }
        let whole: Vec<u8> = whole.trim_start_matches('0').bytes().collect();
        let part: Vec<u8> = part.trim_end_matches('0').bytes().collect();
        let is_zero = whole.is_empty() && part.is_empty();
        Some(Self {
            is_negative: is_negative && !is_zero,
            whole,
            part,
        })
    }

    /// Whether the difference to another one is not above the tolerance.
    pub fn is_within(&self, other: &Self, tolerance: &Self) -> bool {
        let scale = [self, other, tolerance]
            .iter()
            .map(|one| one.part.len())
            .max()
            .unwrap_or_default();
        let (one, two, most) = (
            self.digits(scale),
            other.digits(scale),
            tolerance.digits(scale),
        );
        let difference = match (self.is_negative == other.is_negative, compare(&one, &two)) {
            (false, _) => add(&one, &two),
            (true, Ordering::Less) => subtract(&two, &one),
            (true, Ordering::Equal | Ordering::Greater) => subtract(&one, &two),
        };
        compare(&difference, &most) != Ordering::Greater
    }

    /// All digits, lowest first, with so many behind the point.
    fn digits(&self, scale: usize) -> Vec<u8> {
        let zeroes = std::iter::repeat_n(b'0', scale - self.part.len());
        let all: Vec<u8> = self
            .whole
            .iter()
            .chain(&self.part)
            .copied()
            .chain(zeroes)
            .collect();
        all.into_iter().rev().map(|digit| digit - b'0').collect()
    }
}

fn add(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut sum = Vec::new();
    let mut carry = 0;
    for at in 0..one.len().max(other.len()) {
        let digit = one.get(at).unwrap_or(&0) + other.get(at).unwrap_or(&0) + carry;
        sum.push(digit % 10);
        carry = digit / 10;
    }
    sum.push(carry);
    sum
}

/// The larger one comes first.
fn subtract(one: &[u8], other: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let digit = |(at, digit): (usize, &u8)| {
        let taken = other.get(at).unwrap_or(&0) + borrow;
        borrow = u8::from(taken > *digit);
        digit + borrow * 10 - taken
    };
    one.iter().enumerate().map(digit).collect()
}

fn compare(one: &[u8], other: &[u8]) -> Ordering {
    let digits = one.len().max(other.len());
    let at = |digits: &[u8], at: usize| digits.get(at).copied().unwrap_or(0);
    (0..digits)
        .rev()
        .map(|place| at(one, place).cmp(&at(other, place)))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |digits: &[u8]| String::from_utf8_lossy(digits).into_owned();
        let sign = if self.is_negative { "-" } else { "" };
        let whole = if self.whole.is_empty() {
            "0".to_owned()
        } else {
            text(&self.whole)
        };
        match self.part.is_empty() {
            true => write!(f, "{sign}{whole}"),
            false => write!(f, "{sign}{whole}.{}", text(&self.part)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn differences_are_exact(one in -100_000i64..100_000, other in -100_000i64..100_000, most in 0i64..1000) {
            let text = |value: i64| {
                let sign = if value < 0 { "-" } else { "" };
                format!("{sign}{}.{:03}", value.abs() / 1000, value.abs() % 1000)
            };
            let of = |value| Decimal::parse(&text(value)).unwrap();
            let is_near = (one - other).abs() <= most;
            prop_assert_eq!(of(one).is_within(&of(other), &of(most)), is_near);
            prop_assert_eq!(of(one) == of(other), one == other);
        }
    }

    #[test]
    fn zeroes_at_the_ends_are_none_and_other_texts_no_number() {
        for (text, shown) in [
            ("007.50", "7.5"),
            ("-0.00", "0"),
            ("10", "10"),
            ("0.1", "0.1"),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "-", ".", "1e5", "1.2.3", "NaN", " 1", "+1"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}
