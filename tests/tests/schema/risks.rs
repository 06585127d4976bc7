//! Every row of the risk table: made, its risk as the table says, taken back, and everything as it was.

use anyhow::{Result, ensure};
use drover_tests::drover;
use drover_tests::pair::Pair;

use super::{apply_all, cleanup_plan, confirmations, must, must_be, run, state};

/// A change on a table of its own: SQL before, the change, its risk, and SQL that is true while it is made.
pub struct Case {
    pub about: &'static str,
    pub before: &'static str,
    pub change: &'static str,
    pub risk: &'static str,
    pub after: &'static str,
}

macro_rules! case {
    ($about:literal, $before:literal, $change:literal, $risk:literal, $after:literal) => {
        Case {
            about: $about,
            before: $before,
            change: $change,
            risk: $risk,
            after: $after,
        }
    };
}

/// The rows, with `t` for the table.
pub const CASES: &[Case] = &[
    case!(
        "add_column nullable",
        "create table t (id int primary key); insert into t select generate_series(1, 9)",
        "operation_type: add_column, table_name: t, column_name: c, type: text",
        "low",
        "c is null"
    ),
    case!(
        "add_column with now() as default",
        "create table t (id int primary key); insert into t select generate_series(1, 9)",
        "operation_type: add_column, table_name: t, column_name: c, type: timestamptz, default: now()",
        "low",
        "c is not null"
    ),
    case!(
        "add_column not null with a constant default",
        "create table t (id int primary key); insert into t select generate_series(1, 9)",
        "operation_type: add_column, table_name: t, column_name: c, type: 'varchar(9)', default: \"'new'\", not_null: true",
        "low",
        "c = 'new'"
    ),
    case!(
        "add_column with a volatile default, few rows",
        "create table t (id int primary key); insert into t select generate_series(1, 9)",
        "operation_type: add_column, table_name: t, column_name: c, type: uuid, default: gen_random_uuid()",
        "medium",
        "c is not null"
    ),
    case!(
        "add_column with a volatile default, many rows",
        "create table t (id int primary key); insert into t select generate_series(1, 100001)",
        "operation_type: add_column, table_name: t, column_name: c, type: uuid, default: gen_random_uuid(), not_null: true",
        "high",
        "c is not null"
    ),
    case!(
        "add_column generated",
        "create table t (id int primary key); insert into t select generate_series(1, 9)",
        "operation_type: add_column, table_name: t, column_name: c, type: int, generated: id * 2",
        "medium",
        "c = id * 2"
    ),
    case!(
        "add_column identity",
        "create table t (id int primary key); insert into t select generate_series(1, 9)",
        "operation_type: add_column, table_name: t, column_name: c, type: bigint, identity: by_default",
        "medium",
        "c between 1 and 9"
    ),
    case!(
        "add_column not null without default, no rows",
        "create table t (id int primary key)",
        "operation_type: add_column, table_name: t, column_name: c, type: int, not_null: true",
        "low",
        "true"
    ),
    case!(
        "drop_column with data, no dependants",
        "create table t (id int primary key, c text not null default 'x' , d int); \
        insert into t select i, 'value ' || i, i from generate_series(1, 12000) i; comment on column t.c is 'it''s'; \
        alter table t alter c set statistics 7; alter table t alter c set storage external; alter table t alter c set (n_distinct = 5)",
        "operation_type: drop_column, table_name: t, column_name: c",
        "medium",
        "d = id"
    ),
    case!(
        "drop_column without a value",
        "create table t (id int primary key, c text); insert into t select generate_series(1, 9)",
        "operation_type: drop_column, table_name: t, column_name: c",
        "medium",
        "id > 0"
    ),
    case!(
        "drop_column that numbers rows",
        "create table t (id int primary key, c bigint generated always as identity (start 5 increment 2)); \
        insert into t select generate_series(1, 9)",
        "operation_type: drop_column, table_name: t, column_name: c",
        "medium",
        "id > 0"
    ),
    case!(
        "drop_column serial",
        "create table t (id int primary key, c serial); insert into t select generate_series(1, 9)",
        "operation_type: drop_column, table_name: t, column_name: c",
        "medium",
        "id > 0"
    ),
    case!(
        "drop_column generated",
        "create table t (id int primary key, c int generated always as (id * 2) stored); insert into t select generate_series(1, 9)",
        "operation_type: drop_column, table_name: t, column_name: c",
        "medium",
        "id > 0"
    ),
    case!(
        "drop_column in an index, a check and statistics",
        "create table t (id int primary key, c int, d int, check (c > d)); \
        create index t_c on t (d, (c + 1)) where c > 0; comment on index t_c is 'an index'; create statistics t_s on c, d from t; \
        comment on statistics t_s is 'both'; insert into t select i, i, 0 from generate_series(1, 9) i",
        "operation_type: drop_column, table_name: t, column_name: c",
        "high",
        "d = 0"
    ),
    case!(
        "drop_column in keys, policies and triggers",
        "create table t (id int primary key, c int not null unique references p (id) on delete cascade deferrable, d int); \
        create table t_child (c int references t (c)); comment on constraint t_c_key on t is 'a key'; \
        insert into t select i, i, i from generate_series(1, 9) i; insert into t_child values (3); \
        alter table t enable row level security; create policy t_p on t as restrictive for update to public using (c > 0) with check (c < 100); \
        comment on policy t_p on t is 'a policy'; grant select (c), update (c) on t to drover_reader with grant option; grant insert (c) on t to public; \
        create function t_f() returns trigger language plpgsql as $$ begin new.d := -1; return new; end $$; \
        create trigger t_of before update of c on t for each row execute function t_f(); alter table t enable always trigger t_of; \
        create trigger t_any before update on t for each row execute function t_f()",
        "operation_type: drop_column, table_name: t, column_name: c",
        "critical",
        "d = id"
    ),
    case!(
        "drop_column, a key instead of the primary one",
        "create table t (c int primary key, k int not null unique, d text); insert into t select i, i, 'd' from generate_series(1, 9) i",
        "operation_type: drop_column, table_name: t, column_name: c",
        "critical",
        "d = 'd'"
    ),
    case!(
        "modify_column widens varchar",
        "create table t (id int primary key, c varchar(5) default 'a', unique (c)); insert into t select i, 'v' || i from generate_series(1, 9) i",
        "operation_type: modify_column, table_name: t, column_name: c, type: 'varchar(50)'",
        "low",
        "c like 'v%'"
    ),
    case!(
        "modify_column varchar to text",
        "create table t (id int primary key, c varchar(5)); insert into t select i, 'v' || i from generate_series(1, 9) i",
        "operation_type: modify_column, table_name: t, column_name: c, type: text",
        "low",
        "pg_typeof(c)::text = 'text'"
    ),
    case!(
        "modify_column numeric precision",
        "create table t (id int primary key, c numeric(6,2)); insert into t select i, i / 4.0 from generate_series(1, 9) i",
        "operation_type: modify_column, table_name: t, column_name: c, type: 'numeric(12,2)'",
        "low",
        "c > 0"
    ),
    case!(
        "modify_column timestamp to timestamptz, UTC",
        "create table t (id int primary key, c timestamp default now()); insert into t select i, '2026-03-08 02:30'::timestamp + i * interval '1 h' from generate_series(1, 9) i",
        "operation_type: modify_column, table_name: t, column_name: c, type: timestamptz",
        "medium",
        "c at time zone 'UTC' = '2026-03-08 02:30'::timestamp + id * interval '1 h'"
    ),
    case!(
        "modify_column timestamp to timestamptz, another zone",
        "create table t (id int primary key, c timestamp); insert into t select i, '2026-06-08 02:30'::timestamp + i * interval '1 h' from generate_series(1, 9) i",
        "operation_type: modify_column, table_name: t, column_name: c, type: timestamptz, time_zone: America/Chicago",
        "high",
        "c at time zone 'America/Chicago' = '2026-06-08 02:30'::timestamp + id * interval '1 h'"
    ),
    case!(
        "modify_column int to bigint",
        "create table t (id int primary key, c int default 7, check (c > 0)); create index t_c on t (c); insert into t select i, i from generate_series(1, 9) i",
        "operation_type: modify_column, table_name: t, column_name: c, type: bigint",
        "high",
        "pg_typeof(c)::text = 'bigint' and c = id"
    ),
    case!(
        "modify_column int to text",
        "create table t (id int primary key, c int); insert into t select i, i from generate_series(1, 9) i",
        "operation_type: modify_column, table_name: t, column_name: c, type: text",
        "high",
        "c = id::text"
    ),
    case!(
        "modify_column text to int",
        "create table t (id int primary key, c text default '3'); insert into t select i, i from generate_series(1, 9) i",
        "operation_type: modify_column, table_name: t, column_name: c, type: int",
        "high",
        "c = id"
    ),
    case!(
        "modify_column loses scale",
        "create table t (id int primary key, c numeric(9,3)); insert into t select i, i / 7.0 from generate_series(1, 9) i",
        "operation_type: modify_column, table_name: t, column_name: c, type: 'numeric(9,1)'",
        "critical",
        "scale(c) = 1"
    ),
    case!(
        "modify_column narrows varchar",
        "create table t (id int primary key, c varchar(40) not null); insert into t select i, repeat('v', i) from generate_series(1, 9) i",
        "operation_type: modify_column, table_name: t, column_name: c, type: 'varchar(4)'",
        "critical",
        "length(c) <= 4"
    ),
    case!(
        "modify_column with a policy and a trigger on it",
        "create table t (id int primary key, c varchar(5)); create policy t_p on t using (c <> ''); \
        create function t_g() returns trigger language plpgsql as $$ begin return new; end $$; create trigger t_of before update of c on t for each row execute function t_g(); \
        insert into t select i, 'v' || i from generate_series(1, 9) i",
        "operation_type: modify_column, table_name: t, column_name: c, type: 'varchar(50)'",
        "low",
        "c like 'v%'"
    ),
    case!(
        "modify_column sets a default",
        "create table t (id int primary key, c int default 1); insert into t values (1, 1)",
        "operation_type: modify_column, table_name: t, column_name: c, default: '2'",
        "low",
        "c = 1"
    ),
    case!(
        "modify_column drops a default",
        "create table t (id int primary key, c int default 1); insert into t values (1, 1)",
        "operation_type: modify_column, table_name: t, column_name: c, drop_default: true",
        "low",
        "c = 1"
    ),
    case!(
        "modify_column drops not null",
        "create table t (id int primary key, c int not null); insert into t values (1, 1)",
        "operation_type: modify_column, table_name: t, column_name: c, not_null: false",
        "medium",
        "c = 1"
    ),
    case!(
        "modify_column sets not null",
        "create table t (id int primary key, c int); insert into t values (1, 1)",
        "operation_type: modify_column, table_name: t, column_name: c, not_null: true",
        "low",
        "c = 1"
    ),
    case!(
        "modify_column renames",
        "create table t (id int primary key, c int); create index on t (c); insert into t values (1, 1)",
        "operation_type: modify_column, table_name: t, column_name: c, rename_to: e",
        "high",
        "e = 1"
    ),
    case!(
        "add_constraint foreign key",
        "create table t (id int primary key, c int); insert into t values (1, 1)",
        "operation_type: add_constraint, table_name: t, object_name: t_fk, columns: [c], references: {table_name: p, columns: [id]}",
        "low",
        "c = 1"
    ),
    case!(
        "add_constraint check",
        "create table t (id int primary key, c int); insert into t values (1, 1)",
        "operation_type: add_constraint, table_name: t, object_name: t_ck, check: c > 0",
        "low",
        "c = 1"
    ),
    case!(
        "add_constraint unique",
        "create table t (id int primary key, c int); insert into t values (1, 1)",
        "operation_type: add_constraint, table_name: t, object_name: t_uq, columns: [c]",
        "medium",
        "c = 1"
    ),
    case!(
        "drop_constraint primary key",
        "create table t (id int primary key, c int); alter table t cluster on t_pkey; insert into t values (1, 1)",
        "operation_type: drop_constraint, table_name: t, object_name: t_pkey",
        "high",
        "c = 1"
    ),
    case!(
        "drop_constraint foreign key that is not valid",
        "create table t (id int primary key, c int); insert into t values (1, 1000); alter table t add constraint t_fk foreign key (c) references p (id) not valid",
        "operation_type: drop_constraint, table_name: t, object_name: t_fk",
        "medium",
        "c = 1000"
    ),
    case!(
        "create_index",
        "create table t (id int primary key, c int); insert into t values (1, 1)",
        "operation_type: create_index, table_name: t, object_name: t_ix, columns: [c, id]",
        "low",
        "c = 1"
    ),
    case!(
        "create_index unique",
        "create table t (id int primary key, c int); insert into t values (1, 1)",
        "operation_type: create_index, table_name: t, object_name: t_ix, columns: [c], unique: true",
        "medium",
        "c = 1"
    ),
    case!(
        "drop_index",
        "create table t (id int primary key, c int); create index t_ix on t using brin (c) with (autosummarize = on); insert into t values (1, 1)",
        "operation_type: drop_index, table_name: t, object_name: t_ix",
        "low",
        "c = 1"
    ),
    case!(
        "create_backup",
        "create table t (id int primary key, c int, j json); insert into t values (1, 1, '{}')",
        "operation_type: create_backup, table_name: t",
        "low",
        "c = 1"
    ),
];

