//! Numbers into numbers and texts into numbers, booleans and uuids: lossless or a fault.
//!
//! Nothing here raises: ranges are judged before the cast, inside a CASE, and numerics judge what
//! is too long for an integer.

use super::convert::Way;
use super::decimal::power_of_ten;
use super::draft::INPUT;
use super::ty::Ty;

const CODE: &str = "DROVER_CAST";

/// A number into another type of number.
pub(super) fn between(from: &Ty, to: &Ty, is_asked: bool) -> Way {
    use Ty as T;
    match (from, to) {
        (_, T::Int2 | T::Int4 | T::Int8) if from.is_integer() => integers(from, to),
        (T::Numeric(_), T::Int2 | T::Int4 | T::Int8) => numeric_to_integer(from, to),
        (_, T::Numeric(None)) if from.is_integer() => cast(to),
        (_, T::Numeric(Some(_))) if from.is_integer() => {
            let exact = T::Numeric(exact(from));
            match between(&exact, to, is_asked) {
                Way::Same => cast(to),
                _ => Way::Through(exact),
            }
        }
        (T::Numeric(_), T::Numeric(None)) => Way::Same,
        (T::Numeric(_), T::Numeric(Some(bounds))) => numeric_to_numeric(from, *bounds),
        (T::Int2, T::Float4 | T::Float8) | (T::Int4, T::Float8) | (T::Float4, T::Float8) => {
            cast(to)
        }
        (T::Int4 | T::Int8, T::Float4 | T::Float8) => {
            let exact = if *to == T::Float4 {
                "16777216"
            } else {
                "9007199254740992"
            };
            ranged(&format!("{INPUT} BETWEEN -{exact} AND {exact}"), to)
        }
        (T::Float8, T::Float4) => float8_to_float4(),
        _ if !is_asked => Way::Never(format!(
            "{from} does not become {to} by itself; add {{cast: {to}}}"
        )),
        (T::Float4 | T::Float8, T::Int2 | T::Int4 | T::Int8) => float_to_integer(to),
        (T::Float4 | T::Float8, T::Numeric(None)) => float_to_numeric(from),
        (T::Float4 | T::Float8, T::Numeric(Some(_))) => Way::Through(T::Numeric(None)),
        (T::Numeric(_), T::Float4 | T::Float8) => numeric_to_float(to),
        _ => Way::Never(format!("{from} does not become {to}")),
    }
}

/// A text into a number, a boolean or a uuid; the text is taken as it is, untrimmed.
pub(super) fn from_text(to: &Ty) -> Way {
    match to {
        Ty::Int2 | Ty::Int4 | Ty::Int8 => text_to_integer(to),
        Ty::Numeric(None) => meeting(
            // A count like {1,255} costs twenty times as much as + and the length.
            &format!(
                "({INPUT} ~ '^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]{{1,3}})?$' \
                 AND octet_length({INPUT}) < 512)"
            ),
            to,
            "is no number",
        ),
        Ty::Numeric(Some(_)) | Ty::Float4 | Ty::Float8 => Way::Through(Ty::Numeric(None)),
        Ty::Bool => matching(
            "^([tT]|[tT][rR][uU][eE]|[yY]|[yY][eE][sS]|[oO][nN]|1|\
              [fF]|[fF][aA][lL][sS][eE]|[nN]|[nN][oO]|[oO][fF][fF]|0)$",
            to,
            "is no boolean",
        ),
        Ty::Uuid => matching(
            "^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32})$",
            to,
            "is no uuid",
        ),
        other => Way::Never(format!("text does not become {other}; use sql")),
    }
}

fn cast(to: &Ty) -> Way {
    Way::Free(format!("({INPUT})::{}", to.sql()))
}

/// Precision and scale that hold every value of an exact type.
fn exact(ty: &Ty) -> Option<(u16, i16)> {
    let (whole, scale) = ty.exact_bounds()?;
    Some((
        u16::try_from(whole + scale).ok()?,
        i16::try_from(scale).ok()?,
    ))
}

/// A cast that is lossless exactly where a condition holds.
fn ranged(condition: &str, to: &Ty) -> Way {
    Way::Checked {
        value: format!("(CASE WHEN {condition} THEN ({INPUT})::{} END)", to.sql()),
        fault: format!("NOT ({condition})"),
        code: CODE,
        message: format!("does not fit into {to}"),
        is_raw: false,
    }
}

fn range(to: &Ty) -> (&'static str, &'static str) {
    match to {
        Ty::Int2 => ("-32768", "32767"),
        Ty::Int4 => ("-2147483648", "2147483647"),
        _ => ("-9223372036854775808", "9223372036854775807"),
    }
}

fn integers(from: &Ty, to: &Ty) -> Way {
    let is_wider = *from == Ty::Int2 || *to == Ty::Int8;
    if from == to {
        Way::Same
    } else if is_wider {
        cast(to)
    } else {
        let (low, high) = range(to);
        ranged(&format!("{INPUT} BETWEEN {low} AND {high}"), to)
    }
}

fn numeric_to_integer(from: &Ty, to: &Ty) -> Way {
    let (low, high) = range(to);
    let in_range = format!("{INPUT} BETWEEN {low} AND {high}");
    match from.exact_bounds() {
        Some((_, scale)) if scale <= 0 => ranged(&in_range, to),
        Some(_) | None => ranged(&format!("{in_range} AND {INPUT} = trunc({INPUT})"), to),
    }
}

