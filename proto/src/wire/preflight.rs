//! `Preflight` on the wire.

use crate::domain::preflight::{
    Check, Grants, Inverse, InverseClass, Load, NullCount, Place, PredictedError, Preflight, Step,
    Trial, Verdict,
};
use crate::pb;

use super::{WireError, required, wire_enum};

wire_enum!(
    Verdict,
    pb::PreflightVerdict,
    read_verdict,
    [Pass, Warn, Block]
);
wire_enum!(
    Place,
    pb::PreflightPlace,
    read_place,
    [Source, Destination, LeaseStore]
);
wire_enum!(
    InverseClass,
    pb::PreflightInverseClass,
    read_class,
    [Lossless, NeedsBackup, Irreversible]
);

impl From<Preflight> for pb::Preflight {
    fn from(all: Preflight) -> Self {
        Self {
            checks: all.checks.into_iter().map(Into::into).collect(),
            steps: all.steps.into_iter().map(Into::into).collect(),
            inverse: all.inverse.into_iter().map(Into::into).collect(),
            trials: all.trials.into_iter().map(Into::into).collect(),
            load: Some(all.load.into()),
            grants_source: all.grants.source,
            grants_destination: all.grants.destination,
        }
    }
}

impl TryFrom<pb::Preflight> for Preflight {
    type Error = WireError;

    fn try_from(message: pb::Preflight) -> Result<Self, WireError> {
        let checks = message.checks.into_iter().map(Check::try_from);
        let inverse = message.inverse.into_iter().map(Inverse::try_from);
        Ok(Self {
            checks: checks.collect::<Result<_, _>>()?,
            steps: message.steps.into_iter().map(Into::into).collect(),
            inverse: inverse.collect::<Result<_, _>>()?,
            trials: message.trials.into_iter().map(Into::into).collect(),
            load: required("Preflight.load", message.load)?.into(),
            grants: Grants {
                source: message.grants_source,
                destination: message.grants_destination,
            },
        })
    }
}

impl From<Check> for pb::PreflightCheck {
    fn from(check: Check) -> Self {
        Self {
            place: pb::PreflightPlace::from(check.place).into(),
            name: check.name,
            verdict: pb::PreflightVerdict::from(check.verdict).into(),
            found: check.found,
            mend: check.mend,
        }
    }
}

impl TryFrom<pb::PreflightCheck> for Check {
    type Error = WireError;

    fn try_from(message: pb::PreflightCheck) -> Result<Self, WireError> {
        Ok(Self {
            place: read_place("PreflightCheck.place", message.place)?,
            name: message.name,
            verdict: read_verdict("PreflightCheck.verdict", message.verdict)?,
            found: message.found,
            mend: message.mend,
        })
    }
}

impl From<Step> for pb::PreflightStep {
    fn from(step: Step) -> Self {
        Self {
            action: step.action,
            entity: step.entity.unwrap_or_default(),
            what: step.what,
        }
    }
}

impl From<pb::PreflightStep> for Step {
    fn from(message: pb::PreflightStep) -> Self {
        Self {
            action: message.action,
            entity: given(message.entity),
            what: message.what,
        }
    }
}

impl From<Inverse> for pb::PreflightInverse {
    fn from(inverse: Inverse) -> Self {
        Self {
            action: inverse.action,
            entity: inverse.entity.unwrap_or_default(),
            inverse_class: pb::PreflightInverseClass::from(inverse.class).into(),
            why: inverse.why,
        }
    }
}

impl TryFrom<pb::PreflightInverse> for Inverse {
    type Error = WireError;

    fn try_from(message: pb::PreflightInverse) -> Result<Self, WireError> {
        Ok(Self {
            action: message.action,
            entity: given(message.entity),
            class: read_class("PreflightInverse.inverse_class", message.inverse_class)?,
            why: message.why,
        })
    }
}

