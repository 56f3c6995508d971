//! Traces for OpenTelemetry, sent by OTLP over HTTP to the collector of the settings: a span for
//! each request, as a child of the caller's span if `traceparent` was sent, and spans for its
//! parts. Spans contain routes, outcomes and ids, never texts that a person wrote. Without a
//! collector a span costs nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState, TracerProvider};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData};
use reqwest::redirect::Policy;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::config::Traces;

/// The target of every span; the log leaves it out.
pub const TARGET: &str = "traces";

/// The time limit for a whole batch.
const TIME: Duration = Duration::from_secs(10);

/// Logs once that the collector refuses traces, and once when it accepts them again. The library's
/// own log lines, which repeat its URL and its answer, are left out.
#[derive(Debug)]
struct Quiet {
    inner: SpanExporter,
    failing: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Quiet {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let outcome = self.inner.export(batch).await;
        match (
            self.failing.swap(outcome.is_err(), Ordering::Relaxed),
            &outcome,
        ) {
            (false, Err(OTelSdkError::Timeout(_))) => {
                tracing::warn!("the collector does not answer; traces are lost");
            }
            (false, Err(_)) => tracing::warn!("the collector refuses traces; they are lost"),
            (true, Ok(())) => tracing::info!("the collector accepts traces again"),
            (true, Err(_)) | (false, Ok(())) => {}
        }
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Sends finished spans to the collector.
#[derive(Debug, Clone)]
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Starts a thread that sends; returns `None` if no collector is set, and `Err` if its setting
    /// is invalid.
    pub fn start(settings: &Traces) -> Result<Option<Self>, String> {
        let Some(url) = &settings.url else {
            return Ok(None);
        };
        // As for all outgoing requests, redirects are not followed and proxies of the environment
        // are not used.
        let client = reqwest::blocking::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIME)
            .user_agent("countersign");
        let client = client.build().map_err(|e| e.to_string())?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_endpoint(url.as_str())
            .build()
            .map_err(|e| e.to_string())?;
        let resource = Resource::builder()
            .with_service_name("countersign")
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ));
        // Decided by the id of the trace alone, whatever else the caller sends. A caller who
        // chooses the id can still choose to be sampled.
        let sampler = Sampler::TraceIdRatioBased(settings.sample);
        Ok(Some(Self(
            SdkTracerProvider::builder()
                .with_batch_exporter(Quiet {
                    inner: exporter,
                    failing: AtomicBool::new(false),
                })
                .with_sampler(sampler)
                .with_resource(resource.build())
                .build(),
        )))
    }

    /// Returns the layer that passes spans to the exporter.
    pub fn layer<S: Subscriber + for<'s> LookupSpan<'s>>(&self) -> impl Layer<S> + use<S> {
        let layer = tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("countersign"))
            .with_location(false)
            .with_threads(false)
            .with_target(false);
        layer.with_filter(filter_fn(|metadata| {
            metadata.is_span() && metadata.target() == TARGET
        }))
    }

    /// Sends the remaining spans; waits a few seconds at most.
    pub fn stop(&self) {
        if self.0.shutdown().is_err() {
            tracing::warn!("the last traces were not sent");
        }
    }
}

/// Makes the span of a request a child of its caller's span.
pub fn adopt(span: &Span, headers: &HeaderMap) {
    if !span.is_disabled() {
        let caller = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        let caller = caller.span().span_context().clone();
        // Only the ids are used: `tracestate` is text of the caller.
        let caller = SpanContext::new(
            caller.trace_id(),
            caller.span_id(),
            caller.trace_flags(),
            true,
            TraceState::NONE,
        );
        // A span that has already begun keeps its parent.
        drop(span.set_parent(Context::new().with_remote_span_context(caller)));
    }
}
