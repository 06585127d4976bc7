use std::time::Duration;

use proto::domain::catalog::TableName;
use proto::domain::compiled::MaxQuarantined;
use proto::domain::frame::Counts;
use proto::domain::key::KeyRange;

use super::*;

fn partition(id: u128) -> PartitionWork {
    PartitionWork {
        partition_id: Uuid::from_u128(id),
        number: 0,
        range: KeyRange::default(),
        step: Step::OPEN,
        totals: Counts::default(),
        in_flight: 0,
        generation: 0,
        holder: None,
        seq: 0,
        token: 0,
        is_last_seen: false,
    }
}

fn entity(name: &str, ids: &[u128], dependencies: &[&str], rows: i64) -> EntityWork {
    EntityWork {
        entity: name.to_owned(),
        entity_hash: String::new(),
        destination: TableName::parse(name),
        dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
        knot: Vec::new(),
        late: Vec::new(),
        partitions: ids.iter().copied().map(partition).collect(),
        settling: None,
        retries: Vec::new(),
        hold: Hold::None,
        closing: Step::Done,
        rebuild: Step::OPEN,
        records_total: rows,
        is_exact: true,
        max_quarantined: MaxQuarantined::Rows(0),
    }
}

fn run(entities: Vec<EntityWork>, lanes: usize) -> RunWork {
    RunWork {
        entities,
        lanes,
        source_watch: Step::Done,
        foreign_keys: Step::OPEN,
        schema_changes: Step::Done,
        finish: Step::OPEN,
    }
}

fn begin(run: &mut RunWork) -> Vec<Action> {
    let actions = run.next_actions(Duration::ZERO);
    for action in &actions {
        run.step_mut(action).unwrap().begin();
    }
    actions
}

fn done(run: &mut RunWork, action: &Action) {
    *run.step_mut(action).unwrap() = Step::Done;
}

#[test]
fn children_wait_for_their_parents_rows_but_not_for_their_indexes() {
    let mut run = run(
        vec![entity("a", &[1], &[], 10), entity("b", &[2], &["a"], 90)],
        4,
    );
    assert_eq!(begin(&mut run), [Action::Assign(Uuid::from_u128(1))]);
    assert_eq!(begin(&mut run), []);
    done(&mut run, &Action::Assign(Uuid::from_u128(1)));
    assert_eq!(
        begin(&mut run),
        [
            Action::Assign(Uuid::from_u128(2)),
            Action::RebuildKeys("a".into())
        ]
    );
}

#[test]
fn big_entities_go_first_and_lanes_are_never_oversubscribed() {
    let small = entity("small", &[1, 2], &[], 10);
    let big = entity("big", &[3, 4], &[], 90);
    let mut run = run(vec![small, big], 3);
    let ids: Vec<Action> = [3, 4, 1]
        .map(|id| Action::Assign(Uuid::from_u128(id)))
        .into();
    assert_eq!(begin(&mut run), ids);
    assert_eq!(begin(&mut run), []);
    assert_eq!(run.running(), 3);
}

/// An entity that is settled with the others of its knot.
fn tied(name: &str, id: u128, dependencies: &[&str], knot: &[&str]) -> EntityWork {
    EntityWork {
        knot: knot.iter().map(|name| (*name).to_owned()).collect(),
        settling: Some(partition(id + 100)),
        ..entity(name, &[id], dependencies, 1)
    }
}

#[test]
fn a_knot_is_settled_once_all_of_it_is_copied_and_children_wait_for_that() {
    let knot = ["a", "b"];
    let (a, b) = (tied("a", 1, &[], &knot), tied("b", 2, &["a"], &knot));
    let child = entity("c", &[3], &["a"], 1);
    let mut run = run(vec![a, b, child], 4);
    let copy = |id: u128| Action::Assign(Uuid::from_u128(id));
    assert_eq!(begin(&mut run), [copy(1)]);
    done(&mut run, &copy(1));
    assert_eq!(begin(&mut run), [copy(2)]);
    done(&mut run, &copy(2));
    let settle = Action::Settle("a".into());
    assert_eq!(begin(&mut run), std::slice::from_ref(&settle));
    assert_eq!(begin(&mut run), []);
    run.knot_settled("a");
    assert!(run.entities[..2].iter().all(EntityWork::is_settled));
    let next = begin(&mut run);
    assert!(next.contains(&copy(3)) && next.contains(&Action::RebuildKeys("b".into())));
}

