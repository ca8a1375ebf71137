//! Read models as they were: all of one in a schema of its own, or one booking's rows in memory.
//!
//! A moment is a position; a time names the last event that was recorded by then. What stands before that event
//! in the journal comes with it, also what another connection recorded a moment later.

use jiff::Timestamp;
use journal::feed::Item;
use journal::measure::{RecordedBy, recorded_by};
use journal::schema::connect_as_owner;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{Connection, PgConnection};

use super::report::{Report, json};
use super::run::{Run, lock};
use super::{Rebuilder, ReplayError, known};
use crate::generation;
use crate::projection::Projection;
use crate::rows::Rows;

/// When something was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After the event at this position.
    Position(i64),
    /// After the last event that was recorded by then.
    Time(Timestamp),
}

/// One booking's rows as they were.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BookingAsOf {
    /// Which projection.
    pub projection: String,
    /// Which booking.
    pub booking: i64,
    /// After the event at this position.
    pub to_position: i64,
    /// How many events the booking had by then.
    pub events: usize,
    /// Its rows, by table, in the order of keys.
    pub rows: Map<String, Value>,
    /// Where the booking was parked: its rows stand still from there on.
    pub parked: Option<ParkedAt>,
}

/// An event that could not be folded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ParkedAt {
    /// Its place in the journal.
    pub position: i64,
    /// Why it could not be folded.
    pub reason: String,
}

/// What was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Which projection.
    pub projection: String,
    /// The schema that is gone.
    pub dropped: String,
}

impl Rebuilder<'_> {
    /// Builds the whole read model as it was into a schema of its own, which replaces an earlier one of the same
    /// position. Nobody is switched to it.
    ///
    /// # Errors
    /// [`ReplayError`]; an earlier schema is then still there.
    pub async fn replay_as_of(&self, name: &str, moment: Moment) -> Result<Report, ReplayError> {
        let projection = known(name)?;
        let started = self.journal.clock().now();
        let last = self.position_of(moment).await?;
        let mut run = Run::begin(self.clone(), projection, Some(last)).await?;
        let built = run.build_as_of(last).await;
        let report = run.end(built).await?;
        Ok(report.took(started, self.journal.clock().now()))
    }

    /// Drops the schema that [`Rebuilder::replay_as_of`] made.
    ///
    /// # Errors
    /// [`ReplayError::NothingToDrop`], or why it cannot be dropped.
    pub async fn drop_as_of(&self, name: &str, moment: Moment) -> Result<Dropped, ReplayError> {
        let projection = known(name)?;
        let last = self.position_of(moment).await?;
        let schema = projection.schema_at(last);
        let (mut owner, _) = lock(self.owner_url, projection).await?;
        let found = generation::as_of_position(&mut owner, projection, last).await?;
        let found = found.ok_or_else(|| ReplayError::NothingToDrop(schema.clone()))?;
        generation::discard_as_of(&mut owner, projection, found.number, last).await?;
        owner.close().await?;
        Ok(Dropped {
            projection: name.to_owned(),
            dropped: schema,
        })
    }

    /// One booking's rows as they were. Folds its events in memory and stores nothing.
    ///
    /// # Errors
    /// [`ReplayError`] when the projection, the booking or the moment is not known.
    pub async fn booking_as_of(
        &self,
        name: &str,
        booking: i64,
        moment: Moment,
    ) -> Result<BookingAsOf, ReplayError> {
        let projection = known(name)?;
        if !projection.by_booking {
            return Err(ReplayError::NotByBooking(projection.name));
        }
        let position = self.position_of(moment).await?;
        let items = self
            .journal
            .of_booking(&booking.to_string(), position)
            .await?;
        if items.is_empty() {
            return Err(ReplayError::NoBooking { booking, position });
        }
        let events = items.len();
        let (rows, parked) = fold(projection, &items);
        let tables = projection.tables.iter().enumerate();
        let rows = tables.map(|(place, table)| {
            let rows = rows.changed(place).into_iter();
            let rows = rows.map(|row| json(table, &row.cells)).collect();
            (table.name.to_owned(), Value::Array(rows))
        });
        Ok(BookingAsOf {
            projection: name.to_owned(),
            booking,
            to_position: position,
            events,
            rows: rows.collect(),
            parked,
        })
    }

    /// The position of a moment that the feed has passed.
    pub(super) async fn position_of(&self, moment: Moment) -> Result<i64, ReplayError> {
        let watermark = self.journal.watermark().await?;
        match moment {
            Moment::Position(asked) => {
                let head = self.journal.head().await?;
                if !(1..=head).contains(&asked) {
                    return Err(ReplayError::NoPosition { asked, head });
                }
                if asked > watermark {
                    let first = watermark.saturating_add(1);
                    return Err(ReplayError::Held { first, last: asked });
                }
                Ok(asked)
            }
            Moment::Time(time) => {
                let mut owner = connect_as_owner(self.owner_url).await?;
                let found = last_by(&mut owner, time, watermark).await;
                owner.close().await?;
                found
            }
        }
    }
}

/// The last event that was recorded by `time`, of those up to the watermark.
async fn last_by(
    connection: &mut PgConnection,
    time: Timestamp,
    watermark: i64,
) -> Result<i64, ReplayError> {
    let RecordedBy {
        position,
        first,
        now,
    } = recorded_by(connection, time, watermark).await?;
    if time > now {
        let reason = format!("{time} is not over yet: the database's clock says {now}");
        return Err(ReplayError::NoMoment(reason));
    }
    position.ok_or_else(|| {
        ReplayError::NoMoment(match first {
            Some(first) => {
                format!("nothing was recorded by {time}; the first event is of {first}")
            }
            None => "nothing was recorded yet".to_owned(),
        })
    })
}

/// Folds what can be folded, as the follower does: from an event on that cannot be, the booking stands still.
fn fold(projection: &'static Projection, items: &[Item]) -> (Rows, Option<ParkedAt>) {
    let mut rows = Rows::new(projection);
    for (sound, item) in items.iter().enumerate() {
        let folded = match item {
            Item::Events { position, events } => events
                .iter()
                .try_for_each(|event| (projection.fold)(&mut rows, event))
                .map_err(|unfit| (*position, unfit.to_string())),
            Item::Unreadable(event) => Err((event.position, event.reason.clone())),
        };
        if let Err((position, reason)) = folded {
            // It may have changed rows before it failed: once more without it.
            let (rows, _) = fold(projection, items.get(..sound).unwrap_or_default());
            return (rows, Some(ParkedAt { position, reason }));
        }
    }
    (rows, None)
}
