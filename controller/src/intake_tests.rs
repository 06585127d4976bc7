use std::time::Duration;

use proto::domain::compiled::MaxQuarantined;
use proto::domain::frame::Counts;
use proto::domain::key::KeyRange;

use super::*;
use crate::schedule::{EntityWork, PartitionWork};

const HOLDER: Uuid = Uuid::from_u128(0xA);
const PARTITION: Uuid = Uuid::from_u128(1);
const MIGRATION: Uuid = Uuid::from_u128(2);

/// A partition at work in its second assignment.
fn run() -> RunWork {
    let partition = PartitionWork {
        partition_id: PARTITION,
        number: 0,
        range: KeyRange::default(),
        step: Step::Running { tries: 0 },
        totals: Counts::default(),
        in_flight: 0,
        generation: 2,
        holder: Some(HOLDER),
        seq: 0,
        token: 0,
        is_last_seen: false,
    };
    let entity = EntityWork {
        entity: "customers".to_owned(),
        entity_hash: String::new(),
        destination: proto::domain::catalog::TableName::parse("customers"),
        knot: Vec::new(),
        late: Vec::new(),
        dependencies: Vec::new(),
        partitions: vec![partition],
        settling: None,
        retries: Vec::new(),
        hold: Hold::None,
        closing: Step::Done,
        rebuild: Step::OPEN,
        records_total: 1,
        is_exact: true,
        max_quarantined: MaxQuarantined::Rows(0),
    };
    RunWork {
        entities: vec![entity],
        lanes: 1,
        foreign_keys: Step::OPEN,
        schema_changes: Step::Done,
        finish: Step::OPEN,
        source_watch: Step::Done,
    }
}

fn take(run: &mut RunWork, frame: AgentFrame) -> Consequence {
    let retry = Retry {
        now: Duration::ZERO,
        backoff: Backoff::new(Duration::from_millis(1), Duration::from_millis(1)),
        random: 0.0,
        max_retries: 1,
    };
    Intake::default().frame(run, HOLDER, frame, retry)
}

fn released(generation: i64, reason: Release) -> AgentFrame {
    AgentFrame::Released {
        migration_id: MIGRATION,
        partition_id: PARTITION,
        generation,
        reason,
    }
}

#[test]
fn a_release_of_an_earlier_assignment_frees_nothing() {
    let lost = Failure::new(FailureKind::Internal, "the reader ended");
    for reason in [Release::Drained, Release::Stale, Release::Failed(lost)] {
        let (mut run, before) = (self::run(), self::run());
        assert_eq!(take(&mut run, released(1, reason)), Consequence::None);
        assert_eq!(run.entities, before.entities);
    }
    let mut run = run();
    take(&mut run, released(2, Release::Drained));
    let partition = run.partition_mut(PARTITION).unwrap();
    assert_eq!((partition.step, partition.holder), (Step::OPEN, None));
}

#[test]
fn a_claim_of_an_earlier_assignment_says_nothing() {
    let mut run = run();
    let mut claimed = |generation| {
        let frame = AgentFrame::Claimed {
            migration_id: MIGRATION,
            partition_id: PARTITION,
            generation,
            token: 7,
            seq: 0,
        };
        take(&mut run, frame);
        run.partition_mut(PARTITION).unwrap().token
    };
    assert_eq!(claimed(1), 0);
    assert_eq!(claimed(2), 7);
}
