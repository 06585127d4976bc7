//! Brings a validation to its end: asks its pieces, as many side by side as there are lanes, keeps every
//! answer, asks what follows, and stores the results.
//!
//! Begun anew at any time, it goes on with the pieces that are not done. Nothing it asks writes a row.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::domain::compiled::{CompiledCheck, CompiledPlan};
use proto::domain::failure::{Failure, FailureKind, Policy, policy};
use proto::domain::frame::{
    DatabaseIdentity, Query, QueryAnswer, RunOrder, ValidateAnswer, ValidateQuestion,
};
use proto::domain::record::{
    MigrationOrchestration, MigrationStatus, ValidationRun, ValidationRunStatus,
};
use proto::domain::sketch::Sketch;
use proto::runtime::backoff::Backoff;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use super::judge;
use super::units::{self, Sketches};
use crate::crew::Crew;
use crate::fleet::misfit;
use crate::prepare::read_state;
use crate::store::{Store, StoreError, StoredUnit};

/// How long a piece may take.
const PIECE: Duration = Duration::from_secs(3600);
/// How often it is looked whether the validation was ended by somebody.
const LOOK: Duration = Duration::from_millis(500);
/// How long an agent is waited for.
const PATIENCE: Duration = Duration::from_secs(600);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(300), Duration::from_secs(15));

/// A validation, and what it needs.
pub struct Validator {
    /// The agents.
    pub crew: Crew,
    /// The metadata.
    pub store: Store,
    /// The plan, as the migration ran it.
    pub compiled: CompiledPlan,
    /// The migration.
    pub migration: MigrationOrchestration,
    /// The validation.
    pub run: ValidationRun,
}

/// What comes of a piece: its number, when it was begun, and the answer.
type Piece = (i32, Instant, Result<ValidateAnswer, Failure>);

/// A validation in the works.
struct Work {
    validator: Validator,
    checks: Vec<CompiledCheck>,
    units: Vec<StoredUnit>,
    asked: JoinSet<Piece>,
    under_way: BTreeSet<i32>,
    /// Tries of a piece, and when it is asked again.
    troubles: BTreeMap<i32, (u32, Instant)>,
    /// When a piece was answered last.
    last_answer: Instant,
}

impl Validator {
    /// Works on the validation until it ends or `stop` is cancelled; as it is stored then. `view` shows how
    /// many pieces there are and how many are done.
    ///
    /// # Errors
    /// The metadata's failures: it can be begun anew.
    pub async fn drive(
        self,
        view: watch::Sender<(usize, usize)>,
        stop: &CancellationToken,
    ) -> Result<ValidationRun, Failure> {
        let span =
            info_span!("validate", migration_id = %self.migration.id, validation_id = %self.run.id);
        let (store, run) = (self.store.clone(), self.run.clone());
        let ended = async {
            let mut work = Box::pin(Work::begin(self)).await?;
            Box::pin(work.go_on(&view, stop)).await
        };
        match ended.instrument(span).await {
            Err(failure) if is_of_the_metadata(&failure) => Err(failure),
            Err(failure) => {
                warn!(validation_id = %run.id, reason = %failure, "a validation failed");
                let status = ValidationRunStatus::Failed;
                kept(store.end_validation(run.id, status, &failure.message).await)
            }
            Ok(run) => Ok(run),
        }
    }
}

/// Failures of the metadata carry this kind through; those of the databases are stored as the reason.
fn is_of_the_metadata(failure: &Failure) -> bool {
    failure.kind == FailureKind::Fenced || failure.message.starts_with(METADATA)
}

const METADATA: &str = "metadata: ";

fn kept<T>(outcome: Result<T, StoreError>) -> Result<T, Failure> {
    outcome.map_err(|error| {
        let failure = error.failure();
        Failure {
            message: format!("{METADATA}{}", failure.message),
            ..failure
        }
    })
}

impl Work {
    /// Takes up what is stored; a new validation gets its first pieces.
    async fn begin(validator: Validator) -> Result<Self, Failure> {
        let level = validator.run.level.as_deref();
        let level = level.map(str::parse).transpose().map_err(|_| misfit())?;
        let checks = units::checks(&validator.compiled, level, &validator.run.entities);
        let (mut stored, _) = kept(validator.store.validation_units(validator.run.id).await)?;
        if stored.is_empty() {
            stored = add(&validator, &[], units::first_questions(&checks)).await?;
        }
        brief(&validator).await?;
        Ok(Self {
            validator,
            checks,
            units: stored,
            asked: JoinSet::new(),
            under_way: BTreeSet::new(),
            troubles: BTreeMap::new(),
            last_answer: Instant::now(),
        })
    }

