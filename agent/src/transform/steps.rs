//! Runs the typed steps of one column.

use proto::domain::compiled::{AgentOp, AgentStep, RowAction};

use super::{datetime, email, json};

/// What a step says of a value.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// These bytes.
    Value(Vec<u8>),
    /// NULL.
    Null,
    /// The row does not fit.
    Refused {
        /// `DROVER_…`.
        code: &'static str,
        /// Words without the value.
        reason: &'static str,
        /// Path of the rule.
        path: String,
        /// Quarantine or fail.
        action: RowAction,
    },
}

/// Puts a value through its steps; NULL passes all of them.
pub fn run(steps: &[AgentStep], input: Option<&[u8]>) -> Outcome {
    let Some(input) = input else {
        return Outcome::Null;
    };
    let mut value = input.to_vec();
    for step in steps {
        value = match (apply(step.op.clone(), &value), &step.on_error) {
            (Ok(value), _) => value,
            (Err(_), RowAction::SetNull) => return Outcome::Null,
            (Err(reason), RowAction::Default(text)) => {
                match apply(step.op.clone(), text.as_bytes()) {
                    Ok(value) => value,
                    Err(_) => return refuse(step, reason, RowAction::Quarantine),
                }
            }
            (Err(reason), action @ (RowAction::Quarantine | RowAction::Fail)) => {
                return refuse(step, reason, action.clone());
            }
        };
    }
    Outcome::Value(value)
}

fn refuse(step: &AgentStep, reason: &'static str, action: RowAction) -> Outcome {
    Outcome::Refused {
        code: code(&step.op),
        reason,
        path: step.path.clone(),
        action,
    }
}

fn apply(op: AgentOp, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the value is not UTF-8")?;
    match op {
        AgentOp::Email => email::normalise(text).map(String::into_bytes),
        AgentOp::ParseDate => datetime::date(text).map(Vec::from),
        AgentOp::ParseTimestamp => datetime::timestamp(text).map(Vec::from),
        AgentOp::ParseTimestamptz => datetime::timestamptz(text).map(Vec::from),
        AgentOp::ParseJson => json::check(text, false).map(|()| bytes.to_vec()),
        AgentOp::ParseJsonb => json::check(text, true).map(|()| jsonb(bytes)),
    }
}

/// The binary form of jsonb: a version byte before the text.
pub fn jsonb(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 1);
    out.push(1);
    out.extend_from_slice(text);
    out
}

fn code(op: &AgentOp) -> &'static str {
    match op {
        AgentOp::Email => "DROVER_EMAIL_INVALID",
        AgentOp::ParseDate => "DROVER_DATE_INVALID",
        AgentOp::ParseTimestamp | AgentOp::ParseTimestamptz => "DROVER_TIMESTAMP_INVALID",
        AgentOp::ParseJson | AgentOp::ParseJsonb => "DROVER_JSON_INVALID",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(op: AgentOp, on_error: RowAction) -> Vec<AgentStep> {
        vec![AgentStep {
            op,
            path: "p".into(),
            on_error,
        }]
    }

    #[test]
    fn null_passes_and_misfits_follow_the_vocabulary() {
        let email = |action| run(&step(AgentOp::Email, action), Some(b"nobody"));
        assert_eq!(
            run(&step(AgentOp::Email, RowAction::Fail), None),
            Outcome::Null
        );
        assert_eq!(email(RowAction::SetNull), Outcome::Null);
        assert_eq!(
            email(RowAction::Default("A@B".into())),
            Outcome::Value(b"a@b".to_vec())
        );
        assert!(matches!(
            email(RowAction::Fail),
            Outcome::Refused {
                code: "DROVER_EMAIL_INVALID",
                action: RowAction::Fail,
                ..
            }
        ));
    }
}
