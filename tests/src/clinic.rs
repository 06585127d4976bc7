//! The demo clinic as test data: made once per scale, copied for every test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::sync::Mutex;

use crate::pg::TestDatabase;

static TEMPLATES: Mutex<BTreeMap<String, TestDatabase>> = Mutex::const_new(BTreeMap::new());

/// A legacy clinic and an empty target.
pub struct Clinic {
    /// The legacy database.
    pub legacy: TestDatabase,
    /// The new database.
    pub app: TestDatabase,
    dir: tempfile::TempDir,
}

/// A file of the demo.
pub fn demo_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/demo")
        .join(name)
}

fn read(name: &str) -> Result<String> {
    std::fs::read_to_string(demo_file(name)).with_context(|| format!("read {name}"))
}

impl Clinic {
    /// A clinic of about `250 000 * scale` rows.
    pub async fn new(scale: &str) -> Result<Self> {
        let legacy = template(&format!("legacy {scale}"), async |database| {
            let scale = format!("set demo.scale = '{scale}';");
            database
                .run(&format!("{scale}{}", read("legacy.sql")?))
                .await?;
            database
                .run(&format!("{scale}{}", read("legacy_data.sql")?))
                .await
        })
        .await?;
        let app = template("target", async |database| {
            database.run(&read("target.sql")?).await
        })
        .await?;
        let dir = tempfile::tempdir()?;
        std::fs::copy(demo_file("plan.yaml"), dir.path().join("plan.yaml"))?;
        Ok(Self { legacy, app, dir })
    }

    /// Another empty target for the same legacy database.
    pub async fn with_fresh_target(&self) -> Result<Self> {
        let app = template("target", async |_| Ok(())).await?;
        let dir = tempfile::tempdir()?;
        std::fs::copy(self.plan(), dir.path().join("plan.yaml"))?;
        Ok(Self {
            legacy: self.legacy.clone(),
            app,
            dir,
        })
    }

    /// The plan file.
    pub fn plan(&self) -> String {
        self.dir.path().join("plan.yaml").display().to_string()
    }

    /// Replaces a text of the plan, which must be there.
    pub fn edit_plan(&self, from: &str, to: &str) -> Result<()> {
        let plan = std::fs::read_to_string(self.plan())?;
        anyhow::ensure!(plan.contains(from), "the plan has no {from:?}");
        Ok(std::fs::write(self.plan(), plan.replace(from, to))?)
    }

    /// The plan, whole.
    pub fn write_plan(&self, text: &str) -> Result<()> {
        Ok(std::fs::write(self.plan(), text)?)
    }

    /// The connections as environment.
    pub fn env(&self) -> Vec<(String, String)> {
        vec![
            ("DROVER_CONNECTION_LEGACY".to_owned(), self.legacy.url()),
            ("DROVER_CONNECTION_APP".to_owned(), self.app.url()),
        ]
    }

    /// One digest per target table over all its rows, in no order, `leave_out` columns aside.
    pub async fn digests(&self, leave_out: &[&str]) -> Result<BTreeMap<String, String>> {
        let tables = self
            .app
            .texts("select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1")
            .await?;
        let mut digests = BTreeMap::new();
        let minus: String = leave_out
            .iter()
            .map(|column| format!(" - '{column}'"))
            .collect();
        for table in tables {
            let has_one = format!(
                "select count(*) from pg_attribute where attrelid = 'public.{table}'::regclass \
                 and attname = any(array['{}'])",
                leave_out.join("','")
            );
            let row = match self.app.number(&has_one).await? {
                0 => "t::text".to_owned(),
                _ => format!("(to_jsonb(t){minus})::text"),
            };
            // A sum of 64-bit hashes: the same for the same rows, whatever their order.
            let sql = format!(
                "select count(*) || ' ' || coalesce(sum(hashtextextended({row}, 0)), 0) from public.{table} t"
            );
            digests.insert(table, self.app.texts(&sql).await?.remove(0));
        }
        Ok(digests)
    }

    /// One digest over all rows and all definitions of the target, `leave_out` columns aside.
    pub async fn digest(&self, leave_out: &[&str]) -> Result<String> {
        let (rows, definitions) = (self.digests(leave_out).await?, self.definitions().await?);
        let text = serde_json::to_string(&(rows, definitions))?.replace('\'', "''");
        let digest = self.app.texts(&format!("select md5('{text}')")).await?;
        digest.into_iter().next().context("a digest is one row")
    }

    /// Rows of the legacy tables that the plan reads.
    pub async fn legacy_rows(&self) -> Result<i64> {
        let tables = self
            .legacy
            .texts("select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' \
                    and relname ~ '^(dispatch|orders|catalog)_'")
            .await?;
        let counts: Vec<String> = tables
            .iter()
            .map(|table| format!("(select count(*) from public.{table})"))
            .collect();
        self.legacy
            .number(&format!("select {}", counts.join(" + ")))
            .await
    }

    /// Keys, indexes and constraints of the target, as their definitions.
    pub async fn definitions(&self) -> Result<Vec<String>> {
        self.app
            .texts(
                "select conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) || ' ' || convalidated \
                 from pg_constraint where connamespace = 'public'::regnamespace \
                 union all select indexdef from pg_indexes where schemaname = 'public' order by 1",
            )
            .await
    }
}

/// A copy of the database of that name, which `fill` makes on first use.
async fn template(
    name: &str,
    fill: impl AsyncFnOnce(&TestDatabase) -> Result<()>,
) -> Result<TestDatabase> {
    let mut templates = TEMPLATES.lock().await;
    if !templates.contains_key(name) {
        let database = TestDatabase::new().await?;
        fill(&database).await?;
        templates.insert(name.to_owned(), database);
    }
    TestDatabase::copy_of(&templates[name]).await
}
