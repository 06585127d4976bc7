//! The pieces of a validation: what is asked at first, and what follows from the answers. Pure, and the same
//! after a restart: what follows is read off the pieces that are done.

use std::collections::{BTreeMap, BTreeSet};

use proto::domain::compiled::{CheckRule, CompiledCheck, CompiledPlan, Level};
use proto::domain::frame::{Ask, Survey, Suspect, ValidateAnswer, ValidateQuestion};
use proto::domain::record::ValidationSeverity;
use proto::domain::sketch::{Difference, RowKey, Sketch};

use crate::store::StoredUnit;

/// Rows of one question; a table's worth of differences goes to several agents.
const SUSPECTS: usize = 1000;

/// The sums of an entity's sketches: the source's and the destination's.
pub type Sketches = BTreeMap<String, (Sketch, Sketch)>;

/// What is to be checked: the plan's checks, or what is checked of every plan that says nothing.
pub fn checks(
    plan: &CompiledPlan,
    level: Option<Level>,
    entities: &[String],
) -> Vec<CompiledCheck> {
    let active = plan.entities.iter().filter(|entity| entity.is_active);
    let names: Vec<&str> = active.map(|entity| entity.entity.as_str()).collect();
    let check = |entity: &str, rule: CheckRule| CompiledCheck {
        entity: entity.to_owned(),
        validation_type: rule.validation_type(),
        severity: ValidationSeverity::High,
        rule,
    };
    let mut checks: Vec<CompiledCheck> = Vec::new();
    if !plan.has_own_checks {
        for name in &names {
            let level = level.unwrap_or(Level::Full);
            checks.push(check(name, CheckRule::RowCount));
            checks.push(check(name, CheckRule::Content { level }));
            checks.push(check(name, CheckRule::ForeignKeys));
        }
    }
    checks.extend(plan.checks.iter().cloned());
    if let Some(asked) = level {
        for name in &names {
            let mut of_entity = checks.iter_mut().filter(|check| check.entity == *name);
            let mut has_content = false;
            of_entity.by_ref().for_each(|check| {
                if let CheckRule::Content { level } = &mut check.rule {
                    *level = asked;
                    has_content = true;
                }
            });
            if !has_content {
                checks.push(check(name, CheckRule::Content { level: asked }));
            }
        }
    }
    // Where references are followed, what they lead to is one row.
    let followed: BTreeSet<String> = checks
        .iter()
        .filter(|check| check.rule == CheckRule::ForeignKeys)
        .map(|check| check.entity.clone())
        .collect();
    checks.extend(followed.iter().map(|name| check(name, CheckRule::IdMap)));
    checks.retain(|check| entities.is_empty() || entities.contains(&check.entity));
    // By entity in the plan's order, each once.
    let place = |check: &CompiledCheck| names.iter().position(|name| *name == check.entity);
    checks.sort_by_key(place);
    let mut kept: Vec<CompiledCheck> = Vec::new();
    for check in checks {
        if !kept.contains(&check) {
            kept.push(check);
        }
    }
    kept
}

/// The question that a check begins with.
pub fn first_question(check: &CompiledCheck) -> ValidateQuestion {
    let ask = match &check.rule {
        CheckRule::RowCount
        | CheckRule::Content {
            level: Level::Counts,
        } => Ask::Counts,
        CheckRule::Content {
            level: Level::Aggregates,
        } => Ask::Aggregates,
        CheckRule::Content {
            level: Level::Sample(rows),
        } => Ask::Sample(*rows),
        CheckRule::Content { level: Level::Full } => Ask::Survey,
        CheckRule::ForeignKeys => Ask::ForeignKeys,
        CheckRule::IdMap => Ask::IdMap,
        rule @ (CheckRule::Unique { .. }
        | CheckRule::Aggregate { .. }
        | CheckRule::ZeroRows { .. }
        | CheckRule::MaxMs { .. }) => Ask::Rule(rule.clone()),
    };
    ValidateQuestion {
        entity: check.entity.clone(),
        ask,
    }
}

