//! `drover agent`: who works, and who shall not.

use std::time::Duration;

use proto::domain::record::{AgentState, AgentStatus};
use proto::runtime::backoff::Backoff;
use proto::wire::status::Reason;
use tokio::time::{Instant, sleep};

use crate::args::{AgentCommand, AgentListArgs, DrainArgs};
use crate::context::Context;
use crate::exit::Code;
use crate::remote::Remote;
use crate::render::{Format, record};
use crate::stop::Stop;

/// Delays between two looks at an agent that drains.
const LOOK: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(3));

/// Runs one verb.
pub async fn run(context: &Context, command: AgentCommand) -> Result<Code, Stop> {
    let remote = context.remote()?;
    match command {
        AgentCommand::List(args) => list(context, &remote, &args).await,
        AgentCommand::Get { name } => {
            let agent = remote.agent(&name).await?;
            match context.output {
                Format::Table | Format::Wide => {
                    context.screen.print(&record::agent_details(&agent));
                    Ok(Code::Done)
                }
                Format::Json | Format::Jsonl | Format::Name => context.show(&agent),
            }
        }
        AgentCommand::Drain(args) => drain(context, &remote, &args).await,
        AgentCommand::Cordon { name } => context.show(&remote.cordon(&name).await?),
        AgentCommand::Uncordon { name } => context.show(&remote.uncordon(&name).await?),
    }
}

async fn list(context: &Context, remote: &Remote, args: &AgentListArgs) -> Result<Code, Stop> {
    let listed = remote.agents(&args.region, args.limit.limit).await?;
    context.show_listed(&listed)
}

async fn drain(context: &Context, remote: &Remote, args: &DrainArgs) -> Result<Code, Stop> {
    let agent = remote.drain(&args.name).await?;
    if !args.wait {
        return context.show(&agent);
    }
    let deadline = args
        .patience
        .wait_timeout
        .map(|within| Instant::now() + within);
    let drained = tokio::select! {
        biased;
        () = cancelled(context) => return Err(Stop::interrupted("detached, the agent goes on draining")),
        drained = Box::pin(until_drained(remote, agent, deadline)) => drained?,
    };
    match drained {
        Some(agent) => context.show(&agent),
        None => {
            context.say("the agent gave everything back and is gone");
            Ok(Code::Done)
        }
    }
}

async fn cancelled(context: &Context) {
    context.shutdown.token().cancelled().await;
}

/// Looks until the agent holds nothing; none when it is gone.
async fn until_drained(
    remote: &Remote,
    mut agent: AgentStatus,
    deadline: Option<Instant>,
) -> Result<Option<AgentStatus>, Stop> {
    let id = agent.id.to_string();
    let mut looks = 0_u32;
    loop {
        match agent.state {
            AgentState::Draining if agent.partitions == 0 => return Ok(Some(agent)),
            AgentState::Draining | AgentState::Disconnected => {}
            AgentState::Active | AgentState::Cordoned => return Err(not_draining(&agent)),
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let words = format!(
                "agent {} still holds {} partitions",
                agent.name, agent.partitions
            );
            return Err(Stop::new(Code::WaitTimeout, "WAIT_TIMEOUT", words)
                .hinting("it goes on draining; `drover agent get` shows how far it is"));
        }
        sleep(LOOK.delay(looks, rand::random())).await;
        looks = looks.saturating_add(1);
        agent = match remote.agent(&id).await {
            Ok(agent) => agent,
            Err(stop) if stop.is_reason(Reason::AgentNotFound.as_str()) => return Ok(None),
            Err(stop) => return Err(stop),
        };
    }
}

fn not_draining(agent: &AgentStatus) -> Stop {
    let words = format!(
        "agent {} does not drain any more: it was uncordoned",
        agent.name
    );
    Stop::new(Code::WrongState, "NOT_DRAINING", words)
}
