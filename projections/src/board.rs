//! The board: everything that the people of a venue ask about its bookings, one row a booking.
//!
//! A booking is on the day of its use, by the clock of its venue. One without a time is used when it is booked, as in
//! the seed; nobody said where, so its day is one of UTC (docs/adr/0024).

use domain::payment::{PaymentStatus, RefundStatus};
use domain::terms::{Slot, Terms};
use domain::{Currency, Event, Phase, Status, book, payment, space, venue};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use journal::Recorded;

use crate::booking;
use crate::day::Day;
use crate::money::{Standing, shows_money};
use crate::progress;
use crate::projection::{Projection, Table, Unfit, row};
use crate::rows::Rows;

/// The time zone of a booking whose venue nobody defined.
const NOWHERE: &str = "UTC";

/// The projection.
pub(crate) static BOARD: Projection = Projection {
    name: "board",
    version: 2,
    tables: &[Table::state::<BoardRow>(booking::key).indexed_by(&[
        "btree (spacename, day, starts_at, bookid)",
        "btree (day, starts_at, bookid)",
        "btree (userid, day, starts_at, bookid)",
        "longer_than_a_day as btree (last_day, day) where last_day is not null",
        "to_prepare as btree (starts_at, bookid) where waits_for = 'preparation'",
        "to_come as btree (day, starts_at, bookid) where waits_for in ('preparation', 'arrival')",
        "not_moving as btree (waits_since, bookid) where waits_for in ('payment', 'registration', 'cancellation')",
        "going_back as btree (refund_since, bookid) where refund_since is not null",
        "owing as btree (bookid) where payment_status = 'outstanding'",
    ])],
    by_booking: true,
    fold,
};

row! {
    /// A booking as the people of its venue see it.
    pub struct BoardRow in board.bookings by (bookid) {
        /// The booking.
        pub bookid: i64,
        /// The user who booked.
        pub userid: Option<i64>,
        /// Which space; a name of more than 200 letters is cut, and told apart by a fingerprint.
        pub spacename: String,
        /// Which unit of it.
        pub unit: Option<i64>,
        /// From when; a booking without a time is used when it is booked.
        pub starts_at: Timestamp,
        /// Until when; none without a time.
        pub ends_at: Option<Timestamp>,
        /// How long, in minutes.
        pub minutes: i64,
        /// The time zone of the days.
        pub timezone: String,
        /// The first day of its use there.
        pub day: Day,
        /// The last day, if it is another one.
        pub last_day: Option<Day>,
        /// How far the booking is, in the words of all resources.
        pub phase: Phase,
        /// My Page's status.
        pub status: Status,
        /// The price, in minor units.
        pub amount: i64,
        /// The currency of all amounts.
        pub currency: Currency,
        /// How far the payment is.
        pub payment_status: PaymentStatus,
        /// How far refunds are.
        pub refund_status: RefundStatus,
        /// What the gateway captured, also late or twice.
        pub captured: i64,
        /// What went back.
        pub refunded: i64,
        /// What was asked beside the booking's own charge, and declined.
        pub outstanding: i64,
        /// Points that paid for it, less those that came back.
        pub points_spent: i64,
        /// Further charges without an outcome.
        pub unanswered: String,
        /// How many refunds are on their way.
        pub refunds_open: i64,
        /// Since when money is on its way back without a pause.
        pub refund_since: Option<Timestamp>,
        /// What must happen next: `payment`, `registration`, `preparation`, `arrival` or `cancellation`.
        pub waits_for: Option<String>,
        /// Since when it waits for that.
        pub waits_since: Timestamp,
        /// Who prepared it, or does.
        pub prepared_by: Option<String>,
        /// Who handed it over.
        pub handed_over_by: Option<String>,
        /// When the customer came.
        pub checked_in_at: Option<Timestamp>,
        /// When the customer left.
        pub checked_out_at: Option<Timestamp>,
        /// How many minutes after the end.
        pub overtime_minutes: i64,
        /// When it was booked.
        pub created_at: Timestamp,
        /// When something last happened to it.
        pub updated_at: Timestamp,
    }
}

fn fold(rows: &mut Rows, event: &Recorded) -> Result<(), Unfit> {
    let (bookid, at) = (booking::id(event)?, booking::at(event));
    if let Event::Book(booked @ book::Event::Booked { .. }) = &event.event {
        rows.add(made(bookid, booked, at)?)?;
    }
    let row: &mut BoardRow = rows.change(&[bookid].into())?;
    let progress = progress::after(row.phase, &event.event);
    row.phase = progress.phase;
    row.status = progress.mypage.unwrap_or(row.status);
    row.updated_at = row.updated_at.max(at);
    match &event.event {
        Event::Book(book::Event::Rescheduled { slot, price, .. }) => {
            row.amount = price.minor;
            row.takes_place(slot);
        }
        Event::Book(_) => {}
        Event::Payment(event) => row.pay(event, at)?,
        Event::Space(event) => row.note(event, at),
    }
    row.wait(at);
    Ok(())
}

