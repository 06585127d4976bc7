//! Which schema changes may be made now. Pure.

use proto::domain::record::{Activity, MigrationStatus};
use proto::domain::schema_change::Moment;

/// How far a migration is, as far as its schema changes care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub status: MigrationStatus,
    pub activity: Option<Activity>,
    /// It has schema changes alone.
    pub is_cleanup: bool,
    /// Its partitions are cut.
    pub has_begun: bool,
    /// Every row is there and every key is back.
    pub is_loaded: bool,
}

/// The moments whose changes `drover schema apply` makes now, or why it makes none.
pub(super) fn due(standing: Standing) -> Result<Vec<Moment>, &'static str> {
    use MigrationStatus::{Completed, Failed, Pending, RollingBack, Running};
    let stands_still = matches!(
        standing.activity,
        Some(Activity::Blocked | Activity::Paused)
    );
    match standing.status {
        Failed => Err("it was cancelled"),
        RollingBack => Err("it is being rolled back"),
        Running if !stands_still => {
            Err("it is running: its own changes are made by the run; pause it for others")
        }
        Pending | Running | Completed if standing.is_cleanup => Ok(Moment::ALL.to_vec()),
        Completed => Ok(vec![Moment::After, Moment::Cleanup]),
        Pending => Ok(vec![Moment::Before]),
        Running if !standing.has_begun => Ok(vec![Moment::Before]),
        Running if standing.is_loaded => Ok(vec![Moment::After]),
        Running => Err("its rows are not all there yet: resume it first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(status: MigrationStatus, activity: Option<Activity>) -> Standing {
        Standing {
            status,
            activity,
            is_cleanup: false,
            has_begun: false,
            is_loaded: false,
        }
    }

    #[test]
    fn every_standing_has_its_moments() {
        use Moment::{After, Before, Cleanup};
        let blocked = standing(MigrationStatus::Running, Some(Activity::Blocked));
        let begun = Standing {
            has_begun: true,
            ..blocked
        };
        let loaded = Standing {
            is_loaded: true,
            ..begun
        };
        for (standing, expected) in [
            (standing(MigrationStatus::Pending, None), Some(vec![Before])),
            (
                standing(MigrationStatus::Running, Some(Activity::Running)),
                None,
            ),
            (
                standing(MigrationStatus::Running, Some(Activity::Pausing)),
                None,
            ),
            (blocked, Some(vec![Before])),
            (begun, None),
            (loaded, Some(vec![After])),
            (
                standing(MigrationStatus::Completed, None),
                Some(vec![After, Cleanup]),
            ),
            (standing(MigrationStatus::Failed, None), None),
            (
                standing(MigrationStatus::RollingBack, Some(Activity::Blocked)),
                None,
            ),
        ] {
            assert_eq!(due(standing).ok(), expected, "{standing:?}");
        }
    }

    #[test]
    fn a_cleanup_makes_everything_unless_it_runs() {
        for status in [MigrationStatus::Pending, MigrationStatus::Completed] {
            let standing = Standing {
                is_cleanup: true,
                ..standing(status, None)
            };
            assert_eq!(due(standing), Ok(Moment::ALL.to_vec()));
        }
        let running = Standing {
            is_cleanup: true,
            ..standing(MigrationStatus::Running, Some(Activity::Running))
        };
        assert!(due(running).is_err());
    }
}
