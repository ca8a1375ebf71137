//! What was seen, in lines.

use std::collections::VecDeque;

use jiff::Timestamp;
use journal::Latest;
use journal::status::Status;

use crate::commands::status::{Line, Tone, lines};

/// How many looks the curve of appended events goes back.
const RATES_MAX: usize = 40;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What one look found.
pub struct Seen {
    /// When it looked.
    pub at: Timestamp,
    /// How far everything was.
    pub status: Status,
    /// The newest events, newest first.
    pub latest: Vec<Latest>,
}

/// What is shown: the last look that found something, and how it was before.
pub struct View {
    seen: Seen,
    /// Positions a second from look to look, oldest first.
    rates: VecDeque<i64>,
    /// Why the last look found nothing.
    error: Option<String>,
}

impl View {
    pub fn new(seen: Seen) -> Self {
        Self {
            seen,
            rates: VecDeque::new(),
            error: None,
        }
    }

    /// Takes the next look in.
    pub fn see(&mut self, looked: anyhow::Result<Seen>) {
        match looked {
            Err(error) => self.error = Some(format!("{error:#}")),
            Ok(seen) => {
                self.error = None;
                self.rates.extend(rate(&self.seen, &seen));
                while self.rates.len() > RATES_MAX {
                    self.rates.pop_front();
                }
                self.seen = seen;
            }
        }
    }

    /// At most `height` lines; the newest events take what room there is.
    pub fn lines(&self, height: usize) -> Vec<Line> {
        let title = format!("spacerent   {}   q ends", in_seconds(self.seen.at));
        let mut all = vec![Line::new(Tone::Heading, &title)];
        if let Some(error) = &self.error {
            all.push(Line::new(
                Tone::Trouble,
                &format!("nothing was seen since: {error}"),
            ));
        }
        all.extend(lines(&self.seen.status));
        let appended = format!("appended: {} a second  {}", self.rate(), curve(&self.rates));
        all.push(Line::new(Tone::Plain, &appended));
        all.push(Line::new(
            Tone::Heading,
            &format!(
                "{:>10} {:<20} {:<24} stream",
                "position", "recorded", "event"
            ),
        ));
        all.extend(self.seen.latest.iter().map(event));
        all.truncate(height);
        all
    }

    /// All of it in one line.
    pub fn in_short(&self) -> String {
        let Seen { at, status, .. } = &self.seen;
        let at = in_seconds(*at);
        if let Some(error) = &self.error {
            return Line::new(
                Tone::Trouble,
                &format!("{at}  nothing was seen since: {error}"),
            )
            .text;
        }
        let parked: i64 = status.followers.iter().map(|f| f.parked).sum();
        let slowest = status.followers.iter().max_by_key(|f| f.lag_events);
        let slowest = slowest.map_or_else(String::new, |f| {
            format!("  slowest {} {} behind", f.name, f.lag_events)
        });
        let hole = status.hole.as_ref().map_or_else(String::new, |hole| {
            format!("  hole {}-{}", hole.first, hole.last)
        });
        format!(
            "{at}  head {}  {} a second{slowest}  parked {parked}  jobs {} due, {} for people{hole}",
            status.head,
            self.rate(),
            status.jobs.due,
            status.jobs.needs_attention
        )
    }

    fn rate(&self) -> i64 {
        self.rates.back().copied().unwrap_or(0)
    }
}

/// Positions a second between two looks; none when no time has passed.
fn rate(before: &Seen, after: &Seen) -> Option<i64> {
    let millis = after.at.as_millisecond() - before.at.as_millisecond();
    let appended = after.status.head.saturating_sub(before.status.head);
    (millis > 0).then(|| appended.max(0).saturating_mul(1_000) / millis)
}

fn curve(rates: &VecDeque<i64>) -> String {
    let highest = rates.iter().copied().max().unwrap_or(0).max(1);
    let bar = |rate: &i64| {
        let height = rate.saturating_mul(7) / highest;
        let height = usize::try_from(height).unwrap_or(0);
        BARS.get(height).copied().unwrap_or('█')
    };
    rates.iter().map(bar).collect()
}

fn event(event: &Latest) -> Line {
    let Latest {
        position,
        recorded_at,
        stream,
        event_type,
    } = event;
    let said = format!(
        "{position:>10} {:<20} {event_type:<24} {} {}",
        in_seconds(*recorded_at),
        stream.aggregate_type,
        stream.aggregate_id
    );
    Line::new(Tone::Plain, &said)
}

fn in_seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
