//! Keys, indexes and foreign keys: what was there before the load is there after it.

use anyhow::{Result, ensure};
use drover_tests::pair::Pair;
use sqlx::{Connection, Executor};

use super::plain;

/// Everything that the catalog says of constraints and indexes of the application's tables.
pub async fn defined(pair: &Pair) -> Result<Vec<String>> {
    let sql = "
        select concat_ws(' | ', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid), c.convalidated, c.condeferrable,
                         c.condeferred, obj_description(c.oid, 'pg_constraint'))
        from pg_constraint c join pg_class t on t.oid = c.conrelid
        where t.relnamespace::regnamespace::text !~ '^(pg_|information_schema|drover)'
        union all
        select concat_ws(' | ', x.indrelid::regclass, pg_get_indexdef(x.indexrelid), x.indisvalid, x.indisclustered,
                         x.indisreplident, s.spcname, obj_description(x.indexrelid, 'pg_class'),
                         (select string_agg(a.attname || a.attstattarget, ',' order by a.attnum) from pg_attribute a
                          where a.attrelid = x.indexrelid and a.attstattarget >= 0))
        from pg_index x join pg_class i on i.oid = x.indexrelid left join pg_tablespace s on s.oid = i.reltablespace
        where i.relnamespace::regnamespace::text !~ '^(pg_|information_schema|drover)'
        order by 1";
    pair.app.texts(sql).await
}

const LEGACY: &str = "
create table region (id int primary key, name text); insert into region select n, 'r' || n from generate_series(1, 5) n;
create table unit (id int primary key, region int references region, code text, a int, b int, note text, span int4range);
insert into unit select n, n % 5 + 1, 'c' || n, n, n % 7, 'note ' || n, int4range(n, n + 1) from generate_series(1, 200) n;
create table log (id int primary key, unit int, note text);
insert into log select n, n, 'x' from generate_series(1, 100) n;
";

/// An index of every sort; `{space}` is a tablespace.
const APP: &str = r#"
create table region (id uuid primary key, name text);
create table outside (region uuid references region);
create view regions as select id, name, count(*) from region group by id;
create table unit (id uuid, region uuid, code text, a int, b int, note text, span int4range,
    constraint unit_key primary key (id) include (code) with (fillfactor = 70),
    constraint "unit Code" unique (code) deferrable initially deferred,
    constraint unit_ab unique nulls not distinct (b, a) include (note) using index tablespace {space},
    constraint unit_span exclude using gist (span with &&),
    constraint unit_region foreign key (region) references region on delete cascade on update set null
        deferrable initially deferred,
    constraint unit_twice foreign key (b, a) references unit (b, a) match full,
    constraint unit_check check (a > 0));
comment on constraint "unit Code" on unit is 'one of "each"';
comment on constraint unit_region on unit is 'it''s where it is';
create unique index unit_lower on unit (lower(code) text_pattern_ops desc nulls last, (a + b)) where a > 5 and code <> 'it''s';
alter index unit_lower alter column 2 set statistics 321;
comment on index unit_lower is 'expressions';
create index unit_note on unit using gin (to_tsvector('english', note)) with (fastupdate = off);
create index unit_brin on unit using brin (a) with (pages_per_range = 7);
create index unit_hash on unit using hash (note) tablespace {space};
create index unit_c on unit (note collate "C" varchar_pattern_ops, b desc) include (a);
alter table unit cluster on unit_c;
create unique index unit_identity on unit (id) ;
alter table unit alter a set not null;
create unique index unit_a on unit (a); alter table unit replica identity using index unit_a;
create table log (id bigint primary key, unit uuid, note text);
alter table log add constraint log_unit foreign key (unit) references unit (id) not valid;
create index log_note on log (note);
create publication everything for table log;
"#;

const PLAN: &str = "
entities:
- entity: region
  source_entity: region
  destination_entity: region
  entity_type: region
  transformation_rules: {name: [{col: name}]}
- entity: unit
  source_entity: unit
  destination_entity: unit
  entity_type: unit
  transformation_rules:
    region: [{col: region}, {fk: {entity: region}}]
    code: [{col: code}]
    a: [{col: a}]
    b: [{col: b}]
    note: [{col: note}]
    span: [{col: span}]
- entity: log
  source_entity: log
  destination_entity: log
  entity_type: log
  id: {kind: keep}
  transformation_rules:
    unit: [{col: unit}, {fk: {entity: unit}}]
    note: [{col: note}]
";

#[tokio::test]
async fn every_definition_comes_back_as_it_was() -> Result<()> {
    let pair = Pair::new(LEGACY, "select 1").await?;
    let space = format!("space_{}", pair.app.name);
    let mut connection = pair.app.connect().await;
    connection
        .execute("set allow_in_place_tablespaces = on")
        .await?;
    connection
        .execute(format!("create tablespace {space} location ''").as_str())
        .await?;
    connection.close().await?;
    pair.app.run(&APP.replace("{space}", &space)).await?;
    let before = defined(&pair).await?;
    pair.must_end(PLAN, 0).await?;
    let after = defined(&pair).await?;
    for (after, before) in after.iter().zip(&before) {
        assert_eq!(after, before);
    }
    assert_eq!(after.len(), before.len());
    let dropped = pair
        .app
        .texts("select object_name from drover.ddl where state = 'restored' order by object_name collate \"C\"")
        .await?;
    let expected = [
        // The key of region stays: a table outside of the plan and a view need it. So do the exclusion
        // constraint and the key of a published table.
        "log_note",
        "log_unit",
        "unit Code",
        "unit_a",
        "unit_ab",
        "unit_brin",
        "unit_c",
        "unit_hash",
        "unit_identity",
        "unit_key",
        "unit_lower",
        "unit_note",
        "unit_region",
        "unit_twice",
    ];
    assert_eq!(dropped, expected);
    let rows =
        "select count(*) from unit u join region r on r.id = u.region join log l on l.unit = u.id";
    assert_eq!(pair.app.number(rows).await?, 100);
    Ok(())
}

