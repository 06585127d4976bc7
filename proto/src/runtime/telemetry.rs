//! Logs for people and machines on stderr, and spans to an OTLP collector where one is asked for.
//!
//! `DROVER_LOG` filters the logs (default `warn`), `DROVER_LOG_FORMAT=json` makes them JSON lines.
//! Spans are exported when `OTEL_EXPORTER_OTLP_ENDPOINT`, its `_TRACES_` form or
//! `OTEL_TRACES_EXPORTER=otlp` is set; the other standard `OTEL_*` variables are honoured by the SDK,
//! which reads them from the process. Telemetry never blocks work and never fails it: the queue is
//! bounded, and a collector that is down costs one warning and a bounded wait at the end.

mod export;

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, filter};

use super::settings::Environment;

/// How long [`Telemetry::finish`] waits for the last spans to leave.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);

/// The exporter's own complaints are counted by [`export`], not printed.
const QUIET: [&str; 6] = [
    "opentelemetry",
    "opentelemetry_sdk",
    "opentelemetry_otlp",
    "tonic",
    "h2",
    "hyper_util",
];

/// What this process is, for the collector.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// `service.name`, where neither `OTEL_SERVICE_NAME` nor `OTEL_RESOURCE_ATTRIBUTES` says another.
    pub name: &'static str,
    /// `service.version`.
    pub version: &'static str,
}

/// Takes one log line at a time, line end included: stderr, or something that spares a progress bar.
pub type LogSink = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// Log lines to stderr, for processes that draw nothing there.
pub fn stderr() -> LogSink {
    Arc::new(|line| {
        // Nobody could be told.
        let _ = io::stderr().write_all(line);
    })
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `DROVER_LOG` is no filter.
    #[error("DROVER_LOG is not a log filter such as `info` or `warn,drover_agent=debug`")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// `DROVER_LOG_FORMAT` is unknown.
    #[error("DROVER_LOG_FORMAT is `{0}`; it can be `text` or `json`")]
    Format(String),
    /// A subscriber is there already.
    #[error("logs are set up twice in one process")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Keeps the export going; [`Telemetry::finish`] sends what is left.
#[derive(Debug)]
#[must_use = "spans are lost unless it is finished"]
pub struct Telemetry {
    provider: Option<SdkTracerProvider>,
    health: export::Health,
}

/// Sets up logs and, where asked for, spans of this process. Must be called once, inside a Tokio
/// runtime.
pub fn init(
    service: Service,
    environment: &Environment,
    sink: LogSink,
) -> Result<Telemetry, TelemetryError> {
    let logs = tracing_subscriber::fmt::layer().with_writer(move || LineWriter(sink.clone()));
    let logs = match environment.get("DROVER_LOG_FORMAT").unwrap_or("text") {
        "json" => logs.json().flatten_event(true).boxed(),
        "text" => logs.with_ansi(has_colour(environment)).boxed(),
        other => return Err(TelemetryError::Format(other.to_owned())),
    };
    let logs = logs.with_filter(log_filter(environment.get("DROVER_LOG").unwrap_or("warn"))?);

    let health = export::Health::default();
    let (provider, problem) = match wants_export(environment) {
        false => (None, None),
        true => match export::provider(service, environment, health.clone()) {
            Ok(provider) => (Some(provider), None),
            Err(problem) => (None, Some(problem)),
        },
    };
    // Our own spans only: those of libraries would drown them.
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(service.name))
            .with_threads(false)
            .with_filter(filter::Targets::new().with_target("drover", tracing::Level::DEBUG))
    });
    tracing_subscriber::registry()
        .with(spans)
        .with(logs)
        .try_init()
        .map_err(TelemetryError::Twice)?;
    if let Some(problem) = problem {
        tracing::warn!(%problem, "spans are not exported");
    }
    Ok(Telemetry { provider, health })
}

impl Telemetry {
    /// Sends the spans that are left, for at most a few seconds. Blocks its thread meanwhile.
    pub fn finish(self) {
        let Some(provider) = self.provider else {
            return;
        };
        let is_flushed = provider.shutdown_with_timeout(FLUSH_WITHIN).is_ok();
        let lost = self.health.lost_span_count();
        if lost > 0 {
            tracing::warn!(
                lost_span_count = lost,
                "the collector did not take all spans"
            );
        } else if !is_flushed {
            tracing::warn!("the collector did not answer in time; the last spans are lost");
        }
    }
}

/// Whether the standard variables ask for an export of spans.
fn wants_export(environment: &Environment) -> bool {
    if environment.is_true("OTEL_SDK_DISABLED") {
        return false;
    }
    match environment.get("OTEL_TRACES_EXPORTER") {
        Some(exporter) => exporter.split(',').any(|name| name.trim() == "otlp"),
        None => [
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ]
        .iter()
        .any(|name| environment.get(name).is_some()),
    }
}

/// The operator's filter, behind one that keeps the exporter's own libraries quiet.
fn log_filter(directives: &str) -> Result<EnvFilter, TelemetryError> {
    let quiet: Vec<String> = QUIET.iter().map(|target| format!("{target}=off")).collect();
    EnvFilter::builder()
        .parse(format!("{},{directives}", quiet.join(",")))
        .map_err(TelemetryError::Filter)
}

/// Whether a text is a log filter, such as a level.
pub fn is_filter(text: &str) -> bool {
    log_filter(text).is_ok()
}

/// The formatter writes an event in one piece.
struct LineWriter(LogSink);

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        (self.0)(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn has_colour(environment: &Environment) -> bool {
    std::io::stderr().is_terminal()
        && environment.get("NO_COLOR").is_none()
        && environment.get("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_exported_only_when_the_standard_variables_ask_for_it() {
        let wants = |variables: &[(&str, &str)]| {
            wants_export(&Environment::from_iter(variables.iter().copied()))
        };
        assert!(!wants(&[]));
        assert!(wants(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")]));
        assert!(wants(&[(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://c:4317"
        )]));
        assert!(wants(&[("OTEL_TRACES_EXPORTER", "otlp")]));
        assert!(!wants(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
            ("OTEL_TRACES_EXPORTER", "none")
        ]));
        assert!(!wants(&[
            ("OTEL_TRACES_EXPORTER", "otlp"),
            ("OTEL_SDK_DISABLED", "true")
        ]));
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        assert!(log_filter("warn,drover_agent=debug").is_ok());
        assert!(log_filter("drover=loud").is_err());
    }
}
