//! Stub.
use super::catalog::{Catalog, Probe};
use super::compiled::CompiledPlan;
use super::plan::{Plan, Problems};
/// Stub.
pub fn probes(_plan: &Plan) -> Vec<Probe> {
    Vec::new()
}
/// Stub.
pub fn compile(
    _plan: &Plan,
    _source: &Catalog,
    _destination: &Catalog,
) -> Result<CompiledPlan, Problems> {
    Err(Problems(Vec::new()))
}
