//! Waits for the wish to stop: Ctrl-C or SIGTERM.

use anyhow::Context;
use journal::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled by the first signal, and by the second.
#[derive(Clone)]
pub struct Twice {
    /// Stop where it is best.
    pub asked: CancellationToken,
    /// Stop at once.
    pub insisted: CancellationToken,
}

/// Both signals, caught from the moment this exists.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Begins to catch the signals.
    pub fn catch() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("Ctrl-C cannot be caught")?,
            terminate: signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?,
        })
    }

    /// Returns when one of them came.
    pub async fn requested(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "Ctrl-C",
        }
    }

    /// Tokens of the first and the second one, also for work that keeps its thread; `heard` is told of the first.
    pub fn twice(
        mut self,
        runtime: &dyn Runtime,
        heard: impl FnOnce(&'static str) + Send + 'static,
    ) -> Twice {
        let twice = Twice {
            asked: CancellationToken::new(),
            insisted: CancellationToken::new(),
        };
        let Twice { asked, insisted } = twice.clone();
        runtime.spawn(Box::pin(async move {
            heard(self.requested().await);
            asked.cancel();
            self.requested().await;
            insisted.cancel();
        }));
        twice
    }

    /// A token that is cancelled when one of them comes: for work that must also ask between two awaits.
    pub fn token(mut self, runtime: &dyn Runtime) -> CancellationToken {
        let token = CancellationToken::new();
        let cancelled = token.clone();
        runtime.spawn(Box::pin(async move {
            self.requested().await;
            cancelled.cancel();
        }));
        token
    }
}
