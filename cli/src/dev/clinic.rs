//! The demo clinic: its scripts and its plan, built into the program.

use super::database;
use super::server::Server;
use crate::stop::Stop;

/// The database of the legacy application.
pub const LEGACY: &str = "clinic_legacy";
/// The database of the new one.
pub const APP: &str = "clinic_app";
/// The plan that leads from one to the other.
pub const PLAN: &str = include_str!("../../../deploy/demo/plan.yaml");

const LEGACY_SCHEMA: &str = include_str!("../../../deploy/demo/legacy.sql");
const LEGACY_DATA: &str = include_str!("../../../deploy/demo/legacy_data.sql");
const TARGET_SCHEMA: &str = include_str!("../../../deploy/demo/target.sql");

/// Makes both databases.
pub async fn create(server: &Server) -> Result<(), Stop> {
    let any = server.options("postgres");
    database::create(&any, LEGACY).await?;
    database::create(&any, APP).await
}

/// Fills the legacy database and prepares the new one, unless that was done before.
pub async fn load(server: &Server, scale: f64) -> Result<(), Stop> {
    let scale = scale.to_string();
    database::load(
        &server.options(LEGACY),
        Some(("demo.scale", scale.as_str())),
        "public.dispatch_office",
        &[LEGACY_SCHEMA, LEGACY_DATA],
    )
    .await?;
    database::load(
        &server.options(APP),
        None,
        "public.offices",
        &[TARGET_SCHEMA],
    )
    .await
}
