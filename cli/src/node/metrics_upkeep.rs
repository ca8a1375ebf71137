//! The metrics recorder of the process, and the upkeep that it does not do by itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use journal::runtime::Runtime;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Without upkeep histograms grow for ever.
const EVERY: Duration = Duration::from_secs(5);

/// Latency buckets, in seconds.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// Installs the recorder; once a process.
pub fn install() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets(&BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .context("metrics cannot be recorded")
}

/// Keeps histograms small until cancelled.
pub async fn run(handle: PrometheusHandle, runtime: Arc<dyn Runtime>, stop: CancellationToken) {
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = runtime.sleep(EVERY) => handle.run_upkeep(),
        }
    }
}
