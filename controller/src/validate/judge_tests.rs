use proto::domain::frame::{FindingKind, Survey, ValidateQuestion};
use proto::domain::key::KeyRange;

use super::*;

fn check(rule: CheckRule, severity: ValidationSeverity) -> CompiledCheck {
    CompiledCheck {
        entity: "orders".to_owned(),
        validation_type: rule.validation_type(),
        severity,
        rule,
    }
}

fn unit(ask: Ask, answer: ValidateAnswer) -> StoredUnit {
    StoredUnit {
        number: 0,
        question: ValidateQuestion {
            entity: "orders".to_owned(),
            ask,
        },
        answer: Some(answer),
        duration_ms: 10,
    }
}

fn judged(check: &CompiledCheck, units: &[StoredUnit]) -> NewResult {
    result(check, "orders_order".to_owned(), units)
}

fn counted(issues: i64, warnings: i64) -> ValidateAnswer {
    ValidateAnswer::Checked(CheckOutcome {
        records_validated: 10,
        issues_found: issues,
        warnings,
        figures: json!({ "source": 10 }),
        findings: Vec::new(),
    })
}

#[test]
fn severity_and_tolerated_issues_decide_between_failed_and_warning() {
    use ValidationSeverity::{Critical, High, Low, Medium};
    use ValidationStatus::{Failed, Passed, Warning};
    for (severity, issues, warnings, expected) in [
        (High, 0, 0, Passed),
        (High, 2, 0, Failed),
        (Critical, 2, 1, Failed),
        (High, 2, 2, Warning),
        (Medium, 2, 0, Warning),
        (Low, 2, 0, Warning),
    ] {
        let units = [unit(Ask::Counts, counted(issues, warnings))];
        let result = judged(&check(CheckRule::RowCount, severity), &units);
        assert_eq!(result.status, expected, "{severity} {issues} {warnings}");
        assert_eq!(result.issue_details.is_none(), expected == Passed);
        assert_eq!(result.validation_criteria["check"], "row_count");
        assert!(result.issues_found <= result.records_validated);
    }
}

fn sketched(rows: i64) -> ValidateAnswer {
    ValidateAnswer::Sketched(Sketched {
        sketch: String::new(),
        rows,
        set_aside: 1,
        filtered: 2,
    })
}

fn compared(rows: i64, kind: FindingKind) -> ValidateAnswer {
    let finding = Finding {
        kind,
        source_id: Some("7".to_owned()),
        destination_id: None,
        columns: Vec::new(),
        note: "for a test".to_owned(),
        is_warning: false,
    };
    let mut counts = FindingCounts::default();
    counts.add(&finding);
    ValidateAnswer::Compared(Comparison {
        rows,
        counts,
        findings: vec![finding],
        ..Comparison::default()
    })
}

#[test]
fn records_are_the_union_of_both_sides_whatever_way_they_were_compared() {
    let full = check(
        CheckRule::Content { level: Level::Full },
        ValidationSeverity::High,
    );
    let survey = unit(Ask::Survey, ValidateAnswer::Surveyed(Survey::default()));
    let by_sketch = [
        survey.clone(),
        unit(Ask::SketchSource(KeyRange::default()), sketched(100)),
        unit(Ask::SketchDestination(None), sketched(101)),
        unit(Ask::Explain(Vec::new()), compared(0, FindingKind::Extra)),
    ];
    let result = judged(&full, &by_sketch);
    assert_eq!((result.records_validated, result.issues_found), (101, 1));
    assert_eq!(result.status, ValidationStatus::Failed);
    assert_eq!(result.execution_duration_ms, 40);
    let details = result.issue_details.unwrap();
    assert_eq!(details["findings"][0]["kind"], "extra");
    assert_eq!(details["figures"]["set_aside"], 1);
    // Looked up after the sketches gave up: those count nothing twice.
    let row_by_row = [
        survey,
        unit(Ask::SketchSource(KeyRange::default()), sketched(100)),
        unit(Ask::SketchDestination(None), sketched(90)),
        unit(
            Ask::Compare(KeyRange::default()),
            compared(100, FindingKind::Missing),
        ),
    ];
    let result = judged(&full, &row_by_row);
    assert_eq!((result.records_validated, result.issues_found), (100, 1));
}

#[test]
fn more_issues_than_records_are_no_result() {
    let units = [unit(Ask::Counts, counted(25, 0))];
    let result = judged(
        &check(CheckRule::RowCount, ValidationSeverity::High),
        &units,
    );
    assert_eq!((result.records_validated, result.issues_found), (25, 25));
}

#[test]
fn rows_that_were_written_and_that_the_source_gives_no_more_are_told_where_rows_are_looked_up() {
    let full = check(
        CheckRule::Content { level: Level::Full },
        ValidationSeverity::High,
    );
    let found = |comparison| ValidateAnswer::Compared(comparison);
    let looked_up = Comparison {
        rows: 90,
        mapped: 88,
        ..Comparison::default()
    };
    let of_others = Comparison {
        mapped_in_all: Some(100),
        ..Comparison::default()
    };
    let units = [
        unit(Ask::Compare(KeyRange::default()), found(looked_up)),
        unit(Ask::Strangers, found(of_others)),
    ];
    let result = judged(&full, &units);
    assert_eq!((result.records_validated, result.issues_found), (102, 12));
    assert_eq!(result.status, ValidationStatus::Warning);
}