impl From<Trial> for pb::PreflightTrial {
    fn from(trial: Trial) -> Self {
        let errors = trial.errors.into_iter().map(|error| pb::PredictedError {
            code: error.code,
            message: error.message,
            at: error.at,
            rows: error.rows,
            example_key: error.example_key,
        });
        let nulls = trial.nulls.into_iter().map(|null| pb::NullCount {
            column: null.column,
            rows: null.rows,
        });
        Self {
            entity: trial.entity,
            sampled: trial.sampled,
            filtered: trial.filtered,
            fit: trial.fit,
            errors: errors.collect(),
            nulls: nulls.collect(),
            bytes: trial.bytes,
            read_us: trial.read_us,
            write_us: trial.write_us,
            stops: trial.stops.unwrap_or_default(),
            notes: trial.notes,
        }
    }
}

impl From<pb::PreflightTrial> for Trial {
    fn from(message: pb::PreflightTrial) -> Self {
        let errors = message.errors.into_iter().map(|error| PredictedError {
            code: error.code,
            message: error.message,
            at: error.at,
            rows: error.rows,
            example_key: error.example_key,
        });
        let nulls = message.nulls.into_iter().map(|null| NullCount {
            column: null.column,
            rows: null.rows,
        });
        Self {
            entity: message.entity,
            sampled: message.sampled,
            filtered: message.filtered,
            fit: message.fit,
            errors: errors.collect(),
            nulls: nulls.collect(),
            bytes: message.bytes,
            read_us: message.read_us,
            write_us: message.write_us,
            stops: given(message.stops),
            notes: message.notes,
        }
    }
}

impl From<Load> for pb::PreflightLoad {
    fn from(load: Load) -> Self {
        Self {
            rows: load.rows,
            failing: load.failing,
            data_bytes: load.data_bytes,
            map_bytes: load.map_bytes,
            wal_bytes: load.wal_bytes,
            backup_bytes: load.backup_bytes,
            seconds: load.seconds,
            sampled: load.sampled,
        }
    }
}

impl From<pb::PreflightLoad> for Load {
    fn from(message: pb::PreflightLoad) -> Self {
        Self {
            rows: message.rows,
            failing: message.failing,
            data_bytes: message.data_bytes,
            map_bytes: message.map_bytes,
            wal_bytes: message.wal_bytes,
            backup_bytes: message.backup_bytes,
            seconds: message.seconds,
            sampled: message.sampled,
        }
    }
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preflight_comes_back_whole() {
        let all = Preflight {
            checks: vec![Check {
                place: Place::LeaseStore,
                name: "reachable".to_owned(),
                verdict: Verdict::Block,
                found: "it is silent".to_owned(),
                mend: vec!["start it".to_owned()],
            }],
            steps: vec![Step {
                action: "load".to_owned(),
                entity: None,
                what: "rows".to_owned(),
            }],
            inverse: vec![Inverse {
                action: "load".to_owned(),
                entity: Some("orders".to_owned()),
                class: InverseClass::NeedsBackup,
                why: "pre-images".to_owned(),
            }],
            trials: vec![Trial {
                entity: "orders".to_owned(),
                sampled: 3,
                filtered: 1,
                fit: 2,
                errors: vec![PredictedError {
                    code: "23514".to_owned(),
                    message: "a check".to_owned(),
                    at: "total".to_owned(),
                    rows: 1,
                    example_key: "7".to_owned(),
                }],
                nulls: vec![NullCount {
                    column: "note".to_owned(),
                    rows: 2,
                }],
                bytes: 4,
                read_us: 5,
                write_us: 6,
                stops: Some("it says fail".to_owned()),
                notes: vec!["no triggers".to_owned()],
            }],
            load: Load {
                rows: 1,
                failing: None,
                data_bytes: 2,
                map_bytes: 3,
                wal_bytes: 4,
                backup_bytes: 5,
                seconds: Some(0),
                sampled: vec!["orders".to_owned()],
            },
            grants: Grants {
                source: "s".to_owned(),
                destination: "d".to_owned(),
            },
        };
        let message = pb::Preflight::from(all.clone());
        assert_eq!(Preflight::try_from(message), Ok(all));
        assert!(matches!(
            Check::try_from(pb::PreflightCheck::default()),
            Err(WireError::Missing { .. })
        ));
    }
}
