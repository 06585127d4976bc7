//! A migration as it changes: one stream after the other, until the controller says that it is over.
//!
//! A stream that is cut, falls silent or comes to its age is opened again where the last one stopped,
//! at whichever controller answers. It never ends without a word.

use std::time::Duration;

use proto::domain::record::{EntityMigrationStatus, Event, MigrationOrchestration};
use proto::pb;
use proto::pb::watch_migration_response::Update as Message;
use proto::wire::status::{Reason, Refusal};
use tokio::time::{Instant, timeout};
use tonic::{Code, Status, Streaming};

use super::ask::BACKOFF;
use super::connection::Connection;
use super::migration::client;
use super::{record, records, stop};
use crate::render::migration::Report;
use crate::stop::Stop;

/// A stream says something every 15 s; one that does not for so long is dead.
const SILENCE: Duration = Duration::from_secs(45);
/// A stream that lived so long was a good one: the next delay is short again.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// What happened.
#[derive(Debug)]
pub enum Update {
    /// Everything, as it is now; again after each lost stream.
    Snapshot(Box<Report>),
    /// The migration's own record changed.
    Migration(Box<MigrationOrchestration>),
    /// One entity changed.
    Entity(Box<EntityMigrationStatus>),
    /// Something worth telling happened.
    Event(Event),
    /// Nothing more will happen by itself.
    Ended,
    /// The migration is gone.
    Deleted,
    /// The stream is lost, in words; another one is looked for.
    Lost(String),
}

/// A watch of one migration.
#[derive(Debug)]
pub struct Watch<'a> {
    connection: &'a Connection,
    name: String,
    token: String,
    stream: Option<Streaming<pb::WatchMigrationResponse>>,
    opened: Instant,
    is_again: bool,
    /// Lost streams since the last good one.
    lost: u32,
    /// No delay before the next stream.
    is_prompt: bool,
}

impl<'a> Watch<'a> {
    /// Opens nothing yet.
    pub(super) fn new(connection: &'a Connection, name: String) -> Self {
        Self {
            connection,
            name,
            token: String::new(),
            stream: None,
            opened: Instant::now(),
            is_again: false,
            lost: 0,
            is_prompt: true,
        }
    }

    /// Waits for what happens next. Must not be called again after `Ended` or `Deleted`.
    ///
    /// An error is final: nobody answers for long, or the watch is refused.
    pub async fn next(&mut self) -> Result<Update, Stop> {
        loop {
            let Some(stream) = self.stream.as_mut() else {
                if let Some(update) = Box::pin(self.open()).await? {
                    return Ok(update);
                }
                continue;
            };
            let update = match timeout(SILENCE, stream.message()).await {
                Ok(Ok(Some(message))) => self.read(message)?,
                Ok(Ok(None)) => Some(self.drop_stream("it ended without a reason")),
                Ok(Err(status)) => Some(self.broken(&status)?),
                Err(_) => Some(self.drop_stream(&format!("nothing was heard for {SILENCE:?}"))),
            };
            if let Some(update) = update {
                return Ok(update);
            }
        }
    }

    /// Opens a stream where the last one stopped.
    async fn open(&mut self) -> Result<Option<Update>, Stop> {
        if !self.is_prompt {
            let delay = BACKOFF.delay(self.lost.saturating_sub(1), rand::random());
            if !self.connection.sleep(delay).await {
                return Err(Stop::interrupted("stopped"));
            }
        }
        let request = pb::WatchMigrationRequest {
            name: self.name.clone(),
            resume_token: self.token.clone(),
            min_interval: None,
        };
        let ask = self.connection.stream("WatchMigration", self.is_again);
        let opened = self
            .connection
            .ask(ask, request, |channel, request| async move {
                client(channel).watch_migration(request).await
            })
            .await;
        match opened {
            Ok(stream) => {
                self.stream = Some(stream);
                self.opened = Instant::now();
                self.is_prompt = false;
                self.is_again = true;
                Ok(None)
            }
            Err(stop)
                if stop.is_reason(Reason::ResumeTokenExpired.as_str())
                    && !self.token.is_empty() =>
            {
                self.forget();
                Ok(None)
            }
            // It was there when it was watched first.
            Err(stop) if stop.is_reason(Reason::MigrationNotFound.as_str()) && self.is_again => {
                Ok(Some(Update::Deleted))
            }
            Err(stop) => Err(stop),
        }
    }

