//! Sketches of both sides of an entity.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use proto::domain::failure::Failure;
use proto::domain::frame::Sketched;
use proto::domain::key::KeyRange;
use proto::domain::sketch::Sketch;
use tracing::{Instrument, info_span};

use super::rows::{HEAD, RowForm};
use crate::batch::{Batch, count};
use crate::pipe::{ReadPipe, Wanted};
use crate::run::{EntityContext, RunContext};
use crate::sink::fence::Fence;
use crate::sink::inspect::{end_reading, open_reading, scan, survey};
use crate::sink::matches::know_overrides;
use crate::sizer::BatchSizer;
use crate::throttle::pace;

/// Rows of a batch: some are in memory twice.
const BATCH: u32 = 10_000;

/// An entity, and what is known of it before its rows are read again.
pub struct Setting {
    /// Record ids of the rows that were set aside.
    pub set_aside: Arc<HashSet<String>>,
    /// How its rows are compared.
    pub form: RowForm,
}

/// Learns it, and the ids that are no uuid5.
pub async fn setting(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
) -> Result<Setting, Failure> {
    let mut connection = open_reading(&run.destination).await?;
    let set_aside = survey::set_aside(&mut connection, run, entity).await?;
    let forms = survey::forms(&mut connection, entity).await?;
    end_reading(&run.destination, connection).await?;
    know_ids(run, entity).await?;
    Ok(Setting {
        set_aside: Arc::new(set_aside),
        form: RowForm::new(&entity.compiled, forms)?,
    })
}

/// The ids of rows that matched: stored when they were, read now.
async fn know_ids(run: &Arc<RunContext>, entity: &Arc<EntityContext>) -> Result<(), Failure> {
    let mut connection =
        crate::connect::open(&run.destination, crate::connect::Purpose::Write).await?;
    let fence = Fence {
        partition_id: uuid::Uuid::nil(),
        attempt: run.order.attempt,
        token: 0,
        holder: run.holder,
        entity_hash: entity.compiled.hash.clone(),
    };
    know_overrides(run, entity, &fence, &mut connection).await?;
    run.destination
        .give_back(crate::connect::Purpose::Write, connection)
        .await;
    Ok(())
}

/// Numbers of rows of the source that are not compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Set aside by the load, or refused now.
    pub set_aside: i64,
    /// Left out by the plan.
    pub filtered: i64,
}

/// Batches of the rows of a range that should be at the destination, at the pace of a load.
pub struct Expected {
    run: Arc<RunContext>,
    pipe: ReadPipe,
    set_aside: Arc<HashSet<String>>,
    is_over: bool,
    /// Rows that were left out so far.
    pub left_out: LeftOut,
}

impl Expected {
    /// Begins to read.
    pub fn start(
        run: &Arc<RunContext>,
        entity: &Arc<EntityContext>,
        (range, set_aside): (&KeyRange, &Arc<HashSet<String>>),
    ) -> Self {
        let rate = crate::throttle::lock(&run.throttle).rate();
        let wanted = Wanted {
            whole: range.clone(),
            cursor: None,
            rows_read: 0,
            held: Arc::default(),
            sizer: Arc::new(Mutex::new(BatchSizer::capped(
                BATCH,
                rate.unwrap_or(u32::MAX),
            ))),
        };
        Self {
            run: run.clone(),
            pipe: ReadPipe::start(run, entity, wanted),
            set_aside: set_aside.clone(),
            is_over: false,
            left_out: LeftOut::default(),
        }
    }

    /// The next batch; none at the end.
    ///
    /// # Errors
    /// The source's.
    pub async fn next(&mut self) -> Result<Option<Batch>, Failure> {
        if self.is_over {
            if let Some(connection) = self.pipe.finish().await? {
                let purpose = crate::connect::Purpose::Read;
                self.run.source.give_back(purpose, connection).await;
            }
            return Ok(None);
        }
        let mut batch = self.pipe.next().await?;
        pace(&self.run, batch.read(), drop).await?;
        self.is_over = batch.is_last;
        self.left_out.filtered += batch.filtered;
        self.left_out.set_aside += count(batch.failures.len());
        self.left_out.set_aside += leave_out(&mut batch, &self.set_aside);
        Ok(Some(batch))
    }

    /// A batch that is done with.
    pub fn give_back(&self, batch: Batch) {
        self.run.spares.give_back(batch);
    }
}

/// Takes the rows out that were set aside; how many.
pub fn leave_out(batch: &mut Batch, set_aside: &HashSet<String>) -> i64 {
    if set_aside.is_empty() {
        return 0;
    }
    let is_out = |at: &usize| set_aside.contains(&batch.keys.get(*at).to_record_id());
    let places: Vec<usize> = (0..batch.rows.len()).filter(is_out).collect();
    if !places.is_empty() {
        let why = |place| (place, String::new(), String::new(), serde_json::Value::Null);
        batch.reject(places.iter().copied().map(why).collect());
    }
    count(places.len())
}

/// Sketches the rows that the source's rows of a range become.
pub async fn sketch_source(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    range: &KeyRange,
) -> Result<Sketched, Failure> {
    let setting = setting(run, entity).await?;
    let mut expected = Expected::start(run, entity, (range, &setting.set_aside));
    let (mut sketch, mut rows, mut scratch) = (Sketch::default(), 0, Vec::new());
    let span = info_span!("sketch", entity = %entity.compiled.entity);
    while let Some(batch) = expected.next().await? {
        let add = || -> Result<(), Failure> {
            for at in 0..batch.rows.len() {
                let row = batch.rows.rows(at, at + 1);
                let fields = row.get(HEAD..).unwrap_or_default();
                sketch.add(&setting.form.element(fields, &mut scratch)?);
            }
            Ok(())
        };
        span.in_scope(add)?;
        rows += count(batch.rows.len());
        expected.give_back(batch);
        tokio::task::yield_now().await;
    }
    Ok(Sketched {
        sketch: sketch.to_hex(),
        rows,
        set_aside: expected.left_out.set_aside,
        filtered: expected.left_out.filtered,
    })
}

/// Sketches the destination's rows.
pub async fn sketch_destination(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    pages: Option<(u64, u64)>,
) -> Result<Sketched, Failure> {
    let mut connection = open_reading(&run.destination).await?;
    let forms = survey::forms(&mut connection, entity).await?;
    let form = RowForm::new(&entity.compiled, forms)?;
    let (mut sketch, mut scratch) = (Sketch::default(), Vec::new());
    let add = |fields: &[u8]| {
        sketch.add(&form.element(fields, &mut scratch)?);
        Ok(())
    };
    let rows = scan::scan(&mut connection, entity, pages, add)
        .instrument(info_span!("scan", entity = %entity.compiled.entity))
        .await?;
    end_reading(&run.destination, connection).await?;
    Ok(Sketched {
        sketch: sketch.to_hex(),
        rows,
        set_aside: 0,
        filtered: 0,
    })
}
