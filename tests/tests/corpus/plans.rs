//! Plans that cannot be right, from `tests/corpus/plans.toml`: each is refused with its place and reason, by
//! exit code 2, and nothing is made.

use anyhow::{Context, Result, ensure};
use drover_tests::drover::{self, Outcome};
use drover_tests::pair::{HEAD, Pair};
use futures::{StreamExt, stream};
use serde::Deserialize;

/// Commands at a time.
const SIDE_BY_SIDE: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Corpus {
    source: String,
    destination: String,
    plan: String,
    /// What is replaced, by what, path and words of the problem.
    cases: Vec<(String, String, String, String)>,
}

impl Corpus {
    fn read() -> Result<Self> {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/plans.toml"))?;
        toml::from_str(&text).context("plans.toml")
    }
}

/// A plan, and path and words of what is said of it.
struct Case {
    plan: String,
    path: String,
    words: String,
}

/// Checks plans; what is wrong with the answers.
async fn refused(pair: &Pair, cases: Vec<Case>) -> Result<Vec<String>> {
    let checks = cases
        .into_iter()
        .enumerate()
        .map(|(number, case)| async move {
            let path = pair.write_as(&format!("plan-{number}.yaml"), &case.plan)?;
            let outcome = drover::run(&["rules", "check", &path], &pair.env()).await?;
            Ok::<_, anyhow::Error>(verdict(&case, &outcome))
        });
    let verdicts: Vec<Result<Option<String>>> = stream::iter(checks)
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    verdicts.into_iter().filter_map(Result::transpose).collect()
}

fn verdict(case: &Case, outcome: &Outcome) -> Option<String> {
    let told = outcome.stderr.lines().any(|line| {
        let place = line.find(&case.path);
        place.is_some_and(|at| line[at + case.path.len()..].contains(&case.words))
    });
    let is_calm =
        !outcome.stderr.contains("panicked") && !outcome.stderr.contains("fault of Drover");
    (outcome.code != Some(2) || !told || !is_calm).then(|| {
        let (path, words) = (&case.path, &case.words);
        format!(
            "expected {path}: {words}, found {:?}\n{}",
            outcome.code, outcome.stderr
        )
    })
}

