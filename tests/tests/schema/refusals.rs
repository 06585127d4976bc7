//! What is refused, and that nothing of it remains.

use anyhow::{Result, ensure};
use drover_tests::drover;
use drover_tests::pair::Pair;

use super::{apply_all, cleanup_plan, must, must_be, run, schema, state};

const TABLES: &str = "
create table p (id int primary key, k int unique);
create table t (id int primary key, c int, d text, e int generated always as (c + 1) stored);
create view v as select id, d from t;
create table nokey (c text);
create table parted (id int, c int) partition by range (id);
create table fk (id int primary key, c int, d int references p (k));
insert into t values (1, 1, 'x'), (2, null, '7');
insert into nokey values ('only');
insert into fk values (1, 99, null), (2, 99, null);
";

/// Changes, and words of the refusal.
const REFUSED: &[(&str, &str)] = &[
    (
        "operation_type: add_column, table_name: t, column_name: n, type: int, not_null: true",
        "NOT NULL without a value",
    ),
    (
        "operation_type: add_column, table_name: t, column_name: c, type: int",
        "has a column c already",
    ),
    (
        "operation_type: add_column, table_name: t, column_name: n, type: no_such_type",
        "no_such_type",
    ),
    (
        "operation_type: add_column, table_name: gone, column_name: n, type: int",
        "no table gone",
    ),
    (
        "operation_type: drop_column, table_name: t, column_name: d",
        "view public.v depends on t.d",
    ),
    (
        "operation_type: drop_column, table_name: t, column_name: c",
        "generated column e depends on t.c",
    ),
    (
        "operation_type: drop_column, table_name: nokey, column_name: c",
        "has no key without c",
    ),
    (
        "operation_type: drop_column, table_name: t, column_name: gone",
        "has no column gone",
    ),
    (
        "operation_type: add_column, table_name: parted, column_name: n, type: int",
        "partitioned",
    ),
    (
        "operation_type: modify_column, table_name: t, column_name: d, type: varchar(9)",
        "view public.v depends on t.d",
    ),
    (
        "operation_type: modify_column, table_name: nokey, column_name: c, type: int",
        "1 values of nokey.c cannot become integer",
    ),
    (
        "operation_type: modify_column, table_name: t, column_name: c, not_null: true",
        "1 rows of t have no c",
    ),
    (
        "operation_type: modify_column, table_name: t, column_name: id, not_null: false",
        "part of the primary key",
    ),
    (
        "operation_type: add_constraint, table_name: fk, object_name: x, columns: [c], references: {table_name: p, columns: [id]}",
        "2 rows refer to rows that are not there",
    ),
    (
        "operation_type: add_constraint, table_name: fk, object_name: x, columns: [c]",
        "2 rows have the same values",
    ),
    (
        "operation_type: add_constraint, table_name: fk, object_name: x, check: c < 5",
        "2 rows break the condition",
    ),
    (
        "operation_type: drop_constraint, table_name: p, object_name: p_k_key",
        "fk_d_fkey of fk refers to it",
    ),
    (
        "operation_type: create_index, table_name: fk, object_name: x, columns: [c], unique: true",
        "2 rows have the same values",
    ),
];

#[tokio::test]
async fn what_cannot_be_undone_or_would_fail_is_refused_with_its_reason() -> Result<()> {
    let pair = Pair::new("", TABLES).await?;
    let before = state(&pair).await?;
    let changes: Vec<String> = REFUSED
        .iter()
        .map(|(change, _)| (*change).to_owned())
        .collect();
    let path = pair.write_as("refused.yaml", &cleanup_plan(&changes))?;
    let planned = drover::run(
        &["schema", "plan", "-f", &path, "--local", "-o", "json"],
        &pair.env(),
    )
    .await?;
    ensure!(planned.code == Some(0), "{}", planned.stderr);
    let planned = planned.json();
    for (at, (change, words)) in REFUSED.iter().enumerate() {
        let refusals = planned["items"][at]["refusals"].to_string();
        ensure!(refusals.contains(words), "{change}: {refusals}");
        ensure!(
            planned["items"][at]["operations"] == serde_json::json!([]),
            "{change}"
        );
    }
    let blocked = run(&pair, &cleanup_plan(&changes[..1]), 8).await?;
    ensure!(
        blocked.stderr.contains("NOT NULL without a value"),
        "{}",
        blocked.stderr
    );
    must_be(&pair, &before).await
}