fn numeric_to_numeric(from: &Ty, (precision, scale): (u16, i16)) -> Way {
    let (precision, scale) = (i32::from(precision), i32::from(scale));
    let whole = precision - scale;
    let (has_whole, has_scale) = match from.exact_bounds() {
        Some((whole, scale)) => (Some(whole), Some(scale)),
        None => (None, None),
    };
    let mut faults = Vec::new();
    if has_scale.is_none_or(|has| has > scale) {
        faults.push(format!("{INPUT} <> round({INPUT}, {scale})"));
    }
    if has_whole.is_none_or(|has| has > whole) {
        faults.push(format!("abs({INPUT}) >= {}", power_of_ten(whole)));
    }
    if faults.is_empty() {
        return Way::Same;
    }
    // NaN is above every number, and fits everywhere.
    let fault = format!("({}) AND {INPUT} <> 'NaN'::numeric", faults.join(" OR "));
    Way::Checked {
        value: format!("(CASE WHEN {fault} THEN NULL ELSE {INPUT} END)"),
        fault,
        code: CODE,
        message: format!("does not fit into numeric({precision},{scale})"),
        is_raw: true,
    }
}

fn float8_to_float4() -> Way {
    // Outside of these bounds the cast itself raises.
    let in_range = format!(
        "abs({INPUT}) BETWEEN 1.401298464324817e-45::float8 AND 3.4028234663852886e38::float8"
    );
    let same = format!("({INPUT})::real::float8 = {INPUT}");
    let special = "'{NaN,Infinity,-Infinity,0}'::float8[]";
    let fits = format!(
        "CASE WHEN {INPUT} = ANY ({special}) THEN true WHEN {in_range} THEN {same} ELSE false END"
    );
    guarded(&fits, &Ty::Float4)
}

fn float_to_integer(to: &Ty) -> Way {
    // The largest double below 2^63; the literals are exact in double precision.
    let (low, high) = match to {
        Ty::Int8 => ("-9223372036854775808", "9223372036854774784"),
        other => range(other),
    };
    ranged(
        &format!("{INPUT} BETWEEN {low}::float8 AND {high}::float8 AND {INPUT} = trunc({INPUT})"),
        to,
    )
}

fn float_to_numeric(from: &Ty) -> Way {
    let ty = from.sql();
    let fits = format!(
        "CASE WHEN {INPUT} = ANY ('{{NaN,Infinity,-Infinity}}'::{ty}[]) THEN false \
         ELSE ({INPUT})::numeric::{ty} = {INPUT} END"
    );
    guarded(&fits, &Ty::Numeric(None))
}

fn numeric_to_float(to: &Ty) -> Way {
    let ty = to.sql();
    let (low, high) = match to {
        Ty::Float4 => ("1.2e-38", "3.4028234e38"),
        _ => ("2.3e-308", "1.7976931348623157e308"),
    };
    let fits = format!(
        "CASE WHEN {INPUT} = 0 THEN true WHEN abs({INPUT}) BETWEEN {low} AND {high} \
         THEN ({INPUT})::{ty}::numeric = {INPUT} ELSE false END"
    );
    guarded(&fits, to)
}

/// A cast that is lossless where a CASE says true; NULL is no fault.
fn guarded(fits: &str, to: &Ty) -> Way {
    Way::Checked {
        value: format!("(CASE WHEN ({fits}) THEN ({INPUT})::{} END)", to.sql()),
        fault: format!("{INPUT} IS NOT NULL AND NOT ({fits})"),
        code: CODE,
        message: format!("does not fit into {to} without loss"),
        is_raw: false,
    }
}

/// A cast of texts of one form.
fn matching(pattern: &str, to: &Ty, message: &str) -> Way {
    meeting(&format!("{INPUT} ~ '{pattern}'"), to, message)
}

/// A cast of texts that meet a condition.
fn meeting(condition: &str, to: &Ty, message: &str) -> Way {
    Way::Checked {
        value: format!("(CASE WHEN {condition} THEN ({INPUT})::{} END)", to.sql()),
        fault: format!("NOT ({condition})"),
        code: CODE,
        message: message.to_owned(),
        is_raw: false,
    }
}

/// Short texts of digits are cast at once, longer ones judged as numerics first.
fn text_to_integer(to: &Ty) -> Way {
    let short = match to {
        Ty::Int2 => 4,
        Ty::Int4 => 9,
        _ => 18,
    };
    let (low, high) = range(to);
    let ty = to.sql();
    let sure = format!("{INPUT} ~ '^[+-]?[0-9]{{1,{short}}}$'");
    let maybe = format!("({INPUT} ~ '^[+-]?[0-9]+$' AND octet_length({INPUT}) < 257)");
    let in_range = format!("({INPUT})::numeric BETWEEN {low} AND {high}");
    Way::Checked {
        value: format!(
            "(CASE WHEN {sure} THEN ({INPUT})::{ty} WHEN {maybe} \
             THEN CASE WHEN {in_range} THEN ({INPUT})::{ty} END END)"
        ),
        fault: format!(
            "CASE WHEN {sure} THEN false WHEN {maybe} THEN NOT ({in_range}) \
             ELSE {INPUT} IS NOT NULL END"
        ),
        code: CODE,
        message: format!("is no {to}"),
        is_raw: false,
    }
}