/// The row of a booking that was just made.
fn made(bookid: i64, booked: &book::Event, at: Timestamp) -> Result<BoardRow, Unfit> {
    let book::Event::Booked {
        userid,
        spacename,
        status,
        price,
        slot,
        terms,
        ..
    } = booked
    else {
        return Err(Unfit("only Booked makes a row of the board".to_owned()));
    };
    let Standing {
        payment, refund, ..
    } = Standing::default();
    let mut row = BoardRow {
        bookid,
        userid: userid.map(|user| user.0),
        spacename: booking::short(spacename),
        unit: None,
        starts_at: at,
        ends_at: None,
        minutes: 0,
        timezone: timezone(terms.as_ref()),
        day: day_in(NOWHERE, at),
        last_day: None,
        phase: Phase::Placed,
        status: *status,
        amount: price.minor,
        currency: price.currency,
        payment_status: payment,
        refund_status: refund,
        captured: 0,
        refunded: 0,
        outstanding: 0,
        points_spent: 0,
        unanswered: String::new(),
        refunds_open: 0,
        refund_since: None,
        waits_for: None,
        waits_since: at,
        prepared_by: None,
        handed_over_by: None,
        checked_in_at: None,
        checked_out_at: None,
        overtime_minutes: 0,
        created_at: at,
        updated_at: at,
    };
    if let Some(slot) = slot {
        row.takes_place(slot);
    }
    Ok(row)
}

shows_money!(BoardRow);

impl BoardRow {
    fn takes_place(&mut self, slot: &Slot) {
        self.unit = slot.unit;
        (self.starts_at, self.ends_at) = (stored(slot.start), Some(stored(slot.end)));
        self.minutes = slot.minutes();
        self.day = day_in(&self.timezone, slot.start);
        // Up to the end, not including it: what ends at midnight does not reach the next day.
        let last = slot.end.checked_sub(SignedDuration::from_nanos(1));
        let last = day_in(&self.timezone, last.unwrap_or(slot.end));
        self.last_day = (last > self.day).then_some(last);
    }

    fn pay(&mut self, event: &payment::Event, at: Timestamp) -> Result<(), Unfit> {
        use payment::Event as E;
        self.take_in(event)?;
        self.refund_since = (self.refunds_open > 0).then(|| self.refund_since.unwrap_or(at));
        match event {
            E::PointsSpent { points, .. } => {
                self.points_spent = self.points_spent.saturating_add(*points);
            }
            E::PointsReturned { points, .. } => {
                self.points_spent = self.points_spent.saturating_sub(*points);
            }
            _ => {}
        }
        Ok(())
    }

    fn note(&mut self, event: &space::Event, at: Timestamp) {
        use space::Event as E;
        match event {
            E::PreparationStarted { by, .. } | E::Prepared { by, .. } => {
                self.prepared_by = Some(by.clone());
            }
            E::HandedOver { by, .. } => self.handed_over_by = Some(by.clone()),
            E::CheckedIn { .. } => self.checked_in_at = Some(at),
            E::CheckedOut {
                overtime_minutes, ..
            } => {
                self.checked_out_at = Some(at);
                self.overtime_minutes = i64::from(*overtime_minutes);
            }
            _ => {}
        }
    }

    /// What must happen next, by the phase.
    fn wait(&mut self, at: Timestamp) {
        let waits_for = match self.phase {
            Phase::Placed | Phase::PaymentPending => Some("payment"),
            Phase::Paid => Some("registration"),
            Phase::Registered | Phase::Preparing => Some("preparation"),
            Phase::Ready | Phase::HandedOver => Some("arrival"),
            Phase::Cancelling | Phase::Refunded => Some("cancellation"),
            Phase::InUse
            | Phase::Completed
            | Phase::NoShow
            | Phase::PaymentFailed
            | Phase::Expired
            | Phase::Cancelled => None,
        };
        if self.waits_for.as_deref() != waits_for {
            self.waits_for = waits_for.map(str::to_owned);
            self.waits_since = at;
        }
    }
}

fn timezone(terms: Option<&Terms>) -> String {
    terms.map_or_else(|| NOWHERE.to_owned(), |terms| terms.timezone.clone())
}

/// The day on which `at` is in a time zone. A zone that this program does not know is UTC.
fn day_in(timezone: &str, at: Timestamp) -> Day {
    let zone = venue::zone(timezone).unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).date().into()
}

/// A time as the database keeps it.
fn stored(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
