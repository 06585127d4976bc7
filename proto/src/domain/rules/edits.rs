//! Steps that cut, fill and replace text, all of them in the source.

use super::draft::{Draft, INPUT};
use super::scope::Scope;
use super::texts::as_text;
use super::ty::Ty;
use crate::domain::catalog::{Probe, Probed, TableName, quote_literal};
use crate::domain::plan::{Pad, Regex, Replace, Side, Split};

/// The longest text that a type of PostgreSQL can name.
const MAX_CHARACTERS: u32 = 10_485_760;
/// The last number of a part that `split_part` can be asked for, from 0.
const MAX_INDEX: u32 = i32::MAX as u32 - 1;

/// `pad`: filled up, never cut.
pub(super) fn pad(scope: &Scope<'_>, draft: Draft, rule: &Pad, path: &str) -> Option<Draft> {
    if rule.to > MAX_CHARACTERS {
        let message = format!("more than {MAX_CHARACTERS} characters");
        return scope.problem(&format!("{path}.to"), message);
    }
    let fill = rule.with.as_deref().unwrap_or(" ");
    if fill.is_empty() {
        return scope.problem(&format!("{path}.with"), "must not be empty");
    }
    let draft = as_text(scope, draft, path)?;
    let function = match rule.side {
        None | Some(Side::Left) => "lpad",
        Some(Side::Right) => "rpad",
    };
    // Both would cut a longer text to the length.
    let sql = draft.fill(&format!(
        "{function}({INPUT}, greatest(char_length({INPUT}), {}), {})",
        rule.to,
        quote_literal(fill)
    ));
    let length = length(&draft).map(|length| length.max(rule.to));
    Some(draft.becomes(sql, Ty::Text(length)))
}

/// `truncate`: the first characters.
pub(super) fn truncate(scope: &Scope<'_>, draft: Draft, to: u32, path: &str) -> Option<Draft> {
    if to == 0 {
        return scope.problem(path, "leaves nothing; the column needs a rule of its own");
    }
    if to > MAX_CHARACTERS {
        return scope.problem(path, format!("more than {MAX_CHARACTERS} characters"));
    }
    let draft = as_text(scope, draft, path)?;
    let sql = format!("left({}, {to})", draft.sql);
    let length = length(&draft).map_or(to, |length| length.min(to));
    Some(draft.becomes(sql, Ty::Text(Some(length))))
}

/// `replace`: one text for another, wherever it stands.
pub(super) fn replace(
    scope: &Scope<'_>,
    draft: Draft,
    rule: &Replace,
    path: &str,
) -> Option<Draft> {
    if rule.from.is_empty() {
        return scope.problem(&format!("{path}.from"), "must not be empty");
    }
    let draft = searchable(as_text(scope, draft, path)?);
    let (from, to) = (quote_literal(&rule.from), quote_literal(&rule.to));
    let sql = format!("replace({}, {from}, {to})", draft.sql);
    let is_no_longer = rule.to.chars().count() <= rule.from.chars().count();
    let length = length(&draft).filter(|_| is_no_longer);
    Some(draft.becomes(sql, Ty::Text(length)))
}

/// `regex`: every match replaced.
pub(super) fn regex(scope: &Scope<'_>, draft: Draft, rule: &Regex, path: &str) -> Option<Draft> {
    let probe = regex_probe(&scope.table.name, rule);
    if let Some(Probed::Refused(words)) = scope.expressions.get(&probe) {
        let message = format!("the source refuses it: {words}");
        return scope.problem(&format!("{path}.pattern"), message);
    }
    let draft = searchable(as_text(scope, draft, path)?);
    let sql = regex_sql(&draft.sql, rule);
    Some(draft.becomes(sql, Ty::Text(None)))
}

fn regex_sql(input: &str, rule: &Regex) -> String {
    let (pattern, to) = (quote_literal(&rule.pattern), quote_literal(&rule.replace));
    format!("regexp_replace({input}, {pattern}, {to}, 'g')")
}

/// The probe that makes the source judge a regular expression.
pub fn regex_probe(table: &TableName, rule: &Regex) -> Probe {
    Probe::new(table.clone(), regex_sql("''::text", rule))
}

/// `split`: one part, or everything from one on.
pub(super) fn split(scope: &Scope<'_>, draft: Draft, rule: &Split, path: &str) -> Option<Draft> {
    let (key, first) = match (rule.index, rule.rest) {
        (Some(index), None) => ("index", index),
        (None, Some(rest)) => ("rest", rest),
        (None, None) => return scope.problem(path, "needs index or rest"),
        (Some(_), Some(_)) => return scope.problem(path, "takes index or rest, not both"),
    };
    if first > MAX_INDEX {
        let message = format!("more than {MAX_INDEX}");
        return scope.problem(&format!("{path}.{key}"), message);
    }
    let draft = searchable(as_text(scope, draft, path)?);
    let (input, separator, first) = (&draft.sql, quote_literal(&rule.sep), first + 1);
    let sql = match rule.rest {
        None => format!("split_part({input}, {separator}, {first})"),
        Some(_) => format!(
            "array_to_string((string_to_array({input}, {separator}))[{first}:], {separator})"
        ),
    };
    let length = length(&draft);
    Some(draft.becomes(sql, Ty::Text(length)))
}

/// The longest length of a text, where it is known.
fn length(draft: &Draft) -> Option<u32> {
    match draft.ty {
        Ty::Text(length) => length,
        _ => None,
    }
}

/// PostgreSQL searches only where equality is equality of characters.
pub(super) fn searchable(draft: Draft) -> Draft {
    if draft.is_deterministic {
        return draft;
    }
    let (sql, ty) = (
        format!("({} COLLATE \"default\")", draft.sql),
        draft.ty.clone(),
    );
    Draft {
        is_deterministic: true,
        ..draft.becomes(sql, ty)
    }
}
