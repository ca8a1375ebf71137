//! What a process would say: its log and its metrics, of this thread alone.

use std::io;
use std::sync::{Arc, Mutex};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// Listens until it is dropped. A test must run on one thread.
pub(crate) struct Heard {
    lines: Lines,
    metrics: PrometheusHandle,
    _log: DefaultGuard,
    _recorder: metrics::LocalRecorderGuard<'static>,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl Heard {
    pub(crate) fn new() -> Self {
        let lines = Lines::default();
        let log = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(lines.clone())
            .finish();
        // One a test: it lives as long as the tests.
        let recorder: &'static PrometheusRecorder =
            Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        Self {
            metrics: recorder.handle(),
            _recorder: metrics::set_default_local_recorder(recorder),
            _log: tracing::subscriber::set_default(log),
            lines,
        }
    }

    /// How many lines of the log have all of these words in them.
    pub(crate) fn lines(&self, words: &[&str]) -> usize {
        let log = self.log();
        let says = |line: &&str| words.iter().all(|word| line.contains(word));
        log.lines().filter(says).count()
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }

    /// A sample of the metrics, `name{label="value"}`; 0 where there is none.
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let text = self.metrics.render();
        let sample = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(sample).unwrap_or(0)
    }
}
