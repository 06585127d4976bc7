//! `max_quarantined`: at its boundary, by number and by share, per entity and over restarts.

use anyhow::{Result, ensure};
use drover_tests::drover;
use drover_tests::pair::Pair;

/// A table of so many rows, the first of which are bad.
fn table(name: &str, rows: usize, bad: usize) -> (String, String) {
    (
        format!(
            "create table {name} (id int primary key, v text);
             insert into {name} select n, case when n <= {bad} then 'bad' else n::text end from generate_series(1, {rows}) n;"
        ),
        format!("create table {name} (id uuid primary key, v int);"),
    )
}

fn entity(name: &str, more: &str) -> String {
    format!(
        "- entity: {name}
  source_entity: {name}
  destination_entity: {name}
  entity_type: {name}
  batch_size: 40
{more}  transformation_rules:
    v: [{{col: v}}, {{cast: integer}}]
"
    )
}

async fn pair(tables: &[(&str, usize, usize)]) -> Result<Pair> {
    let scripts = tables
        .iter()
        .map(|(name, rows, bad)| table(name, *rows, *bad));
    let (source, destination): (Vec<String>, Vec<String>) = scripts.unzip();
    Pair::new(&source.concat(), &destination.concat()).await
}

/// `entity status read written failed` of every entity.
async fn told(pair: &Pair) -> Result<Vec<String>> {
    pair.app
        .texts(
            "select concat_ws(' ', entity, status, records_read, records_written, records_failed) \
             from drover_meta.entity_migration_status order by entity",
        )
        .await
}

/// Rows of the destination and error rows, and whether no key is both or twice.
async fn there(pair: &Pair, name: &str) -> Result<(i64, i64)> {
    let rows = pair
        .app
        .number(&format!("select count(*) from {name}"))
        .await?;
    let of = format!(
        "from drover.error e join drover.entity n using (entity_no) where n.entity = '{name}'"
    );
    let errors = pair.app.number(&format!("select count(*) {of}")).await?;
    let keys = pair
        .app
        .number(&format!("select count(distinct source_record_id) {of}"))
        .await?;
    ensure!(keys == errors, "{errors} error rows for {keys} keys");
    Ok((rows, errors))
}

