//! The OTLP side: a tracer provider whose exporter counts what it loses instead of complaining.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use uuid::Uuid;

use super::{Environment, Service};

/// Time for one export, where `OTEL_EXPORTER_OTLP_TIMEOUT` says nothing.
const EXPORT_WITHIN: Duration = Duration::from_secs(5);

/// Why no exporter could be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error("OTEL_EXPORTER_OTLP_PROTOCOL is `{0}`; only `grpc` is supported")]
    Protocol(String),
    /// The endpoint may hold credentials, so the library's words are not repeated.
    #[error("the OTLP endpoint or its settings are not valid")]
    Build(#[source] ExporterBuildError),
}

/// What became of the exports so far. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    lost: Arc<AtomicU64>,
}

impl Health {
    pub(super) fn lost_span_count(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// A provider that exports in batches from a thread of its own.
pub(super) fn provider(
    service: Service,
    environment: &Environment,
    health: Health,
) -> Result<SdkTracerProvider, ExportError> {
    let protocol = environment
        .get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        .or_else(|| environment.get("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if let Some(other) = protocol.filter(|name| *name != "grpc") {
        return Err(ExportError::Protocol(other.to_owned()));
    }
    let builder = OtlpExporter::builder().with_tonic();
    let has_timeout = [
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    ]
    .iter()
    .any(|name| environment.get(name).is_some());
    let builder = if has_timeout {
        builder
    } else {
        builder.with_timeout(EXPORT_WITHIN)
    };
    let exporter = builder.build().map_err(ExportError::Build)?;
    Ok(SdkTracerProvider::builder()
        .with_resource(resource(service, environment))
        .with_batch_exporter(Counting { exporter, health })
        .build())
}

/// Ours first, so that `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win.
fn resource(service: Service, environment: &Environment) -> Resource {
    let given = environment
        .get("OTEL_RESOURCE_ATTRIBUTES")
        .unwrap_or_default();
    let is_given = |key: &str| {
        given
            .split(',')
            .any(|pair| pair.split('=').next().map(str::trim) == Some(key))
    };
    let ours = [
        ("service.name", service.name.to_owned()),
        ("service.namespace", "drover".to_owned()),
        ("service.version", service.version.to_owned()),
        ("service.instance.id", Uuid::new_v4().to_string()),
    ];
    Resource::builder()
        .with_attributes(
            ours.into_iter()
                .filter(|(key, _)| !is_given(key))
                .map(|(key, value)| KeyValue::new(key, value)),
        )
        .build()
}

/// The exporter, with its failures counted and said once.
#[derive(Debug)]
struct Counting {
    exporter: OtlpExporter,
    health: Health,
}

impl SpanExporter for Counting {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let span_count = batch.len() as u64;
        let result = self.exporter.export(batch).await;
        if result.is_err() && self.health.lost.fetch_add(span_count, Ordering::Relaxed) == 0 {
            tracing::warn!("the collector of spans does not answer; work goes on without it");
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: Service = Service {
        name: "drover-cli",
        version: "0.1.0",
    };

    #[test]
    fn the_operators_names_win_over_ours() {
        let name = |variables: &[(&str, &str)]| {
            let environment = Environment::from_iter(variables.iter().copied());
            resource(SERVICE, &environment)
                .get(&"service.version".into())
                .map(|value| value.to_string())
        };
        assert_eq!(name(&[]), Some("0.1.0".to_owned()));
        assert_eq!(
            name(&[("OTEL_RESOURCE_ATTRIBUTES", "a=b, service.version=9")]),
            None
        );
    }

    #[test]
    fn a_protocol_that_we_do_not_speak_is_said() {
        let environment =
            Environment::from_iter([("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
        let error = provider(SERVICE, &environment, Health::default()).unwrap_err();
        assert!(error.to_string().contains("only `grpc`"), "{error}");
    }
}
