//! Steps on JSON: built of pipelines, read by a path, parsed out of text.

use super::convert::{Fit, action_of, parsed};
use super::draft::Draft;
use super::pipeline::value_of;
use super::scope::Scope;
use super::texts::{as_text, in_agent};
use super::ty::Ty;
use crate::domain::catalog::quote_literal;
use crate::domain::compiled::{AgentOp, AgentStep, JsonStep};
use crate::domain::key::{MIGRATION_ID, RUN_NOW};
use crate::domain::plan::{Ordered, Pipeline, Unfit};

/// Members that one call can take: PostgreSQL's functions have at most 100 arguments.
const MEMBERS_OF_CALL: usize = 50;

/// `json_build`: an object with a member for each pipeline.
pub(super) fn build(scope: &Scope<'_>, members: &Ordered<Pipeline>, path: &str) -> Option<Draft> {
    // By name, so that the order of the document changes no hash.
    let mut members: Vec<(&str, &Pipeline)> = members.iter().collect();
    members.sort_by_key(|(name, _)| *name);
    let drafts: Vec<Option<Draft>> = members
        .iter()
        .map(|(name, pipeline)| member(scope, pipeline, &format!("{path}.{name}")))
        .collect();
    let drafts: Vec<Draft> = drafts.into_iter().collect::<Option<_>>()?;
    // What json holds may be nothing that jsonb can hold: as json it is not looked into.
    let is_json = drafts.iter().any(|draft| holds_json(&draft.ty));
    if is_json && drafts.len() > MEMBERS_OF_CALL {
        let message = format!("more than {MEMBERS_OF_CALL} members, of which some are json");
        return scope.problem(path, message);
    }
    let (function, ty) = if is_json {
        ("json_build_object", Ty::Json)
    } else {
        ("jsonb_build_object", Ty::Jsonb)
    };
    let arguments: Vec<String> = members
        .iter()
        .zip(&drafts)
        .map(|((name, _), draft)| format!("{}, {}", quote_literal(name), member_sql(draft)))
        .collect();
    let calls: Vec<String> = arguments
        .chunks(MEMBERS_OF_CALL)
        .map(|chunk| format!("{function}({})", chunk.join(", ")))
        .collect();
    let sql = match calls.as_slice() {
        [one] => one.clone(),
        _ => format!("({})", calls.join(" || ")),
    };
    let mut joined = Draft::new(sql, ty);
    drafts.iter().for_each(|draft| joined.absorb(draft));
    Some(joined)
}

/// One member; what runs in the agent cannot stand in it.
fn member(scope: &Scope<'_>, pipeline: &Pipeline, path: &str) -> Option<Draft> {
    let draft = value_of(scope, &pipeline.0, path)?;
    match draft.agent.first() {
        None => Some(draft),
        Some(step) => scope.problem(
            &step.path,
            "runs in the agent and cannot stand inside json_build; select with sql",
        ),
    }
}

fn holds_json(ty: &Ty) -> bool {
    match ty {
        Ty::Json => true,
        Ty::Array(element) => holds_json(element),
        _ => false,
    }
}

/// A member's value: texts without the blanks that `char(n)` adds.
fn member_sql(draft: &Draft) -> String {
    match draft.ty {
        Ty::Null | Ty::Char(_) | Ty::Citext => draft.text_sql(),
        _ => draft.sql.clone(),
    }
}

/// `json_get`: what stands at a path, as text. The agent reads what it has parsed itself.
pub(super) fn get(
    scope: &Scope<'_>,
    draft: Draft,
    (json_path, unfit): (&str, &Unfit),
    path: &str,
) -> Option<Draft> {
    let parts = scope.noted(path, parse_path(json_path))?;
    match draft.ty {
        // Of json alone (not jsonb) PostgreSQL raises at `\u0000`: the read then finds the row.
        Ty::Json | Ty::Jsonb if draft.agent.is_empty() => {
            let list: Vec<String> = parts.iter().map(|part| quote_literal(part)).collect();
            let sql = format!("({} #>> ARRAY[{}]::text[])", draft.sql, list.join(", "));
            Some(Draft {
                is_deterministic: true,
                ..draft.becomes(sql, Ty::Text(None))
            })
        }
        Ty::Json | Ty::Jsonb => {
            let step = AgentStep {
                op: AgentOp::JsonGet(parts),
                path: path.to_owned(),
                on_error: action_of(unfit),
            };
            Some(in_agent(as_json(draft), step, Ty::Text(None)))
        }
        _ => {
            let message = format!("works on JSON, this is {}; add json_parse before", draft.ty);
            scope.problem(path, message)
        }
    }
}

