//! Names that must be quoted, words that are reserved, names as long as they may be.

use anyhow::Result;
use drover_tests::pair::Pair;

use super::constraints::defined;
use crate::rules::errors;

/// 63 bytes, some of them of one letter.
const LONG: &str = "Längster_Name_der_noch_in_einen_Katalog_passt_und_nicht_mehr_a";

const LEGACY: &str = r#"
create schema "Old ""Schema""";
create type "Old ""Schema"".""" as enum ('x');
create table "Old ""Schema"""."Order" ("Order" integer primary key, "select" text, "weird ""name""" text,
    "a.b" text, "{long}" text, "from" integer references "Old ""Schema"""."Order");
insert into "Old ""Schema"""."Order" values (1, 'it''s', E'\\', 'a.b', 'long', null), (2, 'done', '"', '$1', '{}', 1);
create table "select" ("user" integer primary key, "Order" integer);
insert into "select" values (1, 2), (2, 77);
"#;

const APP: &str = r#"
create schema "New ""Schema""";
create type "New ""Schema"""."Mood ""{x}""" as enum ('it''s', 'Done', 'a "b"');
create table "New ""Schema"""."{long}" ("Id" uuid constraint "Weird ""key""" primary key,
    "select" "New ""Schema"""."Mood ""{x}""" not null, "weird ""name""" text, "a.b" text, "{long}" text,
    "from" uuid constraint "{long}" references "New ""Schema"""."{long}",
    constraint "Check ""it""" check ("a.b" <> 'no'));
create unique index "Index of ""select""" on "New ""Schema"""."{long}" (lower("a.b"), "{long}") where "select" <> 'a "b"';
comment on index "New ""Schema"""."Index of ""select""" is 'it''s a "comment"';
create table "where" ("group" uuid primary key, "order" uuid constraint "from" references "New ""Schema"""."{long}");
"#;

#[tokio::test]
async fn odd_names_are_taken_as_they_are() -> Result<()> {
    assert_eq!(LONG.len(), 63);
    let long = |sql: &str| sql.replace("{long}", LONG);
    let pair = Pair::new(&long(LEGACY), &long(APP)).await?;
    let before = defined(&pair).await?;
    pair.must_end(
        &long(
            r#"defaults: {max_quarantined: 1}
entities:
- entity: orders
  source_entity: 'Old "Schema".Order'
  destination_entity: 'New "Schema".{long}'
  entity_type: order
  transformation_rules:
    select: [{col: select}, {map: {table: {done: Done}, else: keep}}]
    'weird "name"': [{col: 'weird "name"'}]
    a.b: [{col: a.b}]
    {long}: [{col: '{long}'}, upper]
    from: [{col: from}, {fk: {entity: orders}}]
- entity: wheres
  source_entity: select
  destination_entity: where
  entity_type: where
  where: '"user" < 5'
  transformation_rules:
    order: [{col: Order}, {fk: {entity: orders, orphan: quarantine}}]
"#,
        ),
        0,
    )
    .await?;
    assert_eq!(errors(&pair).await?, ["wheres 2 DROVER_ORPHAN false"]);
    assert_eq!(defined(&pair).await?, before);
    let rows = pair
        .rows(&long(
            r#"select o."select", o."weird ""name""" as name, o."a.b", o."{long}" as long, p."a.b" as parent
               from "New ""Schema"""."{long}" o left join "New ""Schema"""."{long}" p on p."Id" = o."from" order by 1"#,
        ))
        .await?;
    assert_eq!(
        rows,
        [
            r#"{"select":"it's","name":"\\","a.b":"a.b","long":"LONG","parent":null}"#,
            r#"{"select":"Done","name":"\"","a.b":"$1","long":"{}","parent":"a.b"}"#
        ]
    );
    let joined = long(
        r#"select count(*) from "where" w join "New ""Schema"""."{long}" o on o."Id" = w."order""#,
    );
    assert_eq!(pair.app.number(&joined).await?, 1);
    Ok(())
}
