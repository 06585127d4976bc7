//! Rows that others wrote after the migration did, and rows that refer to its rows: nothing of it is lost unasked.

use anyhow::{Result, ensure};
use drover_tests::drover;
use drover_tests::pair::Pair;

use super::{effects, roll_back};

const LEGACY: &str = "create table shop (id int primary key, name text);
     insert into shop select n, 'shop ' || n from generate_series(1, 10) n;
     create table sale (id int primary key, shop_id int references shop, sum int);
     insert into sale select n, 1 + n % 10, n from generate_series(1, 50) n";
const APP: &str = "create table shops (id bigint primary key, name text);
     create table sales (id bigint primary key, shop_id bigint references shops, sum int);
     create table reviews (id int primary key, shop_id bigint not null references shops $rule, stars int)";
const PLAN: &str = "entities:
- entity: shops
  source_entity: shop
  destination_entity: shops
  entity_type: shop
  id: {kind: keep}
  transformation_rules: {name: [{col: name}]}
- entity: sales
  source_entity: sale
  destination_entity: sales
  entity_type: sale
  id: {kind: keep}
  transformation_rules: {shop_id: [{col: shop_id}, {fk: {entity: shops}}], sum: [{col: sum}]}
";

async fn migrated(rule: &str) -> Result<Pair> {
    let pair = Pair::new(LEGACY, &APP.replace("$rule", rule)).await?;
    pair.must_end(PLAN, 0).await?;
    Ok(pair)
}

async fn keys(pair: &Pair, table: &str) -> Result<String> {
    let sql = format!("select coalesce(string_agg(id::text, ',' order by id), '') from {table}");
    Ok(pair.app.texts(&sql).await?.remove(0))
}

