//! Checks of the plan: compiled per entity, in no hash, and refused with their place where they are wrong.

use super::problems::{expect, problems_in};
use super::*;
use crate::domain::record::{ValidationSeverity, ValidationType};

fn with_checks(checks: &str) -> String {
    format!("{CLINIC}\nvalidations:\n{checks}")
}

const CHECKS: &str = "- {validation_type: data_completeness, entity: '*', check: row_count, severity: low}
- {validation_type: data_completeness, entity: offices, check: content, level: 'sample:20'}
- {validation_type: business_rules, entity: offices, check: unique, columns: [name]}
- {validation_type: performance, entity: offices, check: max_ms, sql: 'select 1 from offices where \"name\" = $sample', p95_ms: 7}
";

#[test]
fn a_check_of_all_is_one_of_each_and_none_is_in_a_hash() {
    let text = with_checks(CHECKS);
    let plan = compile_text(&text).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(plan.has_own_checks && !clinic().has_own_checks);
    let hashes = |plan: &CompiledPlan| {
        let all = plan.entities.iter().map(|entity| entity.hash.clone());
        all.collect::<Vec<_>>()
    };
    assert_eq!(hashes(&plan), hashes(&clinic()));
    let counted = plan
        .checks
        .iter()
        .filter(|check| check.rule == CheckRule::RowCount);
    assert_eq!(counted.count(), plan.entities.len());
    let rules: Vec<&CheckRule> = plan
        .checks
        .iter()
        .map(|check| &check.rule)
        .skip(plan.entities.len())
        .collect();
    assert_eq!(
        *rules[0],
        CheckRule::Content {
            level: Level::Sample(20)
        }
    );
    assert_eq!(
        *rules[1],
        CheckRule::Unique {
            columns: vec!["name".to_owned()]
        }
    );
    let CheckRule::MaxMs {
        sql,
        sample,
        p95_ms,
    } = rules[2]
    else {
        panic!("{rules:?}");
    };
    assert!(sql.ends_with("= $1") && sample.as_deref() == Some("name") && *p95_ms == 7);
    assert_eq!(plan.checks[0].severity, ValidationSeverity::Low);
    let last = plan.checks.last().unwrap();
    assert_eq!(
        (last.severity, last.validation_type),
        (ValidationSeverity::High, ValidationType::Performance)
    );
}

#[test]
fn what_is_wrong_with_a_check_stands_at_its_place() {
    let problems = |check: &str| problems_in(&with_checks(check), |_, _| {});
    for (check, key, words) in [
        (
            "- {validation_type: business_rules, entity: offices, check: unique, columns: [nope]}",
            "columns",
            "no column nope",
        ),
        (
            "- {validation_type: business_rules, entity: offices, check: row_count}",
            "validation_type",
            "data_completeness",
        ),
        (
            "- {validation_type: data_completeness, entity: nobody, check: row_count}",
            "entity",
            "no entity",
        ),
        (
            "- {validation_type: data_completeness, check: row_count}",
            "entity",
            "is missing",
        ),
        (
            "- {validation_type: data_completeness, entity: offices, check: content, level: deep}",
            "level",
            "sample:N",
        ),
        (
            "- {validation_type: business_rules, entity: '*', check: zero_rows, sql: 'select 1'}",
            "entity",
            "names one entity",
        ),
        (
            "- {validation_type: business_rules, entity: offices, check: zero_rows}",
            "sql",
            "is missing",
        ),
        (
            "- {validation_type: business_rules, entity: offices, check: aggregate, source: 'count(*)'}",
            "destination",
            "is missing",
        ),
        (
            "- {validation_type: business_rules, entity: offices, check: aggregate, source: 'count(*)', destination: 'count(*)', tolerance: -1}",
            "tolerance",
            "below zero",
        ),
        (
            "- {validation_type: performance, entity: offices, check: max_ms, p95_ms: 5, sql: 'select $sample'}",
            "sql",
            "compared with a column",
        ),
        (
            "- {validation_type: data_completeness, entity: offices, check: row_count, p95_ms: 5}",
            "p95_ms",
            "no such argument",
        ),
    ] {
        expect(&problems(check), &format!("validations[0].{key}"), words);
    }
}
