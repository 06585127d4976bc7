//! What rows are called, and how references find them.

use anyhow::Result;
use drover_tests::pair::Pair;

use super::errors;

#[tokio::test]
async fn references_by_a_code_and_by_two_columns_find_their_rows() -> Result<()> {
    let pair = Pair::new(
        "create table country (id int primary key, code text not null unique, gone boolean not null default false);
         insert into country values (1, 'DE', false), (2, 'FR', false), (3, 'DD', true);
         create table region (country_code text, nr int, name text, primary key (country_code, nr));
         insert into region values ('DE', 1, 'Nord'), ('DE', 2, 'Sued'), ('FR', 1, 'Midi');
         create table city (id int primary key, name text, country_code text, region_nr int, twin text);
         insert into city values (1, 'Kiel', 'DE', 1, ' fr '), (2, 'Pau', 'FR', 1, null), (3, 'Ulm', 'DE', 2, 'XX'),
             (4, 'Nowhere', 'XX', null, null), (5, 'Gone', 'DD', null, null), (6, 'Free', null, null, null)",
        "create table countries (id uuid primary key, code text);
         create table regions (id uuid primary key, country_id uuid references countries, name text);
         create table cities (id uuid primary key, name text, country_id uuid references countries,
             region_id uuid references regions, twin_id uuid references countries)",
    )
    .await?;
    pair.must_end(
        "defaults: {max_quarantined: 9}
entities:
- entity: countries
  source_entity: country
  destination_entity: countries
  entity_type: country
  where: not gone
  transformation_rules:
    code: [{col: code}]
- entity: regions
  source_entity: region
  destination_entity: regions
  entity_type: region
  unmapped_columns: ignore
  transformation_rules:
    country_id: [{col: country_code}, {fk: {entity: countries, by: [code]}}]
    name: [{col: name}]
- entity: cities
  source_entity: city
  destination_entity: cities
  entity_type: city
  transformation_rules:
    name: [{col: name}]
    country_id: [{col: country_code}, {fk: {entity: countries, by: [code]}}]
    region_id: [{fk: {entity: regions, cols: [country_code, region_nr]}}]
    twin_id: [{col: twin}, trim, upper, {fk: {entity: countries, by: [code], orphan: set_null}}]
",
        0,
    )
    .await?;
    let rows = pair
        .rows(
            "select c.name, k.code, r.name as region, t.code as twin from cities c \
             left join countries k on k.id = c.country_id left join regions r on r.id = c.region_id \
             left join countries t on t.id = c.twin_id order by c.name",
        )
        .await?;
    assert_eq!(
        rows,
        [
            r#"{"name":"Free","code":null,"region":null,"twin":null}"#,
            r#"{"name":"Kiel","code":"DE","region":"Nord","twin":"FR"}"#,
            r#"{"name":"Pau","code":"FR","region":"Midi","twin":null}"#,
            r#"{"name":"Ulm","code":"DE","region":"Sued","twin":null}"#,
        ]
    );
    let orphan = |id: &str| format!("cities {id} DROVER_ORPHAN false");
    assert_eq!(errors(&pair).await?, [orphan("4"), orphan("5")]);
    Ok(())
}

