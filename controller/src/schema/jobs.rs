//! Schema work that goes on behind a call: one piece at a time for a migration, and how the last one ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::domain::failure::{Failure, FailureKind};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How a piece of work stands: none while it goes on.
pub type Ended = Option<Result<(), Failure>>;

struct Piece {
    ended: watch::Receiver<Ended>,
    task: JoinHandle<()>,
}

/// The pieces of work of one leader. Clones are the same.
#[derive(Clone, Default)]
pub struct SchemaJobs(Arc<Mutex<HashMap<Uuid, Piece>>>);

impl SchemaJobs {
    /// Begins work on a migration's schema, unless some goes on: how it ends can be waited for.
    pub fn begin(
        &self,
        migration_id: Uuid,
        work: impl Future<Output = Result<(), Failure>> + Send + 'static,
    ) -> Result<watch::Receiver<Ended>, Failure> {
        let mut pieces = self.lock();
        if pieces.get(&migration_id).is_some_and(is_going_on) {
            return Err(Failure::new(
                FailureKind::AlreadyRunning,
                "schema changes of this migration are being worked on",
            ));
        }
        let (tell, ended) = watch::channel(None);
        let task = tokio::spawn(async move {
            let outcome = work.await;
            tell.send_replace(Some(outcome));
        });
        let piece = Piece {
            ended: ended.clone(),
            task,
        };
        pieces.insert(migration_id, piece);
        Ok(ended)
    }

    /// How the last piece of work stands; none where there was none.
    pub fn last(&self, migration_id: Uuid) -> Option<Ended> {
        let pieces = self.lock();
        let piece = pieces.get(&migration_id)?;
        let ended = piece.ended.borrow().clone();
        match (ended, piece.task.is_finished()) {
            // It ended without a word.
            (None, true) => Some(Some(Err(Failure::new(
                FailureKind::Internal,
                "the work on the schema ended by itself",
            )))),
            (ended, _) => Some(ended),
        }
    }

    /// Ends all of it: another controller leads. What was begun is in the journals.
    pub fn abandon(&self) {
        for (_, piece) in self.lock().drain() {
            piece.task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Piece>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_going_on(piece: &Piece) -> bool {
    piece.ended.borrow().is_none() && !piece.task.is_finished()
}
