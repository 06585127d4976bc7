use std::time::Duration;

use super::*;

const NOW: Moment = Duration::from_secs(100);

fn entity(name: &str, children: &[&str]) -> UndoEntity {
    UndoEntity {
        entity: name.to_owned(),
        children: children.iter().map(|child| (*child).to_owned()).collect(),
        step: Step::OPEN,
        rows_left: Some(10),
    }
}

/// orders → customers → offices, and products alone; children first.
fn shop(lanes: usize) -> UndoWork {
    UndoWork {
        begin: Step::Done,
        entities: vec![
            entity("orders", &[]),
            entity("customers", &["orders"]),
            entity("offices", &["customers"]),
            entity("products", &[]),
        ],
        finish: Step::OPEN,
        lanes,
    }
}

fn rows(names: &[&str]) -> Vec<UndoAction> {
    let rows = |name: &&str| UndoAction::Rows((*name).to_owned());
    names.iter().map(rows).collect()
}

#[test]
fn nothing_is_taken_back_before_everything_is_sealed() {
    let mut work = UndoWork {
        begin: Step::OPEN,
        ..shop(4)
    };
    assert_eq!(work.next_actions(NOW), [UndoAction::Begin]);
    work.begin.begin();
    assert_eq!(work.next_actions(NOW), []);
}

#[test]
fn an_entity_waits_until_nothing_that_depends_on_it_is_left() {
    let mut work = shop(4);
    assert_eq!(work.next_actions(NOW), rows(&["orders", "products"]));
    work.entities[0].step = Step::Done;
    assert_eq!(work.next_actions(NOW), rows(&["customers", "products"]));
    work.entities[1].step = Step::Running { tries: 0 };
    assert_eq!(work.next_actions(NOW), rows(&["products"]));
}

#[test]
fn no_more_entities_are_taken_back_at_a_time_than_there_are_lanes() {
    let mut work = shop(1);
    assert_eq!(work.next_actions(NOW), rows(&["orders"]));
    work.entities[0].step.begin();
    assert_eq!(work.next_actions(NOW), []);
}

#[test]
fn the_end_comes_once_every_entity_is_undone_and_only_once() {
    let mut work = shop(4);
    for entity in &mut work.entities {
        entity.step = Step::Done;
    }
    assert_eq!(work.next_actions(NOW), [UndoAction::Finish]);
    work.finish.begin();
    assert_eq!(work.next_actions(NOW), []);
    work.finish = Step::Done;
    assert!(work.is_finished());
    assert_eq!(work.next_actions(NOW), []);
}

#[test]
fn a_step_that_failed_waits_for_its_time() {
    let mut work = shop(4);
    work.entities[0].step.begin();
    work.entities[0].step.fail(NOW + Duration::from_secs(1));
    assert_eq!(work.next_actions(NOW), rows(&["products"]));
    let later = NOW + Duration::from_secs(1);
    assert_eq!(work.next_actions(later), rows(&["orders", "products"]));
}

#[test]
fn whatever_ends_when_every_child_goes_before_its_parent() {
    let mut work = shop(2);
    let mut order = Vec::new();
    while !work.is_finished() {
        let actions = work.next_actions(NOW);
        assert!(!actions.is_empty(), "{work:?}");
        for action in actions {
            *work.step_mut(&action).unwrap() = Step::Done;
            order.push(action);
        }
    }
    let at = |name: &str| {
        let action = UndoAction::Rows(name.to_owned());
        order.iter().position(|done| *done == action).unwrap()
    };
    assert!(at("orders") < at("customers") && at("customers") < at("offices"));
    assert_eq!(order.last(), Some(&UndoAction::Finish));
}

#[test]
fn it_tells_how_far_it_is() {
    let mut work = shop(2);
    work.entities[0].step.begin();
    assert_eq!(
        work.describe(),
        "0 of 4 entities are undone, 40 rows are left, now orders"
    );
    for entity in &mut work.entities {
        entity.step = Step::Done;
    }
    assert_eq!(
        work.describe(),
        "putting back keys, foreign keys and sequences"
    );
}
