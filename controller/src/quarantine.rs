//! Whether an entity has more bad rows than the plan lets through. Pure.

use proto::domain::compiled::MaxQuarantined;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::Counts;

/// From so many rows on a share is judged before the end.
const ENOUGH_ROWS: i64 = 1000;

/// The failure that blocks an entity over its limit. Held rows do not count: their parents do.
pub fn over_limit(
    entity: &str,
    limit: MaxQuarantined,
    totals: &Counts,
    records_total: i64,
    is_end: bool,
) -> Option<Failure> {
    let bad = totals.failed - totals.held;
    let allowed = match limit {
        MaxQuarantined::Rows(rows) => i64::try_from(rows).unwrap_or(i64::MAX),
        MaxQuarantined::Share(share) => {
            if !is_end && totals.read < ENOUGH_ROWS {
                return None;
            }
            let of = if is_end {
                totals.read
            } else {
                records_total.max(totals.read)
            };
            share_of(of, share)
        }
    };
    (bad > allowed).then(|| {
        Failure::new(
            FailureKind::TooManyErrors,
            format!("{entity} has {bad} quarantined rows, `max_quarantined` allows {allowed}"),
        )
    })
}

/// A share of whole rows, rounded down; 29 % of 100 rows are 29, though 0.29 is a little less than that.
fn share_of(rows: i64, share: f64) -> i64 {
    let exact = rows as f64 * share;
    (exact + exact * (2.0 * f64::EPSILON) + 1e-9).floor() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(read: i64, failed: i64, held: i64) -> Counts {
        Counts {
            read,
            failed,
            held,
            written: read - failed,
            ..Counts::default()
        }
    }

    #[test]
    fn a_number_is_judged_at_once_and_held_rows_do_not_count() {
        let judge = |failed, held| {
            over_limit(
                "e",
                MaxQuarantined::Rows(2),
                &totals(10, failed, held),
                10,
                false,
            )
        };
        assert!(judge(3, 0).is_some());
        assert!(judge(2, 0).is_none());
        assert!(judge(9, 7).is_none());
    }

    #[test]
    fn a_share_is_judged_from_a_thousand_rows_on_and_at_the_end() {
        let limit = MaxQuarantined::Share(0.01);
        assert!(over_limit("e", limit, &totals(999, 500, 0), 10_000, false).is_none());
        assert!(over_limit("e", limit, &totals(1000, 101, 0), 10_000, false).is_some());
        assert!(over_limit("e", limit, &totals(1000, 100, 0), 10_000, false).is_none());
        assert!(over_limit("e", limit, &totals(100, 2, 0), 10_000, true).is_some());
        assert!(over_limit("e", limit, &totals(0, 0, 0), 0, true).is_none());
    }

    #[test]
    fn a_share_allows_every_whole_row_of_it() {
        for percent in 0..=100_i64 {
            let share = percent as f64 / 100.0;
            for hundreds in [1, 7, 10, 12_345, 10_000_000_000] {
                assert_eq!(
                    share_of(100 * hundreds, share),
                    percent * hundreds,
                    "{percent} %"
                );
                let one_short = 100 * hundreds - 1;
                let allowed = share_of(one_short, share);
                assert!(allowed <= percent * hundreds && allowed >= (percent - 1) * hundreds);
            }
        }
        let judge = |failed| {
            let limit = MaxQuarantined::Share(0.29);
            over_limit("e", limit, &totals(100, failed, 0), 100, true)
        };
        assert!(judge(29).is_none() && judge(30).is_some());
    }
}
