//! The fence against a real PostgreSQL: who was overtaken writes nothing, a doubled batch is one.

use agent::pool::Server;
use agent::sink::fence::{self, Fate, Fence, Position, fate_of_batch};
use agent::sink::install::open_installed;
use agent::sink::seal::seal;
use agent::sink::write::{Advance, advance_call};
use drover_tests::pg::TestDatabase;
use proto::domain::failure::FailureKind;
use proto::domain::frame::Counts;
use proto::domain::key::KeyValue;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use std::time::Duration;
use uuid::Uuid;

/// A destination with one entity and one partition, and a table without any key.
pub(super) async fn destination() -> (TestDatabase, Uuid) {
    let database = TestDatabase::new().await.unwrap();
    open_installed(&Server::new(database.options().await))
        .await
        .unwrap();
    let partition = Uuid::new_v4();
    database
        .run(&format!(
            "create table public.t (id uuid, n integer);
             insert into drover.migration (migration_id, name, namespace, attempt, run_now, source, destination)
                 values ('{0}', 'm', '{0}', 1, now(), '{{}}', '{{}}');
             insert into drover.entity (migration_id, entity, entity_type, source_table, destination_schema,
                 destination_table, entity_hash, id_kind, key_shape, is_rebuilt, had_rows)
                 values ('{0}', 'e', 'e', 's', 'public', 't', 'hash', 'uuid5', 'int8', true, false);
             select drover.create_id_map(1);
             insert into drover.partition (partition_id, entity_no, attempt, number, entity_hash)
                 values ('{0}', 1, 1, 0, 'hash')",
            partition
        ))
        .await
        .unwrap();
    (database, partition)
}

pub(super) fn fence(partition_id: Uuid, token: i64) -> Fence {
    Fence {
        partition_id,
        attempt: 1,
        token,
        holder: Uuid::from_u128(token.unsigned_abs().into()),
        entity_hash: "hash".into(),
    }
}

async fn take_over(
    options: &sqlx::postgres::PgConnectOptions,
    fence: &Fence,
) -> Result<Position, proto::domain::failure::Failure> {
    use sqlx::ConnectOptions;
    fence::take_over(&mut options.connect().await.unwrap(), fence).await
}

pub(super) fn start() -> Position {
    Position {
        seq: 0,
        cursor: None,
        is_done: false,
    }
}

/// One row and the advance that commits it.
fn batch(fence: &Fence, position: &Position) -> String {
    let hi = KeyValue(vec![(position.seq + 1).to_string()]);
    let call = advance_call(&Advance {
        fence,
        position,
        lo: position.cursor.as_ref(),
        hi: Some(&hi),
        counts: Counts {
            read: 1,
            written: 1,
            ..Counts::default()
        },
        is_last: false,
        retry_count: 0,
        was_bisected: false,
    });
    format!("insert into public.t values (gen_random_uuid(), 1); select 1 from {call}; commit")
}

async fn write(database: &TestDatabase, fence: &Fence, position: &Position) -> Result<(), String> {
    let mut connection = database.connect().await;
    let begin = format!("begin; set local application_name = '{}'", fence.marker());
    connection.execute(sqlx::raw_sql(&begin)).await.unwrap();
    let outcome = connection
        .execute(sqlx::raw_sql(&batch(fence, position)))
        .await;
    outcome.map(drop).map_err(|error| {
        error
            .as_database_error()
            .and_then(|e| e.code())
            .map(|c| c.into_owned())
            .unwrap_or_default()
    })
}

#[tokio::test]
async fn only_a_strictly_higher_token_takes_over() {
    let (database, partition) = destination().await;
    let options = database.options().await;
    assert_eq!(
        take_over(&options, &fence(partition, 7)).await.unwrap(),
        start()
    );
    for token in [7, 6] {
        let refused = take_over(&options, &fence(partition, token))
            .await
            .unwrap_err();
        assert_eq!(refused.kind, FailureKind::Fenced);
    }
    let other = Fence {
        entity_hash: "other".into(),
        ..fence(partition, 8)
    };
    assert_eq!(
        take_over(&options, &other).await.unwrap_err().kind,
        FailureKind::PlanChanged
    );
}

