//! What a controller says to those who do not speak as agents do, and that nobody else minds; an agent's farewell.

use anyhow::{Context, Result, ensure};
use drover_tests::clinic::Clinic;
use drover_tests::cluster::Cluster;
use drover_tests::drover;
use proto::pb::agent_stream::agent_session_service_client::AgentSessionServiceClient;
use proto::pb::agent_stream::session_request::Frame;
use proto::pb::agent_stream::{Hello, Progress, SessionRequest};
use proto::wire::status::Refusal;
use tonic::Status;

/// The status and reason that a stream gets which begins with this frame.
async fn refusal(cluster: &Cluster, frame: Frame) -> Result<(Status, String)> {
    let address = format!("http://{}", cluster.address());
    let mut client = AgentSessionServiceClient::connect(address).await?;
    let request = SessionRequest { frame: Some(frame) };
    let status = client
        .session(futures::stream::iter([request]))
        .await
        .err()
        .context("the stream was taken")?;
    let reason = Refusal::of(&status).reason;
    Ok((status, reason))
}

#[tokio::test]
async fn strangers_are_refused_with_a_reason_and_the_others_work_on() -> Result<()> {
    let clinic = Clinic::new("0.01").await?;
    let cluster = Cluster::start(&[("eu-1", "eu")], clinic.env()).await?;
    let hello = Hello {
        protocol_version: 99,
        ..Hello::default()
    };
    let (status, reason) = refusal(&cluster, Frame::Hello(hello)).await?;
    ensure!(reason == "PROTOCOL_VERSION", "{status}");
    let (status, reason) = refusal(&cluster, Frame::Progress(Progress::default())).await?;
    ensure!(
        ["FRAME_INVALID", "HELLO_MISSING"].contains(&reason.as_str()),
        "{status}"
    );
    let large = Hello {
        agent_id: "x".repeat(64 << 20),
        ..Hello::default()
    };
    let (status, reason) = refusal(&cluster, Frame::Hello(large)).await?;
    ensure!(reason == "FRAME_INVALID", "{status}");
    cluster.until_agents(1).await?;
    let created = cluster
        .drover(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    ensure!(created.code == Some(0), "{}", created.stderr);
    Ok(())
}

#[tokio::test]
async fn an_agent_that_is_told_to_end_gives_everything_back_first() -> Result<()> {
    let calm = Clinic::new("0.5").await?;
    let outcome = drover::run(&["run", &calm.plan()], &calm.env()).await?;
    ensure!(outcome.code == Some(0), "{}", outcome.stderr);
    let clinic = calm.with_fresh_target().await?;
    clinic.edit_plan("batch_size: 20000", "batch_size: 200")?;
    let mut cluster = Cluster::start(&[("eu-1", "eu"), ("us-1", "us")], clinic.env()).await?;
    cluster
        .json(&["migration", "create", "-f", &clinic.plan()])
        .await?;
    cluster.json(&["migration", "start", "demo-clinic"]).await?;
    cluster.until_processed(5_000).await?;
    let code = cluster.agent("eu-1").stop().await?;
    ensure!(code == Some(0), "{code:?}\n{}", cluster.logs());
    cluster.until_completed().await?;
    let left_out: &[&str] = &["imported_at"];
    ensure!(clinic.digests(left_out).await? == calm.digests(left_out).await?);
    Ok(())
}