#[test]
fn a_late_reference_is_settled_after_the_rows_it_refers_to() {
    let mut a = tied("a", 1, &[], &["a"]);
    a.late = vec!["b".to_owned()];
    let mut run = run(vec![a, entity("b", &[2], &[], 1)], 4);
    let copies = begin(&mut run);
    assert_eq!(copies.len(), 2);
    done(&mut run, &copies[0]);
    assert_eq!(begin(&mut run), []);
    done(&mut run, &copies[1]);
    assert!(begin(&mut run).contains(&Action::Settle("a".into())));
}

#[test]
fn self_references_are_settled_before_children_start() {
    let parent = tied("a", 1, &[], &["a"]);
    let mut run = run(vec![parent, entity("b", &[2], &["a"], 1)], 4);
    begin(&mut run);
    done(&mut run, &Action::Assign(Uuid::from_u128(1)));
    assert_eq!(begin(&mut run), [Action::Settle("a".into())]);
    done(&mut run, &Action::Settle("a".into()));
    assert!(begin(&mut run).contains(&Action::Assign(Uuid::from_u128(2))));
}

#[test]
fn foreign_keys_come_last_and_then_the_end() {
    let mut run = run(vec![entity("a", &[], &[], 0)], 1);
    assert_eq!(begin(&mut run), [Action::RebuildKeys("a".into())]);
    done(&mut run, &Action::RebuildKeys("a".into()));
    assert_eq!(begin(&mut run), [Action::RebuildForeignKeys]);
    assert_eq!(begin(&mut run), []);
    done(&mut run, &Action::RebuildForeignKeys);
    assert_eq!(begin(&mut run), [Action::Finish]);
    done(&mut run, &Action::Finish);
    assert!(run.is_finished());
}

#[test]
fn the_keys_of_a_shared_table_are_rebuilt_after_the_last_of_its_entities_and_by_one_at_a_time() {
    let shared = |name: &str, id: u128| EntityWork {
        destination: TableName::parse("t"),
        ..entity(name, &[id], &[], 1)
    };
    let mut run = run(vec![shared("a", 1), shared("b", 2)], 4);
    begin(&mut run);
    done(&mut run, &Action::Assign(Uuid::from_u128(1)));
    assert_eq!(begin(&mut run), []);
    done(&mut run, &Action::Assign(Uuid::from_u128(2)));
    for name in ["a", "b"] {
        let action = Action::RebuildKeys(name.to_owned());
        assert_eq!(begin(&mut run), std::slice::from_ref(&action));
        assert_eq!(begin(&mut run), []);
        done(&mut run, &action);
    }
    assert_eq!(begin(&mut run), [Action::RebuildForeignKeys]);
}

#[test]
fn a_failed_step_waits_and_counts_its_tries() {
    let mut run = run(vec![entity("a", &[1], &[], 1)], 1);
    let action = begin(&mut run).remove(0);
    assert_eq!(
        run.step_mut(&action).unwrap().fail(Duration::from_secs(5)),
        1
    );
    assert_eq!(run.next_actions(Duration::from_secs(4)), []);
    assert_eq!(run.next_actions(Duration::from_secs(5)), [action]);
}

#[test]
fn a_paused_entity_is_not_handed_out_and_its_children_wait_while_others_go_on() {
    let mut run = run(
        vec![
            entity("a", &[1, 2], &[], 10),
            entity("b", &[3], &["a"], 5),
            entity("c", &[4], &[], 1),
        ],
        8,
    );
    run.entities[0].hold = Hold::Paused;
    assert_eq!(begin(&mut run), [Action::Assign(Uuid::from_u128(4))]);
    done(&mut run, &Action::Assign(Uuid::from_u128(4)));
    assert_eq!(begin(&mut run), [Action::RebuildKeys("c".into())]);
    done(&mut run, &Action::RebuildKeys("c".into()));
    // Nothing is left, and it is not the end.
    assert_eq!(begin(&mut run), []);
    assert!(!run.is_finished());
    run.entities[0].hold = Hold::None;
    assert_eq!(begin(&mut run).len(), 2);
}

#[test]
fn a_skipped_entity_is_closed_once_it_is_idle_and_others_go_on_without_its_rows() {
    let mut run = run(
        vec![entity("a", &[1, 2], &[], 10), entity("b", &[3], &["a"], 5)],
        8,
    );
    assert_eq!(begin(&mut run).len(), 2);
    done(&mut run, &Action::Assign(Uuid::from_u128(1)));
    run.entities[0].hold = Hold::Skipped;
    run.entities[0].closing = Step::OPEN;
    // An agent still has a partition of it.
    assert_eq!(begin(&mut run), []);
    run.partition_mut(Uuid::from_u128(2)).unwrap().step.reopen();
    assert_eq!(begin(&mut run), [Action::Close("a".into())]);
    assert!(!run.entities[0].is_settled());
    done(&mut run, &Action::Close("a".into()));
    // Its keys come back over the rows that are there; nothing more of it is copied.
    assert_eq!(
        begin(&mut run),
        [
            Action::Assign(Uuid::from_u128(3)),
            Action::RebuildKeys("a".into())
        ]
    );
    done(&mut run, &Action::Assign(Uuid::from_u128(3)));
    done(&mut run, &Action::RebuildKeys("a".into()));
    assert_eq!(begin(&mut run), [Action::RebuildKeys("b".into())]);
    done(&mut run, &Action::RebuildKeys("b".into()));
    assert_eq!(begin(&mut run), [Action::RebuildForeignKeys]);
    done(&mut run, &Action::RebuildForeignKeys);
    assert_eq!(begin(&mut run), [Action::Finish]);
}

