//! Venues: reference data that commands decide on, beside the events (docs/adr/0021).
//!
//! A booking carries what was agreed to, so that a venue can change at any moment. Whoever books at that moment books
//! at the one version or at the other; the booking says at which.

use std::fmt;

use domain::BookId;
use domain::venue::{Definition, Span, Taken, Venue};
use jiff::SignedDuration;
use jiff_sqlx::ToSqlx;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::postgres::types::PgInterval;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Journal, Metadata, StoreError, Trace};

/// The columns of a venue, behind `from venues v`.
const COLUMNS: &str = "v.spacename, v.version, v.definition, v.retired,
    array(select u.unit from venue_units u where u.spacename = v.spacename and not u.closed order by u.unit_no) as units";

/// How many claims are looked at for one question about what is taken.
pub const CLAIMS_MAX: i64 = 20_000;

/// A venue that can be booked.
#[derive(Clone, Debug, PartialEq)]
pub struct Bookable {
    /// The venue.
    pub venue: Venue,
    /// The numbers of its units, as claims name them.
    pub units: Vec<i64>,
}

/// What is known of a name under which somebody books.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// Nobody defined it: a space as in the seed.
    Undefined,
    /// It was a venue, and takes no bookings any more.
    Retired,
    /// A venue.
    Venue(Box<Bookable>),
}

/// What a booking begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct NextBooking {
    /// Its number.
    pub bookid: BookId,
    /// Where it is.
    pub place: Place,
}

/// A change of a venue.
#[derive(Clone, Debug)]
pub struct Change {
    /// Happens once.
    pub command_id: Uuid,
    /// Where it comes from.
    pub trace: Trace,
    /// The versions of which the venue must have one; none is any.
    pub versions: Option<Vec<i64>>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// There is a venue where there was none.
    Defined {
        /// Of which version.
        version: i64,
    },
    /// It has another definition.
    Changed {
        /// The new version.
        version: i64,
    },
    /// It takes no bookings any more.
    Retired,
    /// There is one already.
    Exists {
        /// Its version.
        version: i64,
    },
    /// It has another version than was expected, or there is none.
    Other {
        /// Its version.
        version: Option<i64>,
    },
}

impl Journal {
    /// The number of the next booking, and what is known of the place that it names, in one round trip.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer, or the venue cannot be read.
    pub async fn next_booking(&self, spacename: &str) -> Result<NextBooking, StoreError> {
        let row = sqlx::query(&format!(
            "select nextval('book_ids') as bookid, {COLUMNS}
             from (values (1)) as one left join venues v on v.spacename = $1"
        ))
        .bind(spacename)
        .fetch_one(self.pool())
        .await?;
        Ok(NextBooking {
            bookid: BookId(row.try_get("bookid")?),
            place: place(&row)?,
        })
    }

    /// What is known of a place.
    ///
    /// # Errors
    /// As [`Self::next_booking`].
    pub async fn place(&self, spacename: &str) -> Result<Place, StoreError> {
        let row = sqlx::query(&format!(
            "select {COLUMNS} from (values (1)) as one left join venues v on v.spacename = $1"
        ))
        .bind(spacename)
        .fetch_one(self.pool())
        .await?;
        place(&row)
    }

    /// Venues in order of their names, from the `offset`th on, and how many there are in all.
    ///
    /// # Errors
    /// As [`Self::next_booking`].
    pub async fn venues(
        &self,
        offset: i64,
        limit: i64,
    ) -> Result<(Vec<Bookable>, i64), StoreError> {
        // `offset` may lie behind the last one: the count is asked for by itself.
        let rows = sqlx::query(&format!(
            "select n.total, {COLUMNS}
             from (select count(*) as total from venues where not retired) n
             left join lateral (
                 select * from venues where not retired order by spacename collate \"C\" limit $2 offset $1
             ) v on true
             order by v.spacename collate \"C\""
        ))
        .bind(offset)
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        let total = rows.first().map_or(Ok(0), |row| row.try_get("total"))?;
        let mut venues = Vec::with_capacity(rows.len());
        for row in &rows {
            if let Place::Venue(venue) = place(row)? {
                venues.push(*venue);
            }
        }
        Ok((venues, total))
    }

    /// Defines a venue, or changes the one of that name; `create`: only if there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; the same command id may be sent again.
    pub async fn save_venue(
        &self,
        definition: &Definition,
        create: bool,
        change: &Change,
    ) -> Result<Changed, StoreError> {
        let row = sqlx::query("select * from venue_save($1, $2, $3, $4, $5, $6, $7)")
            .bind(&definition.spacename)
            .bind(Json(definition))
            .bind(i32::try_from(definition.units).unwrap_or(i32::MAX))
            .bind(create)
            .bind(&change.versions)
            .bind(change.command_id)
            .bind(Json(self.said_of(change)))
            .fetch_one(self.pool())
            .await?;
        changed(&row)
    }