const PARENT: &str = "create table p (id int primary key); insert into p select generate_series(1, 9); \
     do $$ begin create role drover_reader; exception when duplicate_object then null; end $$;";

/// The case's texts, about a table of its own.
fn named(text: &str, at: usize) -> String {
    let name = format!("t{at}");
    let mut words = String::new();
    let mut word = String::new();
    for letter in text.chars().chain([' ']) {
        match letter.is_alphanumeric() || letter == '_' {
            true => word.push(letter),
            false => {
                match word.strip_prefix('t') {
                    Some(rest) if rest.is_empty() || rest.starts_with('_') => {
                        words.push_str(&format!("{name}{rest}"))
                    }
                    _ => words.push_str(&word),
                }
                word.clear();
                words.push(letter);
            }
        }
    }
    words
}

/// A destination with a table for each case, and the plan of all changes.
pub async fn world() -> Result<(Pair, String)> {
    let tables: Vec<String> = CASES
        .iter()
        .enumerate()
        .map(|(at, case)| named(case.before, at))
        .collect();
    let pair = Pair::new("", &format!("{PARENT} {}", tables.join("; "))).await?;
    let changes: Vec<String> = CASES
        .iter()
        .enumerate()
        .map(|(at, case)| named(case.change, at))
        .collect();
    Ok((pair, cleanup_plan(&changes)))
}

