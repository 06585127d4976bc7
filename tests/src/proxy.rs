//! A far destination: a TCP proxy that adds a delay each way and nothing else, and can stop reading.
//!
//! Every chunk is stamped when it arrives and passed on when its time has come, so the bandwidth stays what
//! it was: what is under way is bounded by memory only, as a long line holds much.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// What is read at once.
const CHUNK: usize = 64 << 10;
/// Chunks under way in one direction of a connection, each of [`CHUNK`] at most.
const LINE: usize = 1024;
/// The runtime's clock ticks in milliseconds and wakes behind the moment, so half of one is taken off.
const TICK: Duration = Duration::from_micros(500);

/// A proxy that runs until it is dropped with its runtime.
pub struct Proxy {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    is_open: watch::Sender<bool>,
}

impl Proxy {
    /// Passes connections to a server, with this delay each way.
    pub async fn start(target: String, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (is_open, gate) = watch::channel(true);
        tokio::spawn(accept(listener, target, delay, gate));
        Ok(Self { port, is_open })
    }

    /// Reads nothing from the clients any more, as a server that hangs does.
    pub fn stall(&self) {
        self.is_open.send_replace(false);
    }

    /// Reads again.
    pub fn go_on(&self) {
        self.is_open.send_replace(true);
    }
}

/// Serves connections for ever.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn serve(listen: &str, target: String, delay: Duration) -> Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("listen at {listen}"))?;
    let (_open, gate) = watch::channel(true);
    accept(listener, target, delay, gate).await;
    Ok(())
}

async fn accept(
    listener: TcpListener,
    target: String,
    delay: Duration,
    gate: watch::Receiver<bool>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (target, gate) = (target.clone(), gate.clone());
        tokio::spawn(async move {
            // The client sees a closed connection, as it would behind a line to a dead server.
            if let Ok(server) = TcpStream::connect(&target).await {
                connect(client, server, delay, gate);
            }
        });
    }
}

fn connect(client: TcpStream, server: TcpStream, delay: Duration, gate: watch::Receiver<bool>) {
    for socket in [&client, &server] {
        let _ = socket.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    pass(from_client, to_server, delay, Some(gate));
    pass(from_server, to_client, delay, None);
}

/// One direction: a task that stamps, and one that lets go.
fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    mut gate: Option<watch::Receiver<bool>>,
) {
    let (line, mut arrivals) = mpsc::channel::<(Instant, Bytes)>(LINE);
    let delay = delay.saturating_sub(TICK);
    tokio::spawn(async move {
        let mut buffer = BytesMut::new();
        loop {
            if let Some(gate) = &mut gate
                && gate.wait_for(|is_open| *is_open).await.is_err()
            {
                return;
            }
            buffer.reserve(CHUNK);
            match from.read_buf(&mut buffer).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
            let chunk = buffer.split().freeze();
            if line.send((Instant::now() + delay, chunk)).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((due, chunk)) = arrivals.recv().await {
            if !delay.is_zero() {
                sleep_until(due).await;
            }
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that gives back what it gets.
    async fn echo() -> Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Ok(address)
    }

    #[tokio::test]
    async fn a_round_trip_takes_twice_the_delay_and_bandwidth_is_not_cut() -> Result<()> {
        let delay = Duration::from_millis(50);
        let proxy = Proxy::start(echo().await?, delay).await?;
        let mut socket = TcpStream::connect(("127.0.0.1", proxy.port)).await?;
        let sent = vec![7_u8; 16 << 20];
        let mut got = vec![0_u8; sent.len()];
        let begun = Instant::now();
        let (mut from, mut to) = socket.split();
        let (wrote, read) = tokio::join!(to.write_all(&sent), from.read_exact(&mut got));
        wrote?;
        read?;
        let took = begun.elapsed();
        assert_eq!(sent, got);
        assert!(took >= 2 * delay - 3 * TICK, "{took:?}");
        // A delay per chunk would take 25 seconds.
        assert!(took < Duration::from_secs(5), "{took:?}");
        Ok(())
    }

    #[tokio::test]
    async fn a_stalled_proxy_reads_nothing_until_it_goes_on() -> Result<()> {
        let proxy = Proxy::start(echo().await?, Duration::ZERO).await?;
        let mut socket = TcpStream::connect(("127.0.0.1", proxy.port)).await?;
        let mut byte = [0];
        socket.write_all(b"a").await?;
        socket.read_exact(&mut byte).await?;
        proxy.stall();
        // The read that waits already may take one more.
        socket.write_all(b"b").await?;
        socket.read_exact(&mut byte).await?;
        socket.write_all(b"c").await?;
        let answer = tokio::time::timeout(Duration::from_millis(200), socket.read(&mut byte));
        assert!(answer.await.is_err());
        proxy.go_on();
        socket.read_exact(&mut byte).await?;
        assert_eq!(&byte, b"c");
        Ok(())
    }
}
