//! Texts into shorter texts and into enums.

use std::collections::BTreeSet;

use super::convert::Way;
use super::draft::INPUT;
use super::ty::Ty;
use crate::domain::catalog::quote_literal;

/// The longest length in characters that a text type allows.
fn length(ty: &Ty) -> Option<u32> {
    match ty {
        Ty::Text(length) | Ty::Char(length) => *length,
        _ => None,
    }
}

/// Whether every text of one length fits into another.
pub(super) fn fits(from: &Ty, to: &Ty) -> bool {
    match (length(from), length(to)) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(has), Some(may)) => has <= may,
    }
}

/// The longest text of a type whose text is shorter than any limit.
pub(super) fn longest(ty: &Ty) -> Option<u32> {
    match ty {
        Ty::Char(length) => *length,
        Ty::Enum(labels) => {
            let longest = labels
                .iter()
                .map(|label| label.chars().count())
                .max()
                .unwrap_or(0);
            u32::try_from(longest).ok()
        }
        _ => None,
    }
}

/// A text into a shorter one: longer values do not fit.
pub(super) fn to_text(from: &Ty, to: &Ty) -> Way {
    match length(to) {
        Some(may) if !fits(from, to) => Way::Checked {
            value: format!("(CASE WHEN char_length({INPUT}) <= {may} THEN {INPUT} END)"),
            fault: format!("char_length({INPUT}) > {may}"),
            code: "DROVER_TOO_LONG",
            message: format!("is longer than {may} characters"),
            is_raw: true,
        },
        Some(_) | None => Way::Same,
    }
}

/// A text into an enum, whose binary form is its label.
pub(super) fn to_enum(labels: &[String]) -> Way {
    if labels.is_empty() {
        return Way::Never("the enum has no labels".to_owned());
    }
    let list: Vec<String> = labels.iter().map(|label| quote_literal(label)).collect();
    let list = list.join(", ");
    Way::Checked {
        value: format!("(CASE WHEN {INPUT} IN ({list}) THEN {INPUT} END)"),
        fault: format!("{INPUT} NOT IN ({list})"),
        code: "DROVER_ENUM",
        message: format!("is none of {}", labels.join(", ")),
        is_raw: true,
    }
}

/// Texts that are all written in the plan need no check of the row: they fit, or they are a problem
/// of the plan. `None` where the type has no such limit.
pub(super) fn written(known: &BTreeSet<String>, to: &Ty) -> Option<Result<(), String>> {
    let verdict = |strange: Vec<&str>, words: String| match strange.is_empty() {
        true => Ok(()),
        false => Err(format!("\"{}\" {words}", strange.join("\", \""))),
    };
    let texts = known.iter().map(String::as_str);
    match to {
        Ty::Enum(labels) => {
            let is_strange = |text: &&str| !labels.iter().any(|label| label == text);
            let words = format!("is no label of the enum ({})", labels.join(", "));
            Some(verdict(texts.filter(is_strange).collect(), words))
        }
        Ty::Text(Some(max)) | Ty::Char(Some(max)) => {
            let is_strange = |text: &&str| text.chars().count() > *max as usize;
            let words = format!("is longer than {max} characters");
            Some(verdict(texts.filter(is_strange).collect(), words))
        }
        _ => None,
    }
}