/// The questions that a validation begins with, each once; those that lead to more come first.
pub fn first_questions(checks: &[CompiledCheck]) -> Vec<ValidateQuestion> {
    let mut questions: Vec<ValidateQuestion> = Vec::new();
    for question in checks.iter().map(first_question) {
        if !questions.contains(&question) {
            questions.push(question);
        }
    }
    questions.sort_by_key(|question| question.ask != Ask::Survey);
    questions
}

/// What is to be asked next, given what was asked and answered.
pub fn follow_up(units: &[StoredUnit], sketches: &Sketches) -> Vec<ValidateQuestion> {
    let mut questions = Vec::new();
    for (entity, survey) in surveys(units) {
        let of_entity = || units.iter().filter(|unit| unit.question.entity == entity);
        let was_asked = |test: fn(&Ask) -> bool| of_entity().any(|unit| test(&unit.question.ask));
        let question = |ask: Ask| ValidateQuestion {
            entity: entity.to_owned(),
            ask,
        };
        let has_sketches = was_asked(is_sketch);
        if was_asked(|ask| matches!(ask, Ask::Compare(_) | Ask::Explain(_))) {
            continue;
        }
        if !has_sketches && survey.has_sketches {
            questions.extend(sketch_questions(survey).into_iter().map(question));
            continue;
        }
        if !has_sketches {
            questions.extend(compare_questions(survey).into_iter().map(question));
            continue;
        }
        let mut pieces = of_entity().filter(|unit| is_sketch(&unit.question.ask));
        if pieces.any(|unit| unit.answer.is_none()) {
            continue;
        }
        match sketches
            .get(entity)
            .map(|(one, other)| one.difference(other))
        {
            Some(Some(difference)) if !has_long_keys(&difference) => {
                let suspects = suspects(&difference);
                let chunks = suspects.chunks(SUSPECTS);
                questions.extend(chunks.map(|chunk| question(Ask::Explain(chunk.to_vec()))));
            }
            // Too many to be told apart, or by keys that are not told: every row is looked up.
            Some(Some(_) | None) | None => {
                questions.extend(compare_questions(survey).into_iter().map(question));
            }
        }
    }
    questions
}

/// Entities that were surveyed, with what was said.
pub fn surveys(units: &[StoredUnit]) -> impl Iterator<Item = (&str, &Survey)> {
    units.iter().filter_map(|unit| match &unit.answer {
        Some(ValidateAnswer::Surveyed(survey)) => Some((unit.question.entity.as_str(), survey)),
        _ => None,
    })
}

fn is_sketch(ask: &Ask) -> bool {
    matches!(ask, Ask::SketchSource(_) | Ask::SketchDestination(_))
}

/// Both sides in turns, so that both servers have something to do.
fn sketch_questions(survey: &Survey) -> Vec<Ask> {
    let mut sources = survey.ranges.iter().cloned().map(Ask::SketchSource);
    let mut pages = survey.pages.iter().copied().map(Some).collect::<Vec<_>>();
    if pages.is_empty() {
        pages.push(None);
    }
    let mut destinations = pages.into_iter().map(Ask::SketchDestination);
    let mut questions = Vec::new();
    loop {
        let (one, other) = (sources.next(), destinations.next());
        if one.is_none() && other.is_none() {
            return questions;
        }
        questions.extend(one.into_iter().chain(other));
    }
}

fn compare_questions(survey: &Survey) -> Vec<Ask> {
    let ranges = survey.ranges.iter().cloned().map(Ask::Compare);
    ranges.chain([Ask::Strangers]).collect()
}

fn has_long_keys(difference: &Difference) -> bool {
    let rows = difference.first.iter().chain(&difference.second);
    rows.into_iter().any(|row| row.key.is_hashed())
}

/// Rows that differ, by key.
fn suspects(difference: &Difference) -> Vec<Suspect> {
    let mut sides: BTreeMap<RowKey, (bool, bool)> = BTreeMap::new();
    for row in &difference.first {
        sides.entry(row.key).or_default().0 = true;
    }
    for row in &difference.second {
        sides.entry(row.key).or_default().1 = true;
    }
    let suspect = |(key, (is_in_source, is_in_destination)): (RowKey, (bool, bool))| Suspect {
        key: hex::encode(key.0),
        is_in_source,
        is_in_destination,
    };
    sides.into_iter().map(suspect).collect()
}

#[cfg(test)]
#[path = "units_tests.rs"]
mod tests;