    /// Retires a venue: it takes no new bookings, and those it has go on.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer; the same command id may be sent again.
    pub async fn retire_venue(
        &self,
        spacename: &str,
        change: &Change,
    ) -> Result<Changed, StoreError> {
        let row = sqlx::query("select * from venue_retire($1, $2, $3, $4)")
            .bind(spacename)
            .bind(&change.versions)
            .bind(change.command_id)
            .bind(Json(self.said_of(change)))
            .fetch_one(self.pool())
            .await?;
        changed(&row)
    }

    fn said_of(&self, change: &Change) -> Metadata {
        Metadata::new(&change.trace, self.clock().now())
    }

    /// What of these units is taken within `span`, buffers included; what is taken twice with less than `room` between
    /// is taken once, because nobody could use the time between. Nothing when there are more claims than [`CLAIMS_MAX`]:
    /// then a shorter span must be asked for.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn taken(
        &self,
        units: &[i64],
        span: Span,
        room: SignedDuration,
    ) -> Result<Option<Vec<Taken>>, StoreError> {
        // Unit by unit: so the constraint's index finds them. Ranges that touch are joined: a gap that is just as long
        // as is needed must stay one.
        let rows = sqlx::query(
            "with claims as materialized (
                 select c.unit, c.during
                 from unnest($1::bigint[]) as u (unit)
                 cross join lateral (
                     select unit, during from slot_claims
                     where int8range(unit, unit, '[]') && int8range(u.unit, u.unit, '[]')
                       and during && tstzrange($2, $3)
                 ) c
                 limit $4 + 1
             ), joined as (
                 select unit, unnest(range_agg(tstzrange(lower(during), upper(during) + $5))) as during
                 from claims where (select count(*) from claims) <= $4
                 group by unit
             )
             select unit, lower(during) as starts, upper(during) - $5 as ends from joined
             union all select null, null, null from claims having count(*) > $4",
        )
        .bind(units)
        .bind(span.start.to_sqlx())
        .bind(span.end.to_sqlx())
        .bind(CLAIMS_MAX)
        .bind(PgInterval {
            months: 0,
            days: 0,
            microseconds: i64::try_from(room.as_micros()).map_or(0, |it| (it - 1).max(0)),
        })
        .fetch_all(self.questions())
        .await?;
        let mut taken = Vec::with_capacity(rows.len());
        for row in &rows {
            let Some(unit) = row.try_get("unit")? else {
                return Ok(None);
            };
            let (start, end): (jiff_sqlx::Timestamp, jiff_sqlx::Timestamp) =
                (row.try_get("starts")?, row.try_get("ends")?);
            taken.push(Taken {
                unit,
                start: start.to_jiff(),
                end: end.to_jiff(),
            });
        }
        Ok(Some(taken))
    }
}

/// A row of [`COLUMNS`], which are null where there is no venue.
fn place(row: &PgRow) -> Result<Place, StoreError> {
    let Some(version) = row.try_get::<Option<i64>, _>("version")? else {
        return Ok(Place::Undefined);
    };
    if row.try_get("retired")? {
        return Ok(Place::Retired);
    }
    let spacename: &str = row.try_get("spacename")?;
    let json: serde_json::Value = row.try_get("definition")?;
    // It was checked when it was stored: what cannot be read now was stored by a program that knows more.
    let unread = |why: &dyn fmt::Display| {
        StoreError::Newer(format!(
            "venue {spacename:?} says what this version cannot read: {why}"
        ))
    };
    let definition: Definition = serde_json::from_value(json).map_err(|error| unread(&error))?;
    let timezone = definition.timezone.clone();
    let venue = Venue::new(definition, version)
        .ok_or_else(|| unread(&format_args!("there is no time zone {timezone:?}")))?;
    let units = row.try_get("units")?;
    Ok(Place::Venue(Box::new(Bookable { venue, units })))
}

fn changed(row: &PgRow) -> Result<Changed, StoreError> {
    let version: i64 = row.try_get("version")?;
    Ok(match row.try_get("outcome")? {
        "defined" => Changed::Defined { version },
        "changed" => Changed::Changed { version },
        "retired" => Changed::Retired,
        "exists" => Changed::Exists { version },
        "other" => Changed::Other {
            version: (version > 0).then_some(version),
        },
        word => return Err(StoreError::unknown_word("venue_save or venue_retire", word)),
    })
}
