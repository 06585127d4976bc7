//! Reads a plan file, and says what is wrong with it.

use std::path::Path;

use controller::app::RunError;
use proto::domain::plan::{self, Plan, Problems};
use serde_json::json;

use super::file;
use crate::exit::Code;
use crate::stop::Stop;

/// A plan file with its text.
#[derive(Debug)]
pub struct PlanFile {
    /// Its text.
    pub text: String,
    /// What it says.
    pub plan: Plan,
}

/// Reads and parses a plan; `-` is stdin.
pub fn read(path: &Path) -> Result<PlanFile, Stop> {
    parse(file::text(path)?)
}

/// Parses the text of a plan.
pub fn parse(text: String) -> Result<PlanFile, Stop> {
    let plan = plan::parse(&text).map_err(|problems| invalid(&problems))?;
    Ok(PlanFile { text, plan })
}

/// What keeps a plan from being run.
pub fn refused(error: &RunError) -> Stop {
    match error {
        RunError::Plan(problems) => invalid(problems),
        RunError::Failed(failure) => Stop::failed(failure),
    }
}

fn invalid(problems: &Problems) -> Stop {
    let all = &problems.0;
    let lines = all.iter().map(ToString::to_string);
    let count = match all.len() {
        1 => "one problem".to_owned(),
        count => format!("{count} problems"),
    };
    Stop::new(Code::Usage, "INVALID_PLAN", format!("the plan has {count}"))
        .listing(lines.collect())
        .with("problems", json!(all))
}
