//! Whether this controller leads, and with what.

use std::sync::Arc;

use proto::lease::LeaseStore;
use proto::wire::status as wire_status;
use tokio::sync::watch;
use tonic::Status;
use uuid::Uuid;

use crate::manager::{Realm, Views};

/// What the leader shows to its doors.
pub struct Shown<L> {
    /// What it works with.
    pub realm: Realm<L>,
    /// Its runs.
    pub views: watch::Receiver<Views>,
}

impl<L> Clone for Shown<L> {
    fn clone(&self) -> Self {
        Self {
            realm: self.realm.clone(),
            views: self.views.clone(),
        }
    }
}

/// The way from the doors to the leader's realm, while there is one. Clones are the same gate.
pub struct Gate<L> {
    controller_id: Uuid,
    lease: Arc<L>,
    shown: watch::Receiver<Option<Shown<L>>>,
}

impl<L> Clone for Gate<L> {
    fn clone(&self) -> Self {
        Self {
            controller_id: self.controller_id,
            lease: self.lease.clone(),
            shown: self.shown.clone(),
        }
    }
}

impl<L: LeaseStore> Gate<L> {
    /// A gate that is open while something is shown.
    pub fn new(
        controller_id: Uuid,
        lease: Arc<L>,
        shown: watch::Receiver<Option<Shown<L>>>,
    ) -> Self {
        Self {
            controller_id,
            lease,
            shown,
        }
    }

    /// What the run of a migration waits for, in words, while it goes on and waits.
    pub fn waits_for(&self, migration_id: Uuid) -> Option<String> {
        let shown = self.shown.borrow();
        let views = shown.as_ref()?.views.borrow();
        views.get(&migration_id)?.borrow().waits_for.clone()
    }

    /// What holds the run of a migration up although it goes on, in words.
    pub fn throttled(&self, migration_id: Uuid) -> Option<String> {
        let shown = self.shown.borrow();
        let views = shown.as_ref()?.views.borrow();
        views.get(&migration_id)?.borrow().throttled.clone()
    }

    /// The realm of this controller, if it leads.
    ///
    /// # Errors
    /// UNAVAILABLE `NOT_LEADER` with the leader's address.
    pub async fn realm(&self) -> Result<Realm<L>, Status> {
        let shown = self.shown.borrow().clone();
        match shown {
            Some(shown) if !shown.realm.leadership.lost.is_cancelled() => Ok(shown.realm),
            Some(_) | None => {
                let leader = self.lease.leader().await.ok().flatten();
                // Its own key may outlive its leadership by a moment.
                let other = leader.filter(|leader| leader.controller_id != self.controller_id);
                Err(wire_status::not_leader(other.map(|leader| leader.address)))
            }
        }
    }
}
