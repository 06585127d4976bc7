//! References that stand in JSON.

use anyhow::Result;
use drover_tests::pair::Pair;

use super::errors;

fn id(name: &str) -> String {
    format!("uuid_generate_v5('6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11', '{name}')")
}

#[tokio::test]
async fn references_in_json_become_ids_and_nothing_else_changes() -> Result<()> {
    let pair = Pair::new(
        r#"create table office (id int primary key, code text unique, name text, gone boolean not null default false);
           create table person (id uuid primary key, mail text);
           create table ticket (id int primary key, data jsonb, meta json);
           insert into office values (1, 'A', 'one', false), (2, 'B', 'two', false), (3, 'C', null, false), (4, 'D', 'four', true);
           insert into person values ('00000000-0000-0000-0000-00000000000a', 'ann@x');
           insert into ticket values
             (1, '{"office": 1, "rate": 1.50, "lines": [{"o": "2"}, {"x": 1}, {"o": null}, {"o": 1}]}',
                 '{"by": "00000000-0000-0000-0000-00000000000A", "codes": [["B", "Z"], "no", ["A"]]}'),
             (2, '{"office": 99}', null),
             (3, '{"office": 1, "lines": [{"o": 77}]}', '{"by": "nobody"}'),
             (4, '{"office": 3}', null),
             (5, '{"office": 4}', null),
             (6, '{"lines": [{"o": 1}, {"o": 3}]}', null),
             (7, null, '[]'),
             (8, '{"office": 1.0}', null),
             (9, '{"office": {"id": 1}, "lines": {"o": 1}}', null)"#,
        "create extension \"uuid-ossp\";
         create table offices (id uuid primary key, name text not null);
         create table people (id uuid primary key, mail text);
         create table tickets (id uuid primary key, n int, data jsonb, meta json)",
    )
    .await?;
    pair.must_end(
        "defaults: {max_quarantined: 99}
entities:
- entity: offices
  source_entity: office
  destination_entity: offices
  entity_type: office
  where: not gone
  unmapped_columns: ignore
  transformation_rules:
    name: [{col: name}]
- entity: people
  source_entity: person
  destination_entity: people
  entity_type: person
  transformation_rules:
    mail: [{col: mail}]
- entity: tickets
  source_entity: ticket
  destination_entity: tickets
  entity_type: ticket
  transformation_rules:
    n: [{col: id}]
    data:
    - col: data
    - fk: {entity: offices, path: $.office}
    - fk: {entity: offices, path: '$.lines[*].o', orphan: set_null}
    meta:
    - col: meta
    - fk: {entity: people, path: $.by, orphan: set_null}
    - fk: {entity: offices, by: [code], path: '$.codes[*][*]', orphan: {default: A}}
",
        0,
    )
    .await?;
    let (one, two, ann) = (
        id("offices:1"),
        id("offices:2"),
        id("people:00000000-0000-0000-0000-00000000000a"),
    );
    let right = format!(
        "select n from tickets where (n = 1
             and data = jsonb_build_object('office', {one}, 'rate', 1.50, 'lines', jsonb_build_array(
                 jsonb_build_object('o', {two}), '{{\"x\": 1}}'::jsonb, '{{\"o\": null}}'::jsonb, jsonb_build_object('o', {one})))
             and data->>'rate' = '1.50'
             and meta::jsonb = jsonb_build_object('by', {ann}, 'codes', jsonb_build_array(
                 jsonb_build_array({two}, {one}), 'no', jsonb_build_array({one}))))
         or (n = 3 and data = jsonb_build_object('office', {one}, 'lines', '[{{\"o\": null}}]'::jsonb)
             and meta::jsonb = '{{\"by\": null}}')
         or (n = 7 and data is null and meta::jsonb = '[]') order by n"
    );
    let all = pair
        .rows("select n, data, meta from tickets order by n")
        .await?;
    let rows = pair
        .app
        .texts(&format!("select n::text from ({right}) x"))
        .await?;
    assert_eq!(rows, ["1", "3", "7"], "{all:#?}");
    assert_eq!(all.len(), 3, "{all:#?}");
    let orphan = |id: &str| format!("tickets {id} DROVER_ORPHAN false");
    let held = |id: &str| format!("tickets {id} DROVER_PARENT_QUARANTINED true");
    assert_eq!(
        errors(&pair).await?,
        [
            "offices 3 23502 false".to_owned(),
            orphan("2"),
            held("4"),
            orphan("5"),
            held("6"),
            orphan("8"),
            orphan("9"),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn json_may_refer_to_rows_of_its_own_table_and_to_kept_and_composite_keys() -> Result<()> {
    let pair = Pair::new(
        r#"create table area (country text, nr int, code text unique, primary key (country, nr));
           create table thing (id int primary key, kind text unique);
           create table note (id int primary key, name text, data jsonb);
           insert into area values ('DE', 1, 'x:1'), ('FR', 2, 'y');
           insert into thing values (5, 'five'), (6, 'six');
           insert into note values (1, 'a', '{"next": [2, 3], "area": "x:1", "thing": 5, "kind": "six"}'),
             (2, 'b', '{"next": [4]}'), (3, 'c', '{}'), (4, null, '{"next": [1]}'), (5, 'e', '{"next": [3], "area": "x:1", "thing": 5, "kind": "six"}')"#,
        "create extension \"uuid-ossp\";
         create table areas (id uuid primary key, code text);
         create table things (id bigint primary key, kind text);
         create table notes (id uuid primary key, name text not null, data jsonb)",
    )
    .await?;
    pair.must_end(
        "defaults: {max_quarantined: 99, unmapped_columns: ignore}
entities:
- entity: areas
  source_entity: area
  destination_entity: areas
  entity_type: area
  transformation_rules:
    code: [{col: code}]
- entity: things
  source_entity: thing
  destination_entity: things
  entity_type: thing
  id: {kind: keep}
  transformation_rules:
    kind: [{col: kind}]
- entity: notes
  source_entity: note
  destination_entity: notes
  entity_type: note
  transformation_rules:
    name: [{col: name}]
    data:
    - col: data
    - fk: {entity: notes, path: '$.next[*]'}
    - fk: {entity: areas, path: $.area, by: [code]}
    - fk: {entity: things, path: $.thing}
    - fk: {entity: things, path: $.kind, by: [kind]}
",
        0,
    )
    .await?;
    // Note 4 is bad, so 2 is held, so 1.
    let names = "select name from notes order by name";
    assert_eq!(pair.app.texts(names).await?, ["c", "e"]);
    let held = |id: &str| format!("notes {id} DROVER_PARENT_QUARANTINED true");
    let failed = [held("1"), held("2"), "notes 4 23502 false".to_owned()];
    assert_eq!(errors(&pair).await?, failed);
    let right = format!(
        "select count(*) from notes where name = 'e' and data = jsonb_build_object( \
             'next', jsonb_build_array({}), 'area', {}, 'thing', 5, 'kind', 6)",
        id("notes:3"),
        id("areas:DE:1"),
    );
    assert_eq!(pair.app.number(&right).await?, 1);

    Ok(())
}
