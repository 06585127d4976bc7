use proto::domain::frame::{Connections, Query};
use proto::lease::MemoryLeaseStore;
use proto::runtime::pipe;
use tokio::sync::watch;

use super::*;
use crate::testing::{desk, run_order, silent_server, soon};

fn session(desk: Arc<Desk>) -> Session<MemoryLeaseStore> {
    let identity = Identity {
        agent_id: "one".to_owned(),
        region: "eu".to_owned(),
        labels: BTreeMap::new(),
        capacity: 1,
    };
    let outbox = Arc::<Outbox>::default();
    let (_, membership) = watch::channel(None);
    let lanes = Lanes::new(desk.clone(), Arc::default(), outbox.clone(), membership);
    Session::new(identity, desk, Arc::new(lanes), outbox)
}

fn question(source: &str) -> ControllerFrame {
    ControllerFrame::Query(QueryCall {
        query_id: 7,
        migration_id: None,
        deadline_ms: 60_000,
        connections: Connections {
            source: source.to_owned(),
            destination: "app".to_owned(),
        },
        query: Query::Identify,
    })
}

#[tokio::test]
async fn a_database_that_does_not_answer_holds_up_no_order_behind_the_run() {
    let (_database, options) = silent_server().await;
    let session = session(desk(&options));
    let (mut ours, mut theirs) = pipe::pair(4);
    let stop = CancellationToken::new();
    let talk = async {
        let hello = soon(theirs.rx.recv()).await;
        assert!(matches!(hello, Some(AgentFrame::Hello(_))));
        for frame in [
            ControllerFrame::Run(Box::new(run_order())),
            question("nowhere"),
        ] {
            theirs.tx.send(Order { epoch: 1, frame }).await.unwrap();
        }
        let answer = soon(theirs.rx.recv()).await;
        let Some(AgentFrame::QueryResult { query_id, result }) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(query_id, 7);
        assert_eq!(result.unwrap_err().kind, FailureKind::Denied);
        stop.cancel();
    };
    let (served, ()) = soon(async { tokio::join!(session.serve(&mut ours, &stop), talk) }).await;
    served.unwrap();
}
