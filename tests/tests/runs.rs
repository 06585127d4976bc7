//! An agent takes a run up: only where its connections lead to the recorded databases, and again after a
//! failure that passes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agent::connect::{Purpose, open};
use agent::desk::Desk;
use agent::pool::Server;
use agent::sink::install::open_installed;
use agent::sink::state::identify;
use agent::source::read::begin;
use anyhow::Result;
use drover_tests::pg::{self, TestDatabase};
use proto::domain::compiled::{CompiledPlan, Consistency, Limits};
use proto::domain::failure::FailureKind;
use proto::domain::frame::{DatabaseIdentity, RunOrder};
use sqlx::postgres::PgConnectOptions;
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

const MIGRATION: Uuid = Uuid::from_u128(0xA1);

/// Two databases, and where they are.
struct World {
    legacy: TestDatabase,
    app: TestDatabase,
    source: DatabaseIdentity,
    destination: DatabaseIdentity,
}

async fn world() -> Result<World> {
    let (legacy, app) = (TestDatabase::new().await?, TestDatabase::new().await?);
    open_installed(&Server::new(app.options().await)).await?;
    Ok(World {
        source: identify(&mut legacy.connect().await).await?,
        destination: identify(&mut app.connect().await).await?,
        legacy,
        app,
    })
}

impl World {
    fn order(&self) -> RunOrder {
        RunOrder {
            migration_id: MIGRATION,
            attempt: 1,
            run_now: chrono::DateTime::UNIX_EPOCH,
            plan: CompiledPlan {
                name: "demo".to_owned(),
                namespace: Uuid::nil(),
                source: "legacy".to_owned(),
                destination: "app".to_owned(),
                consistency: Consistency::None,
                limits: Limits {
                    parallel_partitions: 1,
                    max_retries: 1,
                    max_rows_per_second: None,
                    source_max_lag_seconds: None,
                },
                checks: Vec::new(),
                has_own_checks: false,
                warnings: Vec::new(),
                is_cleanup: false,
                schema_changes: Vec::new(),
                entities: Vec::new(),
            },
            source: self.source.clone(),
            destination: self.destination.clone(),
            snapshot: None,
        }
    }

    async fn desk(&self, app: PgConnectOptions) -> Arc<Desk> {
        let connections = BTreeMap::from([
            ("legacy".to_owned(), self.legacy.options().await),
            ("app".to_owned(), app),
        ]);
        Arc::new(Desk::new(Uuid::new_v4(), connections))
    }
}

/// A way to the server that is open only while it is told so; its port.
async fn gate(is_open: Arc<AtomicBool>) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (port, upstream) = (listener.local_addr()?.port(), pg::server().await.port);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            if !is_open.load(Ordering::SeqCst) {
                continue;
            }
            tokio::spawn(async move {
                let mut server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    Ok(port)
}

#[tokio::test]
async fn a_run_that_could_not_be_taken_up_is_tried_again() -> Result<()> {
    let world = world().await?;
    let is_open = Arc::new(AtomicBool::new(false));
    let port = gate(is_open.clone()).await?;
    let desk = world.desk(world.app.options().await.port(port)).await;
    desk.begin_run(world.order());
    let failed = desk.run(MIGRATION).await.err().map(|failure| failure.kind);
    assert_eq!(failed, Some(FailureKind::Unreachable));
    is_open.store(true, Ordering::SeqCst);
    desk.run(MIGRATION).await?;
    Ok(())
}

#[tokio::test]
async fn a_connection_that_leads_elsewhere_takes_up_no_run_and_reads_nothing() -> Result<()> {
    let world = world().await?;
    let desk = world.desk(world.app.options().await).await;
    let kind = |failure: Option<proto::domain::failure::Failure>| failure.map(|it| it.kind);
    let mut order = world.order();
    order.destination.timeline += 1;
    desk.begin_run(order);
    let refused = kind(desk.run(MIGRATION).await.err());
    assert_eq!(refused, Some(FailureKind::IdentityChanged));
    let mut order = world.order();
    order.source.system_identifier = "7".to_owned();
    desk.begin_run(order);
    let refused = kind(begin(&*desk.run(MIGRATION).await?, None).await.err());
    assert_eq!(refused, Some(FailureKind::IdentityChanged));
    desk.begin_run(world.order());
    begin(&*desk.run(MIGRATION).await?, None).await?;
    Ok(())
}

#[tokio::test]
async fn a_full_server_is_busy_and_not_at_its_end() -> Result<()> {
    let world = world().await?;
    world
        .app
        .run(&format!(
            "alter database {} connection limit 0; create role visitor login password '{}'",
            world.app.name,
            pg::PASSWORD
        ))
        .await?;
    let visitor = world.app.options().await.username("visitor");
    let refused = open(&Server::new(visitor), Purpose::Write)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, FailureKind::Busy, "{refused}");
    assert!(refused.is_passing());
    Ok(())
}