#[tokio::test]
async fn every_row_of_the_risk_table_is_made_and_taken_back_without_a_trace() -> Result<()> {
    let (pair, plan) = world().await?;
    let path = pair.write_as("cleanup.yaml", &plan)?;
    let before = state(&pair).await?;
    let planned = drover::run(
        &[
            "schema",
            "plan",
            "-f",
            &path,
            "--local",
            "-o",
            "json",
            "--exit-code",
        ],
        &pair.env(),
    )
    .await?;
    ensure!(planned.code == Some(10), "{}", planned.stderr);
    let planned = planned.json();
    for (at, case) in CASES.iter().enumerate() {
        let change = &planned["items"][at];
        let operations = change["operations"].as_array().cloned().unwrap_or_default();
        let risks: Vec<&str> = operations
            .iter()
            .filter_map(|one| one["risk_level"].as_str())
            .collect();
        let order = ["low", "medium", "high", "critical"];
        let highest = risks
            .iter()
            .max_by_key(|risk| order.iter().position(|known| known == *risk));
        ensure!(
            highest == Some(&case.risk) && change["refusals"] == serde_json::json!([]),
            "{}: {change:#}",
            case.about
        );
        ensure!(
            operations.iter().all(|one| one["rollback_sql"].is_string()),
            "{}",
            case.about
        );
    }
    must_be(&pair, &before).await?;
    let blocked = run(&pair, &plan, 8).await?;
    ensure!(blocked.stderr.contains("confirmed"), "{}", blocked.stderr);
    let names = confirmations(&planned);
    apply_all(&pair, &names).await?;
    run(&pair, &plan, 0).await?;
    for (at, case) in CASES.iter().enumerate() {
        let sql = format!(
            "select count(*) from t{at} where ({}) is not true",
            named(case.after, at)
        );
        ensure!(pair.app.number(&sql).await? == 0, "{}", case.about);
    }
    let status = must(&pair, &["status", "pair", "-o", "json"]).await?.json();
    let items = status["items"].as_array().cloned().unwrap_or_default();
    ensure!(
        items.iter().all(|one| one["status"] == "completed"),
        "{status:#}"
    );
    for operation in items
        .iter()
        .filter(|one| one["operation_type"] == "create_backup")
    {
        let checks = operation["validation_results"]["checks"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        ensure!(
            checks.iter().any(|check| check["check"] == "backup_count_and_hash" && check["status"] == "pass"),
            "{operation:#}"
        );
    }
    must(&pair, &["rollback", "pair", "--confirm", "pair"]).await?;
    must_be(&pair, &before).await
}
