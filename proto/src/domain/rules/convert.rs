//! From one type to another: what is free, what is checked, what the agent does, what never fits.

use super::draft::{Draft, INPUT, check};
use super::jsons;
use super::lengths;
use super::literal::literal;
use super::numbers;
use super::ty::Ty;
use crate::domain::compiled::{AgentOp, AgentStep, Fault, RowAction};
use crate::domain::plan::{Unfit, Value};

/// How a value is brought to a type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Way {
    /// It already is.
    Same,
    /// An SQL template that never fails.
    Free(String),
    /// Templates of the value (NULL where it does not fit) and of the check.
    Checked {
        /// The value.
        value: String,
        /// True where it does not fit; NULL does fit.
        fault: String,
        /// `DROVER_…` code.
        code: &'static str,
        /// What is wrong, in words.
        message: String,
        /// The value as it is already has the type's binary form, so a row that is given up needs no
        /// second evaluation.
        is_raw: bool,
    },
    /// An operation of the agent on text.
    Agent(AgentOp),
    /// First to that type, then on.
    Through(Ty),
    /// It does not fit; in words what to do.
    Never(String),
}

/// How a value that does not fit is treated, and where the plan says so.
#[derive(Debug, Clone)]
pub struct Fit<'a> {
    /// The action, as the plan has it.
    pub unfit: &'a Unfit,
    /// Path of the rule.
    pub path: &'a str,
    /// A `cast` asked for it; without one, only what loses nothing by its nature.
    pub is_asked: bool,
}

/// Brings a value to a type. `Err` is a problem of the plan in words.
pub fn convert(draft: Draft, to: &Ty, fit: &Fit<'_>) -> Result<Draft, String> {
    if let Some(known) = &draft.known
        && let Some(verdict) = lengths::written(known, to)
    {
        return verdict.map(|()| Draft {
            ty: to.clone(),
            ..draft
        });
    }
    if !draft.agent.is_empty() {
        return behind_agent(draft, to);
    }
    match way(&draft.ty, to, fit.is_asked) {
        Way::Same => Ok(Draft {
            ty: to.clone(),
            ..draft
        }),
        Way::Free(template) => {
            let sql = draft.fill(&template);
            // As text, citext compares like text.
            let is_deterministic = draft.is_deterministic || draft.ty == Ty::Citext;
            Ok(Draft {
                is_deterministic,
                ..draft.becomes(sql, to.clone())
            })
        }
        Way::Checked {
            value,
            fault,
            code,
            message,
            is_raw,
        } => {
            let fault = Check {
                value,
                fault,
                code,
                message,
                is_raw,
            };
            checked(draft, to, fit, &fault)
        }
        Way::Agent(op) => parsed(draft, to, op, fit),
        Way::Through(middle) => {
            let middle = convert(draft, &middle, fit)?;
            convert(middle, to, fit)
        }
        Way::Never(hint) => Err(hint),
    }
}

/// A check and its value, as templates.
pub(super) struct Check {
    pub value: String,
    pub fault: String,
    pub code: &'static str,
    pub message: String,
    pub is_raw: bool,
}

/// Applies a check: the row is given up, or NULL or the default takes the value's place.
pub(super) fn checked(draft: Draft, to: &Ty, fit: &Fit<'_>, rule: &Check) -> Result<Draft, String> {
    let action = action_of(fit.unfit);
    let mut faults = Vec::new();
    let template = match fit.unfit {
        Unfit::Fail | Unfit::Quarantine => {
            let fault = Fault {
                code: rule.code.to_owned(),
                path: fit.path.to_owned(),
                message: rule.message.clone(),
                action,
            };
            faults.push(check(draft.fill(&rule.fault), fault));
            if rule.is_raw {
                INPUT.to_owned()
            } else {
                rule.value.clone()
            }
        }
        Unfit::SetNull => rule.value.clone(),
        Unfit::Default(value) => {
            let value = literal(value, to)?;
            format!(
                "(CASE WHEN {} THEN {value} ELSE {} END)",
                rule.fault, rule.value
            )
        }
    };
    let sql = draft.fill(&template);
    let is_untouched = template == INPUT;
    let mut draft = if is_untouched {
        Draft {
            ty: to.clone(),
            ..draft
        }
    } else {
        draft.becomes(sql, to.clone())
    };
    draft.faults.extend(faults);
    if *fit.unfit == Unfit::SetNull {
        draft.nulled = Some(fit.path.to_owned());
    }
    Ok(draft)
}

/// The action without the plan's typing; a default is given as text.
pub(super) fn action_of(unfit: &Unfit) -> RowAction {
    match unfit {
        Unfit::Fail => RowAction::Fail,
        Unfit::Quarantine => RowAction::Quarantine,
        Unfit::SetNull => RowAction::SetNull,
        Unfit::Default(value) => RowAction::Default(value.text().into_owned()),
    }
}

