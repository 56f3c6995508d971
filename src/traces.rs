//! Traces for OpenTelemetry, sent by OTLP over HTTP to the collector that the settings name: a span
//! for each request, under its caller's where `traceparent` came along, and what takes its time
//! inside. Routes, outcomes and ids; never what a person wrote. Without a collector a span costs
//! nothing.

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

/// The target of every span, which the log leaves out.
pub const TARGET: &str = "traces";

/// For the whole of a batch.
const TIME: Duration = Duration::from_secs(10);

/// Says in our own words that a collector takes nothing, once until it does again. The library's
/// lines, which the log leaves out, repeat its address and its answer.
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
            (false, Err(_)) => tracing::warn!("the collector does not take traces; they are lost"),
            (true, Ok(())) => tracing::info!("the collector takes traces again"),
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

/// Sends what is made.
#[derive(Debug, Clone)]
pub struct Exporter(SdkTracerProvider);

impl Exporter {
    /// Starts a thread that sends; `None` where no collector is named. `Err`: what is wrong with
    /// it.
    pub fn start(settings: &Traces) -> Result<Option<Self>, String> {
        let Some(url) = &settings.url else {
            return Ok(None);
        };
        // As every request of this program: no redirect is followed, no proxy of the environment
        // asked.
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
        // By the trace's id alone, whatever else the caller says; who chooses the id can still
        // choose to be kept.
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

    /// What hands our spans over to it.
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

    /// Sends the rest, for some seconds at most.
    pub fn stop(&self) {
        if self.0.shutdown().is_err() {
            tracing::warn!("the last traces were not sent");
        }
    }
}

/// The span of a request becomes a part of its caller's trace.
pub fn adopt(span: &Span, headers: &HeaderMap) {
    if !span.is_disabled() {
        let caller = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        let caller = caller.span().span_context().clone();
        // The ids alone: `tracestate` is words of the caller's.
        let caller = SpanContext::new(
            caller.trace_id(),
            caller.span_id(),
            caller.trace_flags(),
            true,
            TraceState::NONE,
        );
        // A span that has begun already stays where it is.
        drop(span.set_parent(Context::new().with_remote_span_context(caller)));
    }
}
