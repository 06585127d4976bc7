//! What the answers say: one result for each check. Pure.

use proto::domain::compiled::{CheckRule, CompiledCheck, CompiledPlan, Level};
use proto::domain::frame::{
    Ask, CheckOutcome, Comparison, Finding, FindingCounts, Sketched, ValidateAnswer,
};
use proto::domain::record::{ValidationSeverity, ValidationStatus};
use serde_json::{Value, json};

use super::units::first_question;
use crate::store::{NewResult, StoredUnit};

/// Findings that a result tells; all are counted.
const TOLD: usize = 2000;

/// What a check came to, whatever it was.
#[derive(Debug, Default)]
struct Outcome {
    records: i64,
    issues: i64,
    warnings: i64,
    figures: Value,
    findings: Vec<Finding>,
}

/// The results of all checks, in their order.
pub fn results(
    plan: &CompiledPlan,
    checks: &[CompiledCheck],
    units: &[StoredUnit],
) -> Vec<NewResult> {
    let result = |check: &CompiledCheck| {
        let source = plan.entity(&check.entity);
        let entity_name = source.map_or_else(
            || check.entity.clone(),
            |entity| entity.read.source.to_string(),
        );
        result(check, entity_name, units)
    };
    checks.iter().map(result).collect()
}

fn result(check: &CompiledCheck, entity_name: String, units: &[StoredUnit]) -> NewResult {
    let (outcome, duration_ms) = match check.rule {
        CheckRule::Content { level: Level::Full } => full(&check.entity, units),
        _ => single(check, units),
    };
    let status = status(check.severity, &outcome);
    NewResult {
        validation_type: check.validation_type,
        entity: check.entity.clone(),
        entity_name,
        status,
        severity: check.severity,
        // The union of both sides' keys; figures where a check is not one of rows.
        records_validated: outcome.records.max(outcome.issues),
        issues_found: outcome.issues,
        issue_details: (status != ValidationStatus::Passed).then(|| details(&outcome)),
        validation_criteria: criteria(check, &outcome),
        execution_duration_ms: duration_ms,
    }
}

/// Issues that are no fault of the migration are warnings, and so is what matters little.
fn status(severity: ValidationSeverity, outcome: &Outcome) -> ValidationStatus {
    if outcome.issues == 0 {
        return ValidationStatus::Passed;
    }
    let is_fault = outcome.issues > outcome.warnings;
    match severity {
        ValidationSeverity::High | ValidationSeverity::Critical if is_fault => {
            ValidationStatus::Failed
        }
        ValidationSeverity::Low
        | ValidationSeverity::Medium
        | ValidationSeverity::High
        | ValidationSeverity::Critical => ValidationStatus::Warning,
    }
}

fn details(outcome: &Outcome) -> Value {
    // Figures that differ are no rows that could be told.
    let told = outcome.findings.len().min(TOLD);
    let left_out = match told {
        0 => 0,
        told => outcome.issues - i64::try_from(told).unwrap_or(0),
    };
    json!({
        "issues": outcome.issues,
        "tolerated": outcome.warnings,
        "figures": outcome.figures,
        "findings": outcome.findings.iter().take(TOLD).collect::<Vec<_>>(),
        "findings_left_out": left_out.max(0),
    })
}

fn criteria(check: &CompiledCheck, outcome: &Outcome) -> Value {
    let mut criteria = json!({ "check": check.rule.word() });
    match &check.rule {
        CheckRule::RowCount | CheckRule::ForeignKeys | CheckRule::IdMap => {}
        CheckRule::Content { level } => criteria["level"] = json!(level),
        CheckRule::Unique { columns } => criteria["columns"] = json!(columns),
        CheckRule::Aggregate {
            source,
            destination,
            tolerance,
        } => {
            criteria["source"] = json!(source);
            criteria["destination"] = json!(destination);
            criteria["tolerance"] = json!(tolerance.as_deref().unwrap_or("0"));
        }
        CheckRule::ZeroRows { sql } => criteria["sql"] = json!(sql),
        CheckRule::MaxMs {
            sql,
            sample,
            p95_ms,
        } => {
            criteria["sql"] = json!(sql);
            criteria["sample"] = json!(sample);
            criteria["p95_ms"] = json!(p95_ms);
        }
    }
    criteria["observed"] = outcome.figures.clone();
    criteria
}