#[tokio::test]
async fn two_sources_fill_one_table_whose_keys_come_back_once() -> Result<()> {
    let pair = Pair::new(
        "create table client (id int primary key, email text);
         insert into client select n, 'c' || n from generate_series(1, 50) n;
         create table lead (id int primary key, mail text);
         insert into lead select n, 'l' || n from generate_series(1, 30) n;
         update lead set mail = null where id = 7;
         create table call (id int primary key, client_id int references client, lead_id int references lead);
         insert into call values (1, 7, null), (2, null, 8), (3, 9, 9), (4, null, 7)",
        "create table people (id uuid primary key, email text not null unique, boss_id uuid references people);
         create index people_lower on people (lower(email));
         create table calls (id uuid primary key, client_id uuid references people, lead_id uuid references people)",
    )
    .await?;
    let definitions = "select pg_get_indexdef(indexrelid) from pg_index where indrelid = 'people'::regclass union all \
                       select pg_get_constraintdef(oid) || convalidated from pg_constraint \
                       where 'people'::regclass in (conrelid, confrelid) order by 1";
    let before = pair.app.texts(definitions).await?;
    pair.must_end(
        "defaults: {max_quarantined: 9}
entities:
- entity: clients
  source_entity: client
  destination_entity: people
  entity_type: person
  transformation_rules:
    email: [{col: email}]
- entity: leads
  source_entity: lead
  destination_entity: people
  entity_type: person
  transformation_rules:
    email: [{col: mail}]
- entity: calls
  source_entity: call
  destination_entity: calls
  entity_type: call
  transformation_rules:
    client_id: [{col: client_id}, {fk: {entity: clients}}]
    lead_id: [{col: lead_id}, {fk: {entity: leads}}]
",
        0,
    )
    .await?;
    assert_eq!(pair.app.number("select count(*) from people").await?, 79);
    assert_eq!(pair.app.texts(definitions).await?, before);
    let rows = pair
        .rows(
            "select c.email as client, l.email as lead from calls left join people c on c.id = client_id \
             left join people l on l.id = lead_id order by 1, 2",
        )
        .await?;
    assert_eq!(
        rows,
        [
            r#"{"client":"c7","lead":null}"#,
            r#"{"client":"c9","lead":"l9"}"#,
            r#"{"client":null,"lead":"l8"}"#,
        ]
    );
    let expected = [
        "calls 4 DROVER_PARENT_QUARANTINED true",
        "leads 7 23502 false",
    ];
    assert_eq!(errors(&pair).await?, expected);
    let mapped = pair
        .app
        .texts(
            "select mapping_metadata->>'entity' || ' ' || count(*) from drover.migration_mapping \
             group by mapping_metadata->>'entity' order by 1",
        )
        .await?;
    assert_eq!(mapped, ["calls 3", "clients 50", "leads 29"]);
    let journal = "select count(*) from drover.ddl where table_name = 'people' and object_name = 'people_pkey'";
    assert_eq!(pair.app.number(journal).await?, 1);
    Ok(())
}

#[tokio::test]
async fn rows_that_share_an_id_need_their_counterpart() -> Result<()> {
    let pair = Pair::new(
        "create table account (id int primary key, email text);
         insert into account values (1, 'a@x'), (2, 'none'), (3, 'c@x');
         create table details (id int primary key, account_id int not null unique, phone text);
         insert into details values (10, 1, '1'), (20, 2, '2'), (30, 3, '3'), (40, 4, '4');
         create table visit (id int primary key, details_account_id int);
         insert into visit values (1, 3), (2, 2)",
        "create table accounts (id uuid primary key, email text);
         create table profiles (id uuid primary key references accounts, phone text);
         create table visits (id uuid primary key, profile_id uuid references profiles)",
    )
    .await?;
    pair.must_end(
        "defaults: {max_quarantined: 9, unmapped_columns: ignore}
entities:
- entity: accounts
  source_entity: account
  destination_entity: accounts
  entity_type: account
  transformation_rules:
    email: [{col: email}, email]
- entity: profiles
  source_entity: details
  destination_entity: profiles
  entity_type: profile
  key: [account_id]
  id: {like: accounts}
  transformation_rules:
    phone: [{col: phone}]
- entity: visits
  source_entity: visit
  destination_entity: visits
  entity_type: visit
  transformation_rules:
    profile_id: [{col: details_account_id}, {fk: {entity: profiles}}]
",
        0,
    )
    .await?;
    let rows = pair
        .rows(
            "select email, phone, v.id is not null as visited from accounts join profiles p using (id) \
             left join visits v on v.profile_id = p.id order by email",
        )
        .await?;
    assert_eq!(
        rows,
        [
            r#"{"email":"a@x","phone":"1","visited":false}"#,
            r#"{"email":"c@x","phone":"3","visited":true}"#,
        ]
    );
    let expected = [
        "accounts 2 DROVER_EMAIL_INVALID false",
        "profiles 2 DROVER_PARENT_QUARANTINED true",
        "profiles 4 DROVER_ORPHAN false",
        "visits 2 DROVER_PARENT_QUARANTINED true",
    ];
    assert_eq!(errors(&pair).await?, expected);
    Ok(())
}

const ACCOUNTS: &str = "defaults: {max_quarantined: 9}
entities:
- entity: accounts
  source_entity: account
  destination_entity: profiles
  entity_type: account
  id: {kind: natural_key, match: {email: [{col: email}, email]}}
  on_conflict: POLICY
  batch_size: 2
  transformation_rules:
    email: [{col: email}, email]
    name: [{col: name}]
