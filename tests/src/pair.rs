//! A legacy and a new database made for one test, and the plan between them.

use anyhow::{Result, ensure};

use crate::drover::{self, Outcome};
use crate::pg::TestDatabase;

/// A source, a destination and a plan.
pub struct Pair {
    /// The source.
    pub legacy: TestDatabase,
    /// The destination.
    pub app: TestDatabase,
    dir: tempfile::TempDir,
}

/// What stands before the entities of a test's plan.
pub const HEAD: &str = "version: 1
name: pair
migration_type: full_migration
namespace: 6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11
source: {connection: legacy}
destination: {connection: app, mode: postgres}
";

impl Pair {
    /// Two databases after these scripts.
    pub async fn new(legacy: &str, app: &str) -> Result<Self> {
        let pair = Self {
            legacy: TestDatabase::new().await?,
            app: TestDatabase::new().await?,
            dir: tempfile::tempdir()?,
        };
        pair.legacy.run(legacy).await?;
        pair.app.run(app).await?;
        Ok(pair)
    }

    /// Another destination after this script, beside this one, for the same source.
    pub async fn with_same_source(&self, app: &str) -> Result<Self> {
        let fresh = Self {
            legacy: self.legacy.clone(),
            app: TestDatabase::new().await?,
            dir: tempfile::tempdir()?,
        };
        fresh.app.run(app).await?;
        Ok(fresh)
    }

    /// The same source with another destination.
    pub async fn with_fresh_target(self, app: &str) -> Result<Self> {
        let fresh = Self {
            app: TestDatabase::new().await?,
            ..self
        };
        fresh.app.run(app).await?;
        Ok(fresh)
    }

    /// Writes the plan whose part from `defaults:` or `entities:` on this is, and says where.
    pub fn write(&self, plan: &str) -> Result<String> {
        self.write_as("plan.yaml", &format!("{HEAD}{plan}"))
    }

    /// Writes a file, and says where.
    pub fn write_as(&self, name: &str, text: &str) -> Result<String> {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// Runs a command with the plan whose part from `defaults:` or `entities:` on this is.
    pub async fn drover(&self, args: &[&str], plan: &str) -> Result<Outcome> {
        self.drover_with(&[], args, plan).await
    }

    /// Likewise, with more variables.
    pub async fn drover_with(
        &self,
        variables: &[(&str, &str)],
        args: &[&str],
        plan: &str,
    ) -> Result<Outcome> {
        let path = self.write(plan)?;
        let args: Vec<&str> = args.iter().copied().chain([path.as_str()]).collect();
        let more = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let env: Vec<(String, String)> = self.env().into_iter().chain(more).collect();
        drover::run(&args, &env).await
    }

    /// Runs the plan.
    pub async fn run(&self, plan: &str) -> Result<Outcome> {
        self.drover(&["run"], plan).await
    }

    /// Runs a plan that must end with this exit code: 0 all rows, 3 or others as the README lists them.
    /// What was copied must stand a full validation then.
    pub async fn must_end(&self, plan: &str, code: i32) -> Result<Outcome> {
        let outcome = self.must_exit(plan, code).await?;
        if code == 0 {
            self.must_be_valid().await?;
        }
        Ok(outcome)
    }

    /// Likewise, where the source goes on meanwhile: nothing is compared with it.
    pub async fn must_exit(&self, plan: &str, code: i32) -> Result<Outcome> {
        let outcome = self.run(plan).await?;
        ensure!(
            outcome.code == Some(code),
            "{:?}\n{}\n{}",
            outcome.code,
            outcome.stdout,
            outcome.stderr
        );
        Ok(outcome)
    }

    /// Compares everything that was copied with what should have been: a completed migration has no
    /// unexplained difference.
    pub async fn must_be_valid(&self) -> Result<Outcome> {
        let outcome = self.validate(&["--level", "full"]).await?;
        ensure!(
            outcome.code == Some(0),
            "{:?}\n{}\n{}",
            outcome.code,
            outcome.stdout,
            outcome.stderr
        );
        Ok(outcome)
    }

    /// Validates the migration in a process of its own.
    pub async fn validate(&self, args: &[&str]) -> Result<Outcome> {
        let start = ["validation", "start", "pair", "--local", "-o", "json"];
        let args: Vec<&str> = start.iter().chain(args).copied().collect();
        drover::run(&args, &self.env()).await
    }

    /// Rows of the destination, one text each: `select row_to_json(x)::text from (…) x`.
    pub async fn rows(&self, query: &str) -> Result<Vec<String>> {
        self.app
            .texts(&format!("select row_to_json(x)::text from ({query}) x"))
            .await
    }

    /// The connections, as settings.
    pub fn env(&self) -> Vec<(String, String)> {
        vec![
            ("DROVER_CONNECTION_LEGACY".to_owned(), self.legacy.url()),
            ("DROVER_CONNECTION_APP".to_owned(), self.app.url()),
        ]
    }
}
