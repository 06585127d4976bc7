//! The agents: take over, send, lose the answer, learn the outcome, die.

use super::protocol::{self, Fate, holder_of};
use super::row::{KEYS, MOST, Position, Request, Stage, Transaction};
use super::variant::Variant;
use super::world::{Agent, Phase, Process, Work, World};

impl World {
    fn agent(&mut self, agent: u8) -> &mut Agent {
        &mut self.agents[usize::from(agent)]
    }

    /// The process, if it still runs.
    fn running(&mut self, process: Process) -> Option<&mut Agent> {
        let agent = self.agent(process.agent);
        (agent.process == process && agent.phase != Phase::Down).then_some(agent)
    }

    pub(super) fn take_over(&mut self, variant: Variant, agent: u8, ends: bool) -> Option<()> {
        let &mut Agent {
            process,
            phase: Phase::Claimed(token, early),
        } = self.agent(agent)
        else {
            return None;
        };
        let asked = (token, holder_of(variant, process));
        // What is refused neither waits nor ends anybody: the row as it stands is not its to change.
        let Some(row) = protocol::take_over(variant, &self.destination.row, asked, early) else {
            return self.let_go(variant, agent);
        };
        self.lock_row(token, ends)?;
        let (position, is_done) = (row.position, row.is_done);
        self.destination.row = row;
        if variant != Variant::ClaimNotReplayed {
            self.report(position);
        }
        if is_done {
            return self.finish(variant, agent);
        }
        self.agent(agent).phase = Phase::Ready(Work {
            token,
            position,
            rows_after: position.cursor,
            most: MOST,
        });
        Some(())
    }

    pub(super) fn send(&mut self, variant: Variant, agent: u8, rows: u8) -> Option<()> {
        let &mut Agent {
            process,
            phase: Phase::Ready(work),
        } = self.agent(agent)
        else {
            return None;
        };
        let hi = work.rows_after + rows;
        let request = Request {
            token: work.token,
            holder: holder_of(variant, process),
            seq: work.position.seq,
            lo: protocol::lower_end(variant, &work),
            rows_after: work.rows_after,
            hi,
            process,
        };
        self.put(Transaction {
            request,
            stage: Stage::Buffered,
            part: protocol::first_part(variant),
            is_awaited: true,
        });
        self.agent(agent).phase = Phase::Sent(work, hi);
        Some(())
    }

    pub(super) fn lose(&mut self, agent: u8) -> Option<()> {
        self.faults.losses = self.faults.losses.checked_sub(1)?;
        let process = self.agent(agent).process;
        self.forsake(process);
        self.connection_lost(process);
        Some(())
    }

    /// The sender of a batch finds its connection closed.
    pub(super) fn connection_lost(&mut self, process: Process) {
        if let Some(agent) = self.running(process)
            && let Phase::Sent(work, hi) = agent.phase
        {
            agent.phase = Phase::Unknown(work, hi);
        }
    }

    /// The sender of a batch is told that it is committed.
    pub(super) fn committed(&mut self, variant: Variant, process: Process) {
        let Some(agent) = self.running(process) else {
            return;
        };
        let Phase::Sent(work, hi) = agent.phase else {
            return;
        };
        let work = protocol::behind(work, hi);
        agent.phase = Phase::Ready(work);
        self.report(work.position);
        if hi == KEYS {
            self.finish(variant, process.agent);
        }
    }

    /// The sender of a batch is told that it was fenced.
    pub(super) fn refused(&mut self, variant: Variant, process: Process) {
        if let Some(agent) = self.running(process)
            && matches!(agent.phase, Phase::Sent(..))
        {
            self.let_go(variant, process.agent);
        }
    }

    pub(super) fn learn(&mut self, variant: Variant, agent: u8) -> Option<()> {
        let &mut Agent {
            process,
            phase: Phase::Unknown(work, hi),
        } = self.agent(agent)
        else {
            return None;
        };
        let transactions = &self.destination.transactions;
        let is_locked = transactions.iter().any(|t| t.stage == Stage::Locked);
        if is_locked && variant != Variant::FateUnlocked {
            return None;
        }
        let row = &self.destination.row;
        let is_mine = row.token == work.token;
        let position = row.position;
        match protocol::learn(variant, row, holder_of(variant, process), (work, hi)) {
            Fate::Fenced => return self.let_go(variant, agent),
            Fate::GoOn(work) => self.agent(agent).phase = Phase::Ready(work),
            Fate::Done => {
                self.finish(variant, agent);
            }
        }
        if is_mine {
            self.report(position);
        }
        Some(())
    }

    /// The agent lets go of its claim, if it still has it.
    pub(super) fn let_go(&mut self, variant: Variant, agent: u8) -> Option<()> {
        let agent = self.agent(agent);
        let holder = holder_of(variant, agent.process);
        let token = match agent.phase {
            Phase::Claimed(token, _) => token,
            Phase::Ready(work) | Phase::Sent(work, _) | Phase::Unknown(work, _) => work.token,
            Phase::Down | Phase::Idle => return None,
        };
        agent.phase = Phase::Idle;
        let owner = &mut self.lease.owner;
        owner.take_if(|owner| owner.holder == holder && owner.token == token);
        Some(())
    }

    fn finish(&mut self, variant: Variant, agent: u8) -> Option<()> {
        self.controller.is_complete = true;
        self.let_go(variant, agent)
    }

    /// The metadata learns of a position, and of all batches before it.
    fn report(&mut self, position: Position) {
        let known = &mut self.controller.known;
        if position.seq > known.seq {
            *known = position;
        }
    }

    pub(super) fn crash(&mut self, agent: u8) -> Option<()> {
        self.faults.crashes = self.faults.crashes.checked_sub(1)?;
        let process = self.agent(agent).process;
        self.forsake(process);
        self.agent(agent).phase = Phase::Down;
        Some(())
    }

    pub(super) fn restart(&mut self, agent: u8) -> Option<()> {
        let agent = self.agent(agent);
        agent.process.start += 1;
        agent.phase = Phase::Idle;
        Some(())
    }
}
