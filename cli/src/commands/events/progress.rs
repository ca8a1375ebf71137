//! How far an export or import is, on stderr: a bar on a terminal, a line every few seconds elsewhere.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use journal::transfer::Progress;

use crate::output;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// What it looks like when the end is known, and when it is not.
const BAR: &str = "{prefix}: {msg} {wide_bar} {percent}%";
const SPINNER: &str = "{prefix}: {msg} {spinner}";

/// Tells people.
pub struct Told {
    name: &'static str,
    bar: Option<ProgressBar>,
    state: Mutex<State>,
}

struct State {
    said: Instant,
    /// What was there when the first events were counted: before it there was nothing to measure.
    first: Option<(Instant, i64)>,
}

impl Told {
    pub fn new(name: &'static str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
            bar.set_style(style(SPINNER));
            bar.set_prefix(name);
            bar
        });
        let said = output::stopwatch();
        Self {
            name,
            bar,
            state: Mutex::new(State { said, first: None }),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Told {
    fn moved(&self, events: i64, position: i64, last: i64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = output::stopwatch();
        let (since, then) = *state.first.get_or_insert((now, events));
        let millis = now.duration_since(since).as_millis();
        let rate = u128::from(events.abs_diff(then))
            .saturating_mul(1_000)
            .checked_div(millis);
        let rate = rate.map_or_else(|| "…".to_owned(), |rate| format!("{rate} events/s"));
        match &self.bar {
            Some(bar) => {
                if last > 0 && bar.length().is_none() {
                    bar.set_style(style(BAR));
                }
                if last > 0 {
                    bar.set_length(last.unsigned_abs());
                    bar.set_position(position.unsigned_abs());
                }
                bar.set_message(format!("{events} events, {rate}"));
            }
            None if now.duration_since(state.said) >= LINE_EVERY => {
                state.said = now;
                let of = if last > 0 {
                    format!(" of {last}")
                } else {
                    String::new()
                };
                output::say(&format!(
                    "{}: position {position}{of}, {events} events, {rate}",
                    self.name
                ));
            }
            None => {}
        }
    }

    fn remark(&self, line: &str) {
        let line = format!("{}: {line}", self.name);
        match &self.bar {
            Some(bar) => bar.suspend(|| output::say(&line)),
            None => output::say(&line),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