    fn read(&mut self, message: pb::WatchMigrationResponse) -> Result<Option<Update>, Stop> {
        if !message.resume_token.is_empty() {
            self.token = message.resume_token;
        }
        Ok(match message.update {
            Some(Message::Snapshot(snapshot)) => {
                let migration: MigrationOrchestration = record(snapshot.migration)?;
                // The name may be given to another migration once this one is deleted.
                self.name = migration.id.to_string();
                Some(Update::Snapshot(Box::new(Report {
                    migration,
                    entities: records(snapshot.entities)?,
                })))
            }
            Some(Message::Migration(migration)) => {
                Some(Update::Migration(Box::new(record(Some(migration))?)))
            }
            Some(Message::Entity(entity)) => Some(Update::Entity(Box::new(record(Some(entity))?))),
            Some(Message::Event(event)) => Some(Update::Event(record(Some(event))?)),
            Some(Message::End(end)) => self.end(&end),
            // A bookmark, or something of a later version.
            Some(Message::Bookmark(_)) | None => None,
        })
    }

    /// Why a stream ends; none where another one follows without a word.
    fn end(&mut self, end: &pb::StreamEnd) -> Option<Update> {
        match end.reason() {
            pb::StreamEndReason::Ended => Some(Update::Ended),
            pb::StreamEndReason::Deleted => Some(Update::Deleted),
            pb::StreamEndReason::Rotate => {
                self.note_end();
                self.is_prompt = self.lost == 0;
                None
            }
            pb::StreamEndReason::Shutdown | pb::StreamEndReason::Unspecified => {
                self.connection.leave();
                Some(self.drop_stream("the controller stops or does not lead any more"))
            }
        }
    }

    /// A status in the middle of a stream: final only where a server gives a reason for it.
    fn broken(&mut self, status: &Status) -> Result<Update, Stop> {
        let refusal = Refusal::of(status);
        if refusal.reason() == Some(Reason::ResumeTokenExpired) && !self.token.is_empty() {
            self.forget();
            return Ok(Update::Lost(
                "events since then are no longer kept".to_owned(),
            ));
        }
        if refusal.reason() == Some(Reason::MigrationNotFound) {
            return match self.is_again && !self.token.is_empty() {
                true => Ok(Update::Deleted),
                false => Err(stop::stop(&refusal)),
            };
        }
        if refusal.is_passing() || is_cut(&refusal) {
            self.connection.leave();
            return Ok(self.drop_stream(&refusal.message));
        }
        Err(stop::stop(&refusal))
    }

    /// What was seen counts no more: the next stream begins with now.
    fn forget(&mut self) {
        self.token.clear();
        self.stream = None;
        self.is_prompt = true;
    }

    fn drop_stream(&mut self, why: &str) -> Update {
        self.note_end();
        self.is_prompt = false;
        Update::Lost(why.to_owned())
    }

    fn note_end(&mut self) {
        self.stream = None;
        self.lost = match self.opened.elapsed() >= GOOD_AFTER {
            true => 0,
            false => self.lost.saturating_add(1),
        };
    }
}

/// A stream that was cut on its way: no server gives these codes without a reason of its own.
fn is_cut(refusal: &Refusal) -> bool {
    let is_cut = matches!(
        refusal.code,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DeadlineExceeded
    );
    refusal.reason.is_empty() && is_cut
}
