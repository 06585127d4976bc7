//! From a plan file to a compiled plan: an agent reads both catalogs, the compiler itself is pure.

use std::time::Duration;

use proto::domain::catalog::{Catalog, Probe, TableName};
use proto::domain::compile;
use proto::domain::compiled::{CompiledEntity, CompiledPlan};
use proto::domain::failure::Failure;
use proto::domain::frame::{Connections, Query, QueryAnswer, SchemaAnswer, SchemaQuery, Side};
use proto::domain::plan::{self, Plan, Problem, Problems};
use proto::domain::schema_change::{Moment, declared};
use sha2::{Digest, Sha256};

use crate::crew::Crew;
use crate::fleet::misfit;
use crate::store::{EntityRows, NewMapping, NewPlan, PlanRows};

/// How long reading a catalog may take.
const CATALOG_DEADLINE: Duration = Duration::from_secs(120);

/// Why there is no compiled plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The plan is wrong: every problem with its path.
    #[error(transparent)]
    Invalid(#[from] Problems),
    /// It could not be compared with the databases.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// The connections that a plan names.
pub fn connections(plan: &Plan) -> Connections {
    Connections {
        source: plan.source.connection.to_string(),
        destination: plan.destination.connection.to_string(),
    }
}

/// Compiles a plan against both catalogs and has every SELECT prepared.
pub async fn compile_plan(crew: &Crew, plan: &Plan) -> Result<CompiledPlan, PlanError> {
    let compiled = compile_only(crew, plan).await?;
    check(crew, plan, &compiled).await?;
    Ok(compiled)
}

/// Compiles a plan against both catalogs; neither rights nor SELECTs are looked at.
pub async fn compile_only(crew: &Crew, plan: &Plan) -> Result<CompiledPlan, PlanError> {
    let (sources, destinations) = compile::tables(plan);
    let (mut source, probed, mut destination) = tokio::try_join!(
        read_catalog(crew, Side::Source, sources, Vec::new()),
        read_catalog(crew, Side::Source, Vec::new(), compile::probes(plan)),
        read_catalog(crew, Side::Destination, destinations, Vec::new())
    )?;
    source.expressions = probed.expressions;
    rehearse(crew, plan, &mut destination).await?;
    Ok(compile::compile(plan, &source, &destination)?)
}

/// Columns as the schema changes before the data will leave them.
async fn rehearse(crew: &Crew, plan: &Plan, destination: &mut Catalog) -> Result<(), Failure> {
    let mut changes = declared(plan);
    changes.retain(|change| {
        change.moment == Moment::Before
            && change.side == Side::Destination
            && destination.table(&change.table).is_some()
    });
    if changes.is_empty() {
        return Ok(());
    }
    let query = SchemaQuery::Rehearse {
        name: plan.name.to_string(),
        changes,
    };
    let rehearsed = match crew
        .ask(Query::Schema(Box::new(query)), CATALOG_DEADLINE)
        .await?
    {
        QueryAnswer::Schema(answer) => *answer,
        _ => return Err(misfit()),
    };
    let SchemaAnswer::Rehearsed(rehearsed) = rehearsed else {
        return Err(misfit());
    };
    for table in &mut destination.tables {
        if let Some(after) = rehearsed.table(&table.name) {
            table.columns.clone_from(&after.columns);
        }
    }
    Ok(())
}

async fn read_catalog(
    crew: &Crew,
    side: Side,
    tables: Vec<TableName>,
    probes: Vec<Probe>,
) -> Result<Catalog, Failure> {
    let query = Query::ReadCatalog {
        side,
        tables,
        probes,
    };
    match crew.ask(query, CATALOG_DEADLINE).await? {
        QueryAnswer::Catalog(catalog) => Ok(catalog),
        _ => Err(misfit()),
    }
}

async fn check(crew: &Crew, plan: &Plan, compiled: &CompiledPlan) -> Result<(), PlanError> {
    let query = Query::CheckPlan(Box::new(compiled.clone()));
    let found = match crew.ask(query, CATALOG_DEADLINE).await? {
        QueryAnswer::PlanProblems(found) => found,
        _ => return Err(misfit().into()),
    };
    if found.is_empty() {
        return Ok(());
    }
    let problems = found.into_iter().map(|(entity, message)| {
        let index = plan
            .entities
            .iter()
            .position(|known| known.entity.to_string() == entity);
        let path = format!("entities[{}]", index.unwrap_or_default());
        let position = plan.positions.find(&path);
        Problem {
            line: position.map(|position| position.line),
            column: position.map(|position| position.column),
            path,
            message,
        }
    });
    Err(Problems(problems.collect()).into())
}

/// The plan as the metadata stores it: the document, its settings, its rules.
pub fn plan_rows(text: &str, compiled: &CompiledPlan) -> Result<PlanRows, Problems> {
    let document = plan::document_json(text)?;
    let rules = |entity: &str| {
        document["entities"]
            .as_array()
            .and_then(|all| all.iter().find(|known| known["entity"] == entity))
            .map(|entity| entity["transformation_rules"].clone())
            .unwrap_or_else(|| serde_json::json!({}))
    };
    let entities = compiled.entities.iter().map(|entity| EntityRows {
        mapping: NewMapping {
            entity: entity.entity.clone(),
            source_entity: entity.read.source.to_string(),
            destination_entity: entity.destination.to_string(),
            entity_type: entity.entity_type.clone(),
            transformation_rules: rules(&entity.entity),
            dependency_entities: completed_before(entity),
            validation_rules: serde_json::json!([]),
            is_active: entity.is_active,
            version: entity.version.clone(),
            entity_hash: entity.hash.clone(),
        },
        batch_size: entity.settings.batch_size,
        max_quarantined: entity.settings.max_quarantined,
    });
    Ok(PlanRows {
        plan: NewPlan {
            name: compiled.name.clone(),
            document: text.to_owned(),
            document_hash: hex::encode(Sha256::digest(text.as_bytes())),
            compiled: compiled.clone(),
        },
        configuration: serde_json::json!({
            "source": document["source"],
            "destination": document["destination"],
            "defaults": document["defaults"],
            "limits": compiled.limits,
            "consistency": compiled.consistency,
        }),
        entities: entities.collect(),
    })
}

/// Entities that must be completed before this one runs; those of its own knot are completed with it.
fn completed_before(entity: &CompiledEntity) -> Vec<String> {
    let names = entity.dependencies.iter();
    names
        .filter(|name| !entity.knot.contains(name))
        .cloned()
        .collect()
}