/// `json_parse`: a step of the agent.
pub(super) fn parse(scope: &Scope<'_>, draft: Draft, unfit: &Unfit, path: &str) -> Option<Draft> {
    if matches!(draft.ty, Ty::Json | Ty::Jsonb) {
        return scope.problem(path, "this is JSON already");
    }
    let draft = as_text(scope, draft, path)?;
    let fit = Fit {
        unfit,
        path,
        is_asked: true,
    };
    scope.noted(path, parsed(draft, &Ty::Jsonb, AgentOp::ParseJsonb, &fit))
}

/// JSON that the agent has parsed, as json instead of jsonb: the destination, or a path, wants it so.
pub(super) fn as_json(mut draft: Draft) -> Draft {
    if let Some(step) = draft.agent.last_mut()
        && step.op == AgentOp::ParseJsonb
    {
        step.op = AgentOp::ParseJson;
        draft.ty = Ty::Json;
    }
    draft
}

/// The names of members and numbers of elements of a path: `$`, `.name`, `."any name"`, `[0]`.
fn parse_path(text: &str) -> Result<Vec<String>, String> {
    let Some(mut rest) = text.strip_prefix('$') else {
        return Err("a path begins with $, for instance \"$.name\"".to_owned());
    };
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (part, behind) = next_part(rest).ok_or_else(|| {
            format!("cannot read \"{rest}\" of the path; known are .name, .\"any name\" and [0]")
        })?;
        // Escapes may spell what no text of a plan may hold.
        if ["\0", RUN_NOW, MIGRATION_ID]
            .iter()
            .any(|held| part.contains(held))
        {
            return Err("a name of the path has characters that cannot stand in SQL".to_owned());
        }
        parts.push(part);
        rest = behind;
    }
    Ok(parts)
}

/// The steps of a path that may lead to every element of an array, by `[*]`.
pub fn json_path(text: &str) -> Result<Vec<JsonStep>, String> {
    let mut pieces = text.split("[*]");
    let mut steps = Vec::new();
    let items = |piece: &str| parse_path(piece).map(|all| all.into_iter().map(JsonStep::Item));
    steps.extend(items(pieces.next().unwrap_or_default())?);
    for piece in pieces {
        steps.push(JsonStep::Each);
        steps.extend(items(&format!("${piece}"))?);
    }
    if steps.is_empty() {
        return Err("the JSON as a whole is no reference; read it by json_get".to_owned());
    }
    Ok(steps)
}

/// The first part of a path and what is behind it.
fn next_part(text: &str) -> Option<(String, &str)> {
    if let Some(inner) = text.strip_prefix('[') {
        let (number, behind) = inner.split_once(']')?;
        let number: u32 = number.trim().parse().ok()?;
        return Some((number.to_string(), behind));
    }
    let name = text.strip_prefix('.')?;
    if name.starts_with('"') {
        let mut parser = serde_json::Deserializer::from_str(name).into_iter::<String>();
        let part = parser.next()?.ok()?;
        return Some((part, name.get(parser.byte_offset()..)?));
    }
    let is_in_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '$');
    let end = name
        .find(|letter| !is_in_name(letter))
        .unwrap_or(name.len());
    let (part, behind) = name.split_at(end);
    (!part.is_empty()).then(|| (part.to_owned(), behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_lead_to_every_element() {
        let item = |name: &str| JsonStep::Item(name.to_owned());
        let lines = json_path("$.lines[*].office[0][*]").unwrap();
        let each = JsonStep::Each;
        assert_eq!(
            lines,
            [item("lines"), each.clone(), item("office"), item("0"), each]
        );
        for bad in ["$", "[*]", "$.a[*", "$.a[*]b", "a[*]"] {
            assert!(json_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_names_and_numbers() {
        let cases = [
            ("$", Some(vec![])),
            ("$.zip", Some(vec!["zip"])),
            ("$.lines[0].a-b", Some(vec!["lines", "0", "a-b"])),
            (r#"$."any.\"name".x"#, Some(vec!["any.\"name", "x"])),
            ("$[1][2]", Some(vec!["1", "2"])),
            ("$.straße", Some(vec!["straße"])),
            ("zip", None),
            ("$.", None),
            ("$..zip", None),
            ("$.a b", None),
            ("$[*]", None),
            ("$[-1]", None),
            ("$[0", None),
            (r#"$."open"#, None),
            (r#"$."\u0000""#, None),
            (r#"$."\u0024migration_id$""#, None),
        ];
        for (text, parts) in cases {
            let found = parse_path(text).ok();
            let found: Option<Vec<&str>> = found
                .as_ref()
                .map(|all| all.iter().map(String::as_str).collect());
            assert_eq!(found, parts, "{text}");
        }
    }
}
