//! Makes a server far away: passes connections on with a delay each way, at full bandwidth.
//!
//!   delay-proxy LISTEN TARGET MILLISECONDS_EACH_WAY      delay-proxy 127.0.0.1:6000 127.0.0.1:5432 10

use std::time::Duration;

use anyhow::{Context, Result, bail};
use drover_tests::proxy::serve;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, target, delay] = args.as_slice() else {
        bail!("delay-proxy LISTEN TARGET MILLISECONDS_EACH_WAY");
    };
    let delay: f64 = delay.parse().context("MILLISECONDS_EACH_WAY")?;
    let delay = Duration::try_from_secs_f64(delay / 1000.0).context("MILLISECONDS_EACH_WAY")?;
    serve(listen, target.clone(), delay).await
}
