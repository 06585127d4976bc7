//! The step `map`: another value for each listed one.

use std::collections::BTreeSet;

use super::convert::{Check, Fit, checked};
use super::draft::{Draft, INPUT};
use super::literal::literal;
use super::scope::Scope;
use super::sources::constant_type;
use super::ty::Ty;
use super::values::unify;
use crate::domain::catalog::quote_literal;
use crate::domain::plan::{MapElse, MapRule, Unfit, Value};

/// Applies a map. NULL stays NULL whatever `else` says.
pub(super) fn apply(scope: &Scope<'_>, draft: Draft, rule: &MapRule, path: &str) -> Option<Draft> {
    let unfit = match &rule.otherwise {
        None => Some(scope.on_row_error.clone()),
        Some(MapElse::Keep) => None,
        Some(MapElse::Fail) => Some(Unfit::Fail),
        Some(MapElse::Quarantine) => Some(Unfit::Quarantine),
        Some(MapElse::SetNull) => Some(Unfit::SetNull),
        Some(MapElse::Default(value)) => Some(Unfit::Default(value.clone())),
    };
    let mut values: Vec<&Value> = rule.table.iter().map(|(_, value)| value).collect();
    if let Some(Unfit::Default(value)) = &unfit {
        values.push(value);
    }
    let ty = if unfit.is_some() {
        common_type(&values)
    } else {
        Ty::Text(None)
    };
    let known = (unfit.is_some() && matches!(ty, Ty::Text(_))).then(|| {
        values
            .iter()
            .map(|value| value.text().into_owned())
            .collect::<BTreeSet<String>>()
    });

    // By key, so that the order of the document changes no hash.
    let mut pairs: Vec<(&str, &Value)> = rule.table.iter().collect();
    pairs.sort_by_key(|(key, _)| *key);
    let names: Vec<&str> = pairs.iter().map(|(key, _)| *key).collect();
    let (draft, keys) = comparable(draft, &names);
    let mut arms = String::new();
    for ((name, value), key) in pairs.iter().zip(&keys) {
        let value = scope.noted(&format!("{path}.table.{name}"), value_sql(value, &ty))?;
        arms.push_str(&format!(" WHEN {key} THEN {value}"));
    }
    // The simple form of CASE evaluates the input once.
    let otherwise = match &unfit {
        None if matches!(draft.ty, Ty::Text(_)) => Some(INPUT.to_owned()),
        None => Some(format!("({INPUT})::text")),
        Some(Unfit::Default(value)) => {
            let value = scope.noted(path, value_sql(value, &ty))?;
            Some(format!("CASE WHEN {INPUT} IS NOT NULL THEN {value} END"))
        }
        Some(Unfit::Fail | Unfit::Quarantine | Unfit::SetNull) => None,
    };
    let otherwise = otherwise.map_or_else(String::new, |sql| format!(" ELSE {sql}"));
    let value = format!("(CASE {INPUT}{arms}{otherwise} END)");
    let draft = match &unfit {
        Some(unfit @ (Unfit::Fail | Unfit::Quarantine | Unfit::SetNull)) => {
            let rule = Check {
                value,
                fault: format!("{INPUT} NOT IN ({})", keys.join(", ")),
                code: "DROVER_MAP",
                message: "is not in the map".to_owned(),
                is_raw: false,
            };
            let fit = Fit {
                unfit,
                path,
                is_asked: true,
            };
            scope.noted(path, checked(draft, &ty, &fit, &rule))?
        }
        Some(Unfit::Default(_)) | None => {
            let sql = draft.fill(&value);
            draft.becomes(sql, ty)
        }
    };
    Some(Draft {
        known,
        is_deterministic: true,
        ..draft
    })
}

/// The input and the keys of one type: integers where all are, else text.
fn comparable(draft: Draft, keys: &[&str]) -> (Draft, Vec<String>) {
    let is_canonical = |key: &&str| {
        key.parse::<i64>()
            .is_ok_and(|number| number.to_string() == *key)
    };
    if draft.ty.is_integer() && keys.iter().all(is_canonical) {
        return (draft, keys.iter().map(|key| (*key).to_owned()).collect());
    }
    let input = draft.text_sql();
    let keys = keys.iter().map(|key| quote_literal(key)).collect();
    (draft.becomes(input, Ty::Text(None)), keys)
}

/// The one type of a map's values; text where they are of several kinds.
fn common_type(values: &[&Value]) -> Ty {
    let drafts: Vec<Draft> = values
        .iter()
        .map(|value| Draft::new("", constant_type(value)))
        .collect();
    match unify(drafts) {
        Ok(drafts) => match drafts.first().map(|draft| &draft.ty) {
            Some(Ty::Null) | None => Ty::Text(None),
            Some(ty) => ty.clone(),
        },
        Err(_) => Ty::Text(None),
    }
}

fn value_sql(value: &Value, ty: &Ty) -> Result<String, String> {
    match ty {
        Ty::Text(_) => Ok(format!("{}::text", quote_literal(&value.text()))),
        _ => literal(value, ty),
    }
}
