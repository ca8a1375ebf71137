//! How many lines, and what they hash to.

use ring::digest::{Context, SHA256};

/// Counts and hashes lines, each with its line end: what `sha256sum` says of them.
#[derive(Clone)]
pub(super) struct Tally {
    context: Context,
    /// How many lines.
    pub(super) lines: i64,
}

impl Tally {
    pub(super) fn new() -> Self {
        let context = Context::new(&SHA256);
        Self { context, lines: 0 }
    }

    pub(super) fn add(&mut self, line: &[u8]) {
        self.context.update(line);
        self.lines += 1;
    }

    pub(super) fn sha256(&self) -> Vec<u8> {
        self.context.clone().finish().as_ref().to_vec()
    }

    pub(super) fn hex(&self) -> String {
        hex(&self.sha256())
    }
}

/// The SHA-256 of one line.
pub(super) fn sha256_of(line: &[u8]) -> Vec<u8> {
    ring::digest::digest(&SHA256, line).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
