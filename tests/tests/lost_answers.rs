//! Answers to COMMIT are lost at the worst moments: a proxy before the destination cuts them off, or sends
//! the message on much later. Found by the model of the fence; each was a bug.

use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::{drover, pg};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

/// What the proxy does to the batches of `products`, or to all where that is the last one's.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// The last batch of a partition is committed, its answer is lost, and nobody can connect for a while.
    LastAnswer,
    /// The first batch is held back and committed only when the answer to the second is awaited.
    LateCommit,
}

#[derive(Default)]
struct State {
    hits: u32,
    refuse: u32,
    held: Option<(Vec<u8>, OwnedWriteHalf, oneshot::Receiver<()>)>,
}

type Shared = Arc<Mutex<State>>;

fn has(chunk: &[u8], word: &str) -> bool {
    chunk
        .windows(word.len())
        .any(|found| found == word.as_bytes())
}

pub(crate) async fn proxy(fault: Fault) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstream = pg::server().await.port;
    let state = Shared::default();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let is_refused = {
                let mut state = state.lock().unwrap();
                let is_refused = state.refuse > 0;
                state.refuse = state.refuse.saturating_sub(1);
                is_refused
            };
            if !is_refused {
                tokio::spawn(serve(fault, client, upstream, state.clone()));
            }
        }
    });
    port
}

/// The server's answers: passed on until muted; tells when a COMMIT was answered.
struct Answers {
    is_muted: Arc<Mutex<bool>>,
    hang_up: Arc<Notify>,
    committed: oneshot::Receiver<()>,
}

fn pass_answers(mut server: OwnedReadHalf, client: OwnedWriteHalf) -> Answers {
    let (is_muted, hang_up) = (Arc::new(Mutex::new(false)), Arc::new(Notify::new()));
    let (tx, committed) = oneshot::channel();
    let (muted, hung) = (is_muted.clone(), hang_up.clone());
    tokio::spawn(async move {
        let (mut tx, mut client) = (Some(tx), Some(client));
        let mut buffer = vec![0; 65536];
        loop {
            let read = tokio::select! {
                () = hung.notified() => {
                    client = None;
                    continue;
                }
                read = server.read(&mut buffer) => read.unwrap_or(0),
            };
            if read == 0 {
                return;
            }
            let is_muted = *muted.lock().unwrap();
            if is_muted && has(&buffer[..read], "COMMIT") {
                let _ = tx.take().map(|tx| tx.send(()));
            }
            if let Some(client) = client.as_mut().filter(|_| !is_muted)
                && client.write_all(&buffer[..read]).await.is_err()
            {
                return;
            }
        }
    });
    Answers {
        is_muted,
        hang_up,
        committed,
    }
}

async fn serve(fault: Fault, client: TcpStream, port: u16, state: Shared) {
    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let answers = pass_answers(from_server, to_client);
    let mut is_products = fault == Fault::LastAnswer;
    let mut buffer = vec![0; 65536];
    loop {
        let read = from_client.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            return;
        }
        let chunk = &buffer[..read];
        is_products |= has(chunk, "opy ") && has(chunk, "products");
        let is_batch = is_products && has(chunk, "drover.advance(");
        let is_target = is_batch && (fault == Fault::LateCommit || has(chunk, ", true, 0, false)"));
        let hits = {
            let mut state = state.lock().unwrap();
            state.hits += u32::from(is_target);
            state.hits
        };
        match (is_target.then_some(hits), fault) {
            (Some(1), Fault::LastAnswer) => {
                *answers.is_muted.lock().unwrap() = true;
                to_server.write_all(chunk).await.unwrap();
                answers.committed.await.unwrap();
                state.lock().unwrap().refuse = 8;
                return;
            }
            (Some(1), Fault::LateCommit) => {
                *answers.is_muted.lock().unwrap() = true;
                let held = (chunk.to_vec(), to_server, answers.committed);
                state.lock().unwrap().held = Some(held);
                // The client's side closes, the server's stays.
                answers.hang_up.notify_one();
                return;
            }
            (Some(2), Fault::LateCommit) => {
                let (late, mut old, committed) = state.lock().unwrap().held.take().unwrap();
                old.write_all(&late).await.unwrap();
                committed.await.unwrap();
                return;
            }
            _ => {}
        }
        if to_server.write_all(chunk).await.is_err() {
            return;
        }
    }
}

/// Runs behind the proxy until it is done, and compares the counters with the rows.
async fn run_to_its_end(clinic: &Clinic, fault: Fault) -> Result<()> {
    let (direct, port) = (clinic.app.url(), proxy(fault).await);
    let through = direct.replace(
        &format!(":{}/", pg::server().await.port),
        &format!(":{port}/"),
    );
    let env = [
        ("DROVER_CONNECTION_LEGACY".to_owned(), clinic.legacy.url()),
        ("DROVER_CONNECTION_APP".to_owned(), through),
        ("DROVER_METADATA_URL".to_owned(), direct),
    ];
    let outcome = drover::run(&["run", &clinic.plan()], &env).await?;
    ensure!(
        outcome.code == Some(0),
        "{:?} {}",
        outcome.code,
        outcome.stderr
    );
    let ledger = clinic
        .app
        .texts(
            "select e.entity || ' ' || sum(l.n_read) || ' ' || sum(l.n_written) from drover.ledger l \
             join drover.partition p using (partition_id) join drover.entity e using (entity_no) group by e.entity order by e.entity",
        )
        .await?;
    let metadata = clinic
        .app
        .texts(
            "select entity || ' ' || records_read || ' ' || records_written from drover_meta.entity_migration_status \
             order by 1",
        )
        .await?;
    ensure!(
        ledger == metadata,
        "ledger {ledger:?}\nmetadata {metadata:?}"
    );
    let products = clinic
        .legacy
        .number("select count(*) from catalog_product")
        .await?;
    let written = clinic
        .app
        .number("select count(*) from public.products")
        .await?;
    ensure!(products == written, "{written} products of {products}");
    Ok(())
}

#[tokio::test]
async fn the_last_report_of_a_partition_is_told_by_its_next_holder() -> Result<()> {
    let clinic = Clinic::new("0.1").await?;
    clinic.edit_plan(
        "limits: {parallel_partitions: 4, max_retries: 5}",
        "limits: {parallel_partitions: 1, max_retries: 1}",
    )?;
    run_to_its_end(&clinic, Fault::LastAnswer).await
}

#[tokio::test]
async fn a_late_commit_of_the_whole_does_not_double_its_second_half() -> Result<()> {
    let clinic = Clinic::new("0.1").await?;
    clinic.edit_plan(
        "limits: {parallel_partitions: 4,",
        "limits: {parallel_partitions: 1,",
    )?;
    clinic.edit_plan("batch_size: 20000", "batch_size: 20")?;
    clinic
        .app
        .run(
            "create sequence tries; create function slow() returns trigger language plpgsql as $$ begin \
                 if nextval('public.tries') = 2 then \
                     raise exception 'canceling statement due to statement timeout' using errcode = '57014'; \
                 end if; return null; end $$; \
             create trigger slow before insert on products for each statement execute function slow()",
        )
        .await?;
    run_to_its_end(&clinic, Fault::LateCommit).await
}
