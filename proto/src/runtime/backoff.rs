//! How long to wait before the next try: exponential with full jitter, as a pure function.
//!
//! The caller counts the tries, draws the random number and sleeps; nothing here keeps state.

use std::time::Duration;

/// The shape of a series of delays.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Ceiling of the first delay.
    pub base: Duration,
    /// Ceiling of every delay.
    pub max: Duration,
    /// How much each ceiling is above the one before; below 1 counts as 1.
    pub factor: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(200),
            max: Duration::from_secs(5),
            factor: 2.0,
        }
    }
}

impl Backoff {
    /// Ceilings that double from `base` up to `max`.
    pub const fn new(base: Duration, max: Duration) -> Self {
        Self {
            base,
            max,
            factor: 2.0,
        }
    }

    /// The delay before try `attempt + 1`: evenly spread between nothing and the ceiling of that
    /// attempt, which is `base * factor^attempt` but at most `max`. `random` is in `[0, 1)`; other
    /// values are clamped.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let random = if random.is_finite() {
            random.clamp(0.0, 1.0)
        } else {
            1.0
        };
        self.ceiling(attempt).mul_f64(random)
    }

    /// The longest delay that [`Backoff::delay`] can give for this attempt.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let factor = if self.factor.is_finite() {
            self.factor.max(1.0)
        } else {
            1.0
        };
        let exponent = i32::try_from(attempt).unwrap_or(i32::MAX);
        let seconds = self.base.as_secs_f64() * factor.powi(exponent);
        if seconds < self.max.as_secs_f64() {
            Duration::from_secs_f64(seconds)
        } else {
            self.max
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_millis(100),
        max: Duration::from_secs(2),
        factor: 2.0,
    };

    #[test]
    fn ceilings_double_up_to_the_maximum() {
        let ceilings: Vec<u128> = (0..7).map(|at| BACKOFF.ceiling(at).as_millis()).collect();
        assert_eq!(ceilings, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(BACKOFF.ceiling(u32::MAX), BACKOFF.max);
    }

    #[test]
    fn jitter_spreads_over_the_whole_ceiling_and_never_beyond() {
        assert_eq!(BACKOFF.delay(3, 0.0), Duration::ZERO);
        assert_eq!(BACKOFF.delay(3, 0.5), Duration::from_millis(400));
        for random in [1.0, 7.0, f64::NAN, f64::INFINITY] {
            assert_eq!(
                BACKOFF.delay(3, random),
                Duration::from_millis(800),
                "{random}"
            );
        }
        assert_eq!(BACKOFF.delay(3, -1.0), Duration::ZERO);
    }

    #[test]
    fn a_senseless_factor_never_shrinks_the_delay_or_panics() {
        for factor in [0.0, -3.0, f64::NAN, f64::INFINITY] {
            let backoff = Backoff { factor, ..BACKOFF };
            assert_eq!(backoff.ceiling(9), BACKOFF.base, "{factor}");
        }
    }
}