#[tokio::test]
async fn every_bad_plan_is_refused_with_its_place_and_reason() -> Result<()> {
    let corpus = Corpus::read()?;
    ensure!(corpus.cases.len() >= 100, "{} plans", corpus.cases.len());
    let pair = Pair::new(&corpus.source, &corpus.destination).await?;
    let good = pair.drover(&["rules", "check"], &corpus.plan).await?;
    ensure!(good.code == Some(0), "{}", good.stderr);
    let cases = corpus.cases.into_iter().map(|(from, to, path, words)| {
        ensure!(corpus.plan.contains(&from), "the plan has no {from:?}");
        let plan = format!("{HEAD}{}", corpus.plan.replacen(&from, &to, 1));
        Ok(Case { plan, path, words })
    });
    let wrong = refused(&pair, cases.collect::<Result<_>>()?).await?;
    ensure!(
        wrong.is_empty(),
        "{} faults:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    let made = "select count(*) from pg_namespace where nspname like 'drover%'";
    assert_eq!(pair.app.number(made).await?, 0, "nothing is made");
    Ok(())
}

#[tokio::test]
async fn what_is_no_plan_at_all_is_refused_without_a_panic() -> Result<()> {
    let pair = Pair::new("", "").await?;
    let entity = |name: &str, more: &str| {
        format!(
            "- entity: {name}\n  source_entity: t\n  destination_entity: t\n  entity_type: t\n{more}  transformation_rules: {{n: [{{const: 1}}]}}\n"
        )
    };
    let deep = |open: &str, close: &str| {
        format!(
            "{HEAD}entities: {}{}",
            open.repeat(50_000),
            close.repeat(50_000)
        )
    };
    let aliases: String = (1..9)
        .map(|n| {
            format!(
                "l{n}: &l{n} [{}]\n",
                vec![format!("*l{}", n - 1); 9].join(", ")
            )
        })
        .collect();
    let circle: String = (0..50)
        .map(|n| {
            entity(
                &format!("e{n}"),
                &format!("  dependency_entities: [e{}]\n", (n + 1) % 50),
            )
        })
        .collect();
    let texts = [
        ("nothing", String::new(), ""),
        ("a comment", "# nothing\n".to_owned(), ""),
        ("a text", "just words".to_owned(), "mapping"),
        ("a number", "5".to_owned(), "mapping"),
        ("a list", "- a\n- b\n".to_owned(), "mapping"),
        (
            "two documents",
            format!("{HEAD}entities: []\n---\nversion: 1\n"),
            "",
        ),
        ("no entities", HEAD.to_owned(), "entities"),
        ("an empty list", format!("{HEAD}entities: []\n"), "entities"),
        ("open quotes", format!("{HEAD}entities: \"\n"), ""),
        ("open brackets", format!("{HEAD}entities: [[["), ""),
        ("tabs", format!("{HEAD}entities:\n\t- entity: x\n"), ""),
        (
            "wrong indents",
            format!("{HEAD}entities:\n- entity: x\n source_entity: y\n   z: 1\n"),
            "",
        ),
        ("broken JSON", "{\"version\": 1,, }".to_owned(), ""),
        ("brackets", deep("[", "]"), ""),
        ("braces", deep("{a: ", "}"), ""),
        (
            "quotes",
            format!("{HEAD}entities: {}", "'".repeat(100_001)),
            "",
        ),
        (
            "a long line",
            format!("{HEAD}entities: [{}]", "x, ".repeat(200_000)),
            "",
        ),
        (
            "too large",
            format!("{HEAD}# {}\n", "x".repeat(20 << 20)),
            "",
        ),
        (
            "aliases",
            format!("l0: &l0 x\n{aliases}{HEAD}entities: []\n"),
            "",
        ),
        (
            "an anchor in itself",
            format!("{HEAD}entities: &a [*a]\n"),
            "",
        ),
        ("an unknown alias", format!("{HEAD}entities: *nobody\n"), ""),
        (
            "a merge key",
            format!("{HEAD}entities: [{{<<: {{entity: x}}}}]\n"),
            "",
        ),
        (
            "a tag",
            format!("{HEAD}entities: !!python/object:os.system [x]\n"),
            "",
        ),
        ("a complex key", format!("{HEAD}? [a, b]\n: c\n"), ""),
        (
            "a control character",
            format!("{HEAD}entities: \"\\0\"\n"),
            "",
        ),
        ("a NUL byte", format!("{HEAD}entities: \0\n"), ""),
        (
            "a key that is null",
            format!("{HEAD}null: 1\nentities: []\n"),
            "",
        ),
        ("a circle", format!("{HEAD}entities:\n{circle}"), "e0"),
        (
            "no connection",
            format!(
                "{}entities:\n{}",
                HEAD.replace("connection: legacy", "connection: elsewhere"),
                entity("x", "")
            ),
            "elsewhere",
        ),
        (
            "a URL",
            format!(
                "{}entities:\n{}",
                HEAD.replace("connection: legacy", "connection: \"postgres://u:p@h/d\""),
                entity("x", "")
            ),
            "source.connection",
        ),
        (
            "another version",
            HEAD.replace("version: 1", "version: 99"),
            "version",
        ),
        (
            "a version of text",
            HEAD.replace("version: 1", "version: one"),
            "version",
        ),
        ("no name", HEAD.replace("name: pair\n", ""), "name"),
        (
            "a long name",
            HEAD.replace("name: pair", &format!("name: {}", "n".repeat(5000))),
            "name",
        ),
        (
            "no uuid",
            HEAD.replace("6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11", "me"),
            "namespace",
        ),
        (
            "a mode",
            HEAD.replace("mode: postgres", "mode: oracle"),
            "destination.mode",
        ),
        (
            "a type",
            HEAD.replace("full_migration", "half_migration"),
            "migration_type",
        ),
        (
            "a long entity",
            format!("{HEAD}entities:\n{}", entity(&"e".repeat(5000), "")),
            "entities[0].entity",
        ),
    ];
    let mut wrong = Vec::new();
    for (name, plan, words) in texts {
        let case = Case {
            plan,
            path: String::new(),
            words: words.to_owned(),
        };
        let found = refused(&pair, vec![case]).await?;
        wrong.extend(
            found
                .iter()
                .map(|found| format!("{name}: {}", found.chars().take(500).collect::<String>())),
        );
    }
    let latin = pair.write_as("latin.yaml", "")?;
    std::fs::write(&latin, [HEAD.as_bytes(), &b"entities: \xe9\n"[..]].concat())?;
    let absent = latin.replace("latin", "absent");
    for path in [latin.as_str(), absent.as_str(), "/"] {
        let outcome = drover::run(&["rules", "check", path], &pair.env()).await?;
        if outcome.code != Some(2) || outcome.stderr.contains("panicked") {
            wrong.push(format!("{path}: {:?} {}", outcome.code, outcome.stderr));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} faults:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}
