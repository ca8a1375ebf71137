//! The metrics recorder of the process, the upkeep that it does not do by itself, and what is counted in the
//! database rather than on the way.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use domain::order::{CHARGE_JOB, FIRST_CHARGE_ENDS};
use journal::Journal;
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

/// Keeps histograms small, and counts what waits for money, until cancelled.
pub async fn run(
    handle: PrometheusHandle,
    journal: Journal,
    runtime: Arc<dyn Runtime>,
    stop: CancellationToken,
) {
    let upkeep = async {
        loop {
            handle.run_upkeep();
            show_pending(&journal).await;
            runtime.sleep(EVERY).await;
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = upkeep => {}
    }
}

/// Of the whole cluster; each process shows the same. A count that cannot be taken leaves the last one.
async fn show_pending(journal: &Journal) {
    match journal
        .open_jobs_ending(CHARGE_JOB, FIRST_CHARGE_ENDS)
        .await
    {
        Ok(count) => metrics::gauge!("pending_payments")
            .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX))),
        Err(error) => tracing::debug!(%error, "what waits for money cannot be counted"),
    }
}
