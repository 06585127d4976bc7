//! The destination: transactions that wait, are compared, hold the row's lock and commit.

use super::protocol::{Verdict, admit, compared_in};
use super::row::{Entry, KEYS, Mode, Part, Stage, Transaction};
use super::variant::Variant;
use super::world::{Pause, Process, World};

impl World {
    pub(super) fn put(&mut self, transaction: Transaction) {
        let transactions = &mut self.destination.transactions;
        let place = transactions.partition_point(|other| *other < transaction);
        transactions.insert(place, transaction);
    }

    /// Nobody waits for this process's batches any more; they go on by themselves.
    pub(super) fn forsake(&mut self, process: Process) {
        for transaction in &mut self.destination.transactions {
            if transaction.request.process == process {
                transaction.is_awaited = false;
            }
        }
        self.destination.transactions.sort_unstable();
    }

    /// What takeover and seal do before they write the row: wait for its lock, or end all backends
    /// that work under another token. None where they wait. It is a help, not a protection: what is
    /// still in a buffer is not found, and hosted servers may refuse it.
    pub(super) fn lock_row(&mut self, token: i64, ends: bool) -> Option<()> {
        let is_found = |t: &Transaction| t.stage != Stage::Buffered && t.request.token != token;
        let transactions = &mut self.destination.transactions;
        if ends {
            let (ended, left): (Vec<_>, Vec<_>) = transactions.drain(..).partition(|t| is_found(t));
            *transactions = left;
            for transaction in ended.iter().filter(|t| t.is_awaited) {
                self.connection_lost(transaction.request.process);
            }
        }
        let transactions = &self.destination.transactions;
        let is_locked = transactions.iter().any(|t| t.stage == Stage::Locked);
        (!is_locked).then_some(())
    }

    /// A transaction gets one stage further.
    pub(super) fn advance(&mut self, variant: Variant, place: usize) -> Option<()> {
        let mut transaction = self.destination.transactions.remove(place);
        transaction.stage = match transaction.stage {
            Stage::Buffered => Stage::Open,
            Stage::Open => Stage::Locked,
            Stage::Locked => {
                self.commit(variant, transaction);
                return Some(());
            }
        };
        let is_compared = transaction.stage == compared_in(variant);
        let verdict = admit(variant, &self.destination.row, &transaction.request);
        if is_compared && verdict == Verdict::Fenced {
            if transaction.is_awaited {
                self.refused(variant, transaction.request.process);
            }
        } else {
            self.put(transaction);
        }
        Some(())
    }

    fn commit(&mut self, variant: Variant, transaction: Transaction) {
        let request = transaction.request;
        let destination = &mut self.destination;
        if transaction.part != Part::Position {
            for key in request.rows_after..request.hi {
                destination.copies[usize::from(key)] += 1;
            }
        }
        if transaction.part == Part::Rows {
            self.put(Transaction {
                stage: Stage::Buffered,
                part: Part::Position,
                ..transaction
            });
            return;
        }
        let was_sealed = match self.controller.pause {
            Pause::Never | Pause::Minted(_) => false,
            Pause::Shown(_) => true,
            Pause::Over(seal) => request.token < seal,
        };
        let row = &mut destination.row;
        row.position.seq += 1;
        row.position.cursor = request.hi;
        row.is_done = request.hi == KEYS;
        destination.ledger.push(Entry {
            seq: request.seq + 1,
            token: request.token,
            lo: request.lo,
            hi: request.hi,
            process: request.process,
            fence: row.token,
            was_sealed: was_sealed || row.mode == Mode::Paused,
        });
        if transaction.is_awaited {
            self.committed(variant, request.process);
        }
    }
}