#[tokio::test]
async fn a_risk_wants_its_own_word() -> Result<()> {
    let pair = Pair::new("", "create table t (id int primary key, a text, b text, c int unique); insert into t values (1, 'a', 'b', 1)").await?;
    let plan = cleanup_plan(&[
        "operation_type: drop_column, table_name: t, column_name: a".to_owned(),
        "operation_type: modify_column, table_name: t, column_name: b, rename_to: bb".to_owned(),
        "operation_type: drop_column, table_name: t, column_name: c".to_owned(),
    ]);
    let blocked = run(&pair, &plan, 8).await?;
    ensure!(
        blocked.stderr.contains("t.a is of medium risk") && blocked.stderr.contains("give --yes"),
        "{}",
        blocked.stderr
    );
    for (args, words) in [
        (&["apply", "pair"][..], "t.a is of medium risk"),
        (&["apply", "pair", "--yes"], "t.b is of high risk"),
        (
            &["apply", "pair", "--yes", "--confirm", "t"],
            "t.b is of high risk",
        ),
        (
            &["apply", "pair", "--confirm", "t.b"],
            "t.b is of high risk",
        ),
        (
            &["apply", "pair", "--yes", "--confirm", "t.b"],
            "t.c is of critical risk",
        ),
        (
            &[
                "apply",
                "pair",
                "--yes",
                "--confirm",
                "t.b",
                "--confirm",
                "t.c",
            ],
            "t.c is of critical risk",
        ),
    ] {
        let outcome = schema(&pair, args).await?;
        ensure!(
            outcome.code == Some(4) && outcome.stderr.contains(words),
            "{args:?}: {}",
            outcome.stderr
        );
    }
    ensure!(
        pair.app
            .number("select count(*) from t where bb = 'b' and c = 1")
            .await?
            == 1
    );
    apply_all(&pair, &["t".to_owned()]).await?;
    run(&pair, &plan, 0).await?;
    ensure!(pair.rows("select * from t").await? == [r#"{"id":1,"bb":"b"}"#]);
    Ok(())
}

#[tokio::test]
async fn rows_that_came_or_changed_after_a_change_are_respected() -> Result<()> {
    let pair = Pair::new(
        "",
        "create table t (id int primary key, a text default 'def' not null, n numeric(6,3), w varchar(9), s int not null); \
         insert into t select i, 'a' || i, i / 8.0, 'w' || i, i from generate_series(1, 5) i",
    )
    .await?;
    let plan = cleanup_plan(&[
        "operation_type: drop_column, table_name: t, column_name: a".to_owned(),
        "operation_type: modify_column, table_name: t, column_name: n, type: 'numeric(6,1)'"
            .to_owned(),
        "operation_type: modify_column, table_name: t, column_name: w, type: 'varchar(20)'"
            .to_owned(),
    ]);
    run(&pair, &plan, 8).await?;
    apply_all(&pair, &["t".to_owned()]).await?;
    pair.app
        .run("delete from t where id = 1; insert into t values (6, 6.6, 'w6', 6); update t set n = 9.9 where id = 2")
        .await?;
    pair.app
        .run("update t set w = repeat('w', 15) where id = 3")
        .await?;
    let refused = schema(&pair, &["rollback", "pair", "--confirm", "pair"]).await?;
    ensure!(
        refused.code == Some(4)
            && refused
                .stderr
                .contains("values fit the old type: 1 where 0 was expected"),
        "{:?} {}",
        refused.code,
        refused.stderr
    );
    pair.app.run("update t set w = 'w3' where id = 3").await?;
    must(&pair, &["rollback", "pair", "--confirm", "pair"]).await?;
    let rows = pair.rows("select id, a, n, w from t order by id").await?;
    ensure!(
        rows == [
            r#"{"id":2,"a":"a2","n":9.900,"w":"w2"}"#,
            r#"{"id":3,"a":"a3","n":0.375,"w":"w3"}"#,
            r#"{"id":4,"a":"a4","n":0.500,"w":"w4"}"#,
            r#"{"id":5,"a":"a5","n":0.625,"w":"w5"}"#,
            r#"{"id":6,"a":"def","n":6.600,"w":"w6"}"#,
        ],
        "{rows:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn odd_names_are_quoted_everywhere() -> Result<()> {
    let pair = Pair::new(
        "",
        r#"create schema "Größe;"; create table "Größe;"."sel""ect 'T'" ("Id" int primary key, "drover_number" text not null default 'it''s', "or""der" varchar(9), "group" int unique);
           create index "In""dex" on "Größe;"."sel""ect 'T'" ("or""der"); comment on column "Größe;"."sel""ect 'T'"."or""der" is 'a ''quoted'' \ word';
           insert into "Größe;"."sel""ect 'T'" select i, 'n' || i, 'o' || i, i from generate_series(1, 20) i"#,
    )
    .await?;
    let before = state(&pair).await?;
    let table = r#"table_name: "Größe;.sel\"ect 'T'""#;
    let plan = cleanup_plan(&[
        format!(
            r#"operation_type: add_column, {table}, column_name: "new \"col", type: text, default: "'x'""#
        ),
        format!(r#"operation_type: drop_column, {table}, column_name: drover_number"#),
        format!(r#"operation_type: drop_column, {table}, column_name: "or\"der""#),
        format!(r#"operation_type: drop_column, {table}, column_name: group"#),
        format!(
            r#"operation_type: modify_column, {table}, column_name: "new \"col", not_null: true, rename_to: "ren;amed""#
        ),
        format!(
            r#"operation_type: create_index, {table}, object_name: "ix \"odd", columns: ["ren;amed"]"#
        ),
        format!(r#"operation_type: create_backup, {table}"#),
    ]);
    run(&pair, &plan, 8).await?;
    let planned = must(&pair, &["plan", "pair", "-o", "json"]).await?.json();
    let names: Vec<String> = [
        r#"Größe;.sel"ect 'T'"#,
        r#"Größe;.sel"ect 'T'.or"der"#,
        r#"Größe;.sel"ect 'T'.new "col"#,
    ]
    .map(str::to_owned)
    .to_vec();
    ensure!(planned.to_string().contains("Größe;"));
    apply_all(&pair, &names).await?;
    run(&pair, &plan, 0).await?;
    must(&pair, &["rollback", "pair", "--confirm", "pair"]).await?;
    must_be(&pair, &before).await
}
