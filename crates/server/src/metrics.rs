//! `GET /metrics`: what the library and this server count, in Prometheus' text form.

use std::time::Duration;

use anyhow::{Context, Result};
use axum::{Extension, response::IntoResponse};
use http::{StatusCode, header::CONTENT_TYPE};
use metrics::{Unit, describe_histogram, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

const DURATION: &str = "keywright_http_request_duration_seconds";

/// From a verification in memory to the time that a request may take.
const BUCKETS: [f64; 14] = [
    0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// How often what was observed is summed up where nobody asks for it.
const UPKEEP: Duration = Duration::from_secs(5);

/// What records the metrics of this process.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs it; to be done before the library is opened, which describes its metrics then.
    pub(crate) fn install() -> Result<Self> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), &BUCKETS)
            .and_then(PrometheusBuilder::install_recorder)
            .context("metrics cannot be recorded")?;
        describe_histogram!(
            DURATION,
            Unit::Seconds,
            "From the head of a request to the beginning of its answer"
        );
        Ok(Self(recorder))
    }

    /// Sums up for ever: what was observed is kept one by one until then.
    pub(crate) async fn keep_up(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.0.run_upkeep();
        }
    }
}

/// Notes a request that was answered. The route is its template: no label holds what a client wrote.
pub(crate) fn answered(method: &'static str, route: &str, status: StatusCode, after: Duration) {
    let labels = [
        ("method", method.to_owned()),
        ("route", route.to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    histogram!(DURATION, &labels).record(after);
}

/// What is counted, for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "Server",
    description = "Needs no key, as Prometheus has none: it holds no id, no workspace, and nothing that a client wrote. Numbers of the library are up to a second old.",
    responses((
        status = 200,
        description = "Metrics in Prometheus' text form.",
        content_type = "text/plain",
        body = str,
    )),
)]
pub(crate) async fn metrics(Extension(Metrics(recorder)): Extension<Metrics>) -> impl IntoResponse {
    let form = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, form)], recorder.render())
}
