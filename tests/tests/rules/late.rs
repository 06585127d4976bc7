//! References to rows that come later: cycles, tables that refer to themselves, rows that were there.

use anyhow::Result;
use drover_tests::pair::Pair;

use super::errors;

/// Departments have a head, people a department and a mentor. Person 3 is bad, as is department 4.
const LEGACY: &str = "
    create table dept (id int primary key, name text, head_id int);
    create table person (id int primary key, mail text, dept_id int, mentor_id int);
    create table badge (id int primary key, person_id int);
    insert into dept values (1, 'a', 1), (2, 'b', 3), (3, 'c', 5), (4, null, 1), (5, 'e', null), (6, 'f', 99);
    insert into person values (1, 'ann@x', 1, null), (2, 'bob@x', 5, 3), (3, 'nobody', 1, 1), (4, 'cy@x', 2, null),
        (5, 'di@x', 4, null), (6, 'ed@x', 3, null), (7, 'fay@x', 6, 1);
    insert into badge select id, id from person";
const APP: &str = "
    create table depts (id uuid primary key, name text not null, head_id uuid);
    create table people (id uuid primary key, mail text, dept_id uuid references depts, mentor_id uuid references people);
    alter table depts add constraint head foreign key (head_id) references people;
    create table badges (id uuid primary key, person_id uuid not null references people)";

fn plan(defaults: &str) -> String {
    format!(
        "defaults: {{max_quarantined: 99{defaults}}}
entities:
- entity: depts
  source_entity: dept
  destination_entity: depts
  entity_type: dept
  transformation_rules:
    name: [{{col: name}}]
    head_id: [{{col: head_id}}, {{fk: {{entity: people, orphan: set_null, deferred: true}}}}]
- entity: people
  source_entity: person
  destination_entity: people
  entity_type: person
  batch_size: 2
  transformation_rules:
    mail: [{{col: mail}}, email]
    dept_id: [{{col: dept_id}}, {{fk: {{entity: depts}}}}]
    mentor_id: [{{col: mentor_id}}, {{fk: {{entity: people}}}}]
- entity: badges
  source_entity: badge
  destination_entity: badges
  entity_type: badge
  transformation_rules:
    person_id: [{{col: person_id}}, {{fk: {{entity: people}}}}]
"
    )
}

/// The rows that are left, and what failed. Department 4 is bad, which holds person 5 and so department 3 and
/// person 6; person 3 is bad, which holds department 2 and person 2, and so person 4.
async fn must_be_settled(pair: &Pair) -> Result<()> {
    let rows = pair
        .rows(
            "select d.name, h.mail as head from depts d left join people h on h.id = d.head_id order by d.name",
        )
        .await?;
    assert_eq!(
        rows,
        [
            r#"{"name":"a","head":"ann@x"}"#,
            r#"{"name":"e","head":null}"#,
            r#"{"name":"f","head":null}"#,
        ]
    );
    let people = "select mail from people order by mail";
    assert_eq!(pair.app.texts(people).await?, ["ann@x", "fay@x"]);
    assert_eq!(pair.app.number("select count(*) from badges").await?, 2);
    let held = |entity: &str, id: &str| format!("{entity} {id} DROVER_PARENT_QUARANTINED true");
    let mut failed: Vec<String> = ["2", "3", "4", "5", "6"]
        .map(|id| held("badges", id))
        .into();
    failed.extend([
        held("depts", "2"),
        held("depts", "3"),
        "depts 4 23502 false".to_owned(),
    ]);
    failed.extend([
        held("people", "2"),
        "people 3 DROVER_EMAIL_INVALID false".to_owned(),
        held("people", "4"),
        held("people", "5"),
        held("people", "6"),
    ]);
    assert_eq!(errors(pair).await?, failed);
    // Counters, ledger and id map tell the same.
    let counts = "select concat_ws(' ', entity, status, records_processed, records_failed, records_total) \
                  from drover_meta.entity_migration_status order by entity";
    assert_eq!(
        pair.app.texts(counts).await?,
        [
            "badges completed 2 5 7",
            "depts completed 3 3 6",
            "people completed 2 5 7"
        ]
    );
    let ledger = "select concat_ws(' ', e.entity, sum(n_written), sum(n_failed)) from drover.ledger \
                  join drover.partition using (partition_id) join drover.entity e using (entity_no) group by 1, e.entity \
                  order by e.entity";
    let ledger = ledger.replace("group by 1, e.entity", "group by e.entity");
    assert_eq!(
        pair.app.texts(&ledger).await?,
        ["badges 2 5", "depts 3 3", "people 2 5"]
    );
    let mapped = "select count(*) from drover.migration_mapping";
    assert_eq!(pair.app.number(mapped).await?, 7);
    let foreign_keys = "select count(*) from pg_constraint where contype = 'f' and convalidated \
         and conrelid in ('depts'::regclass, 'people'::regclass, 'badges'::regclass)";
    assert_eq!(pair.app.number(foreign_keys).await?, 4);
    Ok(())
}

