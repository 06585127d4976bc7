//! The lease store and the controller: assignments, claims, eras, seals.

use proto::domain::token::mint;

use super::protocol::{self, holder_of};
use super::row::Mode;
use super::variant::Variant;
use super::world::{Owner, Pause, Phase, World};

impl World {
    pub(super) fn assign(&mut self, variant: Variant, agent: u8) -> Option<()> {
        let process = self.agents[usize::from(agent)].process;
        self.lease.assigned = Some(holder_of(variant, process));
        Some(())
    }

    /// A dead process's lease runs out in any case; that of one which lives is a fault.
    pub(super) fn expire(&mut self, variant: Variant) -> Option<()> {
        let owner = self.lease.owner.take()?;
        let is_living = self.agents.iter().any(|agent| {
            holder_of(variant, agent.process) == owner.holder
                && !matches!(agent.phase, Phase::Down | Phase::Idle)
        });
        if is_living {
            self.faults.expiries = self.faults.expiries.checked_sub(1)?;
        }
        Some(())
    }

    /// What was written after that revision is gone.
    pub(super) fn regress(&mut self, revision: u64) -> Option<()> {
        self.faults.regresses = self.faults.regresses.checked_sub(1)?;
        self.lease.revision = revision;
        self.lease.has_regressed = true;
        self.lease.owner.take_if(|owner| owner.revision > revision);
        Some(())
    }

    pub(super) fn raise_era(&mut self, variant: Variant) -> Option<()> {
        self.lease.era = protocol::raise_era(variant, self.lease.era);
        self.lease.has_regressed = false;
        Some(())
    }

    /// A token is the era and the revision of the transaction that asks for it.
    fn mint(&mut self) -> Option<i64> {
        let lease = &mut self.lease;
        lease.revision += 1;
        let token = mint(lease.era, lease.revision)?;
        lease.has_fallen |= !lease.has_regressed && token <= lease.highest;
        lease.highest = lease.highest.max(token);
        Some(token)
    }

    pub(super) fn claim(&mut self, variant: Variant, agent: u8) -> Option<()> {
        let holder = holder_of(variant, self.agents[usize::from(agent)].process);
        if self.lease.assigned != Some(holder) {
            return None;
        }
        let token = match &self.lease.owner {
            Some(own) if variant == Variant::HolderIsAgent && own.holder == holder => own.token,
            Some(_) => return None,
            None => {
                self.faults.claims = self.faults.claims.checked_sub(1)?;
                let token = self.mint()?;
                let revision = self.lease.revision;
                self.lease.owner = Some(Owner {
                    holder,
                    revision,
                    token,
                });
                token
            }
        };
        let row = self.destination.row.position;
        let early = protocol::read_before_fence(variant, row, self.controller.known);
        self.agents[usize::from(agent)].phase = Phase::Claimed(token, early);
        Some(())
    }

    pub(super) fn mint_seal(&mut self) -> Option<()> {
        self.faults.seals = self.faults.seals.checked_sub(1)?;
        let token = self.mint()?;
        self.controller.pause = Pause::Minted(token);
        Some(())
    }

    pub(super) fn seal(&mut self, variant: Variant, ends: bool) -> Option<()> {
        let Pause::Minted(token) = self.controller.pause else {
            return None;
        };
        self.controller.pause = match protocol::seal(variant, &self.destination.row, token) {
            Some(row) => {
                self.lock_row(token, ends)?;
                self.destination.row = row;
                Pause::Shown(token)
            }
            None if variant == Variant::SealUnchecked => Pause::Shown(token),
            None => Pause::Never,
        };
        Some(())
    }

    pub(super) fn resume(&mut self) -> Option<()> {
        let Pause::Shown(token) = self.controller.pause else {
            return None;
        };
        self.destination.row.mode = Mode::Run;
        self.controller.pause = Pause::Over(token);
        Some(())
    }
}
