//! The leader's loop: every migration that is under way has a supervisor, and no other has.
//!
//! Level-triggered: a command stores what is wished and pokes; the loop reads the whole state and acts, on
//! a poke as on a timer. A supervisor that failed is begun anew after a while; what it could not store is
//! still at the destinations.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use proto::domain::failure::FailureKind;
use proto::domain::record::{Activity, MigrationOrchestration, MigrationStatus};
use proto::lease::{Leadership, LeaseStore, LeaseTimes};
use proto::runtime::backoff::Backoff;
use proto::runtime::clock;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use crate::fleet::Fleet;
use crate::progress::ProgressView;
use crate::reconcile::Wish;
use crate::schema::SchemaJobs;
use crate::store::Store;
use crate::tend::{Tended, tend, tend_retries};
use crate::validate::watch::Validations;

/// The whole state is looked at this often at least.
const LOOK: Duration = Duration::from_secs(2);
/// And not more often than this, however much changes.
const REST: Duration = Duration::from_millis(100);
/// A supervisor that lasted so long was not stopped by what stopped the one before.
const STABLE: Duration = Duration::from_secs(600);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(15));

/// What a leader works with. Clones are the same realm.
pub struct Realm<L> {
    /// The metadata, under the leader's epoch.
    pub store: Store,
    /// The agents.
    pub fleet: Fleet,
    /// The lease store.
    pub lease: Arc<L>,
    /// The leadership.
    pub leadership: Leadership,
    /// How long leases live.
    pub times: LeaseTimes,
    /// Wakes the manager.
    pub poke: Arc<Notify>,
    /// Schema work behind calls.
    pub schema: SchemaJobs,
}

impl<L> Clone for Realm<L> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            fleet: self.fleet.clone(),
            lease: self.lease.clone(),
            leadership: self.leadership.clone(),
            times: self.times,
            poke: self.poke.clone(),
            schema: self.schema.clone(),
        }
    }
}

/// A migration that is looked after.
struct Run {
    /// What it is looked after for: running and rolling back have supervisors of their own.
    status: MigrationStatus,
    wish: watch::Sender<Wish>,
    view: watch::Receiver<ProgressView>,
    task: JoinHandle<Tended>,
    begun: Instant,
}

/// When a migration whose supervisor failed is looked after again.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    tries: u32,
    not_before: Instant,
}

/// Views of the runs that are under way, by migration: what is not stored of their progress.
pub type Views = HashMap<Uuid, watch::Receiver<ProgressView>>;

/// Looks after all migrations of a leader.
pub struct Manager<L> {
    realm: Realm<L>,
    runs: HashMap<Uuid, Run>,
    troubles: HashMap<Uuid, Trouble>,
    views: watch::Sender<Views>,
    validations: Validations,
}

impl<L: LeaseStore> Manager<L> {
    /// A manager that has not looked yet, and where its runs can be seen.
    pub fn new(realm: Realm<L>) -> (Self, watch::Receiver<Views>) {
        let (views, seen) = watch::channel(Views::new());
        let manager = Self {
            realm,
            runs: HashMap::new(),
            troubles: HashMap::new(),
            views,
            validations: Validations::default(),
        };
        (manager, seen)
    }

