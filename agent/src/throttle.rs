//! Spares the source: when the next rows may go on, and why they wait. The decision is pure, its clock an
//! argument; [`pace`] asks, waits and tells.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::domain::compiled::Limits;
use proto::domain::failure::Failure;
use tokio::time::{Instant, sleep_until};

use crate::run::RunContext;
use crate::source::lag::read_lag;

/// How often the lag is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// What holds it up is told again this often.
const TELL: Duration = Duration::from_secs(1);

/// What a migration takes from its source, over all lanes of this process.
#[derive(Debug, Default)]
pub struct Throttle {
    rate: Option<u32>,
    max_lag: Option<Duration>,
    /// The rows so far are as many as the rate allows until then.
    paid_until: Option<Instant>,
    lag: Option<Duration>,
    looked: Option<Instant>,
}

impl Throttle {
    /// Within these limits; the rate of this process comes with its work.
    pub fn new(limits: &Limits) -> Self {
        Self {
            rate: limits.max_rows_per_second,
            max_lag: limits
                .source_max_lag_seconds
                .map(|limit| Duration::from_secs(limit.into())),
            ..Self::default()
        }
    }

    /// This process's share of the rate, from now on.
    pub fn set_rate(&mut self, rate: Option<u32>) {
        self.rate = rate;
    }

    /// Rows a second; no batch has more, so that the source is not read in bursts.
    pub fn rate(&self) -> Option<u32> {
        self.rate
    }

    /// Takes so many rows; they may go on at that moment. What was not used before is no credit.
    pub fn charge(&mut self, rows: usize, now: Instant) -> Instant {
        let Some(rate) = self.rate else {
            return now;
        };
        let cost = Duration::from_secs_f64(rows as f64 / f64::from(rate.max(1)));
        let due = self.paid_until.map_or(now, |paid| paid.max(now)) + cost;
        self.paid_until = Some(due);
        due
    }

    /// Whether the lag is to be looked at; whoever is told so does it.
    pub fn should_look(&mut self, now: Instant) -> bool {
        let is_due = self.max_lag.is_some() && self.looked.is_none_or(|then| now >= then + LOOK);
        if is_due {
            self.looked = Some(now);
        }
        is_due
    }

    /// The lag that was found.
    pub fn set_lag(&mut self, lag: Duration) {
        self.lag = Some(lag);
    }

    /// Until when the lag holds rows up, and why.
    pub fn held_by_lag(&self, now: Instant) -> Option<(Instant, String)> {
        let (lag, limit) = (self.lag?, self.max_lag?);
        (lag > limit).then(|| {
            let words = format!(
                "the source's replication lags {} s behind, limits.source_max_lag_seconds is {}",
                lag.as_secs(),
                limit.as_secs()
            );
            (self.looked.map_or(now, |then| then + LOOK), words)
        })
    }

    fn words_of_rate(&self) -> String {
        let rate = self.rate.unwrap_or_default();
        format!("limits.max_rows_per_second, here {rate}")
    }
}

/// Waits until rows that were read may go on; tells why while it waits.
///
/// # Errors
/// The source's, where its lag cannot be read.
pub async fn pace(run: &RunContext, rows: usize, tell: impl Fn(String)) -> Result<(), Failure> {
    loop {
        if lock(&run.throttle).should_look(Instant::now()) {
            let lag = read_lag(&run.source).await?;
            lock(&run.throttle).set_lag(lag);
        }
        let held = lock(&run.throttle).held_by_lag(Instant::now());
        let Some((until, words)) = held else {
            break;
        };
        tell(words);
        sleep_until(until.max(Instant::now() + TELL)).await;
    }
    let due = lock(&run.throttle).charge(rows, Instant::now());
    while Instant::now() < due {
        tell(lock(&run.throttle).words_of_rate());
        sleep_until(due.min(Instant::now() + TELL)).await;
    }
    Ok(())
}

/// A throttle that lanes share.
pub fn lock(throttle: &Mutex<Throttle>) -> MutexGuard<'_, Throttle> {
    throttle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn throttle(rate: Option<u32>, lag: Option<u32>) -> Throttle {
        Throttle::new(&Limits {
            parallel_partitions: 1,
            max_retries: 1,
            max_rows_per_second: rate,
            source_max_lag_seconds: lag,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_rows_take_their_time_whatever_lane_they_come_from() {
        let mut throttle = throttle(Some(100), None);
        let begun = Instant::now();
        assert_eq!(throttle.charge(100, begun), begun + SECOND);
        assert_eq!(throttle.charge(50, begun), begun + SECOND * 3 / 2);
        tokio::time::advance(SECOND).await;
        assert_eq!(throttle.charge(50, Instant::now()), begun + SECOND * 2);
        throttle.set_rate(Some(10));
        assert_eq!(throttle.charge(10, Instant::now()), begun + SECOND * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_earns_no_credit_and_no_rate_never_waits() {
        let mut limited = throttle(Some(100), None);
        limited.charge(100, Instant::now());
        tokio::time::advance(SECOND * 60).await;
        let now = Instant::now();
        assert_eq!(limited.charge(100, now), now + SECOND);
        assert_eq!(throttle(None, None).charge(1_000_000, now), now);
    }

    #[tokio::test(start_paused = true)]
    async fn lag_above_its_limit_holds_rows_up_until_it_is_looked_at_again() {
        let mut throttle = throttle(None, Some(10));
        let now = Instant::now();
        assert!(throttle.should_look(now) && !throttle.should_look(now));
        throttle.set_lag(SECOND * 10);
        assert_eq!(throttle.held_by_lag(now), None);
        throttle.set_lag(SECOND * 11);
        let (until, words) = throttle.held_by_lag(now).unwrap();
        assert_eq!(until, now + LOOK);
        assert!(words.contains("11 s") && words.contains("is 10"), "{words}");
        tokio::time::advance(LOOK).await;
        assert!(throttle.should_look(Instant::now()));
        throttle.set_lag(SECOND);
        assert_eq!(throttle.held_by_lag(Instant::now()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_looks_at_the_lag() {
        let mut throttle = throttle(Some(5), None);
        assert!(!throttle.should_look(Instant::now()));
        throttle.set_lag(SECOND * 1000);
        assert_eq!(throttle.held_by_lag(Instant::now()), None);
    }
}