    async fn go_on(
        &mut self,
        view: &watch::Sender<(usize, usize)>,
        stop: &CancellationToken,
    ) -> Result<ValidationRun, Failure> {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if self.is_done() && !self.follow_up().await? {
                return self.complete().await;
            }
            self.ask_more();
            let done = self.units.iter().filter(|unit| unit.answer.is_some());
            view.send_replace((done.count(), self.units.len()));
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(self.validator.run.clone()),
                Some(piece) = self.asked.join_next() => self.take(piece).await?,
                _ = ticks.tick() => if let Some(ended) = self.look().await? {
                    return Ok(ended);
                },
            }
        }
    }

    fn is_done(&self) -> bool {
        self.units.iter().all(|unit| unit.answer.is_some())
    }

    /// Adds what follows from the answers; whether anything does.
    async fn follow_up(&mut self) -> Result<bool, Failure> {
        let id = self.validator.run.id;
        let (stored, sums) = kept(self.validator.store.validation_units(id).await)?;
        self.units = stored;
        let questions = units::follow_up(&self.units, &sketches(sums)?);
        let added = add(&self.validator, &self.units, questions).await?;
        let has_more = !added.is_empty();
        self.units.extend(added);
        Ok(has_more)
    }

    /// Asks open pieces while lanes are free.
    fn ask_more(&mut self) {
        let limit = self.validator.compiled.limits.parallel_partitions;
        let lanes = self.validator.crew.lanes(limit).max(1);
        let now = Instant::now();
        let open: Vec<(i32, ValidateQuestion)> = self
            .units
            .iter()
            .filter(|unit| unit.answer.is_none() && !self.under_way.contains(&unit.number))
            .filter(|unit| {
                let trouble = self.troubles.get(&unit.number);
                trouble.is_none_or(|(_, not_before)| *not_before <= now)
            })
            .take(lanes.saturating_sub(self.under_way.len()))
            .map(|unit| (unit.number, unit.question.clone()))
            .collect();
        for (number, question) in open {
            self.under_way.insert(number);
            let crew = self.validator.crew.clone();
            let span = info_span!("ask", entity = %question.entity, what = question.ask.word());
            let piece = async move {
                let begun = Instant::now();
                let query = Query::Validate(Box::new(question));
                let answer = match crew.ask_someone(query, PIECE).await {
                    Ok((_, QueryAnswer::Validated(answer))) => Ok(*answer),
                    Ok(_) => Err(misfit()),
                    Err(failure) => Err(failure),
                };
                (number, begun, answer)
            };
            self.asked.spawn(piece.instrument(span));
        }
    }

    async fn take(&mut self, piece: Result<Piece, tokio::task::JoinError>) -> Result<(), Failure> {
        let (number, begun, answer) = piece.map_err(|error| {
            let words = format!("a piece of a validation ended by itself: {error}");
            Failure::new(FailureKind::Internal, words)
        })?;
        self.under_way.remove(&number);
        match answer {
            Ok(answer) => {
                let leads_on = matches!(answer, ValidateAnswer::Surveyed(_));
                self.keep(number, begun.elapsed(), answer).await?;
                if leads_on {
                    self.follow_up().await?;
                }
                Ok(())
            }
            Err(failure) => self.bear(number, failure),
        }
    }

    async fn keep(
        &mut self,
        number: i32,
        took: Duration,
        answer: ValidateAnswer,
    ) -> Result<(), Failure> {
        let Some(unit) = self.units.iter_mut().find(|unit| unit.number == number) else {
            return Ok(());
        };
        self.last_answer = Instant::now();
        self.troubles.remove(&number);
        let duration_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        let place = (self.validator.run.id, number);
        let stored = self
            .validator
            .store
            .answer_validation_unit(place, (&unit.question, &answer), duration_ms)
            .await;
        kept(stored)?;
        unit.duration_ms = duration_ms;
        unit.answer = Some(match answer {
            ValidateAnswer::Sketched(mut sketched) => {
                sketched.sketch = String::new();
                ValidateAnswer::Sketched(sketched)
            }
            answer => answer,
        });
        Ok(())
    }

    /// What passes is tried again, by whoever is there then; the rest ends the validation.
    fn bear(&mut self, number: i32, failure: Failure) -> Result<(), Failure> {
        let tries = self.troubles.get(&number).map_or(0, |(tries, _)| *tries);
        let is_waiting = failure.kind == FailureKind::NoAgent;
        let limit = self.validator.compiled.limits.max_retries;
        let is_borne = match is_waiting {
            true => self.last_answer.elapsed() < PATIENCE,
            false => policy(failure.kind).0 == Policy::Retry && tries < limit,
        };
        if !is_borne {
            return Err(failure);
        }
        warn!(number, reason = %failure, "a piece of a validation is asked again in a while");
        let tries = tries + u32::from(!is_waiting);
        let delay = BACKOFF.delay(tries.max(3), rand::random());
        self.troubles
            .insert(number, (tries, Instant::now() + delay));
        Ok(())
    }

    /// The validation as it is stored, where somebody ended it; ends it where the migration is no longer what
    /// was being checked.
    async fn look(&mut self) -> Result<Option<ValidationRun>, Failure> {
        self.validator.crew.vet_newcomers();
        let store = &self.validator.store;
        let stored = kept(store.validation_run(self.validator.run.id).await)?;
        match stored {
            Some(run) if run.status == ValidationRunStatus::Running => {
                let migration = kept(store.migration(run.migration_id).await)?;
                let is_same = migration.status == MigrationStatus::Completed
                    && migration.attempt == run.attempt;
                if is_same {
                    return Ok(None);
                }
                let status = ValidationRunStatus::Cancelled;
                let reason = "the migration went on";
                kept(store.end_validation(run.id, status, reason).await).map(Some)
            }
            Some(run) => Ok(Some(run)),
            None => Err(Failure::new(
                FailureKind::Fenced,
                "the migration was deleted",
            )),
        }
    }

    async fn complete(&mut self) -> Result<ValidationRun, Failure> {
        let validator = &self.validator;
        let results = judge::results(&validator.compiled, &self.checks, &self.units);
        let run = kept(
            validator
                .store
                .complete_validation(&validator.run, &results)
                .await,
        )?;
        info!(outcome = ?run.outcome, results = results.len(), "a validation is completed");
        // What agents keep of the run is of no use to them any more.
        validator.crew.fleet().forget(validator.migration.id);
        Ok(run)
    }
}

