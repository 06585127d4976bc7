//! Every check that a plan can ask for: one that holds, one that does not, and what its severity makes of it.

use anyhow::Result;
use drover_tests::pair::Pair;
use serde_json::Value;

use super::{found, result, results};

async fn shop() -> Result<Pair> {
    Pair::new(
        "create table customer (id int primary key, name text not null, vip boolean not null);
         create table sale (id int primary key, customer_id int references customer, cents int, sold timestamp not null);
         insert into customer select i, 'name ' || i, i % 10 = 0 from generate_series(1, 200) i;
         insert into sale select i, i % 200 + 1, case when i = 77 then null else i * 10 end, '2024-01-01'::timestamp + i * interval '1 hour'
         from generate_series(1, 1000) i",
        "create table customers (id uuid primary key, name text not null, vip boolean not null);
         create table sales (id uuid primary key, customer_id uuid references customers, total numeric(12,2) not null, sold timestamptz not null);
         create index on sales (customer_id)",
    )
    .await
}

/// The shop's plan with these checks.
fn plan(checks: &str, own: &str) -> String {
    format!(
        "defaults: {{timezone: UTC, max_quarantined: 5}}
entities:
- entity: customers
  source_entity: customer
  destination_entity: customers
  entity_type: customer
  validation_rules: [{own}]
  transformation_rules:
    name: [{{col: name}}]
    vip: [{{col: vip}}]
- entity: sales
  source_entity: sale
  destination_entity: sales
  entity_type: sale
  transformation_rules:
    customer_id: [{{col: customer_id}}, {{fk: {{entity: customers}}}}]
    total: [{{col: cents}}, {{unit: {{mul: 0.01, scale: 2}}}}]
    sold: [{{col: sold}}, {{tz: {{}}}}]
{checks}"
    )
}

const CHECKS: &str = "validations:
- {validation_type: data_completeness, entity: '*', check: row_count}
- {validation_type: data_completeness, entity: sales, check: content, level: full}
- {validation_type: referential_integrity, entity: sales, check: foreign_keys}
- {validation_type: business_rules, entity: sales, check: aggregate, source: 'sum(cents)/100.0', destination: 'sum(total)', tolerance: 0}
- {validation_type: business_rules, entity: sales, check: zero_rows, sql: 'select id from sales where total < 0', severity: critical}
- {validation_type: business_rules, entity: sales, check: unique, columns: [sold], severity: low}
- {validation_type: performance, entity: sales, check: max_ms, sql: 'select * from sales where customer_id = $sample limit 50', p95_ms: 2000}
";

const OWN: &str = "{validation_type: business_rules, check: unique, columns: [name]}";

fn outcome<'a>(all: &'a [Value], entity: &str, check: &str) -> &'a str {
    result(all, entity, check)["status"]
        .as_str()
        .unwrap_or_default()
}

