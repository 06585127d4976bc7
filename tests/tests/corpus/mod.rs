//! Bad rows and bad plans as data: each case with what must become of it. A row is written or is exactly
//! one error row; no value of it is told.

mod build;
mod check;
mod family;
mod fates;
mod limits;
mod plans;

use anyhow::{Result, ensure};
use drover_tests::pair::Pair;

/// Everything that can be logged is.
const TRACE: (&str, &str) = ("DROVER_LOG", "trace");

macro_rules! families {
    ($($name:ident),* $(,)?) => {
        const FAMILIES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[tokio::test]
            async fn $name() -> Result<()> {
                every_row_of(stringify!($name)).await
            }
        )*
    };
}

families!(
    numbers,
    dates,
    texts,
    json,
    maps,
    references,
    keys,
    constraints,
    personal,
    arrays,
    conflicts,
    reads,
    joins,
);

async fn every_row_of(name: &str) -> Result<()> {
    let family = family::Family::read(name)?;
    let built = build::build(&family);
    let pair = Pair::new(&built.source, &built.destination).await?;
    let run = pair.drover_with(&[TRACE], &["run"], &built.plan).await?;
    let end: Vec<&str> = run.stderr.lines().rev().take(12).collect();
    ensure!(
        run.code == Some(0),
        "{:?}\n{}\n{}",
        run.code,
        run.stdout,
        end.join("\n")
    );
    check::check(&pair, &built, &run).await
}

#[test]
fn the_corpus_is_large_and_no_file_is_forgotten() -> Result<()> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/rows");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        files.push(name.trim_end_matches(".toml").to_owned());
    }
    files.sort();
    let mut known: Vec<&str> = FAMILIES.to_vec();
    known.sort_unstable();
    assert_eq!(files, known);
    let (mut cases, mut bad) = (0, 0);
    for name in FAMILIES {
        let family = family::Family::read(name)?;
        cases += family.cases();
        let columns = family.column.iter().flat_map(|column| &column.rows);
        let rows = columns.chain(family.table.iter().flat_map(|table| &table.rows));
        bad += rows.filter(|(_, outcome)| outcome.starts_with('!')).count();
    }
    ensure!(
        cases >= 300 && bad >= 180,
        "{cases} cases, {bad} of them bad"
    );
    Ok(())
}
