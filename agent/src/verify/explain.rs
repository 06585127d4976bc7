//! Rows one by one: looked up at the destination, and what differs said and judged.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use proto::domain::failure::Failure;
use proto::domain::frame::{Comparison, Finding, Suspect};
use proto::domain::key::{KeyRange, KeyValue};
use proto::domain::sketch::{KEY, RowKey};

use super::judgement::{Evidence, SourceRow, finding};
use super::rows::HEAD;
use super::sketching::{Expected, Setting, leave_out, setting};
use crate::batch::{Batch, count};
use crate::run::{EntityContext, RunContext};
use crate::sink::inspect::stage::{Differing, Stager};
use crate::sink::inspect::survey::table_state;
use crate::sink::inspect::trace::{Traced, trace};
use crate::sink::inspect::{TOLD, end_reading, open_reading};
use crate::source::keyed::read_keyed;
use crate::source::recheck::{is_unwritten, newer, sample_keys};

/// What is known of an entity beside its rows.
struct Case {
    run: Arc<RunContext>,
    entity: Arc<EntityContext>,
    setting: Setting,
    had_rows: bool,
    /// No table that the rows are read from shows a write since the load; asked for once something differs.
    is_unwritten: Option<bool>,
}

impl Case {
    async fn open(run: &Arc<RunContext>, entity: &Arc<EntityContext>) -> Result<Self, Failure> {
        let setting = setting(run, entity).await?;
        let mut connection = open_reading(&run.destination).await?;
        let state = table_state(&mut connection, entity).await?;
        end_reading(&run.destination, connection).await?;
        Ok(Self {
            run: run.clone(),
            entity: entity.clone(),
            setting,
            had_rows: state.had_rows,
            is_unwritten: None,
        })
    }

    fn reads_more(&self) -> bool {
        !self.entity.compiled.read.also.is_empty()
    }

    /// What is known of source rows, by record id.
    async fn versions(&mut self, keys: &[KeyValue]) -> Result<HashMap<String, SourceRow>, Failure> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let known = newer(&self.run, &self.entity, keys).await?;
        if self.is_unwritten.is_none() && (known.is_none() || self.reads_more()) {
            self.is_unwritten = Some(is_unwritten(&self.run, &self.entity).await?);
        }
        let version = |key: &KeyValue| {
            let id = key.to_record_id();
            let row = match (&known, self.is_unwritten) {
                // One that is not there any more was there when it was read.
                (Some(known), _) => match known.get(&id) {
                    Some(false) => SourceRow::Same,
                    Some(true) | None => SourceRow::Newer,
                },
                (None, Some(true)) => SourceRow::Same,
                (None, Some(false) | None) => SourceRow::Unknown,
            };
            (id, row)
        };
        Ok(keys.iter().map(version).collect())
    }

    /// Nothing that the rows are made of was written since, or rows of this entity's table alone count.
    fn may_depend(&self) -> bool {
        self.reads_more() && self.is_unwritten != Some(true)
    }

    /// What is wrong with the rows of a batch.
    async fn look_up(&mut self, stager: &mut Stager, batch: &Batch) -> Result<LookedUp, Failure> {
        let differing = stager.compare(batch).await?;
        let unmapped = differing.iter().filter(|row| !row.is_mapped).count();
        let key = |row: &Differing| batch.keys.get(usize::try_from(row.row).unwrap_or_default());
        let told = usize::try_from(TOLD).unwrap_or(usize::MAX);
        let keys: Vec<KeyValue> = differing.iter().take(told).map(key).collect();
        let versions = self.versions(&keys).await?;
        let findings = differing.into_iter().filter_map(|row| {
            let source_id = key(&row).to_record_id();
            let evidence = Evidence {
                is_given: true,
                is_there: row.is_there,
                is_ours: row.is_ours,
                is_mapped: row.is_mapped,
                is_set_aside: false,
                source: versions
                    .get(&source_id)
                    .copied()
                    .unwrap_or(SourceRow::Unknown),
                reads_more: self.may_depend(),
                had_rows: self.had_rows,
            };
            let destination_id = (!row.destination_id.is_empty()).then_some(row.destination_id);
            let columns = if row.is_there {
                row.columns
            } else {
                Vec::new()
            };
            finding(evidence, (Some(source_id), destination_id), columns)
        });
        Ok(LookedUp {
            findings: findings.collect(),
            mapped: count(batch.rows.len() - unmapped),
        })
    }
}

