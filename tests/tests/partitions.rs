//! Partitions of skewed keys are about equal, and each is read as one range of the key's index.

use anyhow::{Context, Result, ensure};
use drover_tests::pair::Pair;

const ROWS: i64 = 244_000;

/// A table per kind of key: its name, its key columns and the values of row `n`.
const KINDS: [(&str, &str, &str, &str); 8] = [
    ("gaps", "a bigint", "a", "n::bigint * n"),
    // Nine of ten in a narrow band.
    (
        "clustered",
        "a int",
        "a",
        "case when n % 10 > 0 then n else 2000000000 - n end",
    ),
    // An order of words that is not the order of bytes, upper and lower case among each other.
    (
        "texts",
        "a text collate \"en-x-icu\"",
        "a",
        "case n % 3 when 0 then 'Aa' || n when 1 then 'aa' || n else md5(n::text) end",
    ),
    (
        "codes",
        "a varchar(40)",
        "a",
        "case when n % 5 > 0 then 'x' || n else upper(md5(n::text)) end",
    ),
    ("uuids", "a uuid", "a", "md5(n::text)::uuid"),
    (
        "moments",
        "a timestamptz",
        "a",
        "timestamptz '2001-01-01 00:00+00' + n::bigint * n * interval '1 millisecond'",
    ),
    (
        "numbers",
        "a numeric(20, 4)",
        "a",
        "round(n::numeric * n * 0.7301, 4)",
    ),
    // One tenant has most of the rows.
    (
        "pairs",
        "a int, b text",
        "a, b",
        "case when n % 10 > 1 then 7 else n % 100 end, n::text",
    ),
];

fn sources() -> String {
    let tables = KINDS.iter().map(|(name, columns, key, values)| {
        format!(
            "create table part_{name} ({columns}, v int, primary key ({key}));
             insert into part_{name} select {values}, n from generate_series(1, {ROWS}) n;
             analyze part_{name};"
        )
    });
    tables.collect()
}

fn targets() -> String {
    let tables = KINDS
        .iter()
        .map(|(name, ..)| format!("create table {name} (id uuid primary key, v int);"));
    tables.collect()
}

fn plan() -> String {
    let entities = KINDS.iter().map(|(name, ..)| {
        format!(
            "- entity: {name}
  source_entity: part_{name}
  destination_entity: {name}
  entity_type: {name}
  transformation_rules: {{v: [{{col: v}}]}}
"
        )
    });
    let entities: String = entities.collect();
    format!(
        "defaults: {{unmapped_columns: ignore}}\nlimits: {{parallel_partitions: 4}}\nentities:\n{entities}"
    )
}

/// Has the server explain into its log whatever runs in the legacy database from now on; the log.
async fn explain_all(pair: &Pair) -> Result<String> {
    let settings = [
        "session_preload_libraries = 'auto_explain'",
        "auto_explain.log_min_duration = 0",
        "log_min_messages = log",
        "log_min_error_statement = panic",
    ];
    for setting in settings {
        let sql = format!("alter database {} set {setting}", pair.legacy.name);
        pair.legacy.run(&sql).await?;
    }
    let directory = pair
        .legacy
        .texts("select current_setting('data_directory')")
        .await?;
    let directory = directory.first().context("a directory")?;
    Ok(format!("{}.log", directory.trim_end_matches("/data")))
}

/// Every chunk's plan is a range of the key's index, without a sort.
fn check_plans(log: &str, kind: &str) -> Result<()> {
    let table = format!("part_{kind}\"");
    let plans: Vec<&str> = log
        .split("LOG:  duration:")
        .filter(|entry| entry.contains("Query Text: copy (") && entry.contains(&table))
        .collect();
    ensure!(plans.len() >= 3, "{} reads of {kind}", plans.len());
    for plan in plans {
        let scan = format!("Index Scan using part_{kind}_pkey");
        ensure!(plan.contains(&scan), "{kind}: {plan}");
        ensure!(plan.contains("Index Cond: "), "{kind}: {plan}");
        for other in ["Seq Scan", "Sort", "Bitmap", "Filter: "] {
            ensure!(!plan.contains(other), "{kind}: {other} in {plan}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn skewed_keys_make_equal_partitions_that_are_ranges_of_the_index() -> Result<()> {
    let pair = Pair::new(&sources(), &targets()).await?;
    let log = explain_all(&pair).await?;
    pair.must_end(&plan(), 0).await?;
    let log = std::fs::read_to_string(log)?;
    for (kind, ..) in KINDS {
        let sizes = pair
            .app
            .texts(&format!(
                "select p.rows_read::text from drover.partition p join drover.entity e using (entity_no) \
                 where e.entity = '{kind}' order by p.number"
            ))
            .await?;
        let sizes: Vec<i64> = sizes
            .iter()
            .map(|size| size.parse())
            .collect::<Result<_, _>>()?;
        ensure!(sizes.len() >= 3, "{kind}: {sizes:?}");
        ensure!(sizes.iter().sum::<i64>() == ROWS, "{kind}: {sizes:?}");
        let largest = sizes.iter().max().context("a partition")?;
        let parts = i64::try_from(sizes.len())?;
        ensure!(largest * parts * 10 <= ROWS * 12, "{kind}: {sizes:?}");
        check_plans(&log, kind)?;
    }
    Ok(())
}
