//! A server that falls silent without hanging up, as a host without power does.

use std::time::Duration;

use agent::batch::Batch;
use agent::connect::{Purpose, connect};
use agent::patience::WRITE;
use agent::pool::Server;
use agent::run::EntityContext;
use agent::sink::copy::CopyStatements;
use agent::sink::fence::{Fate, fate_of_batch, take_over};
use agent::sink::write::{BatchWrite, WriteFault, write};
use agent::transform::row::RowTransform;
use agent::transform::secrecy::Keys;
use drover_tests::pg;
use proto::domain::catalog::TableName;
use proto::domain::compiled::{
    CompiledEntity, ConflictRule, ConstraintMode, EntitySettings, IdRule, MaxQuarantined, ReadRule,
    RowAction,
};
use proto::domain::key::KeyValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, pause, resume, timeout};
use uuid::Uuid;

use super::fence::{destination, fence, start};

fn has(bytes: &[u8], words: &str) -> bool {
    bytes
        .windows(words.len())
        .any(|part| part == words.as_bytes())
}

/// A way to the server that passes nothing on any more once a COMMIT is answered, and stays open; its port.
/// From then on the clock of the test runs ahead.
async fn falls_silent_at_a_commit() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstream = pg::server().await.port;
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
        let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
        let mut is_last = false;
        loop {
            tokio::select! {
                read = client.read(&mut asked) => {
                    let chunk = &asked[..read.unwrap()];
                    is_last |= has(chunk, "drover.advance(");
                    server.write_all(chunk).await.unwrap();
                }
                read = server.read(&mut answered) => {
                    let chunk = &answered[..read.unwrap()];
                    if !is_last {
                        client.write_all(chunk).await.unwrap();
                    } else if has(chunk, "COMMIT") {
                        break;
                    }
                }
            }
        }
        pause();
        std::future::pending::<()>().await;
    });
    port
}

fn entity() -> EntityContext {
    let compiled = CompiledEntity {
        entity: "e".to_owned(),
        entity_type: "e".to_owned(),
        version: "1".to_owned(),
        is_active: true,
        dependencies: Vec::new(),
        read: ReadRule {
            source: TableName::parse("public.s"),
            joins: None,
            also: Vec::new(),
            key: Vec::new(),
            fields: Vec::new(),
            fault_field: None,
            filter: None,
            time_zone: None,
        },
        destination: TableName::parse("public.t"),
        columns: Vec::new(),
        id: IdRule::None {
            columns: Vec::new(),
        },
        matches: None,
        on_conflict: ConflictRule::Error,
        faults: Vec::new(),
        orphans: Vec::new(),
        parents: Vec::new(),
        late: Vec::new(),
        knot: Vec::new(),
        snapshot: Vec::new(),
        on_row_error: RowAction::Quarantine,
        settings: EntitySettings {
            batch_size: 1,
            max_quarantined: MaxQuarantined::Rows(0),
            constraints: ConstraintMode::Auto,
        },
        hash: "hash".to_owned(),
    };
    EntityContext {
        transform: RowTransform::new(&compiled, Uuid::nil(), Keys::default()),
        copy: CopyStatements::new(&compiled, 1, false),
        compiled,
        entity_no: 1,
        held: tokio::sync::OnceCell::new(),
        sizer: std::sync::OnceLock::new(),
    }
}

#[tokio::test]
async fn a_commit_that_is_never_answered_has_an_unknown_outcome() {
    let (database, partition) = destination().await;
    let (options, mine) = (database.options().await, fence(partition, 7));
    let behind = options.clone().port(falls_silent_at_a_commit().await);
    let mut connection = connect(&behind, Purpose::Write).await.unwrap();
    take_over(&mut connection, &mine).await.unwrap();
    let (entity, position) = (entity(), start());
    let batch = Batch {
        hi: Some(KeyValue(vec!["1".to_owned()])),
        ..Batch::default()
    };
    let order = BatchWrite {
        entity: &entity,
        fence: &mine,
        position: &position,
        lo: None,
        batch: &batch,
        errors: &[],
        retry_count: 0,
        was_bisected: false,
        retrying: None,
    };
    let begun = Instant::now();
    let patience = WRITE + Duration::from_secs(60);
    let fault = timeout(patience, write(&mut connection, &order)).await;
    resume();
    let fault = fault.expect("it is given up").unwrap_err();
    assert!(matches!(fault, WriteFault::Unknown), "{fault:?}");
    assert!(begun.elapsed() >= WRITE);
    let fate = fate_of_batch(&Server::new(options), &mine, 0).await;
    assert_eq!(fate.unwrap(), Fate::Committed);
}