#[tokio::test]
async fn every_check_of_a_plan_holds_until_what_it_says_is_broken() -> Result<()> {
    let shop = shop().await?;
    let plan = plan(CHECKS, OWN);
    shop.drover(&["rules", "check"], &plan).await?;
    // One sale has no amount: it is set aside, and so is it in the sums of the source.
    shop.must_end(&plan, 0).await?;
    let fine = shop.validate(&[]).await?;
    assert_eq!(fine.code, Some(0), "{}\n{}", fine.stdout, fine.stderr);
    let all = results(&fine);
    assert_eq!(all.len(), 10, "{all:#?}");
    let rows = &result(&all, "sales", "row_count")["validation_criteria"]["observed"];
    assert_eq!(
        (&rows["source"], &rows["set_aside"]),
        (&1000.into(), &1.into())
    );
    let time = &result(&all, "sales", "max_ms")["validation_criteria"];
    assert_eq!(time["sample"], "customer_id");
    assert!(time["observed"]["p95_ms"].as_f64().is_some());
    assert_eq!(result(&all, "sales", "max_ms")["records_validated"], 40);
    let sum = result(&all, "sales", "aggregate");
    assert_eq!(sum["records_validated"], 1);

    shop.app
        .run(
            "set session_replication_role = replica;
             update customers set name = (select min(name) from customers) where name = 'name 7';
             delete from customers where name = 'name 9';
             update sales set total = -5 where total = 1;
             update sales set sold = (select min(sold) from sales) where total = 2",
        )
        .await?;
    let broken = shop.validate(&[]).await?;
    assert_eq!(broken.code, Some(9), "{}\n{}", broken.stdout, broken.stderr);
    let all = results(&broken);
    for (entity, check, status, issues) in [
        ("customers", "row_count", "failed", 1),
        ("customers", "unique", "failed", 1),
        ("sales", "row_count", "passed", 0),
        ("sales", "content", "failed", 2),
        ("sales", "foreign_keys", "failed", 5),
        ("sales", "id_map", "passed", 0),
        ("sales", "aggregate", "failed", 1),
        ("sales", "zero_rows", "failed", 1),
        ("sales", "unique", "warning", 1),
        ("sales", "max_ms", "passed", 0),
    ] {
        assert_eq!(outcome(&all, entity, check), status, "{entity} {check}");
        assert_eq!(
            result(&all, entity, check)["issues_found"],
            issues,
            "{entity} {check}"
        );
        let validated = result(&all, entity, check)["records_validated"].as_i64();
        assert!(validated >= Some(issues), "{entity} {check}");
    }
    assert_eq!(result(&all, "sales", "zero_rows")["severity"], "critical");
    let kinds: Vec<String> = found(&all).into_iter().map(|finding| finding.1).collect();
    for kind in ["duplicate", "found", "mismatched", "orphan"] {
        assert!(
            kinds.iter().any(|found| found == kind),
            "{kind} in {kinds:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_with_a_check_is_said_before_a_row_moves() -> Result<()> {
    let shop = shop().await?;
    for (check, path, words) in [
        (
            "{validation_type: business_rules, entity: sales, check: unique, columns: [nope]}",
            "validations[0].columns",
            "no column nope",
        ),
        (
            "{validation_type: business_rules, entity: sales, check: row_count}",
            "validations[0].validation_type",
            "data_completeness",
        ),
        (
            "{validation_type: data_completeness, entity: nobody, check: row_count}",
            "validations[0].entity",
            "no entity",
        ),
        (
            "{validation_type: data_completeness, entity: sales, check: content, level: deep}",
            "validations[0].level",
            "sample:N",
        ),
        (
            "{validation_type: business_rules, entity: '*', check: zero_rows, sql: 'select 1'}",
            "validations[0].entity",
            "names one entity",
        ),
        (
            "{validation_type: business_rules, entity: sales, check: aggregate, source: 'sum(cents)'}",
            "validations[0].destination",
            "missing",
        ),
        (
            "{validation_type: performance, entity: sales, check: max_ms, p95_ms: 5, sql: 'select $sample'}",
            "validations[0].sql",
            "compared with a column",
        ),
        (
            "{validation_type: data_completeness, entity: sales, check: row_count, p95_ms: 5}",
            "validations[0].p95_ms",
            "no such argument",
        ),
        (
            "{validation_type: business_rules, entity: sales, check: zero_rows, sql: 'select nothing from sales'}",
            "entities[1]",
            "zero_rows",
        ),
        (
            "{validation_type: business_rules, entity: sales, check: aggregate, source: 'sum(nope)', destination: 'sum(total)'}",
            "entities[1]",
            "aggregate",
        ),
    ] {
        let plan = plan(&format!("validations: [{check}]\n"), "");
        let outcome = shop.drover(&["rules", "check"], &plan).await?;
        assert_eq!(outcome.code, Some(2), "{check}\n{}", outcome.stderr);
        let said = &outcome.stderr;
        assert!(
            said.contains(path) && said.contains(words),
            "{check}\n{said}"
        );
    }
    Ok(())
}
