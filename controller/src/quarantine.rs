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
            // Rows allowed: rounded down, as a share of whole rows.
            (of as f64 * share).floor() as i64
        }
    };
    (bad > allowed).then(|| {
        Failure::new(
            FailureKind::TooManyErrors,
            format!("{entity} has {bad} quarantined rows, `max_quarantined` allows {allowed}"),
        )
    })
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
}
