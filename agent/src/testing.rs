//! What tests of this crate have in common: a database that never answers, and a run of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proto::domain::compiled::{CompiledPlan, Consistency, Limits};
use proto::domain::frame::{DatabaseIdentity, RunOrder};
use sqlx::postgres::PgConnectOptions;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::desk::Desk;

/// The migration of [`run_order`].
pub(crate) const MIGRATION: Uuid = Uuid::from_u128(0xA1);

/// A server that takes connections and says nothing.
pub(crate) async fn silent_server() -> (TcpListener, PgConnectOptions) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username("nobody");
    (listener, options)
}

/// A desk with the connections `legacy` and `app`.
pub(crate) fn desk(options: &PgConnectOptions) -> Arc<Desk> {
    let connections = ["legacy", "app"].map(|name| (name.to_owned(), options.clone()));
    Arc::new(Desk::new(Uuid::from_u128(1), BTreeMap::from(connections)))
}

/// A run without entities.
pub(crate) fn run_order() -> RunOrder {
    let identity = DatabaseIdentity {
        system_identifier: "7".to_owned(),
        database: "clinic".to_owned(),
        timeline: 1,
    };
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
        source: identity.clone(),
        destination: identity,
        snapshot: None,
    }
}

/// Fails the test instead of hanging it.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future)
        .await
        .expect("in time")
}
