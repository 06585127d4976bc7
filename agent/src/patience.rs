//! How long an answer of a server is waited for.
//!
//! A server ends a statement of its own accord at `statement_timeout`. One that is silent for longer is gone
//! without a word: a host that lost its power or its network sends no reset. Its connection then counts as
//! broken, with all that follows from that: it is closed, and what was under way has an unknown outcome.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use futures::future::Map;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, Sleep, Timeout, sleep, timeout};

/// `statement_timeout` of sessions that read the source.
pub const READ_STATEMENT: Duration = Duration::from_secs(3600);
/// `statement_timeout` of sessions that write batches.
pub const WRITE_STATEMENT: Duration = Duration::from_secs(600);
/// What the server's own refusal may take to arrive.
const MARGIN: Duration = Duration::from_secs(30);

/// The longest wait for an answer of the source.
pub const READ: Duration = READ_STATEMENT.saturating_add(MARGIN);
/// The longest wait for an answer of the destination.
pub const WRITE: Duration = WRITE_STATEMENT.saturating_add(MARGIN);

type Outcome<T> = Result<T, sqlx::Error>;
type OrBroken<T> = fn(Result<Outcome<T>, Elapsed>) -> Outcome<T>;

/// Bounds a statement: `query.execute(connection).in_time(WRITE).await`.
pub trait InTime<T>: Future<Output = Outcome<T>> + Sized {
    /// The answer, or the error of a broken connection when none came within the limit.
    fn in_time(self, limit: Duration) -> Map<Timeout<Self>, OrBroken<T>>;
}

impl<T, F: Future<Output = Outcome<T>>> InTime<T> for F {
    fn in_time(self, limit: Duration) -> Map<Timeout<Self>, OrBroken<T>> {
        timeout(limit, self).map(|answer| answer.unwrap_or_else(|_| Err(no_answer())))
    }
}

fn no_answer() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the server does not answer").into()
}

/// Bounds every wait for the next piece of a stream. Only a wait that is one costs anything: pieces that are
/// there already set no timer.
pub struct Patience {
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Patience {
    /// Patience for so long, again for every piece.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            sleep: Box::pin(sleep(limit)),
        }
    }

    /// The next piece, or the error of a broken connection when none came within the limit.
    pub async fn wait<T>(&mut self, next: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        let mut next = pin!(next);
        let mut is_waiting = false;
        poll_fn(|context| {
            if let Poll::Ready(piece) = next.as_mut().poll(context) {
                return Poll::Ready(piece);
            }
            if !is_waiting {
                is_waiting = true;
                self.sleep.as_mut().reset(Instant::now() + self.limit);
            }
            self.sleep.as_mut().poll(context).map(|()| Err(no_answer()))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use proto::domain::failure::FailureKind;

    use super::*;
    use crate::failure::{from_sqlx, is_connection_loss};

    fn is_lost(error: &sqlx::Error) -> bool {
        let failure = from_sqlx("write a batch", error);
        is_connection_loss(error) && failure.kind == FailureKind::Unreachable
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_answers_counts_as_a_lost_connection() {
        let begun = Instant::now();
        let error = pending::<Outcome<()>>().in_time(WRITE).await.unwrap_err();
        assert!(is_lost(&error), "{error}");
        assert_eq!(begun.elapsed(), WRITE);
        assert!(ready(Ok(7)).in_time(WRITE).await.is_ok_and(|it| it == 7));
    }

    #[tokio::test(start_paused = true)]
    async fn every_piece_of_a_stream_has_the_whole_time() {
        let mut patience = Patience::new(READ);
        for _ in 0..3 {
            let late = sleep(READ - Duration::from_secs(1)).map(Ok);
            patience.wait(late).await.unwrap();
        }
        let error = patience.wait(pending::<Outcome<()>>()).await.unwrap_err();
        assert!(is_lost(&error), "{error}");
        patience.wait(ready(Ok(()))).await.unwrap();
    }
}
