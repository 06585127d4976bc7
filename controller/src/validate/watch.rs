//! The leader's validations: every one that is under way is worked on, and no other is.

use std::collections::HashMap;

use proto::domain::failure::{Failure, FailureKind};
use proto::domain::record::ValidationRun;
use proto::lease::LeaseStore;
use proto::runtime::backoff::Backoff;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use super::drive::Validator;
use crate::manager::Realm;
use crate::tend;

const BACKOFF: Backoff = Backoff::new(
    std::time::Duration::from_millis(500),
    std::time::Duration::from_secs(15),
);

/// Looks after validations.
#[derive(Default)]
pub struct Validations {
    tasks: HashMap<Uuid, JoinHandle<Result<ValidationRun, Failure>>>,
    /// Tries of one that failed, and when it is begun anew.
    troubles: HashMap<Uuid, (u32, Instant)>,
}

impl Validations {
    /// Takes in those that ended, and begins those that are not worked on.
    pub async fn look<L: LeaseStore>(&mut self, realm: &Realm<L>) {
        self.collect().await;
        let running = match realm.store.running_validations().await {
            Ok(running) => running,
            Err(error) => {
                warn!(reason = %error.failure(), "validations cannot be read");
                return;
            }
        };
        self.troubles
            .retain(|id, _| running.iter().any(|run| run.id == *id));
        for run in running {
            let trouble = self.troubles.get(&run.id);
            let is_due = trouble.is_none_or(|(_, not_before)| *not_before <= Instant::now());
            if is_due && !self.tasks.contains_key(&run.id) {
                let id = run.id;
                let task = tokio::spawn(work(realm.clone(), run));
                self.tasks.insert(id, task);
            }
        }
    }

    /// Lets all go at once; they are taken up by whoever leads next.
    pub async fn abandon(&mut self) {
        for (_, task) in self.tasks.drain() {
            task.abort();
            let _ = task.await;
        }
    }

    async fn collect(&mut self) {
        let ended = self.tasks.iter().filter(|(_, task)| task.is_finished());
        let ended: Vec<Uuid> = ended.map(|(id, _)| *id).collect();
        for id in ended {
            let Some(task) = self.tasks.remove(&id) else {
                continue;
            };
            let reason = match task.await {
                Ok(Ok(_)) => continue,
                Ok(Err(failure)) => failure.to_string(),
                Err(error) => error.to_string(),
            };
            warn!(validation_id = %id, reason, "a validation is begun anew in a while");
            let tries = self.troubles.get(&id).map_or(1, |(tries, _)| tries + 1);
            let delay = BACKOFF.delay(tries, rand::random());
            self.troubles.insert(id, (tries, Instant::now() + delay));
        }
    }
}

async fn work<L: LeaseStore>(
    realm: Realm<L>,
    run: ValidationRun,
) -> Result<ValidationRun, Failure> {
    let migration = realm
        .store
        .migration(run.migration_id)
        .await
        .map_err(|error| error.failure())?;
    let crew = tend::crew(&realm, &migration)?;
    crew.vet().await;
    let plan = realm
        .store
        .plan(migration.id)
        .await
        .map_err(|error| error.failure())?;
    let compiled = plan.and_then(|plan| plan.compiled).ok_or_else(|| {
        let words = "the migration's plan was stored by another version";
        Failure::new(FailureKind::PlanChanged, words)
    })?;
    let validator = Validator {
        crew,
        store: realm.store.clone(),
        compiled,
        migration,
        run,
    };
    let (view, _) = watch::channel((0, 0));
    let ended = validator.drive(view, &CancellationToken::new()).await;
    realm.poke.notify_one();
    ended
}
