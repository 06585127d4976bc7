use proto::domain::compiled::{Consistency, Limits};
use proto::domain::frame::{CheckOutcome, Comparison, Sketched};
use proto::domain::key::{KeyRange, KeyValue};
use proto::domain::sketch::Element;
use uuid::Uuid;

use super::*;

fn unit(number: i32, ask: Ask, answer: Option<ValidateAnswer>) -> StoredUnit {
    let question = ValidateQuestion {
        entity: "orders".to_owned(),
        ask,
    };
    StoredUnit {
        number,
        question,
        answer,
        duration_ms: 0,
    }
}

fn survey(has_sketches: bool) -> Survey {
    let key = |text: &str| Some(KeyValue(vec![text.to_owned()]));
    Survey {
        has_sketches,
        ranges: vec![
            KeyRange {
                after: None,
                upto: key("7"),
            },
            KeyRange {
                after: key("7"),
                upto: None,
            },
        ],
        pages: vec![(0, 9), (9, 20), (20, 30)],
    }
}

fn sketched() -> Option<ValidateAnswer> {
    Some(ValidateAnswer::Sketched(Sketched {
        sketch: String::new(),
        rows: 1,
        set_aside: 0,
        filtered: 0,
    }))
}

fn row(key: u8, hash: u128) -> Element {
    Element {
        key: RowKey::of([[key].as_slice()].into_iter()),
        hash,
    }
}

fn sketch(rows: &[(u8, u128)]) -> Sketch {
    let mut sketch = Sketch::default();
    rows.iter()
        .for_each(|(key, hash)| sketch.add(&row(*key, *hash)));
    sketch
}

/// Everything up to the sketches, which are answered.
fn sketched_units(has_sketches: bool) -> Vec<StoredUnit> {
    let survey = Some(ValidateAnswer::Surveyed(survey(has_sketches)));
    let mut units = vec![unit(0, Ask::Survey, survey)];
    let questions = follow_up(&units, &Sketches::new());
    for (number, question) in (1..).zip(questions) {
        units.push(unit(number, question.ask, sketched()));
    }
    units
}

#[test]
fn a_survey_leads_to_sketches_of_every_piece_of_both_sides_once() {
    let units = sketched_units(true);
    let count =
        |test: fn(&Ask) -> bool| units.iter().filter(|unit| test(&unit.question.ask)).count();
    assert_eq!(count(|ask| matches!(ask, Ask::SketchSource(_))), 2);
    assert_eq!(
        count(|ask| matches!(ask, Ask::SketchDestination(Some(_)))),
        3
    );
    let equal = (sketch(&[(1, 1), (2, 2)]), sketch(&[(2, 2), (1, 1)]));
    let sketches = Sketches::from([("orders".to_owned(), equal)]);
    assert!(follow_up(&units, &sketches).is_empty());
    // As long as a piece is open nothing is compared.
    let mut open = units.clone();
    open[2].answer = None;
    let differing = (sketch(&[(1, 1)]), sketch(&[]));
    let sketches = Sketches::from([("orders".to_owned(), differing)]);
    assert!(follow_up(&open, &sketches).is_empty());
    assert_eq!(follow_up(&units, &sketches).len(), 1);
}

#[test]
fn rows_that_differ_are_explained_and_only_once() {
    let mut units = sketched_units(true);
    let sides = (
        sketch(&[(1, 1), (2, 2), (3, 3)]),
        sketch(&[(1, 1), (2, 9), (4, 4)]),
    );
    let sketches = Sketches::from([("orders".to_owned(), sides)]);
    let questions = follow_up(&units, &sketches);
    let [
        ValidateQuestion {
            ask: Ask::Explain(suspects),
            ..
        },
    ] = questions.as_slice()
    else {
        panic!("{questions:?}");
    };
    let sides = |key: u8| {
        let key = hex::encode(row(key, 0).key.0);
        let found = suspects.iter().find(|suspect| suspect.key == key);
        found.map(|suspect| (suspect.is_in_source, suspect.is_in_destination))
    };
    assert_eq!(sides(1), None);
    assert_eq!(sides(2), Some((true, true)));
    assert_eq!(sides(3), Some((true, false)));
    assert_eq!(sides(4), Some((false, true)));
    units.push(unit(
        9,
        questions[0].ask.clone(),
        Some(ValidateAnswer::Compared(Comparison::default())),
    ));
    assert!(follow_up(&units, &sketches).is_empty());
}

#[test]
fn too_many_differences_and_tables_of_several_writers_are_looked_up_row_by_row() {
    let many: Vec<(u8, u128)> = (0..20_000u128).map(|hash| (1, hash)).collect();
    let flood = (sketch(&many), sketch(&[]));
    let sketches = Sketches::from([("orders".to_owned(), flood)]);
    for (units, sketches) in [
        (sketched_units(true), sketches),
        (sketched_units(false)[..1].to_vec(), Sketches::new()),
    ] {
        let questions = follow_up(&units, &sketches);
        let compared = questions
            .iter()
            .filter(|it| matches!(it.ask, Ask::Compare(_)));
        assert_eq!(compared.count(), 2);
        assert_eq!(
            questions
                .iter()
                .filter(|it| it.ask == Ask::Strangers)
                .count(),
            1
        );
    }
}

#[test]
fn rows_whose_keys_are_not_told_are_looked_up_row_by_row() {
    let mut one = Sketch::default();
    one.add(&Element {
        key: RowKey::of([[7u8; 60].as_slice()].into_iter()),
        hash: 1,
    });
    let sketches = Sketches::from([("orders".to_owned(), (one, Sketch::default()))]);
    let questions = follow_up(&sketched_units(true), &sketches);
    assert!(
        questions.iter().any(|it| matches!(it.ask, Ask::Compare(_))),
        "{questions:?}"
    );
}

fn plan(checks: Vec<CompiledCheck>, has_own_checks: bool) -> CompiledPlan {
    CompiledPlan {
        name: "clinic".to_owned(),
        namespace: Uuid::from_u128(1),
        source: "legacy".to_owned(),
        destination: "app".to_owned(),
        consistency: Consistency::Snapshot,
        limits: Limits {
            parallel_partitions: 4,
            max_retries: 5,
            max_rows_per_second: None,
            source_max_lag_seconds: None,
        },
        entities: Vec::new(),
        checks,
        has_own_checks,
        is_cleanup: false,
        schema_changes: Vec::new(),
        warnings: Vec::new(),
    }
}

#[test]
fn what_the_plan_says_is_checked_and_the_level_that_is_asked_for_wins() {
    let check = |rule: CheckRule| CompiledCheck {
        entity: "orders".to_owned(),
        validation_type: rule.validation_type(),
        severity: ValidationSeverity::High,
        rule,
    };
    let content = |level| CheckRule::Content { level };
    let plan = plan(
        vec![check(content(Level::Full)), check(CheckRule::ForeignKeys)],
        true,
    );
    let rules = |checks: Vec<CompiledCheck>| {
        checks
            .into_iter()
            .map(|check| check.rule)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        rules(checks(&plan, None, &[])),
        [
            content(Level::Full),
            CheckRule::ForeignKeys,
            CheckRule::IdMap
        ]
    );
    assert!(checks(&plan, None, &["comments".to_owned()]).is_empty());
    let questions = first_questions(&checks(&plan, None, &[]));
    assert_eq!(questions[0].ask, Ask::Survey);
    assert_eq!(questions.len(), 3);
    let _ = CheckOutcome::default();
}
