//! `WatchMigration`: a snapshot, then what changes, from the stored records and the events.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::Stream;
use proto::domain::record::{
    EntityMigrationStatus, Event, MigrationOrchestration, MigrationStatus,
};
use proto::lease::LeaseStore;
use proto::pb;
use proto::pb::watch_migration_response::Update;
use proto::wire::status as wire_status;
use proto::wire::status::Reason;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use uuid::Uuid;

use super::status;
use crate::manager::Realm;
use crate::store::StoreError;

/// Shortest and usual time between two looks.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
const INTERVAL: Duration = Duration::from_millis(500);
/// A stream that says nothing says that it is alive this often.
const BOOKMARK: Duration = Duration::from_secs(15);
/// A stream ends after this time, give or take a fifth.
const ROTATE: Duration = Duration::from_secs(600);
/// Events that are sent at a time.
const EVENTS: i64 = 500;

type Sent = Result<pb::WatchMigrationResponse, Status>;

/// Why a watch ends.
enum End {
    Said(pb::StreamEndReason, &'static str),
    /// The client is gone.
    Silent,
    Failed(Status),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Failed(status::of_store(&error))
    }
}

/// Begins a watch.
pub(super) async fn open<L: LeaseStore>(
    realm: Realm<L>,
    request: pb::WatchMigrationRequest,
) -> Result<impl Stream<Item = Sent>, Status> {
    let migration = realm
        .find(&request.name)
        .await
        .map_err(status::of_command)?;
    let newest = realm.store.newest_event(migration.id).await;
    let newest = newest.map_err(|error| status::of_store(&error))?;
    let seen = match request.resume_token.as_str() {
        "" => newest,
        token => resumed(token, migration.id, newest)?,
    };
    let (tx, rx) = mpsc::channel(8);
    let watch = Watch {
        id: migration.id,
        interval: interval(request.min_interval)?,
        seen,
        was_under_way: is_under_way(&migration),
        shown: None,
        entities: BTreeMap::new(),
        tx,
    };
    tokio::spawn(watch.run(realm));
    Ok(ReceiverStream::new(rx))
}

fn interval(given: Option<prost_types::Duration>) -> Result<Duration, Status> {
    match given {
        None => Ok(INTERVAL),
        Some(given) => Duration::try_from(given)
            .map(|given| given.max(MIN_INTERVAL))
            .map_err(|_| wire_status::invalid("min_interval", "must not be negative")),
    }
}

/// The event behind a token of this migration.
fn resumed(token: &str, id: Uuid, newest: i64) -> Result<i64, Status> {
    let malformed = || wire_status::invalid("resume_token", "is no token of this migration");
    let text = hex::decode(token)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(malformed)?;
    let (of, seen) = text.split_once(':').ok_or_else(malformed)?;
    let seen: i64 = seen.parse().map_err(|_| malformed())?;
    if of != id.to_string() {
        return Err(malformed());
    }
    if seen > newest {
        return Err(wire_status::status(
            Reason::ResumeTokenExpired,
            "the events behind the token are no longer kept; watch without it",
        ));
    }
    Ok(seen)
}

struct Watch {
    id: Uuid,
    interval: Duration,
    /// The last event that was sent.
    seen: i64,
    was_under_way: bool,
    shown: Option<MigrationOrchestration>,
    entities: BTreeMap<String, EntityMigrationStatus>,
    tx: mpsc::Sender<Sent>,
}

impl Watch {
    async fn run<L: LeaseStore>(mut self, realm: Realm<L>) {
        let (lost, closed) = (realm.leadership.lost.clone(), self.tx.clone());
        let end = tokio::select! {
            biased;
            () = closed.closed() => End::Silent,
            () = lost.cancelled() => {
                End::Said(pb::StreamEndReason::Shutdown, "this controller does not lead any more")
            }
            end = self.follow(&realm) => end,
        };
        match end {
            End::Said(reason, message) => {
                let end = pb::StreamEnd {
                    reason: reason.into(),
                    message: message.to_owned(),
                };
                let _ = self.say(Update::End(end)).await;
            }
            End::Failed(status) => {
                let _ = self.tx.send(Err(status)).await;
            }
            End::Silent => {}
        }
    }

