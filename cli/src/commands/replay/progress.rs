//! How far a rebuild is, on stderr: a bar on a terminal, a line every few seconds elsewhere.
//!
//! The bar is taken away before anything else is written, so that it hides nothing.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use projections::rebuild::{Progress, Stage};

use crate::output;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// How often the bar is drawn at least.
const TICK: Duration = Duration::from_millis(200);
/// What the bar looks like; `msg` is the stage, and the figures below.
const TEMPLATE: &str = "{prefix}: {msg} {wide_bar} {percent}%";

/// Tells people.
pub struct Told {
    name: String,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

/// What the figures are reckoned from.
struct State {
    stage: Stage,
    begun: Instant,
    said: Instant,
    /// Where the first batch ended, and how many events it had: before it there was nothing to measure.
    first: Option<(Instant, u64, i64)>,
}

impl Told {
    pub fn new(name: &str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
            let style = ProgressStyle::with_template(TEMPLATE);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(name.to_owned());
            // What comes too soon after the last picture is not drawn; without a tick it would never be.
            bar.enable_steady_tick(TICK);
            bar
        });
        let now = output::stopwatch();
        Self {
            name: name.to_owned(),
            bar,
            state: Mutex::new(State {
                stage: Stage::Fill,
                begun: now,
                said: now,
                first: None,
            }),
        }
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        let line = format!("{}: {line}", self.name);
        match &self.bar {
            Some(bar) => bar.suspend(|| output::say(&line)),
            None => output::say(&line),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Told {
    fn stage(&self, stage: Stage) {
        let mut state = self.state();
        state.stage = stage;
        state.first = None;
        match &self.bar {
            Some(bar) => bar.set_message(stage.as_str()),
            // Short work is told by its result alone.
            None if state.begun.elapsed() >= LINE_EVERY => {
                state.said = output::stopwatch();
                output::say(&format!("{}: {}", self.name, stage.as_str()));
            }
            None => {}
        }
    }

    fn filled(&self, events: u64, position: i64, last: i64) {
        let mut state = self.state();
        let now = output::stopwatch();
        let (since, events_then, position_then) =
            *state.first.get_or_insert((now, events, position));
        let figures = figures(
            now.duration_since(since),
            events.saturating_sub(events_then),
            position.abs_diff(position_then),
            last.abs_diff(position),
        );
        let stage = state.stage.as_str();
        match &self.bar {
            Some(bar) => {
                bar.set_length(last.unsigned_abs());
                bar.set_position(position.unsigned_abs());
                bar.set_message(format!("{stage}, {events} events, {figures}"));
            }
            None if now.duration_since(state.said) >= LINE_EVERY => {
                state.said = now;
                output::say(&format!(
                    "{}: {stage}, position {position} of {last}, {events} events, {figures}",
                    self.name
                ));
            }
            None => {}
        }
    }

    fn remark(&self, remark: &str) {
        self.say(remark);
    }
}

/// How fast it is, and how long the rest takes at this rate, once there is a rate.
fn figures(took: Duration, events: u64, done: u64, rest: u64) -> String {
    match left(took, done, rest) {
        Some(left) => format!(
            "{} events/s, {} s left",
            per_second(events, took),
            left.as_secs()
        ),
        None => String::from("…"),
    }
}

fn per_second(events: u64, took: Duration) -> u128 {
    u128::from(events)
        .saturating_mul(1_000)
        .checked_div(took.as_millis())
        .unwrap_or(0)
}

/// How long the rest takes at the rate so far; `None` before there is one.
fn left(took: Duration, done: u64, rest: u64) -> Option<Duration> {
    let millis = took.as_millis().saturating_mul(u128::from(rest));
    let millis = millis.checked_div(u128::from(done))?;
    Some(Duration::from_millis(
        u64::try_from(millis).unwrap_or(u64::MAX),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_told_once_there_is_one() {
        let second = Duration::from_secs(1);
        assert_eq!(figures(Duration::ZERO, 0, 0, 90_000), "…");
        assert_eq!(figures(second, 0, 0, 90_000), "…");
        // Half of these positions are other followers' or dead.
        assert_eq!(
            figures(second * 2, 10_000, 20_000, 90_000),
            "5000 events/s, 9 s left"
        );
        assert_eq!(
            figures(second, 10_000, 10_000, 0),
            "10000 events/s, 0 s left"
        );
    }
}
