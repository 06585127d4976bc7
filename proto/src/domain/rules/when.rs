//! The step `when`: the pipeline of the first condition that holds.

use super::draft::{Draft, DraftFault};
use super::pipeline::value_of;
use super::scope::Scope;
use super::sources;
use super::values::unify;
use crate::domain::plan::{Pipeline, Value, WhenCase};

/// Compiles the branches. What does not hold and has no `else` is NULL.
pub(super) fn apply(
    scope: &Scope<'_>,
    cases: &[WhenCase],
    otherwise: Option<&Pipeline>,
    step_path: &str,
) -> Option<Draft> {
    let (mut conditions, mut drafts) = (Vec::new(), Vec::new());
    let mut is_whole = true;
    for (index, case) in cases.iter().enumerate() {
        let path = format!("{step_path}.when[{index}]");
        conditions.push(scope.condition(&case.condition, &format!("{path}.if")));
        drafts.push(branch(scope, &case.then, &format!("{path}.then")));
    }
    drafts.push(match otherwise {
        Some(pipeline) => branch(scope, pipeline, &format!("{step_path}.else")),
        None => sources::constant(&Value::Null).ok(),
    });
    is_whole &= conditions.iter().all(Option::is_some) && drafts.iter().all(Option::is_some);
    if !is_whole {
        return None;
    }
    let conditions: Vec<Draft> = conditions.into_iter().flatten().collect();
    let drafts: Vec<Draft> = drafts.into_iter().flatten().collect();
    let drafts = scope.noted(&format!("{step_path}.when"), unify(drafts))?;

    let tests: Vec<&str> = conditions.iter().map(|draft| draft.sql.as_str()).collect();
    let values: Vec<&str> = drafts.iter().map(|draft| draft.sql.as_str()).collect();
    let mut joined = Draft::new(case_sql(&tests, &values), drafts.first()?.ty.clone());
    joined.is_deterministic = drafts.iter().all(|draft| draft.is_deterministic);
    joined.known = known(&drafts, otherwise.is_some());
    joined.nulled = drafts.iter().find_map(|draft| draft.nulled.clone());
    conditions
        .iter()
        .for_each(|condition| joined.absorb(condition));
    for (index, draft) in drafts.iter().enumerate() {
        joined.absorb(&Draft {
            faults: Vec::new(),
            ..draft.clone()
        });
        joined.faults.extend(
            draft
                .faults
                .iter()
                .map(|fault| in_branch(fault, index, &tests)),
        );
    }
    Some(joined)
}

/// One branch; what runs in the agent cannot stand in it.
fn branch(scope: &Scope<'_>, pipeline: &Pipeline, path: &str) -> Option<Draft> {
    let draft = value_of(scope, &pipeline.0, path)?;
    match draft.agent.first() {
        None => Some(draft),
        Some(step) => scope.problem(
            &step.path,
            "runs in the agent and cannot stand inside when; put it behind, or select with sql",
        ),
    }
}

/// `CASE WHEN test THEN value … ELSE last END`.
fn case_sql(tests: &[&str], values: &[&str]) -> String {
    let mut sql = "(CASE".to_owned();
    for (test, value) in tests.iter().zip(values) {
        sql.push_str(&format!(" WHEN {test} THEN {value}"));
    }
    if let Some(last) = values.get(tests.len()) {
        sql.push_str(&format!(" ELSE {last}"));
    }
    sql.push_str(" END)");
    sql
}

/// A branch's check counts only where the branch is taken.
fn in_branch(fault: &DraftFault, branch: usize, tests: &[&str]) -> DraftFault {
    // The agent looks at whole rules only, never at an arm of one.
    let own = fault.condition.as_deref().unwrap_or("false");
    let condition = match &fault.guard {
        Some(guard) => format!("CASE WHEN {guard} THEN {own} ELSE false END"),
        None => own.to_owned(),
    };
    let condition = format!("({condition})");
    let mut values = vec!["false"; tests.len() + 1];
    values[branch] = &condition;
    DraftFault {
        guard: None,
        condition: Some(case_sql(tests, &values)),
        fault: fault.fault.clone(),
    }
}

/// The texts of all branches, where all are written in the plan; no `else` is NULL and no text.
fn known(drafts: &[Draft], has_else: bool) -> Option<std::collections::BTreeSet<String>> {
    let written = if has_else {
        drafts
    } else {
        drafts.get(..drafts.len() - 1)?
    };
    let mut all = std::collections::BTreeSet::new();
    for draft in written {
        all.extend(draft.known.clone()?);
    }
    Some(all)
}