#[tokio::test]
async fn an_overtaken_agent_writes_nothing() {
    let (database, partition) = destination().await;
    let options = database.options().await;
    let (old, new) = (fence(partition, 7), fence(partition, 8));
    take_over(&options, &old).await.unwrap();
    write(&database, &old, &start()).await.unwrap();
    let position = take_over(&options, &new).await.unwrap();
    assert_eq!(
        (position.seq, position.cursor.clone()),
        (1, Some(KeyValue(vec!["1".into()])))
    );
    assert_eq!(write(&database, &old, &position).await, Err("DR001".into()));
    write(&database, &new, &position).await.unwrap();
    assert_eq!(
        database
            .number("select count(*) from public.t")
            .await
            .unwrap(),
        2
    );
    let refused = fate_of_batch(&Server::new(options.clone()), &old, 1)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, FailureKind::Fenced);
}

/// The target has no key here, as during every load: nothing but the compare-and-set stops a batch
/// that is sent twice.
#[tokio::test]
async fn a_doubled_batch_is_written_once() {
    let (database, partition) = destination().await;
    let mine = fence(partition, 7);
    take_over(&database.options().await, &mine).await.unwrap();
    write(&database, &mine, &start()).await.unwrap();
    assert_eq!(write(&database, &mine, &start()).await, Err("DR001".into()));
    assert_eq!(
        database
            .number("select count(*) from public.t")
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        database
            .number("select count(*) from drover.ledger")
            .await
            .unwrap(),
        1
    );
    let fate = |seq| {
        let (database, mine) = (database.clone(), mine.clone());
        async move {
            fate_of_batch(&Server::new(database.options().await), &mine, seq)
                .await
                .unwrap()
        }
    };
    assert_eq!(fate(0).await, Fate::Committed);
    assert_eq!(fate(1).await, Fate::NotCommitted);
}

/// What the test above would miss if the compare-and-set compared less: each of its parts counts.
#[tokio::test]
async fn every_part_of_the_compare_and_set_is_needed() {
    let (database, partition) = destination().await;
    let mine = fence(partition, 7);
    take_over(&database.options().await, &mine).await.unwrap();
    write(&database, &mine, &start()).await.unwrap();
    let now = Position {
        seq: 1,
        cursor: Some(KeyValue(vec!["1".into()])),
        is_done: false,
    };
    let cases = [
        (
            "token",
            Fence {
                token: 6,
                ..mine.clone()
            },
            now.clone(),
        ),
        (
            "holder",
            Fence {
                holder: Uuid::nil(),
                ..mine.clone()
            },
            now.clone(),
        ),
        (
            "attempt",
            Fence {
                attempt: 2,
                ..mine.clone()
            },
            now.clone(),
        ),
        (
            "hash",
            Fence {
                entity_hash: "other".into(),
                ..mine.clone()
            },
            now.clone(),
        ),
        (
            "seq",
            mine.clone(),
            Position {
                seq: 0,
                ..now.clone()
            },
        ),
        (
            "cursor",
            mine.clone(),
            Position {
                cursor: None,
                ..now.clone()
            },
        ),
    ];
    for (part, fence, position) in cases {
        assert_eq!(
            write(&database, &fence, &position).await,
            Err("DR001".into()),
            "{part}"
        );
    }
    database
        .run("update drover.partition set mode = 'paused'")
        .await
        .unwrap();
    assert_eq!(
        write(&database, &mine, &now).await,
        Err("DR001".into()),
        "mode"
    );
    database
        .run("update drover.partition set mode = 'run'")
        .await
        .unwrap();
    write(&database, &mine, &now).await.unwrap();
}