/// What came of looking rows up.
struct LookedUp {
    findings: Vec<Finding>,
    /// Rows that the id map has.
    mapped: i64,
}

/// Looks every row of a range up.
pub async fn compare(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    range: &KeyRange,
) -> Result<Comparison, Failure> {
    let mut case = Case::open(run, entity).await?;
    let mut stager = Stager::open(&run.destination, entity).await?;
    let mut expected = Expected::start(run, entity, (range, &case.setting.set_aside));
    let mut found = Comparison::default();
    while let Some(batch) = expected.next().await? {
        found.rows += count(batch.rows.len());
        let looked_up = case.look_up(&mut stager, &batch).await?;
        found.mapped += looked_up.mapped;
        add(&mut found, looked_up.findings);
        expected.give_back(batch);
    }
    stager.close(&run.destination).await;
    found.set_aside = expected.left_out.set_aside;
    found.filtered = expected.left_out.filtered;
    Ok(found)
}

/// Looks a sample of rows up.
pub async fn sample(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    rows: u32,
) -> Result<Comparison, Failure> {
    let mut case = Case::open(run, entity).await?;
    let keys = sample_keys(run, entity, rows).await?;
    let mut stager = Stager::open(&run.destination, entity).await?;
    let mut found = Comparison::default();
    for chunk in keys.chunks(5000) {
        let mut batch = read_keyed(run, entity, chunk).await?;
        crate::throttle::pace(run, batch.read(), drop).await?;
        found.set_aside += count(batch.failures.len());
        found.set_aside += leave_out(&mut batch, &case.setting.set_aside);
        found.rows += count(batch.rows.len());
        let looked_up = case.look_up(&mut stager, &batch).await?;
        add(&mut found, looked_up.findings);
    }
    stager.close(&run.destination).await;
    found.filtered = count(keys.len()) - found.rows - found.set_aside;
    Ok(found)
}

/// Says what is wrong with rows whose sketches differ: both sides are read again, so what has come right
/// meanwhile is not told.
pub async fn explain(
    run: &Arc<RunContext>,
    entity: &Arc<EntityContext>,
    suspects: &[Suspect],
) -> Result<Comparison, Failure> {
    let mut case = Case::open(run, entity).await?;
    let keys: Vec<Option<RowKey>> = suspects.iter().map(row_key).collect();
    let known: Vec<RowKey> = keys.iter().flatten().copied().collect();
    let traced = trace(&run.destination, entity, &known).await?;
    let is_of_source: HashSet<RowKey> = suspects
        .iter()
        .zip(&keys)
        .filter(|(suspect, _)| suspect.is_in_source)
        .filter_map(|(_, key)| *key)
        .collect();
    let traced_keys: HashMap<RowKey, &Traced> = traced
        .iter()
        .filter_map(|row| Some((*known.get(usize::try_from(row.row).ok()?)?, row)))
        .collect();
    // Rows whose source key only the source can tell: no mapping has them.
    let is_untold = |key: &&RowKey| {
        traced_keys
            .get(*key)
            .is_none_or(|row| row.source_id.is_none())
    };
    let untold: HashSet<RowKey> = is_of_source.iter().filter(is_untold).copied().collect();
    let located = locate(&case, &untold).await?;
    let width = entity.compiled.read.key.len();
    let mapped = traced
        .iter()
        .filter_map(|row| parse_key(row.source_id.as_deref()?, width));
    let mut sources: Vec<KeyValue> = mapped.chain(located.values().cloned()).collect();
    sources.sort_unstable();
    sources.dedup();
    let mut batch = read_keyed(run, entity, &sources).await?;
    leave_out(&mut batch, &case.setting.set_aside);
    let mut stager = Stager::open(&run.destination, entity).await?;
    let mut found = Comparison::default();
    let looked_up = case.look_up(&mut stager, &batch).await?;
    stager.close(&run.destination).await;
    add(&mut found, looked_up.findings);
    let given: HashSet<String> = (0..batch.rows.len())
        .map(|at| batch.keys.get(at).to_record_id())
        .collect();
    let findings = not_given(&mut case, &traced, (&given, &located), &known).await?;
    add(&mut found, findings);
    Ok(found)
}

