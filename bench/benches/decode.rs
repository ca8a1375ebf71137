//! `cargo bench -p bench --bench decode [-- EVENTS]`: what it costs to read a stored event, apart from everything else a
//! rebuild does. An event of today from the database's text, beside the same through a tree of its payload, and one
//! that takes a step.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::hint::black_box;

use anyhow::Context;
use domain::version::{Lineage, Payload, Step, Stored, Stream, TODAY, Table, shape, unchanged};

/// How many events are read for each number unless the command line says otherwise.
const EVENTS: u32 = 300_000;
/// How often each is measured; the quickest counts, because whatever disturbs makes it slower.
const ROUNDS: u32 = 7;

/// A payload as jsonb gives it: short names first.
const APPROVED: &str = r#"{"type": "Approved", "payid": 7, "amount": 10000, "bookid": 7, "status": "success-pay", "userid": 1, "currency": "KRW", "charge_no": 1, "spacename": "numberone", "gateway_ref": "pi_3MtwBwLkdIwHu7ix28a3tqPa"}"#;

/// Today's table after a change that only raised the version.
static RAISED: Table = Table(&[Stream {
    aggregate_type: "Payment",
    events: &[Lineage::now(
        "Approved",
        "2",
        &[Step::one("1", shape("Approved", "2"), unchanged)],
    )],
}]);

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let events = numbers.next().unwrap_or(EVENTS);
    let text = || anyhow::Ok(Payload::Text(black_box(APPROVED)));
    let tree = || Ok(Payload::Tree(serde_json::from_str(black_box(APPROVED))?));
    measure("of today, from its text", events, &TODAY, text)?;
    measure("of today, through a tree", events, &TODAY, tree)?;
    measure("of the version before", events, &RAISED, text)
}

fn measure<'a>(
    what: &str,
    events: u32,
    table: &Table,
    payload: impl Fn() -> anyhow::Result<Payload<'a>>,
) -> anyhow::Result<()> {
    let mut quickest = None;
    for _ in 0..ROUNDS {
        let began = local_postgres::testing::stopwatch();
        for _ in 0..events {
            let stored = Stored {
                aggregate_type: "Payment",
                event_type: "Approved",
                event_version: "1",
                payload: payload()?,
            };
            black_box(table.read(stored)?);
        }
        let took = began.elapsed() / events;
        quickest = Some(quickest.map_or(took, |quickest| took.min(quickest)));
    }
    let took = quickest.context("nothing was measured")?;
    println!("an event {what}: {} ns", took.as_nanos());
    Ok(())
}
