//! Spans for OpenTelemetry, where a collector is named by the variables that all programs share:
//! `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` (OTLP over HTTP, protobuf).
//! `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_BSP_…`,
//! `OTEL_EXPORTER_OTLP_HEADERS` and `OTEL_SDK_DISABLED` mean what OpenTelemetry's specification says.
//!
//! Without them no span is made at all. Spans have the target `span`, so that no log line shows
//! them; a collector that is away costs spans, never work.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer, Registry};

/// Variables that name a collector, the more particular first.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Target of all spans.
const TARGET: &str = "span";

/// Longest time to tell the collector of something.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time that the end of the program waits for what was not sent yet.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes spans beside the log lines.
pub(crate) type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TelemetryError {
    /// The variables contradict themselves.
    #[error("spans cannot be sent to {endpoint}: {source}; see the variables OTEL_EXPORTER_OTLP_…")]
    Exporter {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        source: ExporterBuildError,
    },
    /// The system's certificates cannot be read.
    #[error("spans cannot be sent: {0}")]
    Client(#[source] reqwest::Error),
}

/// What sends spans, until the program ends.
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Begins, if the environment says where to.
    ///
    /// # Errors
    /// The variables name no collector that can be.
    pub(crate) fn from_environment(runtime: &Handle) -> Result<Self, TelemetryError> {
        let given = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let disabled =
            given(&"OTEL_SDK_DISABLED").is_some_and(|it| it.eq_ignore_ascii_case("true"));
        let Some(endpoint) = ENDPOINTS.iter().find_map(given).filter(|_| !disabled) else {
            return Ok(Self { provider: None });
        };
        let client = reqwest::Client::builder()
            .timeout(SEND_TIMEOUT)
            .build()
            .map_err(TelemetryError::Client)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender { client, runtime: runtime.clone() })
            .build()
            .map_err(|source| TelemetryError::Exporter { endpoint, source })?;
        let mut resource = Resource::builder();
        if given(&"OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(env!("CARGO_PKG_NAME"));
        }
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
        Ok(Self { provider: Some(provider) })
    }

    /// What takes the spans, if anything does.
    pub(crate) fn layer(&self) -> Option<SpanLayer> {
        let tracer = self.provider.as_ref()?.tracer(env!("CARGO_PKG_NAME"));
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        let spans = Targets::new().with_target(TARGET, Level::INFO);
        Some(layer.with_filter(spans).boxed())
    }

    /// Sends what was not sent yet; the runtime must still run.
    pub(crate) fn end(self) {
        let Some(provider) = self.provider else { return };
        if let Err(error) = provider.shutdown_with_timeout(END_TIMEOUT) {
            tracing::warn!(%error, "the last spans were not sent: {error}");
        }
    }
}

/// Sends by our own runtime: the exporter waits in a thread that has none.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let answer = client.execute(request.try_into()?).await?;
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = answer.status();
            *response.headers_mut() = answer.headers().clone();
            *response.body_mut() = answer.bytes().await?;
            Ok(response)
        });
        sending.await?
    }
}
