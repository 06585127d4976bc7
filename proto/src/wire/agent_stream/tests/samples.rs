//! One of everything.

use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::domain::catalog::{Catalog, Probe, TableName};
use crate::domain::compile::tests::clinic;
use crate::domain::failure::{Failure, FailureKind};
use crate::domain::frame::*;
use crate::domain::key::{KeyRange, KeyValue};
use crate::domain::preflight::{Trial, TrialAsk};
use crate::domain::record::samples::migration_mapping;
use crate::domain::undo::{
    ConflictPolicy, UndoAnswer, UndoOrder, UndoReport, UndoStep, UndoTarget,
};

pub(super) const MIGRATION: Uuid = Uuid::from_u128(0x51);
pub(super) const PARTITION: Uuid = Uuid::from_u128(0x52);

pub(super) fn key(parts: &[&str]) -> KeyValue {
    KeyValue(parts.iter().map(|part| (*part).to_owned()).collect())
}

pub(super) fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 123_456_789).expect("a time")
}

pub(super) fn failure() -> Failure {
    Failure {
        kind: FailureKind::ConstraintBroken,
        message: "the key cannot be rebuilt".to_owned(),
        sqlstate: Some("23505".to_owned()),
    }
}

pub(super) fn hello() -> Hello {
    Hello {
        holder: Uuid::from_u128(7),
        agent_id: "eu-1".to_owned(),
        region: "eu".to_owned(),
        labels: [("tier".to_owned(), "gold".to_owned())].into(),
        connections: vec!["legacy".to_owned(), "app".to_owned()],
        capacity: 4,
        codec_version: 9,
        version: "0.1.0".to_owned(),
        held: vec![HeldPartition {
            migration_id: MIGRATION,
            partition_id: PARTITION,
            generation: 3,
        }],
        snapshots: vec![MIGRATION],
    }
}

pub(super) fn row_error(number: u128) -> RowError {
    RowError {
        id: Uuid::from_u128(number),
        source_record_id: number.to_string(),
        error_code: "23502".to_owned(),
        error_message: "name is null".to_owned(),
        source_data: json!({ "id": number.to_string(), "note": "a \"b\" ⚕" }),
        context: json!({ "column": "name" }),
        is_held: number.is_multiple_of(2),
        occurred_at: at(5),
    }
}

pub(super) fn report(errors: Vec<RowError>) -> BatchReport {
    let counts = Counts {
        read: 10,
        written: 7,
        failed: 2,
        held: 1,
        filtered: 4,
        skipped: 1,
    };
    BatchReport {
        partition_id: PARTITION,
        entity: "offices".to_owned(),
        attempt: 2,
        seq: 3,
        token: i64::MAX,
        cursor: Some(key(&["7", "left"])),
        counts,
        totals: counts.plus(&counts),
        retry_count: 1,
        started_at: at(1),
        written_at: at(2),
        errors,
        was_bisected: true,
        is_last: true,
    }
}

pub(super) fn batch(errors: Vec<RowError>) -> AgentFrame {
    AgentFrame::Batch {
        migration_id: MIGRATION,
        report: Box::new(report(errors)),
    }
}

pub(super) fn released(reason: Release) -> AgentFrame {
    AgentFrame::Released {
        migration_id: MIGRATION,
        partition_id: PARTITION,
        generation: 3,
        reason,
    }
}

fn range() -> KeyRange {
    KeyRange {
        after: None,
        upto: Some(key(&["9", "right"])),
    }
}

fn identity() -> DatabaseIdentity {
    DatabaseIdentity {
        system_identifier: "7".to_owned(),
        database: "clinic".to_owned(),
        timeline: 1,
    }
}

pub(super) fn run_order() -> RunOrder {
    RunOrder {
        migration_id: MIGRATION,
        attempt: 2,
        run_now: at(9),
        plan: clinic(),
        source: identity(),
        destination: identity(),
        snapshot: Some("00000003-0000001B-1".to_owned()),
    }
}

pub(super) fn assignment() -> Assignment {
    Assignment {
        migration_id: MIGRATION,
        partition_id: PARTITION,
        entity: "offices".to_owned(),
        entity_hash: "h".to_owned(),
        range: range(),
        generation: 5,
        max_rows_per_second: Some(5),
    }
}

pub(super) fn call(query: Query) -> QueryCall {
    QueryCall {
        query_id: u64::MAX,
        migration_id: Some(MIGRATION),
        deadline_ms: 30_250,
        connections: Connections {
            source: "legacy".to_owned(),
            destination: "app".to_owned(),
        },
        query,
    }
}