#[tokio::test]
async fn a_cycle_is_settled_until_no_row_lacks_its_parent() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    pair.must_end(&plan(""), 0).await?;
    must_be_settled(&pair).await
}

#[tokio::test]
async fn a_cycle_is_loaded_where_constraints_are_kept() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    pair.must_end(&plan(", constraints: keep"), 0).await?;
    must_be_settled(&pair).await
}

#[tokio::test]
async fn rows_that_come_later_may_be_there_already() -> Result<()> {
    let pair = Pair::new(
        "create table team (id int primary key, lead_id int);
         create table worker (id int primary key, mail text, team_id int);
         insert into team values (1, 1), (2, 2);
         insert into worker values (1, 'ann@x', 1), (2, 'bob@x', 2)",
        "create table workers (id uuid primary key, mail text unique, team_id uuid);
         create table teams (id uuid primary key, lead_id uuid not null references workers);
         alter table workers add foreign key (team_id) references teams;
         insert into workers values ('00000000-0000-0000-0000-0000000000aa', 'ann@x', null)",
    )
    .await?;
    pair.must_end(
        "entities:
- entity: teams
  source_entity: team
  destination_entity: teams
  entity_type: team
  transformation_rules:
    lead_id: [{col: lead_id}, {fk: {entity: workers, deferred: true}}]
- entity: workers
  source_entity: worker
  destination_entity: workers
  entity_type: worker
  id: {kind: natural_key, match: {mail: [{col: mail}]}, else: uuid5}
  on_conflict: {merge: [team_id]}
  transformation_rules:
    mail: [{col: mail}]
    team_id: [{col: team_id}, {fk: {entity: teams}}]
",
        0,
    )
    .await?;
    let rows = pair
        .rows(
            "select l.mail, right(l.id::text, 2) = 'aa' as was_there, l.team_id = t.id as is_own \
             from teams t join workers l on l.id = t.lead_id order by 1",
        )
        .await?;
    assert_eq!(
        rows,
        [
            r#"{"mail":"ann@x","was_there":true,"is_own":true}"#,
            r#"{"mail":"bob@x","was_there":false,"is_own":true}"#,
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_changed_row_whose_parent_failed_becomes_what_it_was() -> Result<()> {
    for (policy, note) in [
        ("overwrite", "new 3"),
        ("{merge: [boss_id, note]}", "old 3"),
    ] {
        let pair = Pair::new(
            "create table staff (id int primary key, mail text, boss_id int, note text);
             insert into staff values (1, 'nobody', null, 'new 1'), (2, 'bob@x', 1, 'new 2'), (3, 'cy@x', null, 'new 3'),
                 (4, 'di@x', 2, 'new 4')",
            "create table staff (id int primary key, mail text, boss_id int references staff, note text, seen int);
             insert into staff values (2, 'old', null, null, 7), (3, 'old', null, 'old 3', 8)",
        )
        .await?;
        let plan = format!(
            "defaults: {{max_quarantined: 9}}
entities:
- entity: staff
  source_entity: staff
  destination_entity: staff
  entity_type: staff
  id: {{kind: keep}}
  on_conflict: {policy}
  transformation_rules:
    mail: [{{col: mail}}, email]
    boss_id: [{{col: boss_id}}, {{fk: {{entity: staff}}}}]
    note: [{{col: note}}]
"
        );
        pair.must_end(&plan, 0).await?;
        let rows = pair
            .rows("select id, mail = 'old' as is_old, boss_id, note, seen from staff order by id")
            .await?;
        let third = format!(
            r#"{{"id":3,"is_old":{},"boss_id":null,"note":"{note}","seen":8}}"#,
            policy != "overwrite"
        );
        assert_eq!(
            rows,
            [
                r#"{"id":2,"is_old":true,"boss_id":null,"note":null,"seen":7}"#.to_owned(),
                third
            ]
        );
        let held = |id: &str| format!("staff {id} DROVER_PARENT_QUARANTINED true");
        let first = "staff 1 DROVER_EMAIL_INVALID false".to_owned();
        assert_eq!(errors(&pair).await?, [first, held("2"), held("4")]);
    }
    Ok(())
}

#[tokio::test]
async fn arrays_and_references_of_several_kinds_may_lead_to_their_own_table() -> Result<()> {
    let pair = Pair::new(
        "create table place (country text, nr int, primary key (country, nr));
         create table node (id int primary key, name text, code text unique, kind text, target int, others int[]);
         create table link (id serial primary key, node_id int, code text, country text, nr int);
         insert into place values ('DE', 1), ('FR', 2);
         insert into node values (1, 'a', 'A', 'node', 2, '{2,3}'), (2, 'b', 'B', 'node', 3, '{}'), (3, 'c', 'C', null, null, null),
             (4, null, 'D', null, null, null), (5, 'e', 'E', 'node', 4, null), (6, 'f', 'F', null, null, '{1,4}'),
             (7, 'g', 'G', null, null, null), (8, 'h', 'H', 'node', 6, '{99}');
         insert into link (node_id, code, country, nr) values (1, 'C', 'FR', 2), (1, 'X', 'DE', 9), (1, 'B', 'DE', 1),
             (1, null, null, 1), (7, 'E', 'DE', 1)",
        "create extension \"uuid-ossp\";
         create table places (id uuid primary key, country text, nr int);
         create table nodes (id uuid primary key, name text not null, target_id uuid, other_ids uuid[], link_ids uuid[],
             place_ids uuid[])",
    )
    .await?;
    pair.must_end(
        "defaults: {max_quarantined: 99, unmapped_columns: ignore}
entities:
- entity: places
  source_entity: place
  destination_entity: places
  entity_type: place
  transformation_rules:
    country: [{col: country}]
    nr: [{col: nr}]
- entity: nodes
  source_entity: node
  destination_entity: nodes
  entity_type: node
  polymorphic:
    target: {type_col: kind, types_from: label, id_col: target, types: {node: nodes}}
  transformation_rules:
    name: [{col: name}]
    target_id: [{polymorphic: target, part: id}]
    other_ids: [{col: others}, {fk: {entity: nodes, each: true}}]
    link_ids: [{array_agg: {source: link, by: node_id, value: [{col: code}, {fk: {entity: nodes, by: [code]}}]}}]
    place_ids: [{array_agg: {source: link, by: node_id, value: [{fk: {entity: places, cols: [country, nr]}}]}}]
",
        0,
    )
    .await?;
    let names = "select name from nodes order by name";
    assert_eq!(pair.app.texts(names).await?, ["a", "b", "c"]);
    let held = |id: &str| format!("nodes {id} DROVER_PARENT_QUARANTINED true");
    let failed = ["5", "6", "7", "8"].map(held);
    let mut all = vec!["nodes 4 23502 false".to_owned()];
    all.extend(failed);
    assert_eq!(errors(&pair).await?, all);
    let rows = pair
        .rows(
            "select n.name, t.name as target, \
             (select string_agg(o.name, ',' order by at) from unnest(n.other_ids) with ordinality u(id, at) join nodes o using (id)) as others, \
             (select string_agg(o.name, ',' order by at) from unnest(n.link_ids) with ordinality u(id, at) join nodes o using (id)) as links, \
             (select string_agg(p.country || p.nr, ',' order by at) from unnest(n.place_ids) with ordinality u(id, at) join places p using (id)) as places \
             from nodes n left join nodes t on t.id = n.target_id where n.name = 'a'",
        )
        .await?;
    assert_eq!(
        rows,
        [r#"{"name":"a","target":"b","others":"b,c","links":"c,b","places":"FR2,DE1"}"#]
    );
    Ok(())
}

#[tokio::test]
async fn a_row_whose_natural_key_cannot_be_read_is_one_error() -> Result<()> {
    let pair = Pair::new(
        "create table worker (id int primary key, data text);
         insert into worker select n, json_build_object('mail', 'w' || n) from generate_series(1, 50) n;
         update worker set data = 'not json' where id in (1, 17, 18, 50)",
        "create table workers (id uuid primary key, mail text unique, n int);
         insert into workers values ('00000000-0000-0000-0000-0000000000aa', 'w2', null),
             ('00000000-0000-0000-0000-0000000000bb', 'w49', null)",
    )
    .await?;
    pair.must_end(
        "defaults: {max_quarantined: 9, unmapped_columns: ignore}
entities:
- entity: workers
  source_entity: worker
  destination_entity: workers
  entity_type: worker
  id: {kind: natural_key, match: {mail: [{sql: \"data::json->>'mail'\"}]}, else: uuid5}
  on_conflict: {merge: [n]}
  transformation_rules:
    n: [{col: id}]
",
        0,
    )
    .await?;
    let bad = |id: &str| format!("workers {id} DROVER_MATCH_UNREADABLE false");
    assert_eq!(errors(&pair).await?, ["1", "17", "18", "50"].map(bad));
    let rows = pair
        .rows("select mail, n from workers where mail is not null order by n")
        .await?;
    assert_eq!(rows, [r#"{"mail":"w2","n":2}"#, r#"{"mail":"w49","n":49}"#]);
    assert_eq!(pair.app.number("select count(*) from workers").await?, 46);
    Ok(())
}