/// Text that the agent parses.
pub(super) fn parsed(draft: Draft, to: &Ty, op: AgentOp, fit: &Fit<'_>) -> Result<Draft, String> {
    if let Unfit::Default(value) = fit.unfit {
        literal(&Value::Text(value.text().into_owned()), to)?;
    }
    let on_error = action_of(fit.unfit);
    let step = AgentStep {
        op,
        path: fit.path.to_owned(),
        on_error,
    };
    let sql = draft.text_sql();
    let mut draft = draft.becomes(sql, to.clone());
    draft.agent.push(step);
    Ok(draft)
}

/// What an agent step has made can only be written as it is.
fn behind_agent(draft: Draft, to: &Ty) -> Result<Draft, String> {
    let draft = match to {
        Ty::Json => jsons::as_json(draft),
        _ => draft,
    };
    let fits = match (&draft.ty, to) {
        (Ty::Text(_), Ty::Text(_) | Ty::Char(_) | Ty::Citext | Ty::User(_)) => true,
        (Ty::Timestamp(_), Ty::Timestamp(_)) | (Ty::Timestamptz(_), Ty::Timestamptz(_)) => true,
        (made, wanted) => made == wanted,
    };
    if fits {
        Ok(Draft {
            ty: to.clone(),
            ..draft
        })
    } else {
        Err(format!(
            "{} cannot become {to} here, behind a step that runs in the agent",
            draft.ty
        ))
    }
}

/// How `from` becomes `to`.
pub(super) fn way(from: &Ty, to: &Ty, is_asked: bool) -> Way {
    use Ty as T;
    match (from, to) {
        // NULL has no bytes: where this database may lack the type, text serves as well.
        (T::Null, T::User(_)) => Way::Free(format!("({INPUT})::text")),
        (T::Null, _) => Way::Free(format!("({INPUT})::{}", to.sql())),
        (T::User(_), T::Text(_)) if is_asked => to_text(to),
        (from, T::User(_)) if is_carried(from) => Way::Free(format!("({INPUT})::text")),
        (T::User(name), _) | (_, T::User(name)) => Way::Never(format!(
            "type {name} is carried over as text, into text or into a type of one database only; use sql"
        )),
        (from, to) if from.is_text() && to.is_varchar_element() => {
            Way::Free(format!("({INPUT})::{}", to.sql()))
        }
        (from, T::Text(None)) if from.is_varchar_element() => Way::Free(format!("({INPUT})::text")),
        (T::Text(_), T::Text(_) | T::Char(_) | T::Citext) => lengths::to_text(from, to),
        (T::Char(_), T::Char(_)) if lengths::fits(from, to) => Way::Same,
        (T::Citext, T::Citext) => Way::Same,
        (T::Enum(a), T::Enum(b)) if a == b => Way::Same,
        (T::Char(_) | T::Enum(_) | T::Citext, T::Text(_) | T::Char(_) | T::Enum(_) | T::Citext) => {
            let has = lengths::longest(from);
            match to {
                T::Text(None) | T::Citext => Way::Free(format!("({INPUT})::text")),
                T::Text(_) if lengths::fits(&T::Text(has), to) => {
                    Way::Free(format!("({INPUT})::text"))
                }
                _ => Way::Through(T::Text(has)),
            }
        }
        (T::Text(_), T::Enum(labels)) => lengths::to_enum(labels),
        (T::Timestamp(a), T::Timestamp(b)) | (T::Timestamptz(a), T::Timestamptz(b)) => {
            match (a, b) {
                (_, None) => Way::Same,
                (Some(a), Some(b)) if a <= b => Way::Same,
                (_, Some(_)) => less_precise(to),
            }
        }
        (T::Date, T::Timestamp(_)) => Way::Free(format!("({INPUT})::timestamp")),
        (T::Json, T::Jsonb) => Way::Agent(AgentOp::ParseJsonb),
        (T::Jsonb, T::Json) => Way::Free(format!("({INPUT})::json")),
        (T::Array(a), T::Array(b)) => arrays(a, b, to),
        (T::Builtin { base: a, full: fa }, T::Builtin { base: b, full: fb }) if a == b => {
            if fa == fb || b == fb {
                Way::Same
            } else {
                Way::Never(format!("{fa} does not fit into {fb}; use sql"))
            }
        }
        (a, b) if a == b => Way::Same,
        _ if is_number(from) && is_number(to) => numbers::between(from, to, is_asked),
        _ if is_asked => asked(from, to),
        _ => Way::Never(hint(from, to)),
    }
}

/// Whether the text of a type may be that of a value of a type of one database only: the destination
/// decides.
fn is_carried(ty: &Ty) -> bool {
    ty.is_text() || matches!(ty, Ty::User(_) | Ty::Array(_))
}

fn is_number(ty: &Ty) -> bool {
    ty.is_integer() || matches!(ty, Ty::Numeric(_) | Ty::Float4 | Ty::Float8)
}

