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