/// A frozen client: its transaction is open with rows in it when the heir comes.
#[tokio::test]
async fn a_takeover_ends_the_backend_that_still_works_on_the_partition() {
    let (database, partition) = destination().await;
    let options = database.options().await;
    let old = fence(partition, 7);
    take_over(&options, &old).await.unwrap();
    let mut frozen = database.connect().await;
    let begin = format!(
        "begin; set local application_name = '{}'; insert into public.t values (gen_random_uuid(), 1)",
        old.marker()
    );
    frozen.execute(sqlx::raw_sql(&begin)).await.unwrap();
    let other = fence(Uuid::new_v4(), 7);
    let mut bystander = database.connect().await;
    let begin = format!("begin; set local application_name = '{}'", other.marker());
    bystander.execute(sqlx::raw_sql(&begin)).await.unwrap();

    take_over(&options, &fence(partition, 8)).await.unwrap();

    assert!(
        frozen.execute(sqlx::raw_sql("select 1")).await.is_err(),
        "its backend is gone"
    );
    assert!(
        bystander.ping().await.is_ok(),
        "a worker of another partition is left alone"
    );
    assert_eq!(
        database
            .number("select count(*) from public.t")
            .await
            .unwrap(),
        0
    );
}

/// The old holder sits on the fence row itself, as between `advance` and COMMIT.
#[tokio::test]
async fn a_takeover_gets_past_a_holder_that_sits_on_the_row() {
    let (database, partition) = destination().await;
    let options = database.options().await;
    let old = fence(partition, 7);
    take_over(&options, &old).await.unwrap();
    let mut frozen = database.connect().await;
    let begin = format!("begin; set local application_name = '{}'", old.marker());
    frozen.execute(sqlx::raw_sql(&begin)).await.unwrap();
    let uncommitted = batch(&old, &start()).replace("; commit", "");
    frozen.execute(sqlx::raw_sql(&uncommitted)).await.unwrap();
    let position = take_over(&options, &fence(partition, 8)).await.unwrap();
    assert_eq!(position, start());
}

/// A backend at work on the partition under this fence.
async fn worker(database: &TestDatabase, fence: &Fence) -> PgConnection {
    let mut connection = database.connect().await;
    let begin = format!("begin; set local application_name = '{}'", fence.marker());
    connection.execute(sqlx::raw_sql(&begin)).await.unwrap();
    connection
}

#[tokio::test]
async fn a_seal_ends_workers_of_lower_tokens_only() {
    let (database, partition) = destination().await;
    let present = fence(partition, 7);
    take_over(&database.options().await, &present)
        .await
        .unwrap();
    let mut working = worker(&database, &present).await;
    let mut connection = database.connect().await;
    for late in [6, 7] {
        let refused = seal(&mut connection, &[partition], 1, late)
            .await
            .unwrap_err();
        assert_eq!(refused.kind, FailureKind::Busy);
        working.ping().await.unwrap();
    }
    seal(&mut connection, &[partition], 1, 8).await.unwrap();
    assert!(working.ping().await.is_err(), "its backend is gone");
    assert_eq!(
        write(&database, &present, &start()).await,
        Err("DR001".into())
    );
}

#[tokio::test]
async fn a_seal_gets_past_a_holder_that_sits_on_the_row() {
    let (database, partition) = destination().await;
    let old = fence(partition, 7);
    take_over(&database.options().await, &old).await.unwrap();
    let mut frozen = worker(&database, &old).await;
    let uncommitted = batch(&old, &start()).replace("; commit", "");
    frozen.execute(sqlx::raw_sql(&uncommitted)).await.unwrap();
    let mut connection = database.connect().await;
    seal(&mut connection, &[partition], 1, 8).await.unwrap();
    assert!(frozen.ping().await.is_err(), "its backend is gone");
}

/// Without TCP_NODELAY a small COPY waits 40 ms for a delayed acknowledgement.
#[tokio::test]
async fn a_small_copy_does_not_wait_for_nagle() {
    let (database, _) = destination().await;
    let mut connection = database.connect().await;
    let mut fastest = Duration::MAX;
    for _ in 0..20 {
        let begun = tokio::time::Instant::now();
        agent::sink::copy::copy_rows(
            &mut connection,
            "copy public.t (n) from stdin (format binary)",
            b"",
        )
        .await
        .unwrap();
        fastest = fastest.min(begun.elapsed());
    }
    assert!(fastest < Duration::from_millis(20), "{fastest:?}");
}
