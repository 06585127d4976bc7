//! Clients in other languages: the protocol they are generated from, and what they do with the answers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use drover_tests::clients::{Kind, ScriptedServer, buf, client, root, run_client};
use drover_tests::clinic::Clinic;
use drover_tests::cluster::Cluster;
use drover_tests::drover::{self, Outcome, finish};

const KINDS: [Kind; 2] = [Kind::Python, Kind::TypeScript];

fn plan() -> PathBuf {
    root().join("deploy/demo/plan.yaml")
}

#[tokio::test]
async fn buf_finds_nothing_to_say_about_the_protocol() -> Result<()> {
    for args in [&["lint"][..], &["format", "--diff", "--exit-code"]] {
        let outcome = buf(args).await?;
        assert_eq!(
            outcome.code,
            Some(0),
            "{}{}",
            outcome.stdout,
            outcome.stderr
        );
    }
    Ok(())
}

#[tokio::test]
async fn buf_sees_a_breaking_change() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let edited = folder.path().join("drover/v1");
    std::fs::create_dir_all(&edited)?;
    std::fs::copy(
        root().join("proto/buf.yaml"),
        folder.path().join("buf.yaml"),
    )?;
    for file in ["mapping.proto", "mapping_service.proto"] {
        let text = std::fs::read_to_string(root().join("proto/drover/v1").join(file))?;
        std::fs::write(
            edited.join(file),
            text.replace("entity = 2;", "entity = 22;"),
        )?;
    }
    let edited = folder.path().to_string_lossy();
    let outcome = buf(&["breaking", &edited, "--against", "."]).await?;
    assert_eq!(outcome.code, Some(100), "{}", outcome.stderr);
    let words = "field \"2\" with name \"entity\" on message \"LookupMappingRequest\" was deleted";
    ensure!(outcome.stdout.contains(words), "{}", outcome.stdout);
    Ok(())
}

#[test]
fn the_lock_file_of_the_typescript_client_names_no_registry() -> Result<()> {
    let lock = root().join("tests/clients/typescript/package-lock.json");
    let lock = std::fs::read_to_string(lock)?;
    assert!(!lock.contains("\"resolved\"") && !lock.contains("://"));
    Ok(())
}

#[tokio::test]
async fn each_client_has_a_real_cluster_migrate_what_one_process_migrates() -> Result<()> {
    let calm = Clinic::new("0.05").await?;
    let outcome = drover::run(&["run", &calm.plan()], &calm.env()).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    let expected = calm.digests(&["imported_at"]).await?;
    for kind in KINDS {
        let clinic = calm.with_fresh_target().await?;
        let agents = [("eu-1", "eu"), ("us-1", "us")];
        let cluster = Cluster::start(&agents, clinic.env()).await?;
        let plan = PathBuf::from(clinic.plan());
        let outcome = run_client(kind, &cluster.address(), &plan).await?;
        ensure!(
            outcome.code == Some(0) && outcome.stdout.contains("completed demo-clinic"),
            "{kind:?}: {}{}\n{}",
            outcome.stdout,
            outcome.stderr,
            cluster.logs()
        );
        ensure!(
            clinic.digests(&["imported_at"]).await? == expected,
            "{kind:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_scripted_server_leads_each_client_to_the_end() -> Result<()> {
    let run = async |kind| -> Result<Outcome> {
        let server = ScriptedServer::start("").await?;
        // Far below the deadline of its watch: a client ends with the stream.
        tokio::time::timeout(
            Duration::from_secs(120),
            run_client(kind, &server.address, &plan()),
        )
        .await?
    };
    for outcome in futures::future::try_join_all(KINDS.map(run)).await? {
        assert_eq!(
            outcome.code,
            Some(0),
            "{}{}",
            outcome.stdout,
            outcome.stderr
        );
        for words in [
            "NAME_TAKEN",
            "MIGRATION_NOT_FOUND",
            "event entity_completed visits",
            "visits: 100 read, 99 processed, 1 failed",
            "completed demo-clinic",
        ] {
            ensure!(
                outcome.stdout.contains(words),
                "{words}: {}",
                outcome.stdout
            );
        }
    }
    Ok(())
}

/// What a scripted server does wrong, and what a client says of it.
const FAULTS: [(&str, &str); 6] = [
    ("lost-row", "visits does not add up"),
    ("blocked", "RUNNING, not completed"),
    ("other-reason", "SOMETHING"),
    ("no-details", "refused with"),
    ("deleted", "the migration was deleted"),
    ("lasting", "dead"),
];

#[tokio::test]
async fn a_client_says_what_a_server_does_wrong() -> Result<()> {
    for kind in KINDS {
        let run = async |(fault, words): (&str, &str)| -> Result<()> {
            let server = ScriptedServer::start(fault).await?;
            let mut client = client(kind).await?;
            client
                .env("DROVER_ADDRESS", &server.address)
                .env("DROVER_PLAN", plan())
                .env(
                    "DROVER_WATCH_SECONDS",
                    if fault == "lasting" { "4" } else { "60" },
                );
            let outcome = finish(client.spawn()?).await?;
            let said = outcome.stderr.to_lowercase();
            assert_eq!(outcome.code, Some(1), "{kind:?} {fault}: {said}");
            ensure!(
                said.contains(&words.to_lowercase()),
                "{kind:?} {fault}: {said}"
            );
            Ok(())
        };
        futures::future::try_join_all(FAULTS.map(run)).await?;
    }
    Ok(())
}
