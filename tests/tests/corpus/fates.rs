//! A property: whatever mixture of fates the rows have, whatever the batches and however often the run stops
//! in between, the counters add up and every row has the fate that it must have.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use drover_tests::pair::Pair;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// What becomes of a row, and the value that brings it about.
const FATES: [(&str, &str); 9] = [
    ("written", "1"),
    ("filtered", "out"),
    ("cast", "no number"),
    ("read", "0"),
    ("where", "1/0"),
    ("check", "-5"),
    ("dropped", "777"),
    ("raised", "888"),
    ("email", "7@"),
];

const APP: &str = "
    create table parents (id uuid primary key, n int, v int check (v > 0), mail text);
    create table children (id uuid primary key, n int, parent_id uuid references parents);
    create function judge() returns trigger language plpgsql as $$ begin
        if new.v = 777 then return null; end if;
        if new.v = 888 then raise exception 'not %', new.v; end if;
        return new; end $$;
    create trigger judge before insert on parents for each row execute function judge()";

fn plan(batch_size: u32, limit: u32, policy: &str) -> String {
    format!(
        "defaults: {{batch_size: {batch_size}, max_quarantined: {limit}}}
entities:
- entity: parents
  source_entity: parent
  destination_entity: parents
  entity_type: parent
  on_conflict: {policy}
  where: \"v <> 'out' and (case when v = '1/0' then 1 / (id - id) else 1 end) = 1\"
  transformation_rules:
    n: [{{col: id}}]
    v: [{{sql: \"case when v = '0' then (1 / (id - id))::text when v = '7@' then '7' else v end\"}}, {{cast: integer}}]
    mail: [{{sql: \"case when v = '7@' then 'nobody' else 'a@x.org' end\"}}, email]
- entity: children
  source_entity: child
  destination_entity: children
  entity_type: child
  transformation_rules:
    n: [{{col: id}}]
    parent_id: [{{col: parent_id}}, {{fk: {{entity: parents}}}}]
"
    )
}

type Counts = BTreeMap<&'static str, i64>;

/// What is counted by the metadata and by the ledger; both must say the same.
async fn counted(pair: &Pair, entity: &str) -> Result<Option<Counts>> {
    let row = "jsonb_build_array({read}, {written}, {failed}, {held}, {filtered}, {skipped})::text";
    let told = row
        .replace("{read}", "records_read")
        .replace("{written}", "records_written")
        .replace("{failed}", "records_failed")
        .replace("{held}", "records_held")
        .replace("{filtered}", "records_filtered")
        .replace("{skipped}", "records_skipped");
    let told =
        format!("select {told} from drover_meta.entity_migration_status where entity = '{entity}'");
    let mut ledger = row.to_owned();
    for name in ["read", "written", "failed", "held", "filtered", "skipped"] {
        ledger = ledger.replace(
            &format!("{{{name}}}"),
            &format!("coalesce(sum(n_{name}), 0)"),
        );
    }
    let ledger = format!(
        "select {ledger} from drover.ledger join drover.partition using (partition_id) \
         join drover.entity using (entity_no) where entity = '{entity}'"
    );
    let (told, ledger) = (pair.app.texts(&told).await?, pair.app.texts(&ledger).await?);
    ensure!(
        told == ledger,
        "{entity}: told {told:?}, in the ledger {ledger:?}"
    );
    let Some(text) = told.first() else {
        return Ok(None);
    };
    let numbers: Vec<i64> = serde_json::from_str(text)?;
    let names = ["read", "written", "failed", "held", "filtered", "skipped"];
    Ok(Some(names.into_iter().zip(numbers).collect()))
}

/// read = written + failed + skipped, and what is counted is there.
async fn add_up(pair: &Pair, entity: &str) -> Result<Option<Counts>> {
    let Some(counts) = counted(pair, entity).await? else {
        return Ok(None);
    };
    let of = |name: &str| counts.get(name).copied().unwrap_or_default();
    ensure!(
        of("read") == of("written") + of("failed") + of("skipped"),
        "{entity}: {counts:?}"
    );
    ensure!(of("held") <= of("failed"), "{entity}: {counts:?}");
    let rows = pair
        .app
        .number(&format!("select count(*) from {entity}"))
        .await?;
    ensure!(rows == of("written"), "{entity}: {rows} rows, {counts:?}");
    let errors = "select count(distinct source_record_id) * 1000000 + count(*) from drover.error \
                  join drover.entity using (entity_no)";
    let errors = pair
        .app
        .number(&format!("{errors} where entity = '{entity}'"))
        .await?;
    ensure!(
        errors == of("failed") * 1_000_001,
        "{entity}: {errors} errors, {counts:?}"
    );
    Ok(Some(counts))
}

#[tokio::test]
async fn counters_add_up_whatever_becomes_of_the_rows() -> Result<()> {
    for _ in 0..3 {
        let seed: u64 = rand::random();
        one_mixture(seed)
            .await
            .with_context(|| format!("seed {seed}"))?;
    }
    Ok(())
}

async fn one_mixture(seed: u64) -> Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    let rows = random.random_range(1..120_usize);
    let good = random.random_range(0.0..1.0);
    let (mut parents, mut children) = (Vec::new(), Vec::new());
    let (mut expected, mut expected_children) = (Counts::new(), Counts::new());
    let mut fates = Vec::new();
    for id in 1..=rows {
        let (fate, value) = FATES[if random.random_bool(good) {
            0
        } else {
            random.random_range(0..FATES.len())
        }];
        fates.push(fate);
        parents.push(format!("({id}, '{value}')"));
        *expected.entry(fate).or_default() += 1;
    }
    for id in 1..=random.random_range(1..60) {
        let parent = random.random_range(1..=rows + 5);
        let fate = match fates.get(parent - 1) {
            None | Some(&"filtered") => "orphan",
            Some(&"written") => "written",
            Some(_) => "held",
        };
        children.push(format!("({id}, {parent})"));
        *expected_children.entry(fate).or_default() += 1;
    }
    let source = format!(
        "create table parent (id int primary key, v text); insert into parent values {};
         create table child (id int primary key, parent_id int); insert into child values {}",
        parents.join(", "),
        children.join(", ")
    );
    let pair = Pair::new(&source, APP).await?;
    let (batch_size, policy) = (
        random.random_range(1..50),
        ["error", "skip"][random.random_range(0..2)],
    );
    let mut limit = random.random_range(0..4);
    loop {
        let outcome = pair.run(&plan(batch_size, limit, policy)).await?;
        add_up(&pair, "parents").await?;
        add_up(&pair, "children").await?;
        match outcome.code {
            Some(0) => break,
            Some(9) => limit = limit * 3 + 5,
            _ => anyhow::bail!("{:?}: {}", outcome.code, outcome.stderr),
        }
    }
    let bad = |counts: &Counts| {
        counts
            .iter()
            .filter(|(fate, _)| !["written", "filtered"].contains(fate))
            .map(|(_, n)| n)
            .sum::<i64>()
    };
    let of = |counts: &Counts, name: &str| counts.get(name).copied().unwrap_or_default();
    for (entity, expected) in [("parents", &expected), ("children", &expected_children)] {
        let counts = add_up(&pair, entity).await?.context("no counters")?;
        let found = ["written", "failed", "held", "filtered"].map(|name| of(&counts, name));
        let wanted = [
            of(expected, "written"),
            bad(expected),
            of(expected, "held"),
            of(expected, "filtered"),
        ];
        ensure!(
            found == wanted,
            "{entity}: written, failed, held, filtered are {found:?}, expected {wanted:?}"
        );
    }
    Ok(())
}
