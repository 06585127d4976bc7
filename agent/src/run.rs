//! What all work of one run has in common: the plan, its transforms, connections and constants.

use std::collections::HashMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use proto::domain::compiled::{CompiledEntity, CompiledPlan};
use proto::domain::failure::{Failure, FailureKind};
use proto::domain::frame::RunOrder;
use proto::domain::key::RunConstants;
use proto::runtime::settings::Environment;
use sqlx::postgres::PgConnection;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use uuid::Uuid;

use crate::pool::Server;
use crate::sink::copy::CopyStatements;
use crate::sink::state::identify;
use crate::sizer::BatchSizer;
use crate::spares::Spares;
use crate::throttle::Throttle;
use crate::transform::presence::ParentKeys;
use crate::transform::row::{HeldKeys, RowTransform};
use crate::transform::secrecy::Keys;

/// How long a source may take to say which it is.
const KNOW_WITHIN: Duration = Duration::from_secs(30);

/// A run as an agent works on it.
pub struct RunContext {
    /// The controller's order.
    pub order: RunOrder,
    /// Values for the placeholders of compiled SQL.
    pub constants: RunConstants,
    /// The source.
    pub source: Server,
    /// The destination.
    pub destination: Server,
    /// This process.
    pub holder: Uuid,
    /// Buffers of batches that are written.
    pub spares: Spares,
    /// What it takes from the source.
    pub throttle: Mutex<Throttle>,
    /// How often batches grew because the destination is far: those of another entity begin there.
    pub growth: AtomicU32,
    /// Keys of parents, by the SELECT that reads them.
    pub parents: ParentCells,
    entities: HashMap<String, Arc<EntityContext>>,
    /// The source is the one that was recorded.
    source_is_known: OnceCell<()>,
}

/// The keys of one parent, once they are loaded; none where they are too many.
pub type ParentCell = Arc<OnceCell<Option<Arc<ParentKeys>>>>;

/// The keys of every parent of a run.
#[derive(Default)]
pub struct ParentCells(Mutex<HashMap<String, ParentCell>>);

impl ParentCells {
    /// The place of a parent's keys.
    pub fn cell(&self, select: &str) -> ParentCell {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cells.entry(select.to_owned()).or_default().clone()
    }
}

/// An entity, ready to be worked on.
pub struct EntityContext {
    /// The compiled entity.
    pub compiled: CompiledEntity,
    /// Number of its id map leaf at the destination.
    pub entity_no: i32,
    /// Its rows' transform.
    pub transform: RowTransform,
    /// Its COPY statements.
    pub copy: CopyStatements,
    /// Keys of its parents' failed rows, loaded once: parents are complete before it starts.
    pub held: OnceCell<Arc<HeldKeys>>,
    /// Sizes of its batches, once it is worked on.
    pub sizer: OnceLock<Arc<Mutex<BatchSizer>>>,
}

/// Where a run is taken up.
pub struct Setting<'a> {
    /// The source.
    pub source: Server,
    /// The destination.
    pub destination: Server,
    /// This process.
    pub holder: Uuid,
    /// Comes from the destination, where `Prepare` has put them.
    pub entity_numbers: &'a HashMap<String, i32>,
    /// Where steps find their keys.
    pub environment: &'a Environment,
}

impl RunContext {
    /// Prepares every active entity of the plan.
    ///
    /// # Errors
    /// `Denied` where the environment lacks the key of a step.
    pub fn new(order: RunOrder, setting: Setting<'_>) -> Result<Self, Failure> {
        let constants = RunConstants {
            now: order.run_now.to_rfc3339(),
            migration_id: order.migration_id.to_string(),
        };
        let mut entities = HashMap::new();
        for compiled in order.plan.entities.iter().filter(|entity| entity.is_active) {
            let entity_no = *setting
                .entity_numbers
                .get(&compiled.entity)
                .ok_or_else(|| {
                    Failure::new(
                        FailureKind::Internal,
                        format!("{} is not prepared at the destination", compiled.entity),
                    )
                })?;
            let keys = Keys::of(compiled, setting.environment)?;
            let transform = RowTransform::new(compiled, order.plan.namespace, keys);
            let copy = CopyStatements::new(compiled, entity_no, transform.has_map_meta());
            let context = EntityContext {
                compiled: compiled.clone(),
                entity_no,
                transform,
                copy,
                held: OnceCell::new(),
                sizer: OnceLock::new(),
            };
            entities.insert(compiled.entity.clone(), Arc::new(context));
        }
        Ok(Self {
            throttle: Mutex::new(Throttle::new(&order.plan.limits)),
            growth: AtomicU32::new(0),
            order,
            constants,
            source: setting.source,
            destination: setting.destination,
            holder: setting.holder,
            spares: Spares::default(),
            parents: ParentCells::default(),
            entities,
            source_is_known: OnceCell::new(),
        })
    }

    /// Looks once, over the first connection to the source, where it leads: a run whose rows are all read
    /// goes on without a source.
    ///
    /// # Errors
    /// `IdentityChanged` when it is not the source that was recorded.
    pub async fn know_source(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let known = self.source_is_known.get_or_try_init(|| async {
            let found = timeout(KNOW_WITHIN, identify(connection))
                .await
                .map_err(|_| {
                    Failure::new(FailureKind::Unreachable, "the source does not answer")
                })??;
            self.order.source.must_be("source", &found)
        });
        known.await.map(drop)
    }

    /// The plan.
    pub fn plan(&self) -> &CompiledPlan {
        &self.order.plan
    }

    /// The active entities that write a destination table, given by schema and name.
    pub fn entities_of<'a>(
        &'a self,
        (schema, name): (&'a str, &'a str),
    ) -> impl Iterator<Item = &'a EntityContext> {
        let all = self.entities.values().map(|entity| &**entity);
        all.filter(move |entity| {
            let table = &entity.compiled.destination;
            table.schema == schema && table.name == name
        })
    }

    /// An active entity of the plan.
    ///
    /// # Errors
    /// `Internal` when the plan has no such entity.
    pub fn entity(&self, name: &str) -> Result<Arc<EntityContext>, Failure> {
        self.entities.get(name).cloned().ok_or_else(|| {
            Failure::new(
                FailureKind::Internal,
                format!("the run has no entity {name}"),
            )
        })
    }
}
