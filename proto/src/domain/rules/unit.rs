//! The step `unit`: exact arithmetic on numbers, with bounds that spare checks later.

use super::convert::{Check, Fit, checked};
use super::decimal::shape;
use super::draft::{Draft, INPUT};
use super::scope::Scope;
use super::ty::Ty;
use crate::domain::catalog::quote_literal;
use crate::domain::plan::{Unfit, Unit};

/// What is known of a result: digits before the point and scale.
type Bounds = Option<(i32, i32)>;

/// Applies `(value * mul + add)`, rounded to `round`, exact to `scale`.
pub(super) fn apply(
    scope: &Scope<'_>,
    draft: Draft,
    unit: &Unit,
    unfit: &Unfit,
    path: &str,
) -> Option<Draft> {
    if unit.mul.is_none() && unit.add.is_none() && unit.round.is_none() && unit.scale.is_none() {
        return scope.problem(path, "says nothing: give mul, add, round or scale");
    }
    let mut bounds: Bounds = match &draft.ty {
        Ty::Int2 | Ty::Int4 | Ty::Int8 | Ty::Numeric(_) => draft.ty.exact_bounds(),
        other => {
            let message =
                format!("works on integers and numerics, this is {other}; cast it before");
            return scope.problem(path, message);
        }
    };
    let mut sql = match draft.ty {
        Ty::Numeric(_) => draft.sql.clone(),
        _ => format!("({})::numeric", draft.sql),
    };
    if let Some(mul) = &unit.mul {
        let factor = shape(mul);
        sql = format!("({sql} * {}::numeric)", quote_literal(mul));
        bounds = bounds.map(|(whole, scale)| (whole + factor.magnitude, scale + factor.scale));
    }
    if let Some(add) = &unit.add {
        let added = shape(add);
        sql = format!("({sql} + {}::numeric)", quote_literal(add));
        bounds = bounds
            .map(|(whole, scale)| (whole.max(added.digits).max(0) + 1, scale.max(added.scale)));
    }
    if let Some(digits) = unit.round {
        let digits = digits_of(scope, digits, &format!("{path}.round"))?;
        if bounds.is_none_or(|(_, scale)| scale != digits) {
            sql = format!("round({sql}, {digits})");
        }
        bounds = bounds.map(|(whole, scale)| (whole.max(0) + i32::from(scale > digits), digits));
    }
    let mut draft = draft.becomes(sql, numeric(bounds));
    if let Some(digits) = unit.scale {
        let digits = digits_of(scope, digits, &format!("{path}.scale"))?;
        draft = exact(
            scope,
            draft,
            bounds,
            digits,
            &Fit {
                unfit,
                path,
                is_asked: true,
            },
        )?;
    }
    Some(draft)
}

/// Exactly `digits` digits behind the point; more do not fit.
fn exact(
    scope: &Scope<'_>,
    draft: Draft,
    bounds: Bounds,
    digits: i32,
    fit: &Fit<'_>,
) -> Option<Draft> {
    let ty = numeric(bounds.map(|(whole, _)| (whole, digits)));
    match bounds {
        Some((_, scale)) if scale == digits => Some(Draft { ty, ..draft }),
        Some((_, scale)) if scale < digits => {
            let sql = draft.fill(&format!("round({INPUT}, {digits})"));
            Some(draft.becomes(sql, ty))
        }
        Some(_) | None => {
            let rounded = format!("round({INPUT}, {digits})");
            let rule = Check {
                value: format!("(CASE WHEN {INPUT} = {rounded} THEN {rounded} END)"),
                fault: format!("{INPUT} <> {rounded}"),
                code: "DROVER_UNIT",
                message: format!("has more than {digits} digits behind the point"),
                is_raw: false,
            };
            scope.noted(fit.path, checked(draft, &ty, fit, &rule))
        }
    }
}

/// Digits behind the point, bounded as PostgreSQL bounds a scale.
fn digits_of(scope: &Scope<'_>, digits: u32, path: &str) -> Option<i32> {
    match i32::try_from(digits) {
        Ok(digits) if digits <= 1000 => Some(digits),
        Ok(_) | Err(_) => scope.problem(path, "is more than 1000"),
    }
}

fn numeric(bounds: Bounds) -> Ty {
    let bounds = bounds.and_then(|(whole, scale)| {
        let precision = u16::try_from((whole + scale).max(1)).ok()?;
        Some((precision, i16::try_from(scale).ok()?))
    });
    Ty::Numeric(bounds.filter(|(precision, _)| *precision <= 1000))
}