/// A check that is one question.
fn single(check: &CompiledCheck, units: &[StoredUnit]) -> (Outcome, i64) {
    let question = first_question(check);
    let unit = units.iter().find(|unit| unit.question == question);
    let outcome = match unit.and_then(|unit| unit.answer.as_ref()) {
        Some(ValidateAnswer::Checked(outcome)) => of_check(outcome),
        Some(ValidateAnswer::Compared(found)) => of_rows(found.clone(), found.rows),
        Some(ValidateAnswer::Surveyed(_) | ValidateAnswer::Sketched(_)) | None => {
            Outcome::default()
        }
    };
    (outcome, unit.map_or(0, |unit| unit.duration_ms))
}

fn of_check(outcome: &CheckOutcome) -> Outcome {
    Outcome {
        records: outcome.records_validated,
        issues: outcome.issues_found,
        warnings: outcome.warnings,
        figures: outcome.figures.clone(),
        findings: outcome.findings.clone(),
    }
}

/// Rows that were compared: `records` is the union of both sides.
fn of_rows(found: Comparison, records: i64) -> Outcome {
    let FindingCounts {
        missing,
        extra,
        mismatched,
        stale_source,
        warnings,
    } = found.counts;
    Outcome {
        records,
        issues: found.counts.total(),
        warnings,
        figures: json!({ "rows": found.rows, "set_aside": found.set_aside, "filtered": found.filtered,
                         "missing": missing, "extra": extra, "mismatched": mismatched,
                         "stale_source": stale_source }),
        findings: found.findings,
    }
}

/// Every row of an entity, in many pieces.
fn full(entity: &str, units: &[StoredUnit]) -> (Outcome, i64) {
    let of_entity: Vec<&StoredUnit> = units
        .iter()
        .filter(|unit| unit.question.entity == entity)
        .filter(|unit| is_of_content(&unit.question.ask))
        .collect();
    let is_looked_up = of_entity
        .iter()
        .any(|unit| matches!(unit.question.ask, Ask::Compare(_)));
    let mut found = Comparison::default();
    let (mut destination_rows, mut mapped_in_all) = (0, None);
    for unit in &of_entity {
        match (&unit.question.ask, &unit.answer) {
            // What the sketches could not tell was looked up row by row: that counts alone.
            (Ask::SketchSource(_), Some(ValidateAnswer::Sketched(sketched))) if !is_looked_up => {
                add_rows(&mut found, sketched);
            }
            (Ask::SketchDestination(_), Some(ValidateAnswer::Sketched(sketched))) => {
                destination_rows += sketched.rows;
            }
            (_, Some(ValidateAnswer::Compared(comparison))) => {
                found.rows += comparison.rows;
                found.set_aside += comparison.set_aside;
                found.filtered += comparison.filtered;
                found.mapped += comparison.mapped;
                mapped_in_all = mapped_in_all.or(comparison.mapped_in_all);
                found.counts = found.counts.plus(comparison.counts);
                found.findings.extend(comparison.findings.iter().cloned());
            }
            _ => {}
        }
    }
    // Rows that were written, and that no row of the source met.
    let gone = mapped_in_all.map_or(0, |all: i64| (all - found.mapped).max(0));
    found.counts.stale_source += gone;
    found.counts.warnings += gone;
    let records = (found.rows + found.counts.extra + gone).max(destination_rows);
    let duration = of_entity.iter().map(|unit| unit.duration_ms).sum();
    (of_rows(found, records), duration)
}

fn is_of_content(ask: &Ask) -> bool {
    match ask {
        Ask::Survey
        | Ask::SketchSource(_)
        | Ask::SketchDestination(_)
        | Ask::Explain(_)
        | Ask::Compare(_)
        | Ask::Strangers => true,
        Ask::Sample(_)
        | Ask::Counts
        | Ask::Aggregates
        | Ask::ForeignKeys
        | Ask::IdMap
        | Ask::Rule(_) => false,
    }
}

fn add_rows(found: &mut Comparison, sketched: &Sketched) {
    found.rows += sketched.rows;
    found.set_aside += sketched.set_aside;
    found.filtered += sketched.filtered;
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
