//! What lanes have to tell, until a controller takes it: it outlives connections.
//!
//! Claims, batches and releases are kept in order and never dropped; a batch costs a credit, so a
//! controller that does not keep up slows the lanes. Progress is lossy: the latest of each partition.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use proto::domain::frame::AgentFrame;
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};
use uuid::Uuid;

/// Frames that wait for the controller; lanes wait beyond that.
const WAITING: usize = 256;

/// The way from the lanes to whichever controller is there.
pub struct Outbox {
    tx: mpsc::Sender<AgentFrame>,
    rx: AsyncMutex<mpsc::Receiver<AgentFrame>>,
    progress: Mutex<HashMap<Uuid, AgentFrame>>,
    has_progress: Notify,
    credits: Mutex<u32>,
    /// Lanes that give everything back wait for no credit: their reports stay here for a later controller.
    is_draining: AtomicBool,
    has_credit: Notify,
}

impl Default for Outbox {
    fn default() -> Self {
        let (tx, rx) = mpsc::channel(WAITING);
        Self {
            tx,
            rx: AsyncMutex::new(rx),
            progress: Mutex::default(),
            has_progress: Notify::new(),
            credits: Mutex::new(0),
            is_draining: AtomicBool::new(false),
            has_credit: Notify::new(),
        }
    }
}

impl Outbox {
    /// Tells something that must arrive; waits while too much waits. A batch waits for a credit.
    pub async fn send(&self, frame: AgentFrame) {
        if let AgentFrame::Batch { report, .. } = &frame {
            self.forget_progress(report.partition_id);
            self.take_credit().await;
        }
        // The receiver is ours: it is there as long as we are.
        let _ = self.tx.send(frame).await;
    }

    /// Tells how much of a partition is under way; a later one takes its place.
    pub fn progress(&self, partition_id: Uuid, frame: AgentFrame) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.insert(partition_id, frame);
        self.has_progress.notify_one();
    }

    /// A controller welcomed us: so many batches before its first acknowledgement.
    pub fn set_credits(&self, credits: u32) {
        *self.credits.lock().unwrap_or_else(PoisonError::into_inner) = credits;
        self.has_credit.notify_waiters();
    }

    /// Whether everything is being given back: then batches cost no credit, since no controller may be there to
    /// give one.
    pub fn set_draining(&self, is_draining: bool) {
        self.is_draining.store(is_draining, Ordering::SeqCst);
        self.has_credit.notify_waiters();
    }

    /// So many batches more.
    pub fn add_credits(&self, credits: u32) {
        let mut now = self.credits.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.saturating_add(credits);
        self.has_credit.notify_waiters();
    }

    /// The next frame to be sent. Cancelling it loses nothing.
    pub async fn next(&self) -> AgentFrame {
        let mut rx = self.rx.lock().await;
        loop {
            tokio::select! {
                biased;
                frame = rx.recv() => match frame {
                    Some(frame) => return frame,
                    // It cannot end: the other half is beside it.
                    None => std::future::pending().await,
                },
                () = self.has_progress.notified() => {
                    if let Some(frame) = self.take_progress() {
                        return frame;
                    }
                }
            }
        }
    }

    /// A frame that must arrive and waits; nothing where none does, or another one is just being taken.
    pub fn next_now(&self) -> Option<AgentFrame> {
        self.rx.try_lock().ok()?.try_recv().ok()
    }

    async fn take_credit(&self) {
        loop {
            // Listening begins before the look, so that no credit is missed.
            let notified = self.has_credit.notified();
            {
                let mut credits = self.credits.lock().unwrap_or_else(PoisonError::into_inner);
                if *credits > 0 {
                    *credits -= 1;
                    return;
                }
            }
            if self.is_draining.load(Ordering::SeqCst) {
                return;
            }
            notified.await;
        }
    }

    fn take_progress(&self) -> Option<AgentFrame> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let id = progress.keys().next().copied()?;
        let frame = progress.remove(&id);
        if !progress.is_empty() {
            self.has_progress.notify_one();
        }
        frame
    }

    fn forget_progress(&self, partition_id: Uuid) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.remove(&partition_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::domain::frame::{BatchReport, Counts, Release};
    use std::sync::Arc;
    use std::time::Duration;

    fn batch(seq: i64) -> AgentFrame {
        AgentFrame::Batch {
            migration_id: Uuid::nil(),
            report: Box::new(BatchReport {
                partition_id: Uuid::nil(),
                entity: String::new(),
                attempt: 1,
                seq,
                token: 1,
                cursor: None,
                counts: Counts::default(),
                totals: Counts::default(),
                retry_count: 0,
                started_at: chrono::DateTime::UNIX_EPOCH,
                written_at: chrono::DateTime::UNIX_EPOCH,
                errors: Vec::new(),
                was_bisected: false,
                is_last: false,
            }),
        }
    }

    fn progress(rows: i64) -> AgentFrame {
        AgentFrame::Progress {
            migration_id: Uuid::nil(),
            partition_id: Uuid::nil(),
            rows_in_flight: rows,
            throttle: None,
        }
    }

    fn released() -> AgentFrame {
        AgentFrame::Released {
            migration_id: Uuid::nil(),
            partition_id: Uuid::nil(),
            generation: 1,
            reason: Release::Done,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn batches_wait_for_credits_and_other_frames_do_not() {
        let outbox = Arc::new(Outbox::default());
        outbox.set_credits(1);
        outbox.send(batch(1)).await;
        outbox.send(released()).await;
        let waiting = outbox.clone();
        let second = tokio::spawn(async move { waiting.send(batch(2)).await });
        assert_eq!(outbox.next().await, batch(1));
        assert_eq!(outbox.next().await, released());
        let nothing = tokio::time::timeout(Duration::from_secs(60), outbox.next()).await;
        assert!(nothing.is_err());
        outbox.add_credits(1);
        assert_eq!(outbox.next().await, batch(2));
        second.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_without_a_credit_does_not_hold_up_a_drain() {
        let outbox = Arc::new(Outbox::default());
        let waiting = outbox.clone();
        let sent = tokio::spawn(async move { waiting.send(batch(1)).await });
        tokio::task::yield_now().await;
        assert!(!sent.is_finished());
        outbox.set_draining(true);
        sent.await.unwrap();
        // It was not dropped: the next controller gets it.
        assert_eq!(outbox.next().await, batch(1));
        outbox.set_draining(false);
        let next = outbox.send(batch(2));
        let waited = tokio::time::timeout(Duration::from_secs(60), next).await;
        assert!(waited.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn progress_never_waits_and_only_the_latest_is_told() {
        let outbox = Outbox::default();
        for rows in 0..10_000 {
            outbox.progress(Uuid::nil(), progress(rows));
        }
        assert_eq!(outbox.next().await, progress(9_999));
        let nothing = tokio::time::timeout(Duration::from_secs(60), outbox.next()).await;
        assert!(nothing.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_taken_waits_for_the_next_connection() {
        let outbox = Outbox::default();
        outbox.send(released()).await;
        drop(outbox.next());
        assert_eq!(outbox.next().await, released());
    }

    #[tokio::test]
    async fn what_waits_can_be_taken_at_once() {
        let outbox = Outbox::default();
        outbox.progress(Uuid::nil(), progress(1));
        assert_eq!(outbox.next_now(), None);
        outbox.send(released()).await;
        assert_eq!(outbox.next_now(), Some(released()));
        assert_eq!(outbox.next_now(), None);
    }
}