/// Rows of the destination that the source gives no more, or never did.
async fn not_given(
    case: &mut Case,
    traced: &[Traced],
    (given, located): (&HashSet<String>, &HashMap<RowKey, KeyValue>),
    keys: &[RowKey],
) -> Result<Vec<Finding>, Failure> {
    let width = case.entity.compiled.read.key.len();
    let is_left = |row: &&Traced| {
        let key = usize::try_from(row.row).ok().and_then(|at| keys.get(at));
        let is_located = key.is_some_and(|key| located.contains_key(key));
        row.is_there && !is_located && row.source_id.as_ref().is_none_or(|id| !given.contains(id))
    };
    let left: Vec<&Traced> = traced.iter().filter(is_left).collect();
    let sources: Vec<KeyValue> = left
        .iter()
        .filter_map(|row| parse_key(row.source_id.as_deref()?, width))
        .collect();
    let versions = case.versions(&sources).await?;
    let findings = left.into_iter().filter_map(|row| {
        let source_id = row.source_id.as_ref();
        let evidence = Evidence {
            is_given: false,
            is_there: true,
            is_ours: row.is_ours,
            is_mapped: source_id.is_some(),
            is_set_aside: source_id.is_some_and(|id| case.setting.set_aside.contains(id)),
            source: source_id
                .and_then(|id| versions.get(id).copied())
                .unwrap_or(SourceRow::Unknown),
            reads_more: case.may_depend(),
            had_rows: case.had_rows,
        };
        let ids = (row.source_id.clone(), Some(row.destination_id.clone()));
        finding(evidence, ids, Vec::new())
    });
    Ok(findings.collect())
}

/// The source keys of rows of which only the destination's key is known: every row of the entity is read
/// until all are found.
async fn locate(
    case: &Case,
    wanted: &HashSet<RowKey>,
) -> Result<HashMap<RowKey, KeyValue>, Failure> {
    let mut found = HashMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let range = KeyRange::default();
    let set_aside = Arc::new(HashSet::new());
    let mut expected = Expected::start(&case.run, &case.entity, (&range, &set_aside));
    let mut scratch = Vec::new();
    while let Some(batch) = expected.next().await? {
        for at in 0..batch.rows.len() {
            let fields = batch.rows.rows(at, at + 1).get(HEAD..).unwrap_or_default();
            let row = case.setting.form.element(fields, &mut scratch)?;
            if wanted.contains(&row.key) {
                found.insert(row.key, batch.keys.get(at));
            }
        }
        expected.give_back(batch);
        if found.len() == wanted.len() {
            break;
        }
        tokio::task::yield_now().await;
    }
    Ok(found)
}

fn row_key(suspect: &Suspect) -> Option<RowKey> {
    let mut bytes = [0; KEY];
    hex::decode_to_slice(&suspect.key, &mut bytes).ok()?;
    Some(RowKey(bytes))
}

fn parse_key(record_id: &str, width: usize) -> Option<KeyValue> {
    match width {
        1 => Some(KeyValue(vec![record_id.to_owned()])),
        _ => serde_json::from_str(record_id).ok(),
    }
}

fn add(found: &mut Comparison, findings: Vec<Finding>) {
    findings
        .iter()
        .for_each(|finding| found.counts.add(finding));
    let told = usize::try_from(TOLD).unwrap_or(usize::MAX);
    let room = told.saturating_sub(found.findings.len());
    found.findings.extend(findings.into_iter().take(room));
}