#[tokio::test]
async fn triggers_row_level_security_and_publications_are_told_before_and_respected() -> Result<()>
{
    let pair = Pair::new(
        "create table item (id int primary key, name text); insert into item select n, 'x' from generate_series(1, 9) n",
        r#"create table item (id bigint primary key, name text); create table seen (id bigint);
        create function see() returns trigger language plpgsql as 'begin insert into public.seen values (new.id); return new; end';
        create trigger "See ""it""" after insert on item for each row execute function see();
        create trigger at_delete after delete on item for each row execute function see();
        create trigger off before insert on item for each row execute function see();
        alter table item disable trigger off;
        alter table item enable row level security; create policy mine on item using (id < 5);
        create publication changes for table item"#,
    )
    .await?;
    let plan = format!("entities:\n{}", plain("item", "item", "keep", &["name"]));
    let checked = pair.drover(&["rules", "check"], &plan).await?;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    for part in [
        "warning: item: item: its triggers fire for every row: See \"it\"\n",
        "warning: item: item: row level security is on",
        "warning: item: item: every row is published by changes\n",
    ] {
        ensure!(checked.stderr.contains(part), "{part}: {}", checked.stderr);
    }
    pair.must_end(&plan, 0).await?;
    assert_eq!(pair.app.number("select count(*) from seen").await?, 9);
    assert_eq!(pair.app.number("select count(*) from item").await?, 9);
    Ok(())
}

#[tokio::test]
async fn constraints_that_are_kept_are_never_touched() -> Result<()> {
    let pair = Pair::new(LEGACY, &APP.replace("{space}", "pg_default")).await?;
    pair.must_end(&format!("defaults: {{constraints: keep}}{PLAN}"), 0)
        .await?;
    let touched = "select count(*) from drover.ddl where object_name <> 'unit_twice'";
    assert_eq!(pair.app.number(touched).await?, 0);
    Ok(())
}

#[tokio::test]
async fn duplicates_that_show_at_the_rebuild_block_with_their_keys() -> Result<()> {
    let pair = Pair::new(
        "create table person (id int primary key, email text); \
         insert into person select n, 'mail' || n from generate_series(1, 60) n; \
         update person set email = 'Secret' where id in (7, 8); update person set email = 'secret' where id = 9; \
         update person set email = null where id in (20, 21)",
        "create table people (id uuid primary key, email text); create unique index people_email on people (lower(email))",
    )
    .await?;
    let before = defined(&pair).await?;
    let plan = "entities:
- entity: people
  source_entity: person
  destination_entity: people
  entity_type: person
  transformation_rules: {email: [{col: email}]}
";
    let blocked = pair.must_end(plan, 8).await?;
    let words = &blocked.stderr;
    for part in [
        "people_email",
        "3 rows are in the way",
        "(legacy key 7)",
        "(legacy key 8)",
        "(legacy key 9)",
        "run the plan again",
    ] {
        ensure!(words.contains(part), "{part}: {words}");
    }
    ensure!(!words.to_lowercase().contains("secret"), "{words}");
    ensure!(!words.contains("legacy key 20"), "{words}");
    assert_eq!(pair.app.number("select count(*) from people").await?, 60);
    // Half mended is not mended.
    pair.app
        .run("delete from people where email = 'secret'")
        .await?;
    let blocked = pair.must_end(plan, 8).await?;
    ensure!(
        blocked.stderr.contains("2 rows are in the way"),
        "{}",
        blocked.stderr
    );
    pair.app
        .run("update people set email = 'other' where id = (select destination_id from drover.mapping_lookup('people', '8'))")
        .await?;
    let mended = pair.run(plan).await?;
    ensure!(mended.code == Some(0), "{}", mended.stderr);
    // What was mended by hand is told: it is not what the plan makes of the source.
    let validated = pair.validate(&["--level", "full"]).await?;
    ensure!(validated.code == Some(9), "{}", validated.stdout);
    assert_eq!(defined(&pair).await?, before);
    assert_eq!(pair.app.number("select count(*) from people").await?, 59);
    Ok(())
}

#[tokio::test]
async fn orphans_that_show_at_the_rebuild_block_with_their_keys() -> Result<()> {
    let pair = Pair::new(
        "create table item (id int primary key, a int, b int); \
         insert into item select n, n % 4, 1 from generate_series(1, 60) n; update item set b = null where id = 4",
        "create table place (a int, b int, primary key (a, b)); insert into place values (1, 1), (2, 1), (3, 1); \
         create table item (id bigint primary key, a int, b int, constraint item_place foreign key (a, b) references place)",
    )
    .await?;
    let before = defined(&pair).await?;
    let plan = format!("entities:\n{}", plain("item", "item", "keep", &["a", "b"]));
    let blocked = pair.must_end(&plan, 8).await?;
    // 8, 12 … 60: fourteen rows, of which ten are named.
    for part in ["item_place", "14 rows are in the way: 12, ", " and others"] {
        ensure!(blocked.stderr.contains(part), "{part}: {}", blocked.stderr);
    }
    pair.app.run("insert into place values (0, 1)").await?;
    pair.must_end(&plan, 0).await?;
    assert_eq!(defined(&pair).await?, before);
    assert_eq!(pair.app.number("select count(*) from item").await?, 60);
    Ok(())
}
