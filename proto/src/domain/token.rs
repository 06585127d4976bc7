//! Fencing tokens: era in the high bits, revision of the lease store in the low ones.

/// Bits of the revision.
const REVISION_BITS: u32 = 43;
/// Highest era; one more would turn the sign of the stored `bigint`.
pub const MAX_ERA: u32 = (1 << 20) - 1;

/// The token of a claim: `era << 43 | revision`. None when either does not fit.
pub fn mint(era: u32, revision: u64) -> Option<i64> {
    if era > MAX_ERA || revision == 0 || revision >> REVISION_BITS != 0 {
        return None;
    }
    i64::try_from((u64::from(era) << REVISION_BITS) | revision).ok()
}

/// The era of a token.
pub fn era_of(token: i64) -> u32 {
    u32::try_from(token.max(0) >> REVISION_BITS).unwrap_or(MAX_ERA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_era_is_higher_whatever_the_revision() {
        let late = mint(7, (1 << 43) - 1).unwrap();
        assert!(mint(8, 1).unwrap() > late);
        assert_eq!(era_of(late), 7);
        assert_eq!(era_of(0), 0);
        assert!(mint(MAX_ERA, 1).unwrap() > 0);
    }

    #[test]
    fn what_does_not_fit_is_no_token() {
        assert_eq!(mint(MAX_ERA + 1, 1), None);
        assert_eq!(mint(1, 1 << 43), None);
        assert_eq!(mint(1, 0), None);
    }
}