fn retry(id: u128) -> PartitionWork {
    PartitionWork {
        number: -2,
        ..partition(id)
    }
}

#[test]
fn rows_are_tried_again_while_an_entity_is_copied_and_never_while_its_keys_are_built() {
    let mut run = run(vec![entity("a", &[1, 2], &[], 10)], 8);
    run.entities[0].retries.push(retry(9));
    let again = Action::Retry(Uuid::from_u128(9));
    let first = begin(&mut run);
    assert_eq!(first[0], again);
    assert_eq!(first.len(), 3);
    done(&mut run, &Action::Assign(Uuid::from_u128(1)));
    done(&mut run, &Action::Assign(Uuid::from_u128(2)));
    // Keys are not built over a table that rows are put into.
    assert_eq!(begin(&mut run), []);
    done(&mut run, &again);
    assert_eq!(begin(&mut run), [Action::RebuildKeys("a".into())]);
    run.entities[0].retries.push(retry(10));
    assert_eq!(begin(&mut run), []);
    done(&mut run, &Action::RebuildKeys("a".into()));
    assert_eq!(begin(&mut run), [Action::Retry(Uuid::from_u128(10))]);
    assert_eq!(begin(&mut run), []);
    done(&mut run, &Action::Retry(Uuid::from_u128(10)));
    assert_eq!(begin(&mut run), [Action::RebuildForeignKeys]);
    run.entities[0].retries.push(retry(11));
    assert_eq!(begin(&mut run), []);
    done(&mut run, &Action::RebuildForeignKeys);
    // Before the end, so that nothing is left open.
    assert_eq!(begin(&mut run), [Action::Retry(Uuid::from_u128(11))]);
    assert_eq!(begin(&mut run), []);
    done(&mut run, &Action::Retry(Uuid::from_u128(11)));
    assert_eq!(begin(&mut run), [Action::Finish]);
}

#[test]
fn rows_that_refer_to_later_ones_are_tried_before_they_are_settled_or_once_the_keys_are_back() {
    let mut self_referring = entity("a", &[1], &["a"], 10);
    self_referring.knot = vec!["a".to_owned()];
    self_referring.settling = Some(partition(2));
    self_referring.retries.push(retry(9));
    let mut run = run(vec![self_referring], 8);
    run.entities[0].partitions[0].step = Step::Done;
    let can = |run: &RunWork| run.can_retry(&run.entities[0]);
    assert!(can(&run));
    run.entities[0].settling.as_mut().unwrap().step.begin();
    assert!(!can(&run));
    run.entities[0].settling.as_mut().unwrap().step = Step::Done;
    assert!(!can(&run));
    run.entities[0].rebuild = Step::Done;
    run.foreign_keys = Step::Done;
    assert!(can(&run));
    run.entities[0].hold = Hold::Paused;
    assert!(!can(&run));
}

#[test]
fn what_is_let_go_can_begin_again() {
    let mut run = run(vec![entity("a", &[1], &[], 10)], 8);
    let first = begin(&mut run);
    assert_eq!(run.running(), 1);
    run.reopen();
    assert_eq!(run.running(), 0);
    assert_eq!(begin(&mut run), first);
}

#[test]
fn parents_are_tried_again_before_their_children() {
    let mut run = run(
        vec![entity("a", &[1], &[], 10), entity("b", &[2], &["a"], 10)],
        8,
    );
    run.entities[0].partitions[0].step = Step::Done;
    run.entities[0].rebuild = Step::Done;
    run.entities[0].retries.push(retry(8));
    run.entities[1].retries.push(retry(9));
    let first = begin(&mut run);
    assert!(
        first.contains(&Action::Retry(Uuid::from_u128(8))),
        "{first:?}"
    );
    assert!(
        !first.contains(&Action::Retry(Uuid::from_u128(9))),
        "{first:?}"
    );
    done(&mut run, &Action::Retry(Uuid::from_u128(8)));
    assert!(begin(&mut run).contains(&Action::Retry(Uuid::from_u128(9))));
}
