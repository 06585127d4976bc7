//! Undo: takes back what a migration wrote, by the destination's own records.
//!
//! Sealed first, then batches newest first, entity by entity in the order the controller gives, then
//! definitions and sequences as they were, then a comparison with the start. Each step can be done again after
//! any crash; none needs the source.

mod begin;
mod effects;
mod finish;
mod reference;
mod rows;
mod site;
mod survey;
pub mod uninstall;
mod whole;

use proto::domain::failure::Failure;
use proto::domain::undo::{UndoAnswer, UndoOrder, UndoStep, UndoTarget};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::connect::{Purpose, open, run_sql};
use crate::failure::During;
use crate::pool::Server;
use crate::sink::install::open_installed;

use self::rows::Way;
use self::site::Site;
use self::survey::KEPT;

/// Does one step of an undo.
///
/// # Errors
/// `Fenced` where somebody undoes under another token; whatever the destination refuses.
pub async fn undo(
    destination: &Server,
    migration_id: Uuid,
    order: UndoOrder,
) -> Result<UndoAnswer, Failure> {
    let mut connection = match &order.step {
        // A migration of an earlier version may be undone by this one.
        UndoStep::Effects { .. } | UndoStep::Begin { .. } => open_installed(destination).await?,
        UndoStep::Rows { .. } | UndoStep::Finish { .. } => {
            open(destination, Purpose::Build).await?
        }
    };
    if !matches!(order.step, UndoStep::Effects { .. }) {
        // A successor finds the session and ends it.
        let mark = marker(migration_id, order.token);
        let mark = format!("set application_name = '{mark}'; set work_mem = '64MB'");
        run_sql(&mut connection, &mark)
            .await
            .during("mark a session")?;
    }
    let run = (migration_id, order.attempt);
    let answer = match &order.step {
        UndoStep::Effects { targets } => {
            let sites = site::find(&mut connection, run, targets).await?;
            let effects = effects::effects(&mut connection, &sites, order.conflicts).await?;
            UndoAnswer::Effects(effects)
        }
        UndoStep::Begin { targets } => {
            let sites = site::find(&mut connection, run, targets).await?;
            begin::begin(&mut connection, &sites, (run, &order)).await?
        }
        UndoStep::Rows { target } => rows(&mut connection, run, (&order, target)).await?,
        UndoStep::Finish {
            targets,
            is_partial,
        } => {
            let sites = site::find(&mut connection, run, targets).await?;
            let report =
                finish::finish(&mut connection, &sites, (run, order.token, *is_partial)).await?;
            UndoAnswer::Finished(report)
        }
    };
    destination.give_back(Purpose::Build, connection).await;
    Ok(answer)
}

async fn rows(
    connection: &mut PgConnection,
    run: (Uuid, i32),
    (order, target): (&UndoOrder, &UndoTarget),
) -> Result<UndoAnswer, Failure> {
    let sites = site::find(connection, run, std::slice::from_ref(target)).await?;
    let Some(site) = sites.first() else {
        return Ok(UndoAnswer::Rows(proto::domain::undo::UndoProgress {
            is_done: true,
            ..Default::default()
        }));
    };
    let way = Way {
        site,
        token: order.token,
        policy: order.conflicts,
        has_conflicts: has_conflicts(connection, site).await?,
    };
    rows::undo_rows(connection, &way)
        .await
        .map(UndoAnswer::Rows)
}

async fn has_conflicts(connection: &mut PgConnection, site: &Site) -> Result<bool, Failure> {
    let sql = format!("select exists (select from {KEPT} where entity_no = $1)");
    sqlx::query_scalar(&sql)
        .bind(site.entity_no)
        .fetch_one(connection)
        .await
        .during("look for conflicts")
}

/// `application_name` of a session that undoes: a successor ends it.
fn marker(migration_id: Uuid, token: i64) -> String {
    format!("drover undo {migration_id} {token}")
}
