//! What a type makes of a value when it stores one is no difference.

use anyhow::Result;
use drover_tests::pair::Pair;

use super::{result, results};

#[tokio::test]
async fn what_the_destination_makes_of_a_value_is_no_difference_and_a_real_one_is() -> Result<()> {
    let pair = Pair::new(
        "create table thing (id int primary key, n numeric, c text, v varchar(20), t timestamp, d text, a numeric[], j json, f float8);
         insert into thing values
             (1, 1.5, 'ab', 'abc  ', '2024-03-04 05:06:07', '{\"b\": 1.50, \"a\": [1, 2,  3], \"a\": 2}', '{1.5,null,2}', '{\"x\" :  1e2}', 0.1),
             (2, null, null, null, null, null, null, null, null),
             (3, 12345678901234567890.123, '', '', '1999-12-31 23:59:59', '[]', '{}', '[]', 'NaN')",
        "create domain cents as numeric(30, 4);
         create table things (id uuid primary key, n cents, c char(6), v varchar(20), t timestamp(0), d jsonb, a numeric[], j jsonb, f float8,
             shown text generated always as (c || '!') stored, noted timestamptz default now())",
    )
    .await?;
    let plan = "defaults: {unmapped_columns: ignore}
entities:
- entity: things
  source_entity: thing
  destination_entity: things
  entity_type: thing
  transformation_rules:
    n: [{col: n}]
    c: [{col: c}]
    v: [{col: v}]
    t: [{col: t}]
    d: [{col: d}, json_parse]
    a: [{col: a}]
    j: [{col: j}]
    f: [{col: f}]
";
    pair.must_end(plan, 0).await?;
    // Sketches alone: nothing had to be looked up.
    let looked_up = "select count(*) from drover_meta.validation_unit where question -> 'ask' ?| array['compare', 'explain']";
    assert_eq!(pair.app.number(looked_up).await?, 0);
    for (change, column) in [
        ("n = n + 0.0001", "n"),
        ("c = 'abx'", "c"),
        ("t = t + interval '1 s'", "t"),
        ("d = d || '{\"b\": 1.51}'", "d"),
        ("a = array[1.5, null, 2.001]", "a"),
        ("j = '{\"x\": 101}'", "j"),
        ("f = 0.30000000000000004", "f"),
        ("n = null", "n"),
    ] {
        let first = "(select id from things where c = 'ab')";
        pair.app
            .run(&format!(
                "create table kept as select * from things where id = {first};
                 update things set {change} where id = {first}"
            ))
            .await?;
        let outcome = pair.validate(&["--level", "full"]).await?;
        assert_eq!(outcome.code, Some(9), "{change}: {}", outcome.stdout);
        let all = results(&outcome);
        let details = &result(&all, "things", "content")["issue_details"];
        assert_eq!(details["issues"], 1, "{change}: {details:#}");
        assert_eq!(
            details["findings"][0]["columns"],
            serde_json::json!([column]),
            "{change}"
        );
        pair.app
            .run(
                "update things t set n = k.n, c = k.c, t = k.t, d = k.d, a = k.a, j = k.j, f = k.f from kept k where k.id = t.id;
                 drop table kept",
            )
            .await?;
    }
    pair.must_be_valid().await?;
    Ok(())
}