- entity: posts
  source_entity: post
  destination_entity: posts
  entity_type: post
  transformation_rules:
    profile_id: [{col: account_id}, {fk: {entity: accounts}}]
";

async fn accounts() -> Result<Pair> {
    Pair::new(
        "create table account (id int primary key, email text, name text);
         insert into account values (1, ' Ann@x.org', 'Ann'), (2, 'new@x.org', 'New'), (3, 'twice@x.org', 'T'),
             (4, 'two@x.org', 'A'), (5, 'TWO@x.org', 'B'), (6, null, 'Nobody'), (7, 'late@x.org', 'L');
         create table post (id int primary key, account_id int references account);
         insert into post select n, n from generate_series(1, 7) n",
        "create table profiles (id uuid primary key, email text, name text, since int default 9);
         insert into profiles values ('00000000-0000-4000-8000-000000000001', 'ann@x.org', null, 1),
             ('00000000-0000-4000-8000-000000000002', 'twice@x.org', null, 1),
             ('00000000-0000-4000-8000-000000000003', 'twice@x.org', null, 1),
             ('00000000-0000-4000-8000-000000000004', 'two@x.org', null, 1),
             ('00000000-0000-4000-8000-000000000005', null, 'nobody', 1);
         create table posts (id uuid primary key, profile_id uuid references profiles)",
    )
    .await
}

#[tokio::test]
async fn rows_that_match_by_a_natural_key_give_their_ids_to_the_row_and_its_children() -> Result<()>
{
    for policy in ["skip", "overwrite", "{merge: [name]}"] {
        let pair = accounts().await?;
        pair.must_end(&ACCOUNTS.replace("POLICY", policy), 0)
            .await?;
        let rows = pair
            .rows(
                "select email, name, since, (select count(*) from posts where profile_id = p.id) as posts \
                 from profiles p where email not like 'tw%' or email is null order by email, since",
            )
            .await?;
        let name = if policy == "skip" { "null" } else { "\"Ann\"" };
        assert_eq!(
            rows,
            [
                format!(r#"{{"email":"ann@x.org","name":{name},"since":1,"posts":1}}"#),
                r#"{"email":"late@x.org","name":"L","since":9,"posts":1}"#.to_owned(),
                r#"{"email":"new@x.org","name":"New","since":9,"posts":1}"#.to_owned(),
                r#"{"email":null,"name":"nobody","since":1,"posts":0}"#.to_owned(),
                r#"{"email":null,"name":"Nobody","since":9,"posts":1}"#.to_owned(),
            ],
            "{policy}"
        );
        let expected = [
            "accounts 3 DROVER_MATCH_AMBIGUOUS false",
            "accounts 4 DROVER_MATCH_DUPLICATE false",
            "accounts 5 DROVER_MATCH_DUPLICATE false",
            "posts 3 DROVER_PARENT_QUARANTINED true",
            "posts 4 DROVER_PARENT_QUARANTINED true",
            "posts 5 DROVER_PARENT_QUARANTINED true",
        ];
        assert_eq!(errors(&pair).await?, expected, "{policy}");
        let mapped = "select count(*) from drover.migration_mapping where source_id = '1' and source_table = 'account' \
                      and destination_id = '00000000-0000-4000-8000-000000000001'";
        assert_eq!(pair.app.number(mapped).await?, 1, "{policy}");
    }
    Ok(())
}

#[tokio::test]
async fn matches_are_made_once_and_hold_after_a_restart() -> Result<()> {
    let pair = accounts().await?;
    let plan = ACCOUNTS.replace("POLICY", "overwrite");
    // The second batch stops as on a full disk, after the first has changed what the match looked at.
    pair.app
        .run(
            "create function full_disk() returns trigger language plpgsql as
                 $$ begin if new.name = 'L' then raise exception 'disk full' using errcode = '53100'; end if;
                    return new; end $$;
             create trigger full_disk before insert on profiles for each row execute function full_disk()",
        )
        .await?;
    pair.must_end(&plan, 8).await?;
    pair.app
        .run("drop trigger full_disk on profiles; update profiles set email = 'late@x.org' where since = 1 and email = 'two@x.org'")
        .await?;
    pair.must_end(&plan, 0).await?;
    let late = "select count(*) from profiles where email = 'late@x.org'";
    assert_eq!(pair.app.number(late).await?, 2, "the first look counts");
    assert_eq!(
        pair.app
            .number("select count(*) from drover.override")
            .await?,
        4
    );
    Ok(())
}
