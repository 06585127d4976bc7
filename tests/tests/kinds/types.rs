//! Types of one database only, and all built-in ones.

use anyhow::Result;
use drover_tests::pair::Pair;

use super::columns::COLUMNS;
use super::{plain, same};
use crate::rules::errors;

/// Types that have another number in every database; `{ext}` is where the extensions live.
const TYPES: &str = r#"
create schema {ext};
create extension hstore schema {ext};
create extension citext schema {ext};
create extension ltree schema {ext};
create extension cube schema {ext};
create extension isn schema {ext};
create type mood as enum ('sad', 'so so', 'Very "happy"', 'it''s, {ok}');
create domain posint as integer check (value > 0);
create domain code as text not null check (value ~ '^[a-z]*$');
create domain verse as mood check (value <> 'sad');
create type pair as (a integer, b text, m mood);
create domain sound_pair as pair check ((value).a > 0);
create type nest as (p pair, ps pair[], at timestamptz, d interval, f float8);
create type floatrange as range (subtype = float8, multirange_type_name = floatranges);
"#;

fn schema(ext: &str) -> String {
    let columns: Vec<String> = COLUMNS
        .iter()
        .map(|(name, ty, _)| format!("{name} {ty}"))
        .collect();
    let table = format!(
        "create table thing (id integer primary key, {});",
        columns.join(", ")
    );
    format!("{TYPES}{table}").replace("{ext}", ext)
}

fn values(ext: &str) -> String {
    let row = |at: usize| {
        let values: Vec<&str> = COLUMNS.iter().map(|(_, _, values)| values[at]).collect();
        format!(
            "insert into thing values ({}, {});",
            at + 1,
            values.join(", ")
        )
    };
    (0..3).map(row).collect::<String>().replace("{ext}", ext)
}

#[tokio::test]
async fn values_of_every_type_arrive_as_they_were() -> Result<()> {
    let pair = Pair::new(
        &format!("{}{}", schema("public_ext"), values("public_ext")),
        &schema("extensions"),
    )
    .await?;
    let names: Vec<&str> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    for policy in ["error", "overwrite"] {
        let pair_plan = format!(
            "entities:\n{}  on_conflict: {policy}\n",
            plain("thing", "thing", "keep", &names)
        );
        pair.must_end(&pair_plan, 0).await?;
        for name in &names {
            same(
                &pair,
                &format!("select id, {name} is null, {name}::text from thing order by id"),
            )
            .await?;
        }
        pair.app
            .run("drop schema drover cascade; drop schema drover_meta cascade; update thing set c_code = 'z' where id = 1")
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_text_that_its_type_refuses_is_one_error() -> Result<()> {
    let pair = Pair::new(
        "create table node (id int primary key, path text, tags text[], size int[]);
         insert into node select n, 'a.b' || n, '{sad}', '{1}' from generate_series(1, 300) n;
         update node set path = 'no way!' where id = 7;
         update node set tags = '{sad,glad}' where id = 8;
         update node set size = '{0}' where id = 300",
        "create extension ltree; create type mood as enum ('sad'); create domain posint as int check (value > 0);
         create table node (id bigint generated always as identity primary key, path ltree, tags mood[], size posint[])",
    )
    .await?;
    pair.must_end(
        &format!(
            "defaults: {{max_quarantined: 3}}\nentities:\n{}",
            plain("node", "node", "keep", &["path", "tags", "size"])
        ),
        0,
    )
    .await?;
    assert_eq!(
        errors(&pair).await?,
        [
            "node 300 23514 false",
            "node 7 42601 false",
            "node 8 22P02 false"
        ]
    );
    assert_eq!(pair.app.number("select count(*) from node").await?, 297);
    Ok(())
}

#[tokio::test]
async fn domains_and_generated_columns_are_read_and_filled() -> Result<()> {
    let pair = Pair::new(
        "create domain amount as numeric(12,2) check (value >= 0);
         create table sale (id int primary key, net amount not null, gross numeric generated always as (net * 2) stored);
         insert into sale values (1, 1.10), (2, 0)",
        "create domain sum as numeric(12,2) not null check (value < 100);
         create table sale (id int generated always as identity primary key, net sum,
             gross numeric, tax numeric generated always as (gross - net) stored)",
    )
    .await?;
    pair.legacy.run("insert into sale values (3, 100)").await?;
    let rules = plain("sale", "sale", "keep", &["net", "gross"]);
    pair.must_end(
        &format!("defaults: {{max_quarantined: 1}}\nentities:\n{rules}"),
        0,
    )
    .await?;
    assert_eq!(errors(&pair).await?, ["sale 3 23514 false"]);
    let rows = pair
        .rows("select id, net, gross, tax from sale order by id")
        .await?;
    assert_eq!(
        rows,
        [
            r#"{"id":1,"net":1.10,"gross":2.20,"tax":1.10}"#,
            r#"{"id":2,"net":0.00,"gross":0.00,"tax":0.00}"#
        ]
    );
    let refused = pair
        .drover(
            &["rules", "check"],
            &format!("entities:\n{rules}    tax: [{{col: net}}]\n"),
        )
        .await?;
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains("\"tax\" is generated"),
        "{}",
        refused.stderr
    );
    Ok(())
}
