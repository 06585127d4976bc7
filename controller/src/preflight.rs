//! The preflight of a plan: an agent gathers facts and tries a sample, the domain judges.

use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use proto::domain::compiled::CompiledPlan;
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::{Query, QueryAnswer};
use proto::domain::plan::Plan;
use proto::domain::preflight::{
    Facts, Grantees, LeaseFacts, Preflight, Trial, TrialAsk, grants, inverse, judge, load, refusal,
    steps,
};
use proto::lease::LeaseStore;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, info_span, warn};

use crate::crew::Crew;
use crate::fleet::misfit;
use crate::plan::{PlanError, compile_only};
use crate::prepare::{check_start, identify, read_state};

/// How long gathering facts may take.
const FACTS: Duration = Duration::from_secs(120);
/// How long one entity's sample may take.
const TRIAL: Duration = Duration::from_secs(180);
/// Samples that are tried at the same time.
const AT_ONCE: usize = 2;
/// How long a start waits for the quick checks; without an answer it goes on.
const QUICK: Duration = Duration::from_secs(10);
/// How long a lease store may take to answer.
const LEASE: Duration = Duration::from_secs(5);

/// What a preflight is asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Rows of each entity that are tried.
    pub sample_rows: u32,
    /// Roles that get the rights of the scripts.
    pub grantees: Grantees,
}

/// Compiles a plan and looks at everything that can be known before it is run; stores nothing.
///
/// # Errors
/// The plan's problems; `PlanChanged` or `IdentityChanged` where it was started as another one; no agent.
pub async fn preflight(
    crew: &Crew,
    plan: &Plan,
    lease: &LeaseFacts,
    asked: &Asked,
) -> Result<(CompiledPlan, Preflight), PlanError> {
    let compiled = compile_only(crew, plan)
        .instrument(info_span!("plan"))
        .await?;
    let facts = facts(crew, &compiled, false, FACTS).await?;
    // What another role installed cannot be read, and is told by a check.
    if facts.destination.owns_drover == Some(true)
        && let Some(state) = read_state(crew, &compiled.name).await?
    {
        let (source, destination) = identify(crew).await?;
        check_start(&state, &compiled, &source, &destination)?;
    }
    let trials = match asked.sample_rows {
        0 => Vec::new(),
        rows => try_rows(crew, &compiled, rows).await?,
    };
    let load = load(&compiled, &facts, &trials);
    let found = Preflight {
        checks: judge(&compiled, &facts, lease, &load),
        steps: steps(&compiled, &facts),
        inverse: inverse(&compiled, &facts),
        trials,
        load,
        grants: grants(&compiled, &facts, &asked.grantees),
    };
    Ok((compiled, found))
}

async fn facts(
    crew: &Crew,
    compiled: &CompiledPlan,
    is_quick: bool,
    deadline: Duration,
) -> Result<Facts, Failure> {
    let query = Query::Preflight {
        plan: Box::new(compiled.clone()),
        is_quick,
    };
    match crew.ask(query, deadline).await? {
        QueryAnswer::Facts(facts) => Ok(*facts),
        _ => Err(misfit()),
    }
}

async fn try_rows(crew: &Crew, compiled: &CompiledPlan, rows: u32) -> Result<Vec<Trial>, Failure> {
    let active = compiled.entities.iter().filter(|entity| entity.is_active);
    let asks = active.map(|entity| TrialAsk {
        plan: compiled.clone(),
        entity: entity.entity.clone(),
        rows,
    });
    let asks: Vec<TrialAsk> = asks.collect();
    let trials = asks
        .into_iter()
        .map(|ask| try_entity(crew.clone(), ask).boxed());
    stream::iter(trials).buffered(AT_ONCE).try_collect().await
}

async fn try_entity(crew: Crew, ask: TrialAsk) -> Result<Trial, Failure> {
    let entity = ask.entity.clone();
    match crew.ask(Query::TryRows(Box::new(ask)), TRIAL).await {
        Ok(QueryAnswer::Tried(trial)) => Ok(trial),
        Ok(_) => Err(misfit()),
        // One that takes too long says nothing about the others.
        Err(failure) if failure.kind == FailureKind::Timeout => Ok(Trial {
            entity,
            notes: vec![format!("nothing was tried: {failure}")],
            ..Trial::default()
        }),
        Err(failure) => Err(failure),
    }
}

/// Refuses a start where a quick check blocks. Where nobody can look, the run waits for an agent anyhow.
///
/// # Errors
/// What blocks, in the words of the preflight.
pub async fn refuse_start(crew: &Crew, compiled: &CompiledPlan) -> Result<(), Failure> {
    let facts = match facts(crew, compiled, true, QUICK).await {
        Ok(facts) => facts,
        Err(failure) => {
            warn!(%failure, "the migration starts without a look at its databases");
            return Ok(());
        }
    };
    if let Some(failure) = refusal(compiled, &facts) {
        return Err(failure);
    }
    let hidden = facts.filtered(compiled);
    if hidden.is_empty() {
        return Ok(());
    }
    let words: Vec<String> = hidden.into_iter().map(|(_, words)| words).collect();
    Err(Failure::new(FailureKind::Denied, words.join("; ")))
}

/// How a lease store answers.
pub async fn look_at_lease<L: LeaseStore>(lease: &L) -> LeaseFacts {
    let begun = Instant::now();
    match timeout(LEASE, lease.cluster()).await {
        Ok(Ok(_)) => {
            LeaseFacts::Answered(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX))
        }
        Ok(Err(error)) => LeaseFacts::Silent(error.to_string()),
        Err(_) => LeaseFacts::Silent(format!("no answer within {} s", LEASE.as_secs())),
    }
}
