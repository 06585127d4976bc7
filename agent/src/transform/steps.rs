//! Runs the typed steps of one column.

use std::borrow::Cow;

use proto::domain::compiled::{AgentOp, AgentStep, EachCall, REDACTED, RowAction};
use proto::domain::failure::Failure;
use unicode_normalization::UnicodeNormalization;

use super::secrecy::Keys;
use super::{array, datetime, email, json, json_path, phone, secrecy};

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
pub fn run(steps: &[AgentStep], keys: &Keys, input: Option<&[u8]>) -> Outcome {
    let Some(input) = input else {
        return Outcome::Null;
    };
    let mut value = Cow::Borrowed(input);
    for step in steps {
        let result = match (apply(&step.op, keys, &value), &step.on_error) {
            (Ok(result), _) => result,
            (Err(_), RowAction::SetNull) => None,
            (Err(reason), RowAction::Default(text)) => match default(&step.op, keys, text) {
                Ok(result) => result,
                Err(_) => return refuse(step, reason, RowAction::Quarantine),
            },
            (Err(reason), action @ (RowAction::Quarantine | RowAction::Fail)) => {
                return refuse(step, reason, action.clone());
            }
        };
        match result {
            Some(result) => value = Cow::Owned(result),
            None => return Outcome::Null,
        }
    }
    Outcome::Value(value.into_owned())
}

/// Puts the elements of an array through steps, one by one.
///
/// # Errors
/// `Internal` when the field is not as compiled.
pub fn run_each(call: &EachCall, keys: &Keys, input: Option<&[u8]>) -> Result<Outcome, Failure> {
    let Some(input) = input else {
        return Ok(Outcome::Null);
    };
    let mut made: Vec<Option<Vec<u8>>> = Vec::new();
    for element in array::elements(input)? {
        let value = match run(&call.steps, keys, element) {
            Outcome::Value(value) => Some(value),
            Outcome::Null => None,
            refused @ Outcome::Refused { .. } => return Ok(refused),
        };
        if !call.is_distinct || !made.contains(&value) {
            made.push(value);
        }
    }
    let elements = made.iter().map(Option::as_deref);
    Ok(Outcome::Value(array::of(elements, call.element)))
}

/// A default in the binary form of the step's result.
fn default(op: &AgentOp, keys: &Keys, text: &str) -> Result<Option<Vec<u8>>, &'static str> {
    match op {
        // It is the result, not another input: no number need be valid to stand for those that are not.
        AgentOp::Phone { .. } | AgentOp::JsonGet(_) => Ok(Some(text.as_bytes().to_vec())),
        _ => apply(op, keys, text.as_bytes()),
    }
}

fn refuse(step: &AgentStep, reason: &'static str, action: RowAction) -> Outcome {
    Outcome::Refused {
        code: code(&step.op),
        reason,
        path: step.path.clone(),
        action,
    }
}

