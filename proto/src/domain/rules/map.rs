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
    let input = draft.text_sql();
    let known = (unfit.is_some() && matches!(ty, Ty::Text(_))).then(|| {
        values
            .iter()
            .map(|value| value.text().into_owned())
            .collect::<BTreeSet<String>>()
    });
    let draft = Draft {
        is_deterministic: true,
        ..draft.becomes(input, Ty::Text(None))
    };

    // By key, so that the order of the document changes no hash.
    let mut pairs: Vec<(&str, &Value)> = rule.table.iter().collect();
    pairs.sort_by_key(|(key, _)| *key);
    let mut arms = Vec::new();
    for (key, value) in &pairs {
        let sql = scope.noted(&format!("{path}.table.{key}"), value_sql(value, &ty))?;
        arms.push(format!("WHEN {} THEN {sql}", quote_literal(key)));
    }
    let arms = arms.join(" ");
    let keys: Vec<String> = pairs.iter().map(|(key, _)| quote_literal(key)).collect();
    let Some(unfit) = unfit else {
        let sql = draft.fill(&format!("(CASE {INPUT} {arms} ELSE {INPUT} END)"));
        return Some(draft.becomes(sql, ty));
    };
    let unfit = match unfit {
        // A default is typed like the map's values, so a text where those are texts.
        Unfit::Default(value) if matches!(ty, Ty::Text(_)) => {
            Unfit::Default(Value::Text(value.text().into_owned()))
        }
        other => other,
    };
    let rule = Check {
        value: format!("(CASE {INPUT} {arms} END)"),
        fault: format!("{INPUT} NOT IN ({})", keys.join(", ")),
        code: "DROVER_MAP",
        message: "is not in the map".to_owned(),
        is_raw: false,
    };
    let fit = Fit {
        unfit: &unfit,
        path,
        is_asked: true,
    };
    let draft = scope.noted(path, checked(draft, &ty, &fit, &rule))?;
    Some(Draft { known, ..draft })
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
