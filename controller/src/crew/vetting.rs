//! Whether agents' connections lead where the migration was created: asked of each, and again where they
//! do not.

use std::time::Duration;

use futures::StreamExt;
use proto::domain::failure::Failure;
use proto::domain::frame::{DatabaseIdentity, Query, QueryAnswer};
use tokio::time::Instant;
use uuid::Uuid;

use super::Crew;
use crate::fleet::{MemberView, misfit};

/// How long an agent may take to say where its connections lead.
const VET_WITHIN: Duration = Duration::from_secs(30);
/// Agents that are asked at the same time.
const VET_TOGETHER: usize = 32;
/// When an agent is asked again whose trouble may pass by itself.
const VET_AGAIN: Duration = Duration::from_secs(3);
/// When an agent is asked again whose trouble somebody has to mend.
const VET_MENDED: Duration = Duration::from_secs(30);

/// What an agent's connections lead to.
#[derive(Debug)]
pub(super) enum Verdict {
    Fits,
    /// It is asked again from that moment on: what is wrong may be mended.
    Unfit(Failure, Instant),
}

/// Ends a round of questions, however it ends.
struct Vetting(Crew);

impl Drop for Vetting {
    fn drop(&mut self) {
        self.0.lock().is_vetting = false;
    }
}

impl Crew {
    /// Lets only agents work whose connections lead to these databases.
    pub fn require(&self, source: DatabaseIdentity, destination: DatabaseIdentity) {
        self.lock().identities = Some((source, destination));
    }

    /// Asks every agent that was not asked yet, or that has not fitted for a while, where its connections
    /// lead; those that lead elsewhere, or nowhere, get no work of this migration.
    pub async fn vet(&self) {
        let Some(identities) = self.lock().identities.clone() else {
            return;
        };
        let asking = self
            .unvetted()
            .into_iter()
            .map(|member| self.vet_holder(member.holder, &identities));
        let mut asking = futures::stream::iter(asking).buffer_unordered(VET_TOGETHER);
        while asking.next().await.is_some() {}
    }

    async fn vet_holder(
        &self,
        holder: Uuid,
        (source, destination): &(DatabaseIdentity, DatabaseIdentity),
    ) {
        let asked = self.ask_holder(holder, Query::Identify, VET_WITHIN).await;
        let verdict = match asked {
            Ok(QueryAnswer::Identities {
                source: its_source,
                destination: its_destination,
            }) => source
                .must_be("source", &its_source)
                .and_then(|()| destination.must_be("destination", &its_destination)),
            Ok(_) => Err(misfit()),
            Err(failure) => Err(failure),
        };
        match verdict {
            Err(failure) => self.reject(holder, &failure),
            Ok(()) => {
                self.lock().vetted.insert(holder, Verdict::Fits);
            }
        }
    }

    /// Has agents asked that came later, or whose connections may be mended by now.
    pub fn vet_newcomers(&self) {
        if self.lock().is_vetting || self.unvetted().is_empty() {
            return;
        }
        self.lock().is_vetting = true;
        let vetting = Vetting(self.clone());
        tokio::spawn(async move { vetting.0.vet().await });
    }

    /// An agent gets no more work of this migration, until it is asked again or dials again.
    pub fn reject(&self, holder: Uuid, failure: &Failure) {
        tracing::warn!(%holder, reason = %failure, "an agent cannot work on the migration");
        let delay = match failure.is_passing() {
            true => VET_AGAIN,
            false => VET_MENDED,
        };
        let verdict = Verdict::Unfit(failure.clone(), Instant::now() + delay);
        let mut briefing = self.lock();
        briefing.vetted.insert(holder, verdict);
        // It may have kept the failure: the run is ordered anew when it fits.
        briefing.briefed.remove(&holder);
    }

    /// What is wrong with all agents that are there, where it is the same for all: then it is not theirs.
    pub fn common_fault(&self) -> Option<Failure> {
        let members = self.fleet.members();
        let briefing = self.lock();
        let mut fault: Option<&Failure> = None;
        for member in members.iter().filter(|member| self.demand.fits(member)) {
            match (briefing.vetted.get(&member.holder), fault) {
                (Some(Verdict::Unfit(found, _)), None) => fault = Some(found),
                (Some(Verdict::Unfit(found, _)), Some(first)) if found.kind == first.kind => {}
                _ => return None,
            }
        }
        fault.cloned()
    }

    fn unvetted(&self) -> Vec<MemberView> {
        let briefing = self.lock();
        if briefing.identities.is_none() {
            return Vec::new();
        }
        let members = self.fleet.members().into_iter();
        members
            .filter(|member| {
                let verdict = briefing.vetted.get(&member.holder);
                self.demand.fits(member) && verdict.is_none_or(Verdict::is_over)
            })
            .collect()
    }
}

impl Verdict {
    /// The agent is to be asked again.
    fn is_over(&self) -> bool {
        match self {
            Self::Fits => false,
            Self::Unfit(_, again) => *again <= Instant::now(),
        }
    }
}
