//! My Page: everything about a booking in one row, and its story, one line per event.

mod note;

use domain::{Currency, Event, Phase, Status, book, payment, space};
use jiff::Timestamp;
use journal::{Actor, Recorded};

use crate::booking;
use crate::money::refunded;
use crate::progress;
use crate::projection::{Projection, Table, Unfit, row};
use crate::rows::Rows;

/// The projection.
pub(crate) static MYPAGE: Projection = Projection {
    name: "mypage",
    version: 2,
    tables: &[
        Table::state::<MypageRow>(booking::key).indexed_by(&[
            "btree (userid, id)",
            // A name may be longer than a btree can hold, and must not stop the follower.
            "hash (spacename)",
            "btree (status, id)",
            "btree (phase, id)",
        ]),
        Table::log::<TimelineRow>(),
    ],
    by_booking: true,
    fold,
};

row! {
    /// A booking as `/mypages` shows it.
    pub struct MypageRow in mypage.mypages by (id) {
        /// Equals `bookid`, and so survives a rebuild.
        pub id: i64,
        /// The booking.
        pub bookid: i64,
        /// Whose it is.
        pub userid: Option<i64>,
        /// Which space.
        pub spacename: String,
        /// The registration, once there is one.
        pub spaceid: Option<i64>,
        /// The payment, once it was requested.
        pub payid: Option<i64>,
        /// The seed's status string.
        pub status: Status,
        /// How far the booking is, in the words of all resources.
        pub phase: Phase,
        /// The price, in minor units.
        pub amount: i64,
        /// The price's currency.
        pub currency: Currency,
        /// From when it is; a booking without a time has none.
        pub starts_at: Option<Timestamp>,
        /// Up to when.
        pub ends_at: Option<Timestamp>,
        /// What went back, in the same units.
        pub refunded: i64,
        /// Points that this booking earned, less those taken back.
        pub points: i64,
        /// What people should know: a refund that failed, money that came late or twice.
        pub attention: Option<String>,
        /// The last event that is in this row.
        pub position: i64,
        /// When it was booked.
        pub created_at: Timestamp,
        /// When something last happened to the booking.
        pub updated_at: Timestamp,
    }
}

row! {
    /// A line of a booking's story: what happened at one place in the journal, when, by whom.
    pub struct TimelineRow in mypage.timeline by (bookid, position) {
        /// The booking.
        pub bookid: i64,
        /// The event's place in the journal.
        pub position: i64,
        /// What happened: the event's name. The names of several, with commas, where one was recorded that is read
        /// as several today; they happened as one.
        pub event: String,
        /// When it happened.
        pub at: Timestamp,
        /// By whom: customer, manager or the system.
        pub actor_type: Actor,
        /// By whom exactly.
        pub actor_id: Option<String>,
        /// The journey that it belongs to.
        pub correlation_id: String,
        /// My Page's status after it.
        pub status: Status,
        /// The phase after it.
        pub phase: Phase,
        /// What there is to say about it.
        pub note: Option<String>,
    }
}

fn fold(rows: &mut Rows, event: &Recorded) -> Result<(), Unfit> {
    let bookid = booking::id(event)?;
    if let Event::Book(booked @ book::Event::Booked { .. }) = &event.event {
        rows.add(page(bookid, booked, event)?)?;
    }
    let row: &mut MypageRow = rows.change(&[bookid].into())?;
    let progress = progress::after(row.phase, &event.event);
    row.phase = progress.phase;
    row.status = progress.mypage.unwrap_or(row.status);
    row.position = event.position;
    row.updated_at = row.updated_at.max(booking::at(event));
    match &event.event {
        Event::Payment(event) => pay(row, event),
        Event::Space(space::Event::Registered { spaceid, .. }) => row.spaceid = Some(spaceid.0),
        Event::Book(book::Event::Rescheduled { price, slot, .. }) => {
            row.amount = price.minor;
            row.starts_at = Some(slot.start);
            row.ends_at = Some(slot.end);
        }
        Event::Book(_) | Event::Space(_) => {}
    }
    let (status, phase) = (row.status, row.phase);
    if event.part > 0 {
        let key = [bookid, event.position].into();
        if let Some(line) = rows.change_if_there::<TimelineRow>(&key)? {
            line.tell(event, status, phase);
            return Ok(());
        }
    }
    rows.add(TimelineRow {
        bookid,
        position: event.position,
        event: event.event_type.to_owned(),
        at: booking::at(event),
        actor_type: event.metadata.actor_type,
        actor_id: event.metadata.actor_id.clone(),
        correlation_id: event.metadata.correlation_id.clone(),
        status,
        phase,
        note: note::of(&event.event),
    })
}

impl TimelineRow {
    /// Adds what another part of the same row says. A position is one line: readers know a line by it.
    fn tell(&mut self, part: &Recorded, status: Status, phase: Phase) {
        self.event = format!("{}, {}", self.event, part.event_type);
        (self.status, self.phase) = (status, phase);
        self.note = match (self.note.take(), note::of(&part.event)) {
            (Some(before), Some(note)) => Some(format!("{before}; {note}")),
            (before, note) => before.or(note),
        };
    }
}

/// The page of a booking that was just made.
fn page(bookid: i64, booked: &book::Event, event: &Recorded) -> Result<MypageRow, Unfit> {
    let book::Event::Booked {
        userid,
        spacename,
        status,
        price,
        slot,
        ..
    } = booked
    else {
        return Err(Unfit(format!("{} makes no page", event.event_type)));
    };
    let at = booking::at(event);
    Ok(MypageRow {
        id: bookid,
        bookid,
        userid: userid.map(|user| user.0),
        spacename: spacename.clone(),
        spaceid: None,
        payid: None,
        status: *status,
        phase: Phase::Placed,
        amount: price.minor,
        currency: price.currency,
        starts_at: slot.map(|slot| slot.start),
        ends_at: slot.map(|slot| slot.end),
        refunded: 0,
        points: 0,
        attention: None,
        position: event.position,
        created_at: at,
        updated_at: at,
    })
}

/// What a payment's event changes beside status and phase.
fn pay(row: &mut MypageRow, event: &payment::Event) {
    use payment::Event as E;
    row.refunded = row.refunded.saturating_add(refunded(event));
    match event {
        E::PaymentRequested { payid, .. } => row.payid = Some(payid.0),
        E::PointsAccrued { points, .. } => row.points = row.points.saturating_add(*points),
        E::PointsClawedBack { points, .. } => row.points = row.points.saturating_sub(*points),
        E::RefundFailed { .. } => row.attention = Some("a refund failed and is tried again".into()),
        E::LateApproval { .. } => row.attention = Some("money came late and goes back".into()),
        E::DuplicateCharge { .. } => row.attention = Some("money came twice; one goes back".into()),
        E::Cancelled { .. } | E::PartiallyRefunded { .. } | E::SurplusRefunded { .. } => {
            row.attention = None;
        }
        E::ChargeDeclined { .. } => row.attention = Some("a further charge was declined".into()),
        E::Approved { .. }
        | E::PaymentDeclined { .. }
        | E::PaymentOutcomeUnknown { .. }
        | E::VoidRequested { .. }
        | E::PointsSpent { .. }
        | E::PointsReturned { .. }
        | E::ChargeRequested { .. }
        | E::ChargeApproved { .. }
        | E::RefundRequested { .. } => {}
    }
}
