//! Rows that were there before, matches, join tables, arrays, kept keys, cycles: all of it as it was.

use anyhow::{Result, ensure};
use drover_tests::pair::Pair;

use super::{effects, must_be, roll_back, state};

const LEGACY: &str = "create table item (id int primary key, name text, price float8, note json);
     insert into item select n, 'new ' || n, n * 10, '{\"new\": 1}' from generate_series(1, 40) n";
/// Rows 2, 4 … 10 are there, with values that JSON does not keep.
const APP: &str = "create table items (id bigint primary key, name text unique, price float8, note json, seen timestamptz default now());
     insert into items select n, 'old ' || n, case when n > 6 then '-0'::float8 when n = 2 then 'NaN' end,
         case when n > 4 then '{\"b\":  1,\"a\": 2, \"a\": 3}'::json end from generate_series(2, 10, 2) n;";

fn plan(policy: &str) -> String {
    format!(
        "entities:
- entity: items
  source_entity: item
  destination_entity: items
  entity_type: item
  id: {{kind: keep}}
  on_conflict: {policy}
  batch_size: 7
  transformation_rules:
    name: [{{col: name}}]
    price: [{{col: price}}]
    note: [{{col: note}}]
"
    )
}

/// Runs, rolls back, compares; what the dry run told of the one entity.
async fn there_and_back(pair: &Pair, plan: &str) -> Result<Vec<(String, [i64; 4])>> {
    let before = state(&pair.app).await?;
    pair.must_end(plan, 0).await?;
    let made = state(&pair.app).await?;
    ensure!(made != before, "nothing was made");
    let told = effects(&pair.env(), "pair").await?;
    roll_back(&pair.env(), ("pair", 0), &[]).await?;
    must_be(&state(&pair.app).await?, &before)?;
    // The same again, from where it began.
    pair.must_end(plan, 0).await?;
    must_be(&state(&pair.app).await?, &made)?;
    roll_back(&pair.env(), ("pair", 0), &[]).await?;
    must_be(&state(&pair.app).await?, &before)?;
    Ok(told)
}

#[tokio::test]
async fn rows_that_were_there_are_as_they_were_whatever_the_policy() -> Result<()> {
    for (policy, expected) in [
        ("skip", [35, 0, 0, 0]),
        ("overwrite", [35, 5, 0, 0]),
        ("{merge: [price, note]}", [35, 3, 0, 0]),
    ] {
        // A column with a default of its own tells when a row was made: it is left out of what is compared.
        let pair = Pair::new(LEGACY, &format!("{APP} alter table items drop column seen")).await?;
        let told = there_and_back(&pair, &plan(policy)).await?;
        assert_eq!(told, [("items".to_owned(), expected)], "{policy}");
    }
    Ok(())
}

#[tokio::test]
async fn matched_rows_keep_what_they_had() -> Result<()> {
    let pair = Pair::new(
        "create table person (id int primary key, mail text, name text);
         insert into person select n, 'p' || n || '@x.org', 'new ' || n from generate_series(1, 30) n;
         create table visit (id int primary key, person_id int references person);
         insert into visit select n, 1 + n % 30 from generate_series(1, 90) n",
        "create table people (id uuid primary key, mail text unique, name text);
         insert into people select gen_random_uuid(), 'p' || n || '@x.org', 'old ' || n from generate_series(3, 12, 3) n;
         create table visits (id uuid primary key, person_id uuid not null references people);
         create index on visits (person_id)",
    )
    .await?;
    let plan = "entities:
- entity: people
  source_entity: person
  destination_entity: people
  entity_type: person
  id: {kind: natural_key, match: {mail: [{col: mail}]}, duplicates: quarantine, else: uuid5}
  on_conflict: overwrite
  transformation_rules: {mail: [{col: mail}], name: [{col: name}]}
- entity: visits
  source_entity: visit
  destination_entity: visits
  entity_type: visit
  transformation_rules: {person_id: [{col: person_id}, {fk: {entity: people}}]}
";
    let told = there_and_back(&pair, plan).await?;
    assert_eq!(
        told,
        [
            ("visits".to_owned(), [90, 0, 0, 0]),
            ("people".to_owned(), [26, 4, 0, 0])
        ]
    );
    Ok(())
}

