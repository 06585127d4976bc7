//! `drover rules`: plans, and the rules that controllers store with them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::lists::LimitArgs;

/// `drover rules …`.
#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Check a plan against both databases; nothing is written
    Check {
        /// The plan file; `-` reads it from stdin
        plan: PathBuf,
    },
    /// Show the SELECT and the steps that an entity is compiled to
    Explain {
        /// The plan's name of the entity
        entity: String,
        /// The plan file
        #[arg(long, value_name = "PLAN", default_value = "plan.yaml")]
        plan: PathBuf,
    },
    /// Print the JSON Schema of plan files
    Schema,
    /// List the rules that are stored, every version of them
    List(RulesListArgs),
    /// Show one version of an entity's rules
    Get(RulesGetArgs),
}

/// `drover rules list`.
#[derive(Debug, Args)]
pub struct RulesListArgs {
    /// The plan's name [default: all plans]
    pub plan: Option<String>,
    #[command(flatten)]
    pub limit: LimitArgs,
}

/// `drover rules get`.
#[derive(Debug, Args)]
pub struct RulesGetArgs {
    /// The plan's name
    pub plan: String,
    /// The plan's name of the entity
    pub entity: String,
    /// The version [default: the newest]
    #[arg(long = "version", value_name = "VERSION", id = "rules_version")]
    pub version: Option<String>,
}
