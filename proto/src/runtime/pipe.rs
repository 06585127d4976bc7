//! An in-memory pipe with two ends: what a network stream is between two machines.
//!
//! Both directions are bounded; a full one slows its sender and drops nothing.

use tokio::sync::mpsc;

/// One end of a pipe: sends `A`, receives `B`. Dropping it closes both directions.
#[derive(Debug)]
pub struct End<A, B> {
    /// To the other end.
    pub tx: mpsc::Sender<A>,
    /// From the other end; `None` once that end is gone.
    pub rx: mpsc::Receiver<B>,
}

/// A pipe that holds up to `capacity` messages in each direction (at least one).
pub fn pair<A, B>(capacity: usize) -> (End<A, B>, End<B, A>) {
    let capacity = capacity.max(1);
    let (left_tx, right_rx) = mpsc::channel(capacity);
    let (right_tx, left_rx) = mpsc::channel(capacity);
    (
        End {
            tx: left_tx,
            rx: left_rx,
        },
        End {
            tx: right_tx,
            rx: right_rx,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_one_end_sends_the_other_receives_until_it_is_dropped() {
        let (left, mut right) = pair::<u8, &str>(0);
        left.tx.send(7).await.unwrap();
        assert_eq!(right.rx.recv().await, Some(7));
        let mut left = left;
        right.tx.send("done").await.unwrap();
        drop(right);
        assert_eq!(left.rx.recv().await, Some("done"));
        assert_eq!(left.rx.recv().await, None);
        assert!(left.tx.send(8).await.is_err());
    }
}
