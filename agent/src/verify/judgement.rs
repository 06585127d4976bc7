//! What a difference between the two sides means. Pure.
//!
//! A row at the destination is still as it was written while its xmin is that of one of our batches. So a
//! row that differs and is not as we wrote it was changed there; one that differs and is, was changed at
//! the source since, unless the source's row is as old as the load.

use proto::domain::frame::{Finding, FindingKind};

/// What is known of the source's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceRow {
    /// It is as it was when the load read it.
    Same,
    /// It was written since.
    Newer,
    /// Nobody can tell: the load read under no snapshot, or the row has no version.
    Unknown,
}

/// What is known of a row that is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evidence {
    /// The source gives a row of that key now.
    pub is_given: bool,
    /// The destination has a row of that key.
    pub is_there: bool,
    /// It is still as we wrote it.
    pub is_ours: bool,
    /// The id map has it: it was written once.
    pub is_mapped: bool,
    /// The load set the source's row aside.
    pub is_set_aside: bool,
    /// The source's row.
    pub source: SourceRow,
    /// The source's row depends on rows of other tables.
    pub reads_more: bool,
    /// The destination's table had rows at the start.
    pub had_rows: bool,
}

/// What is wrong, why it is thought so, and whether it is no fault of the migration; none where nothing is.
pub fn judge(it: Evidence) -> Option<(FindingKind, &'static str, bool)> {
    match (it.is_given, it.is_there) {
        (false, false) => None,
        (true, true) => Some(differing(it)),
        (true, false) => Some(missing(it)),
        (false, true) => Some(extra(it)),
    }
}

fn differing(it: Evidence) -> (FindingKind, &'static str, bool) {
    match (it.is_ours, it.source) {
        (false, SourceRow::Newer) => (
            FindingKind::Mismatched,
            "both rows were changed since the load",
            false,
        ),
        (false, SourceRow::Same | SourceRow::Unknown) => (
            FindingKind::Mismatched,
            "the destination's row was changed after it was written",
            false,
        ),
        (true, SourceRow::Newer) => (
            FindingKind::StaleSource,
            "the source's row was changed after it was read",
            true,
        ),
        (true, SourceRow::Same) if !it.reads_more => {
            (FindingKind::Mismatched, "the row was written so", false)
        }
        (true, SourceRow::Same | SourceRow::Unknown) => (
            FindingKind::Mismatched,
            "the row is as it was written; whether what it is made of has changed since cannot be told",
            false,
        ),
    }
}

fn missing(it: Evidence) -> (FindingKind, &'static str, bool) {
    match (it.is_mapped, it.source) {
        (true, _) => (FindingKind::Missing, "it was written and is gone", false),
        (false, SourceRow::Newer) => (
            FindingKind::StaleSource,
            "it came to the source, or was changed there, after the load",
            true,
        ),
        (false, SourceRow::Same) if !it.reads_more => {
            (FindingKind::Missing, "it was never written", false)
        }
        (false, SourceRow::Same | SourceRow::Unknown) => (
            FindingKind::Missing,
            "it was never written; whether it came after the load cannot be told",
            false,
        ),
    }
}

fn extra(it: Evidence) -> (FindingKind, &'static str, bool) {
    if !it.is_mapped {
        let words = "this migration did not write it";
        return (FindingKind::Extra, words, it.had_rows);
    }
    if it.is_set_aside {
        let words = "its source row was set aside";
        return (FindingKind::Extra, words, false);
    }
    match it.source {
        SourceRow::Same if !it.reads_more => (
            FindingKind::Extra,
            "its source row gives none, and is as it was when it was read",
            false,
        ),
        SourceRow::Newer | SourceRow::Same | SourceRow::Unknown => (
            FindingKind::StaleSource,
            "the source no longer gives it: its row is gone, filtered or refused now",
            true,
        ),
    }
}

/// The finding of a row; none where nothing is wrong.
pub fn finding(
    evidence: Evidence,
    (source_id, destination_id): (Option<String>, Option<String>),
    columns: Vec<String>,
) -> Option<Finding> {
    let (kind, note, is_warning) = judge(evidence)?;
    Some(Finding {
        kind,
        source_id,
        destination_id,
        columns,
        note: note.to_owned(),
        is_warning,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: Evidence = Evidence {
        is_given: true,
        is_there: true,
        is_ours: true,
        is_mapped: true,
        is_set_aside: false,
        source: SourceRow::Same,
        reads_more: false,
        had_rows: false,
    };

    fn kind(evidence: Evidence) -> Option<(FindingKind, bool)> {
        judge(evidence).map(|(kind, _, is_warning)| (kind, is_warning))
    }

    #[test]
    fn a_row_that_was_changed_at_the_destination_is_a_mismatch_whatever_the_source_did() {
        for source in [SourceRow::Same, SourceRow::Newer, SourceRow::Unknown] {
            let changed = Evidence {
                is_ours: false,
                source,
                ..WRITTEN
            };
            assert_eq!(kind(changed), Some((FindingKind::Mismatched, false)));
        }
    }

    #[test]
    fn only_a_source_that_is_known_to_have_changed_excuses_a_difference() {
        let newer = Evidence {
            source: SourceRow::Newer,
            ..WRITTEN
        };
        assert_eq!(kind(newer), Some((FindingKind::StaleSource, true)));
        for (source, reads_more) in [
            (SourceRow::Same, false),
            (SourceRow::Same, true),
            (SourceRow::Unknown, false),
        ] {
            let evidence = Evidence {
                source,
                reads_more,
                ..WRITTEN
            };
            assert_eq!(kind(evidence), Some((FindingKind::Mismatched, false)));
        }
    }

    #[test]
    fn a_row_that_was_written_and_is_gone_is_missing_even_if_its_source_changed() {
        let gone = Evidence {
            is_there: false,
            source: SourceRow::Newer,
            ..WRITTEN
        };
        assert_eq!(kind(gone), Some((FindingKind::Missing, false)));
        let new = Evidence {
            is_mapped: false,
            ..gone
        };
        assert_eq!(kind(new), Some((FindingKind::StaleSource, true)));
        let never = Evidence {
            source: SourceRow::Same,
            ..new
        };
        assert_eq!(kind(never), Some((FindingKind::Missing, false)));
    }

    #[test]
    fn a_row_of_others_fails_only_where_the_table_was_empty() {
        let stranger = Evidence {
            is_given: false,
            is_mapped: false,
            is_ours: false,
            ..WRITTEN
        };
        assert_eq!(kind(stranger), Some((FindingKind::Extra, false)));
        let before = Evidence {
            had_rows: true,
            ..stranger
        };
        assert_eq!(kind(before), Some((FindingKind::Extra, true)));
        let deleted = Evidence {
            is_given: false,
            source: SourceRow::Unknown,
            ..WRITTEN
        };
        assert_eq!(kind(deleted), Some((FindingKind::StaleSource, true)));
        let aside = Evidence {
            is_set_aside: true,
            ..deleted
        };
        assert_eq!(kind(aside), Some((FindingKind::Extra, false)));
        assert_eq!(
            kind(Evidence {
                is_there: false,
                ..deleted
            }),
            None
        );
    }
}
