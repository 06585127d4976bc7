//! Steps on any value: `default`, `null_if`; and one type for several values.

use super::convert::{Fit, convert};
use super::draft::{Draft, INPUT};
use super::literal::literal;
use super::scope::Scope;
use super::ty::Ty;
use crate::domain::catalog::quote_literal;
use crate::domain::plan::{Unfit, Value};

/// `default`: a value where there is NULL.
pub(super) fn default(scope: &Scope<'_>, draft: Draft, value: &Value, path: &str) -> Option<Draft> {
    let draft = untyped(draft, value);
    let sql = scope.noted(path, literal(value, &draft.ty))?;
    let known = draft.known.clone().map(|mut known| {
        known.insert(value.text().into_owned());
        known
    });
    let sql = format!("COALESCE({}, {sql})", draft.sql);
    let ty = draft.ty.clone();
    Some(Draft {
        known,
        nulled: None,
        ..draft.becomes(sql, ty)
    })
}

/// `null_if`: NULL where there is one of some values.
pub(super) fn null_if(
    scope: &Scope<'_>,
    draft: Draft,
    values: &[Value],
    path: &str,
) -> Option<Draft> {
    let is_comparable = !matches!(
        draft.ty,
        Ty::Json | Ty::Jsonb | Ty::Array(_) | Ty::Builtin { .. } | Ty::User(_)
    );
    let mut list = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let sql = if is_comparable && draft.is_deterministic {
            scope.noted(&format!("{path}[{index}]"), literal(value, &draft.ty))?
        } else {
            format!("{}::text", quote_literal(&value.text()))
        };
        list.push(sql);
    }
    let (ty, known) = (draft.ty.clone(), draft.known.clone());
    let sql = if is_comparable && draft.is_deterministic {
        // Evaluates its first argument once, which a CASE would not.
        list.iter().fold(draft.sql.clone(), |sql, value| {
            format!("NULLIF({sql}, {value})")
        })
    } else {
        let list = list.join(", ");
        draft.fill(&format!(
            "(CASE WHEN ({INPUT})::text IN ({list}) THEN NULL ELSE {INPUT} END)"
        ))
    };
    Some(Draft {
        known,
        ..draft.becomes(sql, ty)
    })
}

/// `NULL` takes the type of the first value that meets it.
fn untyped(draft: Draft, value: &Value) -> Draft {
    match draft.ty {
        Ty::Null => {
            let ty = super::sources::constant_type(value);
            let sql = format!("NULL::{}", ty.sql());
            draft.becomes(sql, ty)
        }
        _ => draft,
    }
}

/// Brings drafts to the one type that holds them all.
pub(super) fn unify(drafts: Vec<Draft>) -> Result<Vec<Draft>, String> {
    let mut common = Ty::Null;
    for draft in &drafts {
        common = wider(&common, &draft.ty)
            .ok_or_else(|| format!("{common} and {} have no common type; cast them", draft.ty))?;
    }
    let fit = Fit {
        unfit: &Unfit::Fail,
        path: "",
        is_asked: false,
    };
    drafts
        .into_iter()
        .map(|draft| {
            let known = draft.known.clone();
            convert(draft, &common, &fit).map(|draft| Draft { known, ..draft })
        })
        .collect()
}

/// The type that holds the values of two.
fn wider(a: &Ty, b: &Ty) -> Option<Ty> {
    let rank = |ty: &Ty| match ty {
        Ty::Int2 => Some(1),
        Ty::Int4 => Some(2),
        Ty::Int8 => Some(3),
        Ty::Numeric(_) => Some(4),
        _ => None,
    };
    match (a, b) {
        (Ty::Null, other) | (other, Ty::Null) => Some(other.clone()),
        (a, b) if a == b => Some(a.clone()),
        (Ty::Text(a), Ty::Text(b)) => Some(Ty::Text(a.zip(*b).map(|(a, b)| a.max(b)))),
        (a, b) if a.is_text() && b.is_text() => Some(Ty::Text(None)),
        (Ty::Timestamp(_), Ty::Timestamp(_) | Ty::Date) | (Ty::Date, Ty::Timestamp(_)) => {
            Some(Ty::Timestamp(None))
        }
        (Ty::Timestamptz(_), Ty::Timestamptz(_)) => Some(Ty::Timestamptz(None)),
        (Ty::Float4, Ty::Float8) | (Ty::Float8, Ty::Float4) => Some(Ty::Float8),
        (Ty::Float8, Ty::Int2 | Ty::Int4) | (Ty::Int2 | Ty::Int4, Ty::Float8) => Some(Ty::Float8),
        (a, b) => match (rank(a)?, rank(b)?) {
            (4, _) | (_, 4) => Some(numeric_of(a, b)),
            (left, right) if left >= right => Some(a.clone()),
            _ => Some(b.clone()),
        },
    }
}

/// The numeric that holds the values of two exact types.
fn numeric_of(a: &Ty, b: &Ty) -> Ty {
    let bounds = a.exact_bounds().zip(b.exact_bounds()).and_then(|(a, b)| {
        let (whole, scale) = (a.0.max(b.0), a.1.max(b.1));
        Some((
            u16::try_from(whole + scale).ok()?,
            i16::try_from(scale).ok()?,
        ))
    });
    Ty::Numeric(bounds)
}
