//! What a process would say: its log and its metrics, of this thread alone.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

thread_local! {
    /// What this thread logs while somebody listens.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Listens until it is dropped. A test must run on one thread.
pub(crate) struct Heard {
    metrics: PrometheusHandle,
    _recorder: metrics::LocalRecorderGuard<'static>,
}

/// Where the log of every thread goes.
struct ThreadLog;

impl io::Write for ThreadLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| {
            if let Some(log) = log {
                log.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Heard {
    pub(crate) fn new() -> Self {
        static GLOBAL: Once = Once::new();
        // One for all threads: what a thread of its own would install, others may have been told not to call.
        GLOBAL.call_once(|| {
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(|| ThreadLog)
                .init();
        });
        LOG.set(Some(vec![]));
        // It lives as long as the tests.
        let recorder: &'static PrometheusRecorder =
            Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        Self {
            metrics: recorder.handle(),
            _recorder: metrics::set_default_local_recorder(recorder),
        }
    }

    /// How many lines of the log have all of these words in them.
    pub(crate) fn lines(&self, words: &[&str]) -> usize {
        let log = self.log();
        let says = |line: &&str| words.iter().all(|word| line.contains(word));
        log.lines().filter(says).count()
    }

    pub(crate) fn log(&self) -> String {
        let log = LOG.with_borrow(Clone::clone).unwrap_or_default();
        String::from_utf8(log).unwrap()
    }

    /// A sample of the metrics, `name{label="value"}`; 0 where there is none.
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let text = self.metrics.render();
        let sample = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(sample).unwrap_or(0)
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        LOG.set(None);
    }
}
