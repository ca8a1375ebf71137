//! What both journals must do.

pub mod claims;
pub mod commands;
pub mod feed;
pub mod followers;
pub mod groups;
pub mod jobs;
pub mod moves;
pub mod points;
pub mod slices;
pub mod versions;

use cqrs_es::persist::SerializedEvent;
use journal::append::{Answer, Outcome};
use journal::store::NotAppended;
use journal::{StoreError, StreamId};

use crate::stage::Stage;

/// The versions of these streams: aggregate type, booking, version; none of a stream that is not there.
async fn versions(stage: &impl Stage, streams: &[(&str, i64)]) -> Vec<i64> {
    let mut versions = vec![];
    for (aggregate_type, key) in streams {
        let stream = StreamId::new(aggregate_type, key);
        let rows = stage.store().stream(&stream).await.unwrap();
        let sequences: Vec<usize> = rows.iter().map(|row| row.sequence).collect();
        assert_eq!(sequences, Vec::from_iter(1..=rows.len()), "{stream:?}");
        versions.push(i64::try_from(rows.len()).unwrap());
    }
    versions
}

/// The units that the last events of these bookings name; none of one that is not there.
async fn units(stage: &impl Stage, bookings: &[i64]) -> Vec<Option<i64>> {
    let mut units = vec![];
    for key in bookings {
        let rows = stage.store().stream(&StreamId::new("Book", key)).await;
        let last = rows.unwrap().pop();
        let unit = |row: SerializedEvent| row.payload.pointer("/slot/unit")?.as_i64();
        units.push(last.and_then(unit));
    }
    units
}

fn answer(outcome: Result<Outcome, StoreError>) -> Answer {
    match outcome {
        Ok(Outcome::Stored(answer) | Outcome::Already(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

fn is_stored(outcome: &Result<Outcome, StoreError>) -> bool {
    matches!(outcome, Ok(Outcome::Stored(_)))
}

/// Whether a group failed because a member won only part, and of a slot.
fn is_half(outcome: &Result<Vec<Outcome>, NotAppended>, of_a_slot: bool) -> bool {
    matches!(outcome, Err(NotAppended::Half { taken }) if *taken == of_a_slot)
}
