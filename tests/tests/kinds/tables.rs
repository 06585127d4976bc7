//! Kinds of tables: partitioned ones on either side, trees, tables without a key.

use anyhow::{Result, ensure};
use drover_tests::pair::Pair;

use super::constraints::defined;
use super::{plain, same};
use crate::rules::errors;

const PARTITIONED: &str = "
create table event (id integer not null, at date not null, kind text, parent integer, primary key (id, at, kind))
    partition by range (at);
create table event_old partition of event for values from (minvalue) to ('2020-01-01') partition by list (kind);
create table event_old_a partition of event_old for values in ('a');
create table event_old_rest partition of event_old default;
create table event_new partition of event for values from ('2020-01-01') to (maxvalue);
create index event_kind on event (kind);
";

#[tokio::test]
async fn partitioned_tables_are_read_and_filled() -> Result<()> {
    let rows = "insert into event select n, date '2019-12-01' + n, case when n % 3 > 0 then 'a' else 'b' end, nullif(n - 1, 0)
                from generate_series(1, 90) n";
    let pair = Pair::new(&format!("{PARTITIONED}{rows}"), PARTITIONED).await?;
    let before = defined(&pair).await?;
    let plan = plain("event", "event", "none", &["id", "at", "kind", "parent"]);
    pair.must_end(&format!("entities:\n{plan}  batch_size: 7\n"), 0)
        .await?;
    same(&pair, "select tableoid::regclass, * from event order by id").await?;
    assert_eq!(defined(&pair).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_partitioned_target_has_its_keys_and_its_own_references_again() -> Result<()> {
    let pair = Pair::new(
        "create table node (id int primary key, parent int, owner int);
         insert into node select n, case when n < 60 then n + 1 end, n % 5 from generate_series(1, 60) n;
         create table owner (id int primary key, name text); insert into owner select generate_series(0, 4), 'x'",
        "create table owner (id uuid primary key, name text);
         create table node (id uuid primary key, parent uuid references node, owner uuid references owner)
             partition by hash (id);
         create table node_0 partition of node for values with (modulus 2, remainder 0);
         create table node_1 partition of node for values with (modulus 2, remainder 1);
         create table part (id uuid primary key, node uuid references node)",
    )
    .await?;
    pair.legacy
        .run("create table part (id int primary key, node int); insert into part select n, n from generate_series(1, 61) n")
        .await?;
    let before = defined(&pair).await?;
    pair.must_end(
        "defaults: {max_quarantined: 1, batch_size: 10}
entities:
- {entity: owner, source_entity: owner, destination_entity: owner, entity_type: owner, transformation_rules: {name: [{col: name}]}}
- entity: node
  source_entity: node
  destination_entity: node
  entity_type: node
  transformation_rules:
    parent: [{col: parent}, {fk: {entity: node}}]
    owner: [{col: owner}, {fk: {entity: owner}}]
- entity: part
  source_entity: part
  destination_entity: part
  entity_type: part
  transformation_rules:
    node: [{col: node}, {fk: {entity: node}}]
",
        0,
    )
    .await?;
    assert_eq!(errors(&pair).await?, ["part 61 DROVER_ORPHAN false"]);
    assert_eq!(defined(&pair).await?, before);
    let chained = "select count(*) from node c join node p on p.id = c.parent join owner on owner.id = c.owner";
    assert_eq!(pair.app.number(chained).await?, 59);
    Ok(())
}

#[tokio::test]
async fn a_tree_into_a_live_target_settles_its_references_last() -> Result<()> {
    for constraints in ["keep", "rebuild"] {
        let pair = Pair::new(
            "create table node (id int primary key, parent int, name text not null);
             insert into node select n, case when n < 50 then n + 1 end, 'n' || n from generate_series(1, 50) n;
             update node set name = '' where id = 30",
            "create table node (id uuid primary key, parent uuid references node deferrable,
                 name text not null check (name <> ''));
             insert into node values ('00000000-0000-0000-0000-000000000001', null, 'here')",
        )
        .await?;
        let before = defined(&pair).await?;
        pair.must_end(
            &format!(
                "defaults: {{max_quarantined: 1, constraints: {constraints}, batch_size: 7}}
entities:
- entity: node
  source_entity: node
  destination_entity: node
  entity_type: node
  transformation_rules:
    name: [{{col: name}}]
    parent: [{{col: parent}}, {{fk: {{entity: node}}}}]
"
            ),
            0,
        )
        .await?;
        assert_eq!(defined(&pair).await?, before, "{constraints}");
        assert_eq!(pair.app.number("select count(*) from node").await?, 21);
        let held = "select count(*) from drover.error where is_held";
        assert_eq!(pair.app.number(held).await?, 29, "{constraints}");
    }
    Ok(())
}

/// What is wrong with a plan of this entity.
async fn problems(pair: &Pair, entity: &str) -> Result<String> {
    let outcome = pair
        .drover(&["rules", "check"], &format!("entities:\n{entity}"))
        .await?;
    ensure!(outcome.code == Some(2), "{:?}", outcome.code);
    Ok(outcome.stderr)
}

#[tokio::test]
async fn a_table_without_a_usable_key_is_told_the_choices() -> Result<()> {
    let pair = Pair::new(
        "create table heap (a int not null, b int, c int); create unique index on heap (b);
         create unique index on heap (c) where c > 0; create view seen as select 1 as id",
        "create table heap (a int primary key, b int, c int); create table bare (a int)",
    )
    .await?;
    let heap = plain("heap", "heap", "none", &["a", "b", "c"]);
    let none = problems(&pair, &heap).await?;
    assert!(none.contains("entities[0].key"), "{none}");
    assert!(
        none.contains("NOT NULL and unique together: key: [...]. [b] is unique but may hold NULL"),
        "{none}"
    );
    pair.legacy
        .run("alter table heap alter b set not null; create unique index on heap (b, a)")
        .await?;
    let some = problems(&pair, &heap).await?;
    assert!(
        some.contains("unique together: key: [b] or [b, a]"),
        "{some}"
    );
    pair.legacy
        .run("alter table heap alter b drop not null")
        .await?;
    let null = problems(&pair, &format!("{heap}  key: [b]\n")).await?;
    assert!(
        null.contains("column \"b\" may be NULL; a key may not"),
        "{null}"
    );
    let loose = problems(&pair, &format!("{heap}  key: [a]\n")).await?;
    assert!(
        loose.contains("no unique key of the source covers these columns"),
        "{loose}"
    );
    let bare = problems(
        &pair,
        &heap.replace("destination_entity: \"heap\"", "destination_entity: bare"),
    )
    .await?;
    assert!(
        bare.contains("destination table bare has no primary key"),
        "{bare}"
    );
    let view = problems(
        &pair,
        &heap.replace("source_entity: \"heap\"", "source_entity: seen"),
    )
    .await?;
    assert!(view.contains("seen"), "{view}");
    Ok(())
}

#[tokio::test]
async fn children_of_a_parent_table_are_read_with_it() -> Result<()> {
    let pair = Pair::new(
        "create table place (id int primary key, name text);
         create table city (population int) inherits (place);
         alter table city add primary key (id);
         insert into place values (1, 'field'); insert into city values (2, 'town', 9)",
        "create table place (id bigint primary key, name text)",
    )
    .await?;
    pair.must_end(
        &format!("entities:\n{}", plain("place", "place", "keep", &["name"])),
        0,
    )
    .await?;
    same(&pair, "select id, name from place order by id").await?;
    Ok(())
}