/// Adds pieces behind those that are there.
async fn add(
    validator: &Validator,
    known: &[StoredUnit],
    questions: Vec<ValidateQuestion>,
) -> Result<Vec<StoredUnit>, Failure> {
    let next = known.iter().map(|unit| unit.number + 1).max().unwrap_or(0);
    let numbered: Vec<(i32, ValidateQuestion)> = (next..).zip(questions).collect();
    kept(
        validator
            .store
            .add_validation_units(validator.run.id, &numbered)
            .await,
    )?;
    let unit = |(number, question)| StoredUnit {
        number,
        question,
        answer: None,
        duration_ms: 0,
    };
    Ok(numbered.into_iter().map(unit).collect())
}

/// Tells agents which run they are asked about: under no snapshot, since that of the load is gone.
async fn brief(validator: &Validator) -> Result<(), Failure> {
    let (crew, migration) = (&validator.crew, &validator.migration);
    let begun = Instant::now();
    let state = loop {
        match read_state(crew, &validator.compiled.name).await {
            Ok(state) => break state,
            Err(failure) if failure.kind == FailureKind::NoAgent && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(BACKOFF.delay(3, rand::random())).await;
                crew.vet().await;
            }
            Err(failure) => return Err(failure),
        }
    };
    let state = state
        .filter(|state| state.migration_id == migration.id && state.attempt == migration.attempt)
        .ok_or_else(|| {
            let words =
                "the destination knows nothing of this migration, or of another attempt of it";
            Failure::new(FailureKind::IdentityChanged, words)
        })?;
    let identity = |stored: &Option<serde_json::Value>| {
        let malformed = "the migration's stored identities cannot be read";
        serde_json::from_value::<DatabaseIdentity>(stored.clone().unwrap_or_default())
            .map_err(|_| Failure::new(FailureKind::Internal, malformed))
    };
    crew.brief(RunOrder {
        migration_id: migration.id,
        attempt: migration.attempt,
        run_now: state.run_now,
        plan: validator.compiled.clone(),
        source: identity(&migration.source_identity)?,
        destination: identity(&migration.destination_identity)?,
        snapshot: None,
    });
    Ok(())
}

fn sketches(sums: Vec<(String, bool, String)>) -> Result<Sketches, Failure> {
    let mut sketches = Sketches::new();
    for (entity, is_source, text) in sums {
        let sketch = Sketch::from_hex(&text)
            .ok_or_else(|| Failure::new(FailureKind::Internal, "a stored sketch cannot be read"))?;
        let sides = sketches.entry(entity).or_default();
        match is_source {
            true => sides.0 = sketch,
            false => sides.1 = sketch,
        }
    }
    Ok(sketches)
}
