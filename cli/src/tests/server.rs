//! A controller that answers by script: each call takes the next answer. It knows no rules, keeps no
//! state, and writes down what it was asked.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use proto::pb;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// What a call gets.
pub enum Answer {
    /// A refusal.
    No(Status),
    /// A migration, where the method answers with one.
    Migration(Box<pb::MigrationOrchestration>),
    /// An agent, where the method answers with one.
    Agent(Box<pb::Agent>),
    /// A page of migrations.
    Migrations(Vec<pb::MigrationOrchestration>, &'static str),
    /// A page of entities.
    Entities(Vec<pb::EntityMigrationStatus>),
    /// Whatever the method answers with, empty.
    Empty,
    /// A stream.
    Watch(Vec<Step>),
    /// Nothing, ever.
    Hang,
}

/// A part of a stream; after the last one it ends without a word.
#[expect(clippy::large_enum_variant, reason = "a handful of them in tests")]
pub enum Step {
    /// A message with its resume token.
    Say(&'static str, pb::watch_migration_response::Update),
    /// The stream breaks.
    Break(Status),
    /// It stays open and says nothing more.
    Silence,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Asked {
    pub method: &'static str,
    /// Name of what it is about, where the request has one.
    pub name: String,
    pub request_id: String,
    pub actor: String,
    /// Resume token, page token, plan, or reason.
    pub detail: String,
    pub etag: String,
}

/// The script and the record of what was asked.
#[derive(Clone, Default)]
pub struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Script {
    /// The next answer, and a line in the record.
    pub async fn next<T>(&self, asked: Asked, request: &Request<T>) -> Result<Answer, Status> {
        let actor = request.metadata().get("drover-actor");
        let actor = actor.and_then(|actor| actor.to_str().ok());
        self.asked.lock().unwrap().push(Asked {
            actor: actor.unwrap_or_default().to_owned(),
            ..asked
        });
        let answer = self.answers.lock().unwrap().pop_front();
        match answer {
            Some(Answer::No(status)) => Err(status),
            Some(Answer::Hang) => std::future::pending().await,
            Some(answer) => Ok(answer),
            None => Err(Status::unimplemented("the script is over")),
        }
    }
}

/// A running scripted controller. Ends with the value.
pub struct Scripted {
    script: Script,
    address: String,
    task: JoinHandle<()>,
}

impl Scripted {
    /// Starts one on a free port.
    pub async fn start(answers: Vec<Answer>) -> Self {
        let script = Script::default();
        script.answers.lock().unwrap().extend(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let services = super::fakes::services(script.clone());
        let task = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            services.serve_with_incoming(incoming).await.unwrap();
        });
        Self {
            script,
            address,
            task,
        }
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().clone()
    }

    /// Answers that are left are put behind by these.
    pub fn add(&self, answer: Answer) {
        self.script.answers.lock().unwrap().push_back(answer);
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address where nobody listens.
pub async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A status as controllers make it.
pub fn refusal(code: Code, reason: &str, metadata: &[(&str, &str)]) -> Status {
    let metadata = metadata
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut details = ErrorDetails::with_error_info(
        reason,
        "drover",
        metadata.collect::<std::collections::HashMap<_, _>>(),
    );
    if code == Code::Unavailable {
        details.set_retry_info(Some(Duration::from_millis(1)));
    }
    Status::with_error_details(code, "it cannot be done", details)
}

type Messages = Pin<Box<dyn Stream<Item = Result<pb::WatchMigrationResponse, Status>> + Send>>;

/// A script as a stream.
pub fn messages(steps: Vec<Step>) -> Messages {
    let messages = steps.into_iter().map(|step| async move {
        match step {
            Step::Say(token, update) => Ok(pb::WatchMigrationResponse {
                resume_token: token.to_owned(),
                update: Some(update),
            }),
            Step::Break(status) => Err(status),
            Step::Silence => std::future::pending().await,
        }
    });
    Box::pin(stream::iter(messages).then(|message| message))
}