/// What only a `cast` does.
fn asked(from: &Ty, to: &Ty) -> Way {
    use Ty as T;
    match (from, to) {
        (_, T::Text(_)) => to_text(to),
        (T::Char(_) | T::Enum(_) | T::Citext, _) => Way::Through(T::Text(None)),
        (T::Text(_), T::Date) => Way::Agent(AgentOp::ParseDate),
        (T::Text(_), T::Timestamp(_)) => Way::Agent(AgentOp::ParseTimestamp),
        (T::Text(_), T::Timestamptz(_)) => Way::Agent(AgentOp::ParseTimestamptz),
        (T::Text(_), T::Json) => Way::Agent(AgentOp::ParseJson),
        (T::Text(_), T::Jsonb) => Way::Agent(AgentOp::ParseJsonb),
        (T::Text(_), _) => numbers::from_text(to),
        (T::Bool, T::Int4) => Way::Free(format!("({INPUT})::integer")),
        (T::Bool, T::Int2 | T::Int8 | T::Numeric(_)) => Way::Through(T::Int4),
        (T::Int2 | T::Int4 | T::Int8, T::Bool) => Way::Checked {
            value: format!("(CASE WHEN {INPUT} IN (0, 1) THEN {INPUT} = 1 END)"),
            fault: format!("{INPUT} NOT IN (0, 1)"),
            code: "DROVER_CAST",
            message: "is neither 0 nor 1".to_owned(),
            is_raw: false,
        },
        (T::Timestamp(_), T::Date) => Way::Checked {
            value: format!(
                "(CASE WHEN {INPUT} = date_trunc('day', {INPUT}) THEN ({INPUT})::date END)"
            ),
            fault: format!("{INPUT} <> date_trunc('day', {INPUT})"),
            code: "DROVER_CAST",
            message: "has a time of day, which a date cannot hold".to_owned(),
            is_raw: false,
        },
        _ => Way::Never(hint(from, to)),
    }
}

fn to_text(to: &Ty) -> Way {
    match to {
        Ty::Text(None) => Way::Free(format!("({INPUT})::text")),
        _ => Way::Through(Ty::Text(None)),
    }
}

/// What to do about two types that do not meet.
fn hint(from: &Ty, to: &Ty) -> String {
    let advice = match (from, to) {
        (Ty::Timestamp(_) | Ty::Date, Ty::Timestamptz(_)) => "add the step tz".to_owned(),
        (Ty::Timestamptz(_), Ty::Timestamp(_) | Ty::Date) => {
            "use sql, for instance \"column AT TIME ZONE 'UTC'\"".to_owned()
        }
        _ if matches!(way_if_asked(from, to), Way::Never(_)) => "use sql".to_owned(),
        _ => format!("add {{cast: {to}}}"),
    };
    format!("{from} does not become {to} by itself; {advice}")
}

/// The way that a cast would open, without asking for advice again.
fn way_if_asked(from: &Ty, to: &Ty) -> Way {
    use Ty as T;
    let castable = match (from, to) {
        (_, T::Text(_)) => true,
        (T::Text(_) | T::Char(_) | T::Enum(_) | T::Citext, _) => matches!(
            to,
            T::Int2
                | T::Int4
                | T::Int8
                | T::Numeric(_)
                | T::Float4
                | T::Float8
                | T::Bool
                | T::Uuid
                | T::Date
                | T::Timestamp(_)
                | T::Timestamptz(_)
                | T::Json
                | T::Jsonb
        ),
        (T::Bool, T::Int2 | T::Int4 | T::Int8) | (T::Timestamp(_), T::Date) => true,
        (T::Int2 | T::Int4 | T::Int8, T::Bool) => true,
        _ => is_number(from) && is_number(to),
    };
    if castable {
        Way::Same
    } else {
        Way::Never(String::new())
    }
}

fn less_precise(to: &Ty) -> Way {
    let cast = format!("({INPUT})::{}", to.sql());
    Way::Checked {
        value: format!("(CASE WHEN {cast} = {INPUT} THEN {INPUT} END)"),
        fault: format!("{cast} <> {INPUT}"),
        code: "DROVER_CAST",
        message: format!("is more precise than {to}"),
        is_raw: true,
    }
}

fn arrays(from: &Ty, to: &Ty, array: &Ty) -> Way {
    match way(from, to, false) {
        // `varchar[]` and `text[]` differ in their binary form: the element's type is in it.
        Way::Same if from.sql() == to.sql() && !matches!(from, Ty::Text(_)) => Way::Same,
        Way::Same | Way::Free(_) => Way::Free(format!("({INPUT})::{}", array.sql())),
        Way::Checked { .. } | Way::Agent(_) | Way::Through(_) | Way::Never(_) => Way::Never(
            format!("{from}[] does not become {to}[] by itself; use sql"),
        ),
    }
}