/// What a step makes of a value; `None` is NULL.
fn apply(op: &AgentOp, keys: &Keys, bytes: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    if *op == AgentOp::Redact {
        return Ok(Some(REDACTED.as_bytes().to_vec()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "the value is not UTF-8")?;
    let value = match op {
        AgentOp::Email => email::normalise(text)?.into_bytes(),
        AgentOp::ParseDate => datetime::date(text)?.to_vec(),
        AgentOp::ParseTimestamp => datetime::timestamp(text)?.to_vec(),
        AgentOp::ParseTimestamptz => datetime::timestamptz(text)?.to_vec(),
        AgentOp::ParseJson => {
            json::check(text, false)?;
            bytes.to_vec()
        }
        AgentOp::ParseJsonb => {
            json::check(text, true)?;
            jsonb(bytes)
        }
        AgentOp::Nfc => text.nfc().collect::<String>().into_bytes(),
        AgentOp::Phone { region } => phone::normalise(text, region.as_deref())?.into_bytes(),
        AgentOp::Hash(digest) => secrecy::hash(*digest, text).into_bytes(),
        AgentOp::Hmac { digest, key_from } => keys.hmac(*digest, key_from, text)?.into_bytes(),
        AgentOp::Mask { keep_last } => secrecy::mask(text, *keep_last).into_bytes(),
        AgentOp::Redact => REDACTED.as_bytes().to_vec(),
        AgentOp::JsonGet(path) => {
            return Ok(json_path::get(text, path)?.map(String::into_bytes));
        }
    };
    Ok(Some(value))
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
        AgentOp::ParseJson | AgentOp::ParseJsonb | AgentOp::JsonGet(_) => "DROVER_JSON_INVALID",
        AgentOp::Phone { .. } => "DROVER_PHONE_INVALID",
        AgentOp::Nfc
        | AgentOp::Hash(_)
        | AgentOp::Hmac { .. }
        | AgentOp::Mask { .. }
        | AgentOp::Redact => "DROVER_TEXT_INVALID",
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

    fn run_one(steps: &[AgentStep], input: Option<&[u8]>) -> Outcome {
        run(steps, &Keys::default(), input)
    }

    #[test]
    fn null_passes_and_misfits_follow_the_vocabulary() {
        let email = |action| run_one(&step(AgentOp::Email, action), Some(b"nobody"));
        assert_eq!(
            run_one(&step(AgentOp::Email, RowAction::Fail), None),
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

    #[test]
    fn every_element_goes_through_the_steps_and_may_stand_there_once() {
        let each = |is_distinct, action| EachCall {
            field: 0,
            steps: step(AgentOp::Email, action),
            element: 25,
            is_distinct,
        };
        let input = array::of(
            [Some(&b"A@x"[..]), None, Some(b"a@X"), Some(b"no")].into_iter(),
            25,
        );
        let texts = |call: &EachCall| match run_each(call, &Keys::default(), Some(&input)).unwrap()
        {
            Outcome::Value(bytes) => {
                let elements = array::elements(&bytes).unwrap().into_iter();
                let elements =
                    elements.map(|one| one.map(|one| String::from_utf8(one.to_vec()).unwrap()));
                elements.map(Option::unwrap_or_default).collect::<Vec<_>>()
            }
            other => vec![format!("{other:?}")],
        };
        assert_eq!(
            texts(&each(false, RowAction::SetNull)),
            ["a@x", "", "a@x", ""]
        );
        assert_eq!(texts(&each(true, RowAction::SetNull)), ["a@x", ""]);
        let refused = texts(&each(true, RowAction::Quarantine));
        assert!(refused[0].contains("DROVER_EMAIL_INVALID"), "{refused:?}");
        let null = run_each(&each(true, RowAction::Fail), &Keys::default(), None);
        assert_eq!(null.unwrap(), Outcome::Null);
    }

    #[test]
    fn a_step_behind_another_takes_what_that_one_made() {
        let op = |op| step(op, RowAction::Quarantine).remove(0);
        let parse = || op(AgentOp::ParseJson);
        let get = |name: &str| op(AgentOp::JsonGet(vec![name.to_owned()]));
        let text: &[u8] = br#"{"mail": " ANN@x.org", "none": null}"#;
        let masked = [
            parse(),
            get("mail"),
            op(AgentOp::Email),
            op(AgentOp::Mask { keep_last: 3 }),
        ];
        assert_eq!(
            run_one(&masked, Some(text)),
            Outcome::Value(b"******org".to_vec())
        );
        let absent = [parse(), get("none"), op(AgentOp::Redact)];
        assert_eq!(run_one(&absent, Some(text)), Outcome::Null);
        let hidden = [parse(), op(AgentOp::Redact)];
        assert_eq!(
            run_one(&hidden, Some(text)),
            Outcome::Value(REDACTED.into())
        );
        let bad = run_one(&masked, Some(b"{"));
        assert!(matches!(
            bad,
            Outcome::Refused {
                code: "DROVER_JSON_INVALID",
                ..
            }
        ));
    }

    #[test]
    fn the_default_of_a_number_is_written_as_it_is() {
        let op = AgentOp::Phone { region: None };
        let steps = step(op, RowAction::Default("+10000000000".into()));
        assert_eq!(
            run_one(&steps, Some(b"none")),
            Outcome::Value(b"+10000000000".to_vec())
        );
    }
}
