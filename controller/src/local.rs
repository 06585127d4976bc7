//! What an operator wished of a migration, brought about without a controller: by one process with one agent, as
//! long as that takes. Whoever runs the migration already does it instead.

use std::sync::Arc;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::record::{Activity, MigrationOrchestration};
use proto::lease::{Candidate, LeaseStore, LeaseTimes, MemoryLeaseStore};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::era::lease_failure;
use crate::fleet::{AgentLink, Fleet};
use crate::manager::Realm;
use crate::progress::ProgressView;
use crate::reconcile::Wish;
use crate::schema::SchemaJobs;
use crate::store::Store;
use crate::tend::{Tended, tend, tend_retries};

/// Tries of a failure that may pass are the caller's: it is told the first.
const TRIES: u32 = u32::MAX;

/// Stops a migration that is pausing; of one that stands still it tries rows again that wait for that.
///
/// # Errors
/// Why it did not come about; it may be tried again. `AlreadyRunning` where another process runs it.
pub async fn bring_about(
    store: Store,
    migration: MigrationOrchestration,
    (lease, link): (Arc<MemoryLeaseStore>, AgentLink),
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let fleet = Fleet::new(Uuid::new_v4(), 0);
    let stay = fleet
        .greet(link)
        .await
        .map_err(|refusal| Failure::new(FailureKind::NoAgent, refusal.to_string()))?;
    let stay = tokio::spawn(stay.serve());
    let candidate = Candidate {
        controller_id: Uuid::new_v4(),
        address: String::new(),
    };
    let leadership = lease
        .campaign(candidate, shutdown.clone())
        .await
        .map_err(|error| lease_failure(&error))?;
    let realm = Realm {
        store,
        fleet,
        lease,
        leadership,
        times: LeaseTimes::default(),
        poke: Arc::new(Notify::new()),
        schema: SchemaJobs::default(),
    };
    let is_stopping = migration.activity == Some(Activity::Pausing);
    let first = if is_stopping { Wish::Pause } else { Wish::Run };
    let (wish, wishes) = watch::channel(first);
    let (view, _seen) = watch::channel(ProgressView::default());
    let tended = async {
        match is_stopping {
            true => Box::pin(tend(realm, migration, (wishes, view), TRIES)).await,
            false => Box::pin(tend_retries(realm, migration, (wishes, view))).await,
        }
    };
    tokio::pin!(tended);
    let tended = tokio::select! {
        biased;
        tended = &mut tended => tended,
        () = shutdown.cancelled() => {
            let _ = wish.send(Wish::Stop);
            tended.await
        }
    };
    stay.abort();
    match tended {
        Tended::Ended => Ok(()),
        Tended::Failed(failure) => Err(failure),
    }
}
