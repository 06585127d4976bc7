//! Steps on text.

use super::draft::{Draft, INPUT};
use super::edits::searchable;
use super::scope::Scope;
use super::ty::Ty;
use crate::domain::compiled::{AgentOp, AgentStep, RowAction};
use crate::domain::plan::Unfit;

/// White space of `trim` and `collapse_ws`.
const SPACES: &str = "E' \\t\\n\\r\\f\\x0b'";

/// `server_version_num` from which PostgreSQL has `normalize`.
const HAS_NORMALIZE: u32 = 130_000;

/// A text function of the source.
#[derive(Debug, Clone, Copy)]
pub(super) enum TextStep {
    Trim,
    Lower,
    Upper,
    CollapseWs,
}

/// Applies a text function.
pub(super) fn apply(scope: &Scope<'_>, draft: Draft, step: TextStep, path: &str) -> Option<Draft> {
    let draft = match step {
        TextStep::CollapseWs => searchable(as_text(scope, draft, path)?),
        TextStep::Trim | TextStep::Lower | TextStep::Upper => as_text(scope, draft, path)?,
    };
    let length = match draft.ty {
        Ty::Text(length) => length,
        _ => None,
    };
    let input = &draft.sql;
    let (sql, length) = match step {
        TextStep::Trim => (format!("btrim({input}, {SPACES})"), length),
        TextStep::CollapseWs => (
            format!("regexp_replace({input}, '[[:space:]]+', ' ', 'g')"),
            length,
        ),
        // Case folding may lengthen a text.
        TextStep::Lower => (format!("lower({input})"), None),
        TextStep::Upper => (format!("upper({input})"), None),
    };
    Some(draft.becomes(sql, Ty::Text(length)))
}

/// The draft as text, if it is some kind of text.
pub(super) fn as_text(scope: &Scope<'_>, draft: Draft, path: &str) -> Option<Draft> {
    match draft.ty {
        Ty::Text(_) => Some(draft),
        Ty::Char(length) => {
            let sql = draft.text_sql();
            Some(draft.becomes(sql, Ty::Text(length)))
        }
        Ty::Null | Ty::Enum(_) | Ty::Citext => {
            let sql = draft.text_sql();
            Some(Draft {
                is_deterministic: true,
                ..draft.becomes(sql, Ty::Text(None))
            })
        }
        _ => {
            let message = format!(
                "works on text, this is {}; add {{cast: text}} before",
                draft.ty
            );
            scope.problem(path, message)
        }
    }
}

/// `email`: a step of the agent.
pub(super) fn email(scope: &Scope<'_>, draft: Draft, unfit: &Unfit, path: &str) -> Option<Draft> {
    let on_error = match unfit {
        Unfit::Fail => RowAction::Fail,
        Unfit::Quarantine => RowAction::Quarantine,
        Unfit::SetNull => RowAction::SetNull,
        Unfit::Default(value) => {
            let text = value.text().into_owned();
            if !is_email(&text) {
                let path = format!("{path}.on_error");
                return scope.problem(&path, format!("\"{text}\" is no e-mail address"));
            }
            RowAction::Default(text)
        }
    };
    let draft = as_text(scope, draft, path)?;
    let step = AgentStep {
        op: AgentOp::Email,
        path: path.to_owned(),
        on_error,
    };
    Some(in_agent(draft, step, Ty::Text(None)))
}

/// `nfc`: the agent's where the source has no such function.
pub(super) fn nfc(scope: &Scope<'_>, draft: Draft, path: &str) -> Option<Draft> {
    let draft = as_text(scope, draft, path)?;
    // A few letters are written apart in this form: no length is left.
    let ty = Ty::Text(None);
    if !draft.agent.is_empty() || scope.server_version < HAS_NORMALIZE {
        return Some(in_agent(draft, sure(AgentOp::Nfc, path), ty));
    }
    // Other encodings have no letters apart, and the function raises in them.
    let draft = searchable(draft);
    let sql = draft.fill(&format!(
        "(CASE WHEN getdatabaseencoding() <> 'UTF8' THEN {INPUT} \
         WHEN strpos({INPUT}, {DROPPED}) = 0 THEN normalize({INPUT}, NFC) \
         ELSE (SELECT string_agg(normalize(part.v, NFC), {DROPPED} ORDER BY part.n) \
         FROM unnest(string_to_array({INPUT}, {DROPPED})) WITH ORDINALITY AS part(v, n)) END)"
    ));
    Some(draft.becomes(sql, ty))
}

/// The letter U+11A7, which `normalize` drops behind a Hangul syllable: it takes it for the first of the trailing
/// consonants, which it stands right before. Nothing is ever composed with it, so what it separates is brought to
/// the form by itself. Not a constant: in other encodings there is no such letter, and planning would raise.
const DROPPED: &str = "chr(CASE WHEN getdatabaseencoding() = 'UTF8' THEN 4519 ELSE 32 END)";

/// The value through one more step of the agent.
pub(super) fn in_agent(draft: Draft, step: AgentStep, ty: Ty) -> Draft {
    let sql = draft.sql.clone();
    let mut draft = draft.becomes(sql, ty);
    draft.agent.push(step);
    draft
}

/// A step of the agent that fits every value.
pub(super) fn sure(op: AgentOp, path: &str) -> AgentStep {
    AgentStep {
        op,
        path: path.to_owned(),
        on_error: RowAction::Quarantine,
    }
}

/// Exactly one `@` with something on both sides.
fn is_email(text: &str) -> bool {
    text.split_once('@')
        .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty() && !host.contains('@'))
}
