//! A fingerprint of bytes: 128 bits that are the same on every machine and in every build.
//!
//! Not for secrets and not against an adversary: rows are compared by it, and two rows that differ have
//! the same one once in 2^128.

/// Odd constants without a pattern (digits of the golden ratio and of e).
const K: [u64; 4] = [
    0x9e37_79b9_7f4a_7c15,
    0xb7e1_5162_8aed_2a6b,
    0xbf71_5880_9cf4_f3c7,
    0x62e7_160f_38b4_da57,
];

/// The fingerprint of some bytes.
pub fn fingerprint(bytes: &[u8]) -> u128 {
    let mut lanes = [K[0] ^ bytes.len() as u64, K[1]];
    let mut chunks = bytes.chunks_exact(16);
    for chunk in &mut chunks {
        step(&mut lanes, word(&chunk[..8]), word(&chunk[8..]));
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let (first, second) = rest.split_at(rest.len().min(8));
        step(&mut lanes, word(first), word(second));
    }
    let (one, other) = (
        fold(lanes[0] ^ K[2], lanes[1]),
        fold(lanes[1] ^ K[3], lanes[0]),
    );
    (u128::from(mix(one)) << 64) | u128::from(mix(other ^ K[1]))
}

/// Two independent lanes: a factor that happens to be zero empties one of them only.
fn step(lanes: &mut [u64; 2], one: u64, other: u64) {
    let next = [
        fold(one ^ K[2], other ^ lanes[0]),
        fold(one.rotate_left(32) ^ K[3] ^ lanes[1], other ^ K[0]),
    ];
    lanes[0] = next[0].wrapping_add(lanes[1]);
    lanes[1] = next[1] ^ lanes[0].rotate_left(23);
}

/// Both halves of the product.
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    let (low, high) = (product & u128::from(u64::MAX), product >> 64);
    u64::try_from(low ^ high).unwrap_or_default()
}

/// Spreads every bit over the whole word.
pub fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

fn word(bytes: &[u8]) -> u64 {
    let mut padded = [0; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(padded)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_is_fixed_for_ever() {
        // Agents of several builds compare by it.
        let known = ["", "a", "0123456789abcdef", "0123456789abcdefg"];
        let seen: HashSet<u128> = known
            .iter()
            .map(|text| fingerprint(text.as_bytes()))
            .collect();
        assert_eq!(seen.len(), known.len());
        assert_eq!(fingerprint(b"drover"), fingerprint(b"drover"));
    }

    #[test]
    fn small_numbers_in_zeroes_never_meet() {
        let mut seen = HashSet::new();
        for at in 0..40usize {
            for value in 1..=255u8 {
                let mut bytes = [0u8; 40];
                bytes[at] = value;
                assert!(seen.insert(fingerprint(&bytes)));
            }
        }
        for length in 0..64usize {
            assert!(seen.insert(fingerprint(&vec![0; length])) || length == 40);
        }
    }

    proptest! {
        #[test]
        fn one_bit_changes_about_half_of_it(
            bytes in proptest::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), bit in 0..8u8,
        ) {
            let mut other = bytes.clone();
            let place = at.index(bytes.len());
            other[place] ^= 1 << bit;
            let differing = (fingerprint(&bytes) ^ fingerprint(&other)).count_ones();
            prop_assert!((24..=104).contains(&differing), "{differing} bits");
        }
    }
}
