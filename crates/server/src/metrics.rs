//! `GET /metrics`: the metrics of the library and the server, in the Prometheus text format.

use std::time::Duration;

use anyhow::{Context, Result};
use axum::{Extension, response::IntoResponse};
use http::{StatusCode, header::CONTENT_TYPE};
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::logging::Log;

const DURATION: &str = "keywright_http_request_duration_seconds";

const DROPPED_LINES: &str = "keywright_log_lines_dropped_total";

/// Bucket bounds in seconds: from a cached verification to the request timeout.
const BUCKETS: [f64; 14] = [
    0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// The time between two aggregations of observations, if no scrape causes them.
const UPKEEP: Duration = Duration::from_secs(5);

/// The metrics recorder of the process.
#[derive(Clone)]
pub(crate) struct Metrics {
    recorder: PrometheusHandle,
    log: Log,
}

impl Metrics {
    /// Installs the recorder. Call this before opening the library, which describes its metrics.
    pub(crate) fn install(log: Log) -> Result<Self> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(DURATION.to_owned()), &BUCKETS)
            .and_then(PrometheusBuilder::install_recorder)
            .context("could not install the metrics recorder")?;
        describe_histogram!(
            DURATION,
            Unit::Seconds,
            "Time from the head of a request to the start of its response"
        );
        describe_counter!(
            DROPPED_LINES,
            Unit::Count,
            "Log lines that were dropped, because the log was not read in time"
        );
        Ok(Self { recorder, log })
    }

    fn render(&self) -> String {
        counter!(DROPPED_LINES).absolute(self.log.dropped_lines());
        self.recorder.render()
    }

    /// Aggregates observations forever. The recorder keeps each observation until it does.
    pub(crate) async fn run_upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.recorder.run_upkeep();
        }
    }
}

/// Records a response. `route` is the template of the route: no label contains text of a client.
pub(crate) fn record_response(
    method: &'static str,
    route: &str,
    status: StatusCode,
    duration: Duration,
) {
    let labels = [
        ("method", method.to_owned()),
        ("route", route.to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    histogram!(DURATION, &labels).record(duration);
}

/// Metrics for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "Server",
    description = "Needs no key. The metrics contain no id, no workspace and no text of a client. The library's metrics are up to a second old.",
    responses((
        status = 200,
        description = "Metrics in the Prometheus text format.",
        content_type = "text/plain",
        body = str,
    )),
)]
pub(crate) async fn metrics(Extension(metrics): Extension<Metrics>) -> impl IntoResponse {
    let format = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, format)], metrics.render())
}