    /// Looks after migrations until the leadership is lost or `stop` is cancelled; agents go on by
    /// themselves then.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let lost = self.realm.leadership.lost.clone();
        let mut changes = self.realm.lease.changes();
        loop {
            tokio::select! {
                biased;
                () = lost.cancelled() => break,
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
                () = self.realm.poke.notified() => {}
                Ok(()) = changes.changed() => {}
            }
            let look = async {
                self.look().await;
                sleep(REST).await;
            };
            // A server that hangs must not keep a deposed leader here.
            tokio::select! {
                biased;
                () = lost.cancelled() => break,
                () = stop.cancelled() => break,
                () = look => {}
            }
        }
        self.abandon().await;
    }

    async fn look(&mut self) {
        self.expel_lapsed().await;
        self.collect().await;
        let active = match self.realm.store.active_migrations().await {
            Ok(active) => active,
            Err(error) => {
                warn!(reason = %error.failure(), "migrations cannot be read");
                return;
            }
        };
        for migration in &active {
            self.heed(migration);
        }
        let mut ids: BTreeSet<Uuid> = active.iter().map(|migration| migration.id).collect();
        ids.extend(self.heed_retries().await);
        for (_, run) in self.runs.iter().filter(|(id, _)| !ids.contains(id)) {
            run.wish.send_if_modified(|wish| replace(wish, Wish::Stop));
        }
        self.troubles.retain(|id, _| ids.contains(id));
        self.validations.look(&self.realm).await;
        // A paused or blocked one still needs its snapshot.
        match self.realm.store.under_way().await {
            Ok(under_way) => self.realm.fleet.tidy(&under_way),
            Err(error) => warn!(reason = %error.failure(), "migrations cannot be read"),
        }
    }

    /// Brings a migration's supervisor in line with what is stored.
    fn heed(&mut self, migration: &MigrationOrchestration) {
        let wanted = match migration.activity {
            Some(Activity::Pausing) => Wish::Pause,
            Some(Activity::Running) => Wish::Run,
            Some(Activity::Paused | Activity::Blocked) | None => return,
        };
        if let Some(run) = self.runs.get(&migration.id) {
            if run.status != migration.status {
                // What agents still do for it is sealed by the next one.
                run.wish
                    .send_if_modified(|wish| replace(wish, Wish::Abandon));
                return;
            }
            run.wish.send_if_modified(|wish| replace(wish, wanted));
            return;
        }
        let trouble = self.troubles.get(&migration.id).copied();
        if trouble.is_some_and(|trouble| trouble.not_before > Instant::now()) {
            return;
        }
        info!(migration_id = %migration.id, name = %migration.name, "a supervisor begins");
        let (wish, wishes) = watch::channel(wanted);
        let (show, view) = watch::channel(ProgressView::default());
        let tries = trouble.map_or(0, |trouble| trouble.tries);
        let tending = tend(self.realm.clone(), migration.clone(), (wishes, show), tries);
        let task = tokio::spawn(tending);
        let begun = Instant::now();
        let run = Run {
            status: migration.status,
            wish,
            view,
            task,
            begun,
        };
        self.runs.insert(migration.id, run);
        self.publish();
    }

    /// Has rows tried again of migrations that stand still; those that are seen to.
    async fn heed_retries(&mut self) -> Vec<Uuid> {
        let waiting = match self.realm.store.waiting_retries().await {
            Ok(waiting) => waiting,
            Err(error) => {
                warn!(reason = %error.failure(), "retries cannot be read");
                return Vec::new();
            }
        };
        for id in &waiting {
            let trouble = self.troubles.get(id).copied();
            let must_wait = trouble.is_some_and(|trouble| trouble.not_before > Instant::now());
            if must_wait || self.runs.contains_key(id) {
                continue;
            }
            let Ok(migration) = self.realm.store.migration(*id).await else {
                continue;
            };
            info!(migration_id = %id, name = %migration.name, "rows are tried again");
            let (wish, wishes) = watch::channel(Wish::Run);
            let (show, view) = watch::channel(ProgressView::default());
            let status = migration.status;
            let tending = tend_retries(self.realm.clone(), migration, (wishes, show));
            let run = Run {
                status,
                wish,
                view,
                task: tokio::spawn(tending),
                begun: Instant::now(),
            };
            self.runs.insert(*id, run);
            self.publish();
        }
        waiting
    }

    /// Takes in the supervisors that ended.
    async fn collect(&mut self) {
        let ended: Vec<Uuid> = self
            .runs
            .iter()
            .filter(|(_, run)| run.task.is_finished())
            .map(|(id, _)| *id)
            .collect();
        for id in &ended {
            let Some(run) = self.runs.remove(id) else {
                continue;
            };
            if run.begun.elapsed() >= STABLE {
                self.troubles.remove(id);
            }
            match run.task.await {
                Ok(Tended::Ended) => {
                    self.troubles.remove(id);
                }
                Ok(Tended::Failed(failure)) => {
                    warn!(migration_id = %id, reason = %failure, "a supervisor is begun anew in a while");
                    self.note_trouble(*id, failure.kind != FailureKind::NoAgent);
                }
                Err(error) => {
                    warn!(migration_id = %id, %error, "a supervisor ended by itself");
                    self.note_trouble(*id, true);
                }
            }
        }
        if !ended.is_empty() {
            self.publish();
        }
    }

    /// Waiting for agents is no try.
    fn note_trouble(&mut self, id: Uuid, is_try: bool) {
        let before = self.troubles.get(&id).map_or(0, |trouble| trouble.tries);
        let tries = before + u32::from(is_try);
        let delay = BACKOFF.delay(tries.max(1), rand::random());
        let trouble = Trouble {
            tries,
            not_before: Instant::now() + delay,
        };
        self.troubles.insert(id, trouble);
    }

    fn publish(&self) {
        let views = self.runs.iter().map(|(id, run)| (*id, run.view.clone()));
        self.views.send_replace(views.collect());
    }

    /// Hangs up on agents whose leases are gone, and notes how far the lease store is.
    async fn expel_lapsed(&self) {
        let (agents, cluster) = match (
            self.realm.lease.agents().await,
            self.realm.lease.cluster().await,
        ) {
            (Ok(agents), Ok(cluster)) => (agents, cluster),
            // Nobody can tell now; streams tell by themselves.
            (Err(error), _) | (_, Err(error)) => {
                warn!(reason = %error, "the lease store cannot be read");
                return;
            }
        };
        let noted = self
            .realm
            .store
            .note_revision(&cluster.cluster_id, cluster.revision)
            .await;
        if let Err(error) = noted {
            warn!(reason = %error.failure(), "the revision cannot be noted");
        }
        let alive: BTreeSet<Uuid> = agents.iter().map(|agent| agent.holder).collect();
        let now = clock::now();
        for member in self.realm.fleet.members() {
            // One that has just dialled may still be joining.
            let is_new = (now - member.connected_at)
                .to_std()
                .is_ok_and(|age| age < self.realm.times.agent);
            if member.is_connected && !is_new && !alive.contains(&member.holder) {
                warn!(agent = %member.name, "an agent's lease is gone");
                self.realm.fleet.expel(member.holder);
            }
        }
    }

    async fn abandon(&mut self) {
        self.validations.abandon().await;
        self.realm.schema.abandon();
        for run in self.runs.values() {
            run.wish.send_replace(Wish::Abandon);
        }
        for (_, run) in self.runs.drain() {
            // It writes nothing any more: its epoch is over, or this process ends.
            run.task.abort();
            let _ = run.task.await;
        }
    }
}

fn replace(wish: &mut Wish, wanted: Wish) -> bool {
    let is_other = *wish != wanted;
    *wish = wanted;
    is_other
}