pub(super) fn queries() -> Vec<Query> {
    let entity = || "offices".to_owned();
    vec![
        Query::Identify,
        Query::ReadCatalog {
            side: Side::Source,
            tables: vec![TableName::parse("offices")],
            probes: vec![Probe::new(
                TableName::parse("offices"),
                "lower(name)".to_owned(),
            )],
        },
        Query::CheckPlan(Box::new(clinic())),
        Query::Preflight {
            plan: Box::new(clinic()),
            is_quick: true,
        },
        Query::TryRows(Box::new(TrialAsk {
            plan: clinic(),
            entity: entity(),
            rows: 1000,
        })),
        Query::ReadState { name: entity() },
        Query::Prepare(Box::new(PrepareOrder {
            migration_id: MIGRATION,
            attempt: 1,
            run_now: at(0),
            plan: clinic(),
        })),
        Query::HoldSnapshot {
            migration_id: MIGRATION,
            tables: vec![TableName::parse("public.offices")],
        },
        Query::ShareSnapshot {
            migration_id: MIGRATION,
            snapshot_id: "00000003-0000001B-1".to_owned(),
        },
        Query::WatchSource {
            migration_id: MIGRATION,
            tables: vec![TableName::parse("public.offices")],
            is_end: true,
        },
        Query::Sample {
            entity: entity(),
            parts: 8,
        },
        Query::BeginLoad {
            migration_id: MIGRATION,
            attempt: 1,
            partitions: vec![NewPartition {
                partition_id: PARTITION,
                entity: entity(),
                number: 0,
                range: range(),
                entity_hash: "h".to_owned(),
            }],
        },
        Query::Settle {
            entity: entity(),
            partition_id: PARTITION,
            token: 6,
        },
        Query::RebuildKeys { entity: entity() },
        Query::RebuildForeignKeys,
        Query::ReadLedger {
            partition_id: PARTITION,
            after_seq: 3,
            limit: 100,
        },
        Query::FinishRun {
            migration_id: MIGRATION,
        },
        Query::Seal {
            partitions: vec![PARTITION],
            attempt: 1,
            token: 8,
        },
        Query::Undo(Box::new(UndoOrder {
            attempt: 1,
            token: 9,
            conflicts: Some(ConflictPolicy::Keep),
            step: UndoStep::Rows {
                target: UndoTarget::of(&clinic().entities[0]),
            },
        })),
        Query::Uninstall,
        Query::Retry(Box::new(RetryOrder {
            entity: entity(),
            partition_id: PARTITION,
            number: -2,
            token: 9,
            keys: vec!["7".to_owned()],
            is_work: true,
        })),
        Query::CloseEntity {
            entity: entity(),
            attempt: 1,
            is_open: false,
        },
        Query::LookupMapping {
            migration_id: MIGRATION,
            entity: entity(),
            key: key(&["42"]),
        },
        Query::ReverseMapping {
            migration_id: MIGRATION,
            entity: None,
            destination_id: "x".to_owned(),
        },
        Query::Schema(Box::new(SchemaQuery::Journal {
            migration_id: MIGRATION,
            has_source: true,
        })),
    ]
}

pub(super) fn answers() -> Vec<QueryAnswer> {
    let identity = identity();
    let state = DestinationState {
        migration_id: MIGRATION,
        attempt: 1,
        run_now: at(0),
        source: identity.clone(),
        destination: identity.clone(),
        entity_hashes: vec![("offices".to_owned(), "h".to_owned())],
        is_finished: false,
        rounds: vec![("offices".to_owned(), 1)],
        highest_token: 3,
        partitions: vec![PartitionState {
            partition_id: PARTITION,
            entity: "offices".to_owned(),
            number: -1,
            range: range(),
            seq: 4,
            cursor: Some(key(&["8"])),
            is_done: false,
            is_closed: true,
            token: 3,
            totals: Counts::default(),
        }],
    };
    vec![
        QueryAnswer::Identities {
            source: identity.clone(),
            destination: identity,
        },
        QueryAnswer::Catalog(Catalog::default()),
        QueryAnswer::PlanProblems(vec![("offices".to_owned(), "no table".to_owned())]),
        QueryAnswer::Facts(Box::default()),
        QueryAnswer::Tried(Trial::default()),
        QueryAnswer::State(None),
        QueryAnswer::State(Some(Box::new(state))),
        QueryAnswer::Snapshot(HeldSnapshot {
            snapshot_id: "s".to_owned(),
            continuity: Continuity::Changed {
                tables: vec![TableName::parse("offices")],
                reason: "3 rows".to_owned(),
            },
        }),
        QueryAnswer::Unwritten { is_first: true },
        QueryAnswer::Sampled {
            bounds: vec![key(&["1"]), key(&["2"])],
            records_total: 3,
            is_exact: true,
        },
        QueryAnswer::Settled(vec![report(Vec::new())]),
        QueryAnswer::Ledger(vec![report(vec![row_error(1)])]),
        QueryAnswer::Undone(Box::new(UndoAnswer::Finished(UndoReport::default()))),
        QueryAnswer::Uninstalled {
            needed_by: vec!["clinic".to_owned()],
        },
        QueryAnswer::Retried(Box::new(Retried {
            batches: vec![report(vec![row_error(1)])],
            resolved: vec![Resolved {
                error_id: PARTITION,
                source_record_id: "7".to_owned(),
                fate: RetriedFate::Superseded,
            }],
        })),
        QueryAnswer::Mappings(vec![
            serde_json::from_value(migration_mapping()).expect("the sample is a record"),
        ]),
        QueryAnswer::Schema(Box::new(SchemaAnswer::Facts(None))),
        QueryAnswer::Done,
    ]
}
