//! What came of a replay, for people.

use std::fmt::Write;

use projections::rebuild::{Dropped, Estimate, Report};

use super::Outcome;

pub fn of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Report(report) => of_report(report),
        Outcome::Estimate(estimate) => of_estimate(estimate),
        Outcome::Dropped(Dropped { dropped, .. }) => format!("{dropped}: dropped"),
        // Never asked for: it is JSON.
        Outcome::Booking(booking) => booking.projection.clone(),
    }
}

fn of_report(report: &Report) -> String {
    let done = match (report.verified, report.switched) {
        (true, true) => "verified and switched",
        (true, false) => "verified, not switched",
        (false, true) => "switched back",
        (false, false) => "not switched",
    };
    let mut text = format!(
        "{}: {} events, {} rows, {:.1} s ({} events/s); {done} at position {}",
        report.projection,
        report.events,
        report.rows,
        report.seconds,
        report.events_per_second,
        report.to_position,
    );
    if report.parked > 0 {
        let _ = write!(text, "; {} bookings are parked in it", report.parked);
    }
    if let Some(schema) = &report.schema {
        let _ = write!(text, "; in the schema {schema}");
        return text;
    }
    if let Some(seconds) = report.switch_lock_seconds {
        let _ = write!(
            text,
            ", readers held for {:.1} ms",
            seconds_to_millis(seconds)
        );
    }
    if report.compared {
        let total = report.differences_total;
        let _ = write!(text, "; {total} rows differed from the live ones");
    } else {
        text.push_str(
            "; not compared with the live rows, which are of another version or not as far",
        );
    }
    for difference in &report.differences {
        let _ = write!(
            text,
            "\n  {} {}: live {} rebuilt {}",
            difference.table, difference.key, difference.live, difference.rebuilt
        );
    }
    text
}

#[expect(clippy::float_arithmetic, reason = "for people to read; no money")]
fn seconds_to_millis(seconds: f64) -> f64 {
    seconds * 1_000.0
}

fn of_estimate(estimate: &Estimate) -> String {
    let sample = &estimate.sample;
    let mut text = format!(
        "{}: would read {} events up to position {}; nothing was changed\n",
        estimate.projection, estimate.events, estimate.to_position
    );
    for table in &estimate.tables {
        let _ = writeln!(
            text,
            "  {}: {} rows, {} kB live",
            table.table,
            table.rows,
            table.bytes / 1_000
        );
    }
    let _ = write!(
        text,
        "  about {:.1} s, between {:.1} and {:.1} s if the rest is like the sample \
         (the first {} events, {} rows: {:.2} s, {} events/s)",
        estimate.seconds,
        estimate.seconds_at_least,
        estimate.seconds_at_most,
        sample.events,
        sample.rows,
        sample.seconds,
        estimate.events_per_second
    );
    text
}
