//! The connection to whichever controller answers.
//!
//! A question goes to one address after another, beginning with the one that answered last. Only
//! UNAVAILABLE and broken connections are tried again: with the same request id, so that a command is
//! done once however often it arrives.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proto::runtime::channel::{self, Address};
use proto::wire::status::Refusal;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::ask::{Ask, Tries};
use super::refusal;
use super::route::Route;
use super::settings::Settings;
use super::stop;
use crate::screen::Screen;
use crate::stop::Stop;

/// Our own deadline comes before the one that the server is told.
const GRACE: Duration = Duration::from_millis(500);
/// Metadata with the name of who asks.
const ACTOR: &str = "drover-actor";

/// Channels to the controllers, opened as they are needed.
pub struct Connection {
    settings: Settings,
    state: Mutex<State>,
    screen: Screen,
    token: CancellationToken,
}

#[derive(Debug)]
struct State {
    route: Route,
    channels: BTreeMap<String, Channel>,
}

impl Connection {
    /// Connects to nothing yet. `token` ends every wait.
    pub fn new(settings: Settings, screen: Screen, token: CancellationToken) -> Self {
        let route = Route::new(settings.addresses.clone());
        Self {
            settings,
            state: Mutex::new(State {
                route,
                channels: BTreeMap::new(),
            }),
            screen,
            token,
        }
    }

    /// The same for every try of this command.
    pub fn request_id(&self) -> String {
        self.settings.request_id.to_string()
    }

    /// Asks for one answer, within `--timeout`.
    pub async fn call<Q, R, F, Fut>(
        &self,
        method: &'static str,
        message: Q,
        send: F,
    ) -> Result<R, Stop>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let ask = Ask {
            method,
            within: self.settings.timeout,
            each: self.settings.timeout,
            is_stream: false,
        };
        self.ask(ask, message, send).await
    }

    /// A question whose answer takes its time: so long where `--timeout` is shorter.
    pub fn patient(&self, method: &'static str, within: Duration) -> Ask {
        let within = within.max(self.settings.timeout);
        Ask {
            method,
            within,
            each: within,
            is_stream: false,
        }
    }

    /// What a stream is opened with: the first time within `--timeout`, again for much longer.
    pub fn stream(&self, method: &'static str, is_again: bool) -> Ask {
        let within = match is_again {
            true => self.settings.look_for.max(self.settings.timeout),
            false => self.settings.timeout,
        };
        Ask {
            method,
            within,
            each: self.settings.timeout,
            is_stream: true,
        }
    }

    /// Asks one controller after the other until one answers or the time is over.
    pub async fn ask<Q, R, F, Fut>(&self, ask: Ask, message: Q, send: F) -> Result<R, Stop>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let mut tries = Tries::begin(ask);
        loop {
            let (address, channel) = self.channel()?;
            let (started, left) = (Instant::now(), tries.left());
            let request = self.request(message.clone(), ask, left);
            let answer = tokio::select! {
                biased;
                () = self.token.cancelled() => return Err(self.interrupted()),
                answer = timeout(left, Box::pin(send(channel, request))) => answer,
            };
            let refusal = match answer {
                Ok(Ok(response)) => {
                    self.note(ask, &address, "OK", started);
                    self.with_state(|state| state.route.answered());
                    return Ok(response.into_inner());
                }
                Ok(Err(status)) => Refusal::of(&status),
                Err(_) => refusal::late(left),
            };
            self.note(ask, &address, &said(&refusal), started);
            let is_late = refusal.is_transport && !refusal.is_passing();
            if !(refusal.is_passing() || is_late && ask.is_stream) {
                return Err(match is_late {
                    true => {
                        tries.failed(&address, refusal);
                        tries.give_up()
                    }
                    false => stop::stop(&refusal),
                });
            }
            let is_round = self.with_state(|state| state.route.failed(refusal::leader(&refusal)));
            tries.failed(&address, refusal);
            if is_round {
                tries = self.wait(tries, ask).await?;
            }
        }
    }

    /// Lost by the one that is asked: the next one has its turn.
    pub fn leave(&self) {
        self.with_state(|state| state.route.failed(None));
    }

    /// Sleeps for a while; false when somebody asks for the end.
    pub async fn sleep(&self, delay: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.token.cancelled() => false,
            () = sleep(delay) => true,
        }
    }

    /// The pause between two rounds.
    async fn wait(&self, mut tries: Tries, ask: Ask) -> Result<Tries, Stop> {
        let is_first = tries.is_first_round();
        let Some(delay) = tries.pause(rand::random()) else {
            return Err(tries.give_up());
        };
        if is_first && !ask.is_stream {
            self.screen.say(&format!(
                "{}; trying for up to {:?}",
                tries.words(),
                self.settings.timeout
            ));
        }
        match self.sleep(delay).await {
            true => Ok(tries),
            false => Err(self.interrupted()),
        }
    }

    fn interrupted(&self) -> Stop {
        Stop::interrupted("stopped before a controller answered")
            .with("request_id", self.request_id().into())
    }

    fn request<Q>(&self, message: Q, ask: Ask, left: Duration) -> Request<Q> {
        let mut request = Request::new(message);
        if !ask.is_stream {
            request.set_timeout(left + GRACE);
        }
        let metadata = request.metadata_mut();
        metadata.insert(ACTOR, self.settings.actor.clone());
        if let Ok(id) = MetadataValue::try_from(self.request_id().as_str()) {
            metadata.insert("drover-request-id", id);
        }
        request
    }

    /// Whose turn it is, and a channel to it.
    fn channel(&self) -> Result<(Address, Channel), Stop> {
        self.with_state(|state| {
            let address = state.route.current().cloned();
            let address = address.ok_or_else(|| Stop::usage("no address of a controller"))?;
            if let Some(channel) = state.channels.get(&address.to_string()) {
                return Ok((address, channel.clone()));
            }
            let channel = self.open(&address)?;
            state.channels.insert(address.to_string(), channel.clone());
            Ok((address, channel))
        })
    }

    fn open(&self, address: &Address) -> Result<Channel, Stop> {
        let endpoint = channel::endpoint(address, self.settings.tls.as_ref());
        let endpoint = endpoint.map_err(|error| Stop::usage(error.to_string()))?;
        let agent = concat!("drover-cli/", env!("CARGO_PKG_VERSION"));
        endpoint
            .user_agent(agent)
            .map(|endpoint| endpoint.connect_lazy())
            .map_err(|error| Stop::usage(format!("{address}: {error}")))
    }

    fn with_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, ask: Ask, address: &Address, words: &str, started: Instant) {
        if self.settings.is_verbose {
            let took = started.elapsed().as_millis();
            self.screen.say(&format!(
                "{} at {address}: {words} after {took}ms",
                ask.method
            ));
        }
    }
}

fn said(refusal: &Refusal) -> String {
    let (code, reason) = (refusal::name(refusal.code), refusal::reason(refusal));
    format!("{code} {reason} ({})", refusal.message)
}

/// Without the channels, which show nothing.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
