//! One owner of the end of a process: a token that says "stop", and every task that must end first.
//!
//! The first SIGINT or SIGTERM asks for an orderly stop, the second for an immediate one. Nothing
//! here exits the process: `main` does, when everything has returned.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The stop signal of a process and its tasks. Clones are the same shutdown.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    forced: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Nothing asked to stop yet, no task.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the process is asked to stop.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Asks everything to stop.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Returns once somebody insists: the caller then drops what it does and leaves.
    pub async fn forced(&self) {
        self.forced.cancelled().await;
    }

    /// Starts a task that [`Shutdown::finish`] waits for, in a span of its name.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks
            .spawn(task.instrument(tracing::debug_span!("task", name)))
    }

    /// Listens for SIGINT and SIGTERM from now on. Must be called inside a Tokio runtime.
    pub fn listen(&self) -> io::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (token, forced) = (self.token.clone(), self.forced.clone());
        // Not tracked: it lives as long as the process.
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if token.is_cancelled() {
                    forced.cancel();
                } else {
                    token.cancel();
                }
            }
        });
        Ok(())
    }

    /// Asks everything to stop and waits for the tasks; false when some still ran after `within`.
    pub async fn finish(&self, within: Duration) -> bool {
        self.begin();
        self.tasks.close();
        tokio::time::timeout(within, self.tasks.wait())
            .await
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finish_waits_for_tasks_that_listen_and_gives_up_on_those_that_do_not() {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        let task = shutdown.spawn("listens", async move { token.cancelled().await });
        assert!(shutdown.finish(Duration::from_secs(30)).await);
        assert!(task.is_finished());

        let deaf = Shutdown::new();
        let task = deaf.spawn("deaf", std::future::pending::<()>());
        assert!(!deaf.finish(Duration::from_millis(20)).await);
        task.abort();
    }
}
