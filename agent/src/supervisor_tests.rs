use std::collections::BTreeMap;
use std::pin::Pin;

use futures::Stream;
use proto::domain::frame::{ControllerFrame, Hello, Release};
use proto::lease::MemoryLeaseStore;
use proto::pb::agent_stream::SessionResponse;
use proto::pb::agent_stream::agent_session_service_server::{
    AgentSessionService, AgentSessionServiceServer,
};
use proto::runtime::settings::Environment;
use proto::wire::agent_stream::{FrameReader, write_order};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response};
use uuid::Uuid;

use super::*;
use crate::session::Identity;
use crate::testing::soon;

/// What a controller hears.
#[derive(Debug, PartialEq)]
enum Heard {
    Frame(AgentFrame),
    /// The agent ended its half of the stream, or broke it.
    End,
}

/// A controller that welcomes everybody and only listens.
struct Listening(mpsc::UnboundedSender<Heard>);

#[tonic::async_trait]
impl AgentSessionService for Listening {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (heard, mut frames) = (self.0.clone(), request.into_inner());
        let (answers, stream) = mpsc::channel(1);
        let frame = ControllerFrame::Welcome {
            controller_id: Uuid::nil(),
            credits: 1,
        };
        let welcome = write_order(&Order { epoch: 1, frame }).unwrap();
        answers.send(Ok(welcome)).await.unwrap();
        tokio::spawn(async move {
            let mut reader = FrameReader::default();
            while let Ok(Some(message)) = frames.message().await {
                if let Some(frame) = reader.read(message).unwrap() {
                    heard.send(Heard::Frame(frame)).unwrap();
                }
            }
            let _ = heard.send(Heard::End);
            drop(answers);
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

async fn listening() -> (Address, mpsc::UnboundedReceiver<Heard>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tx, heard) = mpsc::unbounded_channel();
    let service = AgentSessionServiceServer::new(Listening(tx));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let address = Address::parse(&address.to_string(), address.port()).unwrap();
    (address, heard)
}

async fn hello(heard: &mut mpsc::UnboundedReceiver<Heard>) -> Hello {
    match soon(heard.recv()).await {
        Some(Heard::Frame(AgentFrame::Hello(hello))) => hello,
        other => panic!("{other:?}"),
    }
}

fn agent() -> AgentSettings {
    AgentSettings {
        identity: Identity {
            agent_id: "one".to_owned(),
            region: "eu".to_owned(),
            labels: BTreeMap::new(),
            capacity: 1,
        },
        connections: BTreeMap::new(),
        environment: Environment::default(),
    }
}

fn settings(controller: Address) -> SupervisorSettings {
    SupervisorSettings {
        controllers: vec![controller],
        tls: None,
        orphan_limit: Duration::from_secs(60),
        drain_deadline: Duration::from_secs(60),
    }
}

#[tokio::test]
async fn a_lost_lease_ends_the_stream_and_a_new_one_begins_another() {
    let (controller, mut heard) = listening().await;
    let lease = Arc::<MemoryLeaseStore>::default();
    let stop = CancellationToken::new();
    let running = run(agent(), settings(controller), lease.clone(), stop.clone());
    let running = tokio::spawn(running);
    let first = hello(&mut heard).await;
    assert!(lease.expire(first.holder));
    assert_eq!(soon(heard.recv()).await, Some(Heard::End));
    assert_eq!(hello(&mut heard).await.holder, first.holder);
    stop.cancel();
    assert_eq!(soon(heard.recv()).await, Some(Heard::End));
    soon(running).await.unwrap();
}

#[tokio::test]
async fn nobody_is_dialled_without_a_membership() {
    let (controller, mut heard) = listening().await;
    let lonely = Agent::start(agent(), Arc::<MemoryLeaseStore>::default());
    let (present, membership) = watch::channel(None);
    let stop = CancellationToken::new();
    let dialling = dial(
        (lonely.session.clone(), membership),
        vec![controller.clone()],
        None,
        stop.clone(),
    );
    let dialling = tokio::spawn(dialling.run(Duration::from_secs(60)));
    // One that is a member and began later is there, and nobody else.
    let other = Agent::start(agent(), Arc::<MemoryLeaseStore>::default());
    let at = (other.session.clone(), other.present.clone());
    let others =
        tokio::spawn(dial(at, vec![controller], None, stop.clone()).run(Duration::from_secs(60)));
    hello(&mut heard).await;
    assert!(heard.try_recv().is_err());
    let elsewhere = MemoryLeaseStore::default();
    let member = elsewhere.join(lonely.session.entry()).await.unwrap();
    present.send_replace(Some(member));
    hello(&mut heard).await;
    stop.cancel();
    soon(dialling).await.unwrap();
    soon(others).await.unwrap();
    lonely.end().await;
    other.end().await;
}

#[tokio::test]
async fn what_waits_is_said_before_the_stream_ends() {
    let (controller, mut heard) = listening().await;
    let lease = Arc::<MemoryLeaseStore>::default();
    let agent = Agent::start(agent(), lease);
    let hang_up = CancellationToken::new();
    let at = (agent.session.clone(), agent.present.clone());
    let dialling = dial(at, vec![controller], None, hang_up.clone());
    let dialling = tokio::spawn(dialling.run(Duration::from_secs(60)));
    hello(&mut heard).await;
    let released = |partition| AgentFrame::Released {
        migration_id: Uuid::nil(),
        partition_id: Uuid::from_u128(partition),
        generation: 1,
        reason: Release::Drained,
    };
    for partition in 0..200 {
        agent.session.outbox.send(released(partition)).await;
    }
    hang_up.cancel();
    for partition in 0..200 {
        let frame = Heard::Frame(released(partition));
        assert_eq!(soon(heard.recv()).await, Some(frame));
    }
    assert_eq!(soon(heard.recv()).await, Some(Heard::End));
    soon(dialling).await.unwrap();
    agent.end().await;
}