#[tokio::test]
async fn a_row_that_others_changed_blocks_and_is_kept_or_forced() -> Result<()> {
    for (policy, shops, sales) in [("keep", "2,4", "7,11"), ("force", "", "")] {
        let pair = migrated("").await?;
        // Sale 11 is of shop 2; shop 4 and sale 7 (of shop 8) are changed by others.
        pair.app
            .run("update sales set sum = -1 where id in (7, 11); update sales set shop_id = 4 where id = 7;
                  update shops set name = 'ours' where id = 4; delete from sales where id = 50")
            .await?;
        let told = effects(&pair.env(), "pair").await?;
        assert_eq!(
            told,
            [
                ("sales".to_owned(), [47, 0, 1, 2]),
                // Shop 4 was changed; shop 2 has a sale that stays.
                ("shops".to_owned(), [8, 0, 0, 2])
            ]
        );
        let blocked = roll_back(&pair.env(), ("pair", 8), &[]).await?;
        ensure!(
            blocked
                .stderr
                .contains("2 rows of sales were changed by others (11, 7)"),
            "{}",
            blocked.stderr
        );
        ensure!(
            blocked.stderr.contains("--conflicts keep"),
            "{}",
            blocked.stderr
        );
        ensure!(
            pair.app.number("select count(*) from sales").await? == 49,
            "it took rows back"
        );
        let done = roll_back(&pair.env(), ("pair", 0), &["--conflicts", policy]).await?;
        assert_eq!(
            (
                keys(&pair, "shops").await?.as_str(),
                keys(&pair, "sales").await?.as_str()
            ),
            (shops, sales)
        );
        let is_told =
            done.stderr.contains("not as at the start") && done.stderr.contains("2 rows were kept");
        ensure!(is_told == (policy == "keep"), "{}", done.stderr);
        let keys = "select count(*) from pg_constraint where contype in ('p', 'f') and conrelid::regclass::text in ('shops', 'sales')";
        ensure!(pair.app.number(keys).await? == 3, "a key is not back");
        let is_equal = "select data ->> 'is_equal' from drover_meta.outbox where event_type = 'migration_completed' order by id desc limit 1";
        ensure!(pair.app.texts(is_equal).await? == [(policy == "force").to_string()]);
    }
    Ok(())
}

#[tokio::test]
async fn rows_of_other_tables_that_refer_follow_their_foreign_key_or_keep_the_row() -> Result<()> {
    for (rule, policy, code, shops, reviews) in [
        ("", "keep", 0, "3", "1"),
        ("", "force", 8, "1,2,3,4,5,6,7,8,9,10", "1"),
        ("on delete cascade", "keep", 0, "3", "1"),
        ("on delete cascade", "force", 0, "", ""),
    ] {
        let pair = migrated(rule).await?;
        pair.app.run("insert into reviews values (1, 3, 5)").await?;
        let blocked = roll_back(&pair.env(), ("pair", 8), &[]).await?;
        let words = "1 rows of shops are referred to by rows of reviews that stay (3)";
        ensure!(blocked.stderr.contains(words), "{}", blocked.stderr);
        roll_back(&pair.env(), ("pair", code), &["--conflicts", policy]).await?;
        let found = (keys(&pair, "shops").await?, keys(&pair, "reviews").await?);
        assert_eq!(
            found,
            (shops.to_owned(), reviews.to_owned()),
            "{rule} {policy}"
        );
        if code == 8 {
            // Whoever takes the reason away lets it go on.
            pair.app.run("delete from reviews").await?;
            roll_back(&pair.env(), ("pair", 0), &[]).await?;
            assert_eq!(keys(&pair, "shops").await?, "");
        }
    }
    Ok(())
}

#[tokio::test]
async fn rows_that_others_added_stay_and_their_sequence_with_them() -> Result<()> {
    let pair = Pair::new(
        "create table note (id int primary key, body text); insert into note select n, 'n' || n from generate_series(1, 20) n",
        "create table notes (id bigserial primary key, body text)",
    )
    .await?;
    let plan = "entities:
- entity: notes
  source_entity: note
  destination_entity: notes
  entity_type: note
  id: {kind: keep}
  transformation_rules: {body: [{col: body}]}
";
    pair.must_end(plan, 0).await?;
    pair.app
        .run("insert into notes (body) values ('of the application')")
        .await?;
    let done = roll_back(&pair.env(), ("pair", 0), &[]).await?;
    ensure!(pair.app.texts("select id || body from notes").await? == ["21of the application"]);
    for words in [
        "not as at the start",
        "notes (1 rows, 0 at the start; others wrote to it)",
        "sequence public.notes_id_seq stays",
    ] {
        ensure!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
    ensure!(pair.app.number("select nextval('notes_id_seq')").await? == 22);
    Ok(())
}

#[tokio::test]
async fn drovers_own_schema_goes_once_nothing_needs_it() -> Result<()> {
    let pair = migrated("").await?;
    let env = pair.env();
    let uninstall = [
        "destination",
        "uninstall",
        "app",
        "--local",
        "--confirm",
        "app",
    ];
    let refused = drover::run(&uninstall, &env).await?;
    ensure!(
        refused.code == Some(4),
        "{:?} {}",
        refused.code,
        refused.stderr
    );
    ensure!(
        refused.stderr.contains("pair still need"),
        "{}",
        refused.stderr
    );
    let unconfirmed = drover::run(&uninstall[..4], &env).await?;
    ensure!(unconfirmed.code == Some(2), "{}", unconfirmed.stderr);
    pair.app
        .run("update drover_meta.migration_orchestration set finalized_at = now()")
        .await?;
    let refused = drover::run(
        &[
            "migration",
            "rollback",
            "pair",
            "--local",
            "--confirm",
            "pair",
        ],
        &env,
    )
    .await?;
    ensure!(
        refused.stderr.contains("it is finalized"),
        "{}",
        refused.stderr
    );
    let done = drover::run(&uninstall, &env).await?;
    ensure!(done.code == Some(0), "{}", done.stderr);
    let left = "select count(*) from pg_namespace where nspname = 'drover'";
    ensure!(pair.app.number(left).await? == 0);
    ensure!(pair.app.number("select count(*) from sales").await? == 50);
    Ok(())
}
