//! Rules that reach beyond one row: joins, lookups, child rows, references of several kinds.

use anyhow::{Result, ensure};
use drover_tests::drover;
use drover_tests::pair::Pair;

/// Every error as `entity key code`.
async fn errors(pair: &Pair) -> Result<Vec<String>> {
    let list = drover::run(&["error", "list", "--local", "-o", "json"], &pair.env()).await?;
    ensure!(list.code == Some(0), "{}", list.stderr);
    let items = list.json()["items"].as_array().cloned().unwrap_or_default();
    let word = |item: &serde_json::Value, key: &str| item[key].as_str().unwrap_or("-").to_owned();
    let mut lines: Vec<String> = items
        .iter()
        .map(|item| {
            let entity = word(item, "entity");
            format!(
                "{entity} {} {}",
                word(item, "source_record_id"),
                word(item, "error_code")
            )
        })
        .collect();
    lines.sort();
    Ok(lines)
}

/// The id of a row, as SQL of the destination.
fn id(name: &str) -> String {
    format!("uuid_generate_v5('6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11', '{name}')")
}

#[tokio::test]
async fn joined_columns_are_values_and_a_doubled_row_is_one_error() -> Result<()> {
    let pair = Pair::new(
        "create table region (id int primary key, name text not null, code text, note text);
         create table office (id int primary key, name text not null, region_id int, code text);
         insert into region values (1, 'North', 'n', 'a'), (2, 'South', 's', 'b'), (3, 'South 2', 's', 'c');
         insert into office values (1, 'one', 1, 'n'), (2, 'two', 2, 's'), (3, 'three', null, null), (4, 'four', 9, 'n')",
        "create table offices (id uuid primary key, name text, region text, hint text)",
    )
    .await?;
    let plan = |on: &str, kind: &str| {
        format!(
            "defaults: {{unmapped_columns: ignore, max_quarantined: 5}}
entities:
- entity: offices
  source_entity: office
  destination_entity: offices
  entity_type: office
  joins: [{{alias: r, table: region, on: \"{on}\", kind: {kind}}}]
  where: \"name <> 'none'\"
  transformation_rules:
    name: [{{col: name}}]
    region: [{{col: r.name}}, upper]
    hint: [{{sql: \"name || '/' || r.note\"}}]
"
        )
    };
    let rows = "select name, region, hint from offices order by name";
    pair.must_end(&plan("r.id = office.region_id", "left"), 0)
        .await?;
    assert_eq!(
        pair.rows(rows).await?,
        [
            r#"{"name":"four","region":null,"hint":null}"#,
            r#"{"name":"one","region":"NORTH","hint":"one/a"}"#,
            r#"{"name":"three","region":null,"hint":null}"#,
            r#"{"name":"two","region":"SOUTH","hint":"two/b"}"#,
        ]
    );

    // By a column that is not unique: office 2 meets two rows, office 3 none and goes.
    let pair = pair
        .with_fresh_target(
            "create table offices (id uuid primary key, name text, region text, hint text)",
        )
        .await?;
    let outcome = pair
        .must_end(&plan("r.code = src.code", "inner"), 0)
        .await?;
    assert_eq!(
        pair.rows(rows).await?,
        [
            r#"{"name":"four","region":"NORTH","hint":"four/a"}"#,
            r#"{"name":"one","region":"NORTH","hint":"one/a"}"#,
        ],
        "{}",
        outcome.stdout
    );
    assert_eq!(errors(&pair).await?, ["offices 2 DROVER_JOIN"]);
    let counts = "select concat_ws(' ', records_total, records_written, records_failed, records_filtered) \
                  from drover_meta.entity_migration_status";
    assert_eq!(pair.app.texts(counts).await?, ["3 2 1 1"]);
    Ok(())
}

#[tokio::test]
async fn a_condition_of_a_join_that_the_source_refuses_is_a_problem_of_the_plan() -> Result<()> {
    let pair = Pair::new(
        "create table region (id int primary key, name text); create table office (id int primary key, name text)",
        "create table offices (id uuid primary key, name text)",
    )
    .await?;
    for (on, words) in [
        ("r.id = office.nothing", "nothing"),
        ("r.id", "boolean"),
        ("name = r.name", "ambiguous"),
        ("r.id = random()", "volatile"),
    ] {
        let plan = format!(
            "entities:
- entity: offices
  source_entity: office
  destination_entity: offices
  entity_type: office
  joins: [{{alias: r, table: region, on: \"{on}\"}}]
  transformation_rules:
    name: [{{col: r.name}}]
"
        );
        let outcome = pair.drover(&["rules", "check"], &plan).await?;
        assert_eq!(outcome.code, Some(2), "{on}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains("entities[0].joins[0].on"),
            "{}",
            outcome.stderr
        );
        assert!(outcome.stderr.contains(words), "{on}: {}", outcome.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn values_are_looked_up_and_one_that_is_not_found_is_one_error() -> Result<()> {
    let pair = Pair::new(
        "create table status (id int primary key, code text unique, label text, is_old boolean not null default false);
         create table task (id int primary key, status text, status_id int);
         insert into status values (1, 'o', 'open', false), (2, 'c', 'closed', false), (3, 'x', null, false), (4, 'z', 'old', true);
         insert into task values (1, 'o', 1), (2, 'c', 9), (3, null, null), (4, 'zz', 2), (5, 'x', 4)",
        "create table tasks (id uuid primary key, status text, kind text);
         create table states (id uuid primary key, code text)",
    )
    .await?;
    pair.must_end(
        "defaults: {unmapped_columns: ignore, max_quarantined: 5}
entities:
- entity: states
  source_entity: status
  destination_entity: states
  entity_type: state
  where: not is_old
  transformation_rules:
    code: [{col: code}]
- entity: tasks
  source_entity: task
  destination_entity: tasks
  entity_type: task
  transformation_rules:
    status: [{col: status}, {lookup: {table: status, by: code, take: label}}]
    kind: [{sql: \"status_id + 0\"}, {lookup: {entity: states, by: id, take: code, else: {default: none}}}]
",
        0,
    )
    .await?;
    assert_eq!(
        pair.rows("select status, kind from tasks order by status, kind")
            .await?,
        [
            r#"{"status":"closed","kind":"none"}"#,
            r#"{"status":"open","kind":"o"}"#,
            r#"{"status":null,"kind":"none"}"#,
            r#"{"status":null,"kind":null}"#,
        ]
    );
    assert_eq!(errors(&pair).await?, ["tasks 4 DROVER_LOOKUP"]);
    Ok(())
}

#[tokio::test]
async fn child_rows_become_arrays_of_values_and_of_new_ids() -> Result<()> {
    let pair = Pair::new(
        "create table person (id int primary key, email text);
         create table cases (id bigint primary key, name text);
         create table members (id serial primary key, case_id int, person_id bigint, rank int, size text);
         insert into person values (1, 'a@x'), (2, 'nobody'), (3, 'c@x'), (4, 'd@x');
         insert into cases values (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four');
         insert into members (case_id, person_id, rank, size) values
             (1, 3, 2, '30'), (1, 1, 1, '10'), (1, 99, 3, '20'), (1, 3, 4, '5'), (1, null, 5, null),
             (2, 2, 1, '1'), (4, 1, 1, 'many')",
        "create extension \"uuid-ossp\";
         create table people (id uuid primary key, email text);
         create table projects (id uuid primary key, name text, people uuid[], distinct_people uuid[], sizes int[])",
    )
    .await?;
    let outcome = pair
        .must_end(
            "defaults: {max_quarantined: 5}
entities:
- entity: projects
  source_entity: cases
  destination_entity: projects
  entity_type: project
  transformation_rules:
    name: [{col: name}]
    people: [{array_agg: {source: members, by: case_id, order_by: rank desc, value: [{col: person_id}, {fk: {entity: people}}]}}]
    distinct_people: [{array_agg: {source: members, by: case_id, distinct: true, where: rank < 5, value: [{col: person_id}, {fk: {entity: people}}]}}]
    sizes: [{array_agg: {source: members, by: case_id, where: rank < 9, order_by: rank, value: [{col: size}, {cast: integer}]}}]
- entity: people
  source_entity: person
  destination_entity: people
  entity_type: person
  transformation_rules:
    email: [{col: email}, email]
",
            0,
        )
        .await?;
    let expected = format!(
        "select name, people = array[{three}, {three}, {one}] and distinct_people = array[{three}, {one}] as is_same, sizes \
         from projects where name = 'one'",
        one = id("people:1"),
        three = id("people:3"),
    );
    assert_eq!(
        pair.rows(&expected).await?,
        [r#"{"name":"one","is_same":true,"sizes":[10,30,20,5,null]}"#],
        "{}",
        outcome.stderr
    );
    assert_eq!(
        pair.rows("select name, people, distinct_people, sizes from projects where name <> 'one'")
            .await?,
        [r#"{"name":"three","people":[],"distinct_people":[],"sizes":[]}"#]
    );
    assert_eq!(
        errors(&pair).await?,
        [
            "people 2 DROVER_EMAIL_INVALID",
            "projects 2 DROVER_PARENT_QUARANTINED",
            "projects 4 DROVER_CAST",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn references_of_several_kinds_become_the_new_ids_of_their_targets() -> Result<()> {
    let pair = Pair::new(
        "create table django_content_type (id int primary key, app_label text, model text, unique (app_label, model));
         insert into django_content_type values (7, 'clinic', 'patient'), (8, 'clinic', 'order'), (9, 'clinic', 'else');
         create table patient (id int primary key, email text);
         create table orders (code text primary key);
         create table note (id int primary key, content_type_id int, object_id text, kind text, ref text);
         insert into patient values (1, 'a@x'), (2, 'nobody');
         insert into orders values ('A:1'), ('7');
         insert into note values
             (1, 7, '1', 'p', 'p,1'), (2, 8, 'A:1', 'o', 'o,A:1'), (3, null, null, null, null),
             (4, 7, '99', 'p', 'p,1'), (5, 9, '1', 'p', 'p,1'), (6, 7, 'x1', 'p', 'p,1'), (7, 7, '2', 'p', 'p,1'),
             (8, 8, '7', 'p', 'o,B')",
        "create extension \"uuid-ossp\";
         create table patients (id uuid primary key, email text);
         create table orders (id uuid primary key, code text);
         create table notes (id uuid primary key, subject_type text, subject_id uuid,
                             label_type text, label_id uuid, ref_type text, ref_id uuid)",
    )
    .await?;
    pair.must_end(
        "defaults: {max_quarantined: 9, unmapped_columns: ignore}
entities:
- entity: notes
  source_entity: note
  destination_entity: notes
  entity_type: note
  polymorphic:
    subject: {type_col: content_type_id, types_from: django, id_col: object_id, types: {clinic.patient: patients, clinic.order: orders}, orphan: quarantine}
    label: {type_col: kind, types_from: label, id_col: object_id, types: {p: patients, o: orders}, orphan: set_null}
    ref: {type_col: ref, types_from: combined, types: {p: patients, o: orders}, orphan: set_null}
  transformation_rules:
    subject_type: [{polymorphic: subject, part: type}]
    subject_id: [{polymorphic: subject, part: id}]
    label_type: [{polymorphic: label, part: type}]
    label_id: [{polymorphic: label, part: id}]
    ref_type: [{polymorphic: ref, part: type}, upper]
    ref_id: [{polymorphic: ref, part: id}]
- entity: patients
  source_entity: patient
  destination_entity: patients
  entity_type: patient
  transformation_rules:
    email: [{col: email}, email]
- entity: orders
  source_entity: orders
  destination_entity: orders
  entity_type: order
  transformation_rules:
    code: [{col: code}]
",
        0,
    )
    .await?;
    let (patient, order, seven) = (id("patients:1"), id(r"orders:A\:1"), id("orders:7"));
    let name = format!(
        "case {{}} when {patient} then 'patient 1' when {order} then 'order A:1' when {seven} then 'order 7' end"
    );
    let name = |column: &str| name.replace("{}", column);
    let rows = format!(
        "select subject_type as s, {} as si, label_type as l, {} as li, ref_type as r, {} as ri from notes \
         order by subject_type desc nulls last, subject_id is null, ref_id is null",
        name("subject_id"),
        name("label_id"),
        name("ref_id")
    );
    let mut found = pair.rows(&rows).await?;
    found.sort();
    assert_eq!(
        found,
        [
            r#"{"s":"order","si":"order 7","l":null,"li":null,"r":null,"ri":null}"#,
            r#"{"s":"order","si":"order A:1","l":"order","li":"order A:1","r":"ORDER","ri":"order A:1"}"#,
            r#"{"s":"patient","si":"patient 1","l":"patient","li":"patient 1","r":"PATIENT","ri":"patient 1"}"#,
            r#"{"s":null,"si":null,"l":null,"li":null,"r":null,"ri":null}"#,
        ]
    );
    assert_eq!(
        errors(&pair).await?,
        [
            "notes 4 DROVER_ORPHAN",
            "notes 5 DROVER_POLYMORPHIC",
            "notes 6 DROVER_CAST",
            "notes 7 DROVER_PARENT_QUARANTINED",
            "patients 2 DROVER_EMAIL_INVALID",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn elements_of_an_array_are_references_and_orphans_among_them_are_dropped() -> Result<()> {
    let pair = Pair::new(
        "create table tag (id int primary key, name text);
         create table post (id int primary key, tags bigint[]);
         insert into tag values (1, 'a'), (2, 'b');
         insert into post values (1, '{2,1,9,null,2}'), (2, '{}'), (3, null)",
        "create extension \"uuid-ossp\";
         create table tags (id uuid primary key, name text);
         create table posts (id uuid primary key, tags uuid[], strict uuid[])",
    )
    .await?;
    let outcome = pair
        .must_end(
            "defaults: {max_quarantined: 5}
entities:
- entity: posts
  source_entity: post
  destination_entity: posts
  entity_type: post
  transformation_rules:
    tags: [{col: tags}, {fk: {entity: tags, each: true}}]
    strict: [{sql: \"case when id > 1 then tags end\"}, {fk: {entity: tags, each: true, orphan: quarantine}}]
- entity: tags
  source_entity: tag
  destination_entity: tags
  entity_type: tag
  transformation_rules:
    name: [{col: name}]
",
            0,
        )
        .await?;
    let (one, two) = (id("tags:1"), id("tags:2"));
    let rows = format!(
        "select tags = array[{two}, {one}, {two}] as is_same, strict from posts order by tags"
    );
    assert_eq!(
        pair.rows(&rows).await?,
        [
            r#"{"is_same":false,"strict":[]}"#,
            r#"{"is_same":true,"strict":null}"#,
            r#"{"is_same":null,"strict":null}"#,
        ],
        "{}",
        outcome.stderr
    );
    Ok(())
}
