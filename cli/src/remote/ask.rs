//! One question to the controllers: its deadline, and what became of the tries so far.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::runtime::backoff::Backoff;
use proto::runtime::channel::Address;
use proto::wire::status::Refusal;
use tokio::time::Instant;

use super::{refusal, stop};
use crate::stop::Stop;

/// Delays between whole rounds over the addresses.
pub const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));

/// What is asked, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Name of the method, for people.
    pub method: &'static str,
    /// How long it may take, every try included.
    pub within: Duration,
    /// How long one try may take.
    pub each: Duration,
    /// The answer is a stream, which has no deadline once it is open.
    pub is_stream: bool,
}

/// The tries of one question.
#[derive(Debug)]
pub struct Tries {
    ask: Ask,
    deadline: Instant,
    rounds: u32,
    failures: BTreeMap<String, String>,
    /// What to end with: a server's words before those of a broken connection.
    worst: Option<Refusal>,
}

impl Tries {
    /// The clock starts.
    pub fn begin(ask: Ask) -> Self {
        Self {
            ask,
            deadline: Instant::now() + ask.within,
            rounds: 0,
            failures: BTreeMap::new(),
            worst: None,
        }
    }

    /// What is left for the next try.
    pub fn left(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        left.min(self.ask.each)
    }

    /// Whether no try has been waited for yet.
    pub fn is_first_round(&self) -> bool {
        self.rounds == 0
    }

    /// A controller could not answer.
    pub fn failed(&mut self, address: &Address, refusal: Refusal) {
        self.failures
            .insert(address.to_string(), refusal.message.clone());
        if !refusal.is_transport || self.worst.as_ref().is_none_or(|worst| worst.is_transport) {
            self.worst = Some(refusal);
        }
    }

    /// Why nobody has answered yet.
    pub fn words(&self) -> String {
        match (&self.worst, self.failures.iter().next()) {
            (Some(worst), _) if !worst.is_transport => worst.message.clone(),
            (_, Some((address, words))) => format!("{address} does not answer ({words})"),
            (_, None) => "no controller answers".to_owned(),
        }
    }

    /// How long to wait before the next round, `random` being in `[0, 1)`; none when the deadline
    /// comes first.
    pub fn pause(&mut self, random: f64) -> Option<Duration> {
        let asked = self.worst.as_ref().and_then(|worst| worst.retry_after);
        let delay = BACKOFF
            .delay(self.rounds, random)
            .max(asked.unwrap_or_default());
        self.rounds = self.rounds.saturating_add(1);
        let wakes = Instant::now().checked_add(delay)?;
        (wakes < self.deadline).then_some(delay)
    }

    /// The end: nobody answered.
    pub fn give_up(self) -> Stop {
        let worst = self.worst.unwrap_or_else(|| refusal::late(self.ask.within));
        let end = stop::stop(&worst);
        let lines = self.failures.iter();
        let lines: Vec<String> = lines
            .map(|(address, words)| format!("{address}: {words}"))
            .collect();
        match worst.is_transport {
            false => end,
            true => end.saying("no controller answers").listing(lines),
        }
    }
}