#[tokio::test]
async fn cycles_join_tables_arrays_and_sequences_are_as_they_were() -> Result<()> {
    let pair = Pair::new(
        "create table team (id int primary key, name text, lead_id int);
         create table member (id int primary key, team_id int references team, boss_id int references member);
         insert into team select n, 'team ' || n, n * 3 from generate_series(1, 20) n;
         insert into member select n, 1 + n % 20, nullif(n - 1, 0) from generate_series(1, 60) n;
         alter table team add foreign key (lead_id) references member;
         create table skill (id int primary key, name text);
         insert into skill select n, 'skill ' || n from generate_series(1, 9) n;
         create table member_skill (member_id int references member, skill_id int references skill, primary key (member_id, skill_id));
         insert into member_skill select m, s from generate_series(1, 60) m, generate_series(1, 9) s where (m + s) % 4 = 0",
        "create table teams (id uuid primary key, name text, lead_id uuid, serial bigserial);
         create table members (id uuid primary key, team_id uuid references teams, boss_id uuid references members, skill_ids int[]);
         alter table teams add foreign key (lead_id) references members;
         create table skills (id bigint generated by default as identity primary key, name text);
         create table member_skills (member_id uuid references members, skill_id bigint references skills, primary key (member_id, skill_id));
         insert into skills (name) values ('from before');
         select nextval('teams_serial_seq')",
    )
    .await?;
    let plan = "entities:
- entity: skills
  source_entity: skill
  destination_entity: skills
  entity_type: skill
  id: {kind: keep}
  on_conflict: skip
  transformation_rules: {name: [{col: name}]}
- entity: teams
  source_entity: team
  destination_entity: teams
  entity_type: team
  transformation_rules: {name: [{col: name}], lead_id: [{col: lead_id}, {fk: {entity: members, deferred: true}}]}
- entity: members
  source_entity: member
  destination_entity: members
  entity_type: member
  transformation_rules:
    team_id: [{col: team_id}, {fk: {entity: teams}}]
    boss_id: [{col: boss_id}, {fk: {entity: members, orphan: set_null}}]
    skill_ids: [{array_agg: {source: member_skill, by: member_id, value: [{col: skill_id}], order_by: skill_id}}]
- entity: member_skills
  source_entity: member_skill
  destination_entity: member_skills
  entity_type: member_skill
  id: {kind: none}
  transformation_rules:
    member_id: [{col: member_id}, {fk: {entity: members}}]
    skill_id: [{col: skill_id}, {fk: {entity: skills}}]
";
    // The serial of a team differs from run to run: by whichever lane is first.
    let before = state(&pair.app).await?;
    pair.must_end(plan, 0).await?;
    let told = effects(&pair.env(), "pair").await?;
    let by_name = |name: &str| {
        told.iter()
            .find(|(entity, _)| entity == name)
            .map(|(_, it)| *it)
    };
    assert_eq!(by_name("teams"), Some([20, 0, 0, 0]), "{told:?}");
    assert_eq!(by_name("members"), Some([60, 0, 0, 0]), "{told:?}");
    assert_eq!(by_name("member_skills"), Some([135, 0, 0, 0]), "{told:?}");
    assert_eq!(by_name("skills"), Some([8, 0, 0, 0]), "{told:?}");
    roll_back(&pair.env(), ("pair", 0), &[]).await?;
    must_be(&state(&pair.app).await?, &before)
}

#[tokio::test]
async fn after_the_seal_nothing_of_an_earlier_token_writes_or_undoes() -> Result<()> {
    let pair = Pair::new(LEGACY, APP).await?;
    pair.must_end(&plan("overwrite"), 0).await?;
    let seal = |token: i64| {
        format!(
            "select drover.seal_undo(migration_id, 1, '{{items}}', {token}) from drover.migration"
        )
    };
    let token = pair
        .app
        .number("select max(token) from drover.partition")
        .await?;
    // Somebody with a token as high stands in the way.
    ensure!(pair.app.number(&seal(token)).await? > 0);
    ensure!(pair.app.number(&seal(token + 2)).await? == 0);
    ensure!(pair.app.number(&seal(token + 2)).await? == 0, "again");
    ensure!(pair.app.number(&seal(token + 1)).await? > 0, "earlier");
    let hold =
        |token: i64| format!("select drover.hold_undo(entity_no, 1, {token}) from drover.entity");
    pair.app.run(&hold(token + 2)).await?;
    for earlier in [token, token + 1, token + 3] {
        let refused = pair.app.run(&hold(earlier)).await;
        ensure!(refused.is_err_and(|error| error.to_string().contains("is fenced")));
    }
    let advance = format!(
        "select drover.advance(partition_id, 1, {token}, holder, seq, cursor, null, entity_hash, 0, 0, 0, 0, 0, 0, \
             false, 0, false) from drover.partition where number = 0"
    );
    let refused = pair.app.run(&advance).await;
    ensure!(refused.is_err_and(|error| error.to_string().contains("is fenced")));
    let taken = format!(
        "select count(*) from drover.partition p, drover.take_over(p.partition_id, 1, {}, gen_random_uuid())",
        token + 9
    );
    ensure!(
        pair.app.number(&taken).await? == 0,
        "a partition that is undone was taken over"
    );
    Ok(())
}