    /// Looks again and again; a slow client gets the latest state when it takes the next message.
    async fn follow<L: LeaseStore>(&mut self, realm: &Realm<L>) -> End {
        let rotate = Instant::now() + ROTATE.mul_f64(0.8 + 0.4 * rand::random::<f64>());
        let mut spoke = Instant::now();
        loop {
            match self.look(realm).await {
                Ok(true) => spoke = Instant::now(),
                Ok(false) => {}
                Err(end) => return end,
            }
            if Instant::now() >= rotate {
                let words = "the stream is old; open another with the last resume token";
                return End::Said(pb::StreamEndReason::Rotate, words);
            }
            if spoke.elapsed() >= BOOKMARK {
                spoke = Instant::now();
                if self.say(Update::Bookmark(pb::Bookmark {})).await.is_err() {
                    return End::Silent;
                }
            }
            tokio::time::sleep(self.interval).await;
        }
    }

    /// Sends what changed; true when something did.
    async fn look<L: LeaseStore>(&mut self, realm: &Realm<L>) -> Result<bool, End> {
        let Some((migration, entities)) = realm.store.whole(self.id).await? else {
            let words = "the migration was deleted";
            return Err(End::Said(pb::StreamEndReason::Deleted, words));
        };
        let events = realm.store.events(self.id, self.seen, EVENTS).await?;
        let mut has_spoken = !events.is_empty();
        if self.shown.is_none() {
            self.snapshot(&migration, &entities).await?;
            has_spoken = true;
        }
        for event in events {
            self.seen = event.id;
            self.tell(event).await?;
        }
        for entity in entities {
            if self.entities.get(&entity.entity) != Some(&entity) {
                self.entities.insert(entity.entity.clone(), entity.clone());
                let message = entity
                    .try_into()
                    .map_err(|error| End::Failed(wire_status::unwritable(&error)))?;
                self.say(Update::Entity(message)).await?;
                has_spoken = true;
            }
        }
        if self.shown.as_ref() != Some(&migration) {
            let message = super::migration::message(migration.clone()).map_err(End::Failed)?;
            self.say(Update::Migration(message)).await?;
            has_spoken = true;
        }
        let is_over = match migration.status {
            MigrationStatus::Completed | MigrationStatus::Failed => true,
            MigrationStatus::Pending => self.was_under_way,
            MigrationStatus::Running | MigrationStatus::RollingBack => false,
        };
        self.was_under_way |= is_under_way(&migration);
        self.shown = Some(migration);
        if is_over {
            return Err(End::Said(
                pb::StreamEndReason::Ended,
                "the migration has ended",
            ));
        }
        Ok(has_spoken)
    }

    async fn snapshot(
        &mut self,
        migration: &MigrationOrchestration,
        entities: &[EntityMigrationStatus],
    ) -> Result<(), End> {
        self.shown = Some(migration.clone());
        self.entities = entities
            .iter()
            .map(|entity| (entity.entity.clone(), entity.clone()))
            .collect();
        let snapshot = pb::MigrationSnapshot {
            migration: Some(super::migration::message(migration.clone()).map_err(End::Failed)?),
            entities: super::lists::messages(entities.to_vec()).map_err(End::Failed)?,
        };
        self.say(Update::Snapshot(snapshot)).await
    }

    async fn tell(&self, event: Event) -> Result<(), End> {
        let message = event
            .try_into()
            .map_err(|error| End::Failed(wire_status::unwritable(&error)))?;
        self.say(Update::Event(message)).await
    }

    async fn say(&self, update: Update) -> Result<(), End> {
        let message = pb::WatchMigrationResponse {
            resume_token: hex::encode(format!("{}:{}", self.id, self.seen)),
            update: Some(update),
        };
        self.tx.send(Ok(message)).await.map_err(|_| End::Silent)
    }
}

fn is_under_way(migration: &MigrationOrchestration) -> bool {
    matches!(
        migration.status,
        MigrationStatus::Running | MigrationStatus::RollingBack
    )
}