#[tokio::test]
async fn a_limit_lets_through_what_it_says_and_not_one_row_more() -> Result<()> {
    // Rows, bad rows, a limit that is kept and one that is not.
    for (rows, bad, kept, broken) in [
        (100, 3, "3", "2"),
        (100, 29, "29%", "28%"),
        (100, 29, "29%", "28.9%"),
        (1500, 15, "1%", "0.99%"),
        (10, 10, "10", "9"),
        (10, 10, "100%", "99%"),
        (3, 1, "34%", "33%"),
        (50, 0, "0", "-"),
    ] {
        let pair = pair(&[("t", rows, bad)]).await?;
        let plan = |limit: &str| {
            format!(
                "defaults: {{max_quarantined: {limit}}}\nentities:\n{}",
                entity("t", "")
            )
        };
        if broken != "-" {
            let outcome = pair.must_end(&plan(broken), 9).await?;
            let words = "quarantined rows, `max_quarantined` allows";
            ensure!(outcome.stderr.contains(words), "{}", outcome.stderr);
            ensure!(
                outcome.stderr.contains("raise `max_quarantined`"),
                "{}",
                outcome.stderr
            );
            ensure!(
                outcome.stderr.contains("drover error group"),
                "{}",
                outcome.stderr
            );
        }
        pair.must_end(&plan(kept), 0).await?;
        let written = rows - bad;
        assert_eq!(
            told(&pair).await?,
            [format!("t completed {rows} {written} {bad}")],
            "{kept}"
        );
        let (rows, errors) = there(&pair, "t").await?;
        assert_eq!(
            (usize::try_from(rows)?, usize::try_from(errors)?),
            (written, bad),
            "{kept}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn each_entity_has_its_own_limit_and_its_own_rows() -> Result<()> {
    let pair = pair(&[("a", 60, 2), ("b", 60, 2), ("c", 60, 5)]).await?;
    let plan = |limit: &str| {
        let own = format!("  max_quarantined: {limit}\n");
        let all = [entity("a", ""), entity("b", ""), entity("c", &own)];
        format!(
            "defaults: {{max_quarantined: 2}}\nentities:\n{}",
            all.concat()
        )
    };
    let outcome = pair.must_end(&plan("4"), 9).await?;
    ensure!(
        outcome
            .stderr
            .contains("c has 5 quarantined rows, `max_quarantined` allows 4"),
        "{}",
        outcome.stderr
    );
    let get = drover::run(
        &["migration", "get", "pair", "--local", "-o", "json"],
        &pair.env(),
    )
    .await?;
    let (status, hint) = (
        get.json()["activity"].clone(),
        get.json()["activity_hint"].clone(),
    );
    assert_eq!(status, "blocked");
    ensure!(
        hint.as_str()
            .is_some_and(|hint| hint.contains("raise `max_quarantined`")),
        "{hint}"
    );
    pair.must_end(&plan("5"), 0).await?;
    let expected = [
        "a completed 60 58 2",
        "b completed 60 58 2",
        "c completed 60 55 5",
    ];
    assert_eq!(told(&pair).await?, expected);
    Ok(())
}

#[tokio::test]
async fn a_limit_stands_over_restarts_and_raising_it_step_by_step_goes_on() -> Result<()> {
    let pair = pair(&[("t", 400, 150)]).await?;
    let plan = |limit: usize| {
        format!(
            "defaults: {{max_quarantined: {limit}}}\nentities:\n{}",
            entity("t", "")
        )
    };
    let mut before = (0, 0);
    for limit in [0, 0, 30, 30, 100, 149] {
        pair.must_end(&plan(limit), 9).await?;
        let now = there(&pair, "t").await?;
        ensure!(
            now.0 >= before.0 && now.1 >= before.1,
            "{before:?} then {now:?}"
        );
        ensure!(
            usize::try_from(now.1)? > limit,
            "blocked at {} rows under {limit}",
            now.1
        );
        let lines = told(&pair).await?;
        let [line] = lines.as_slice() else {
            anyhow::bail!("one entity")
        };
        let expected = format!("{} {} {}", now.0 + now.1, now.0, now.1);
        ensure!(line.ends_with(&expected), "{line}, there is {expected}");
        before = now;
    }
    pair.must_end(&plan(150), 0).await?;
    assert_eq!(there(&pair, "t").await?, (250, 150));
    // A completed migration is not judged again.
    pair.must_end(&plan(0), 0).await?;
    Ok(())
}

#[tokio::test]
async fn held_rows_count_for_their_parents_and_not_for_their_own_entity() -> Result<()> {
    let pair = Pair::new(
        "create table p (id int primary key, v text); insert into p values (1, '1'), (2, 'bad');
         create table c (id int primary key, p_id int, v text);
         insert into c select n, 2, n::text from generate_series(1, 50) n; insert into c values (51, 1, 'bad')",
        "create table p (id uuid primary key, v int); create table c (id uuid primary key, p_id uuid references p, v int)",
    )
    .await?;
    let child = entity("c", "").replace(
        "    v:",
        "    p_id: [{col: p_id}, {fk: {entity: p}}]\n    v:",
    );
    let plan = format!(
        "defaults: {{max_quarantined: 1}}\nentities:\n{}{child}",
        entity("p", "")
    );
    pair.must_end(&plan, 0).await?;
    assert_eq!(
        told(&pair).await?,
        ["c completed 51 0 51", "p completed 2 1 1"]
    );
    Ok(())
}

#[tokio::test]
async fn a_row_that_may_not_be_set_aside_blocks_and_names_its_key() -> Result<()> {
    // At the source, in the agent, by the SELECT's verdict, at the destination.
    for (rule, more) in [
        ("[{sql: \"v::int\"}]", "22P02"),
        ("[{col: v}, {cast: date}]", "DROVER_DATE_INVALID"),
        ("[{col: v}, {cast: integer}]", "DROVER_CAST"),
        (
            "[{sql: \"case when v = 'bad' then -1 else 1 end\"}]",
            "23514",
        ),
    ] {
        let pair = pair(&[("t", 5, 0)]).await?;
        pair.legacy
            .run("update t set v = 'bad' where id = 4")
            .await?;
        let ty = if rule.contains("date") {
            "date"
        } else {
            "int check (v >= 0)"
        };
        pair.app
            .run(&format!(
                "drop table t; create table t (id uuid primary key, v {ty})"
            ))
            .await?;
        if rule.contains("date") {
            pair.legacy
                .run("update t set v = '2024-01-01' where id <> 4")
                .await?;
        }
        let plan = format!(
            "defaults: {{on_row_error: fail, max_quarantined: 5}}\nentities:\n{}",
            entity("t", "")
        );
        let outcome = pair
            .must_end(&plan.replace("[{col: v}, {cast: integer}]", rule), 8)
            .await?;
        ensure!(
            outcome
                .stderr
                .contains(&format!("row 4 is refused ({more})")),
            "{}",
            outcome.stderr
        );
        let (_, errors) = there(&pair, "t").await?;
        assert_eq!(errors, 0);
    }
    Ok(())
}

#[tokio::test]
async fn strict_runs_tell_set_aside_rows_by_their_exit_code() -> Result<()> {
    let pair = pair(&[("t", 5, 1)]).await?;
    let plan = format!(
        "defaults: {{max_quarantined: 1}}\nentities:\n{}",
        entity("t", "")
    );
    let outcome = pair.drover(&["run", "--strict"], &plan).await?;
    assert_eq!(outcome.code, Some(9), "{}", outcome.stderr);
    assert_eq!(told(&pair).await?, ["t completed 5 4 1"]);
    Ok(())
}
