//! Payments: one row per booking, shown once there is something to say about its money.
//!
//! The row is made when the booking is, because its phase follows the booking from there on; it gets a status,
//! and with it readers, when the customer is told to wait or the gateway has spoken.

use domain::payment::{PaymentStatus, RefundStatus};
use domain::{Currency, Event, Phase, Status, book, payment};
use jiff::Timestamp;
use journal::Recorded;

use crate::booking;
use crate::money::{Standing, shows_money};
use crate::progress;
use crate::projection::{Projection, Table, Unfit, row};
use crate::rows::Rows;

/// The projection.
pub(crate) static PAYMENTS: Projection = Projection {
    name: "payments",
    version: 3,
    tables: &[Table::state::<PaymentRow>(booking::key)
        .indexed_by(&["btree (userid, payid)"])
        .shown_when("status is not null")],
    by_booking: true,
    fold,
};

row! {
    /// A payment as `/payments` shows it.
    pub struct PaymentRow in payments.payments by (payid) {
        /// Its number; equals `bookid`.
        pub payid: i64,
        /// The booking.
        pub bookid: i64,
        /// Who pays.
        pub userid: Option<i64>,
        /// Which space.
        pub spacename: String,
        /// The seed's status string; a payment without one is not shown.
        pub status: Option<Status>,
        /// How far the booking is, in the words of all resources.
        pub phase: Phase,
        /// The price, in minor units.
        pub amount: i64,
        /// The price's currency.
        pub currency: Currency,
        /// What the gateway captured, also late or twice.
        pub captured: i64,
        /// What went back.
        pub refunded: i64,
        /// How far the payment is.
        pub payment_status: PaymentStatus,
        /// How far refunds are.
        pub refund_status: RefundStatus,
        /// What was asked beside the booking's own charge, and declined.
        pub outstanding: i64,
        /// Further charges without an outcome.
        pub unanswered: String,
        /// How many refunds are on their way.
        pub refunds_open: i64,
        /// The version of the Payment stream.
        pub version: i64,
        /// When the payment was requested.
        pub created_at: Timestamp,
        /// When something last happened to the booking, in whatever stream.
        pub updated_at: Timestamp,
    }
}

fn fold(rows: &mut Rows, event: &Recorded) -> Result<(), Unfit> {
    let (bookid, at) = (booking::id(event)?, booking::at(event));
    if let Event::Book(book::Event::Booked {
        userid,
        spacename,
        price,
        ..
    }) = &event.event
    {
        return rows.add(PaymentRow {
            payid: bookid,
            bookid,
            userid: userid.map(|user| user.0),
            spacename: spacename.clone(),
            status: None,
            phase: Phase::Placed,
            amount: price.minor,
            currency: price.currency,
            captured: 0,
            refunded: 0,
            payment_status: PaymentStatus::Awaiting,
            refund_status: RefundStatus::None,
            outstanding: 0,
            unanswered: String::new(),
            refunds_open: 0,
            version: 0,
            created_at: at,
            updated_at: at,
        });
    }
    let row: &mut PaymentRow = rows.change(&[bookid].into())?;
    let progress = progress::after(row.phase, &event.event);
    row.phase = progress.phase;
    row.status = progress.payment.or(row.status);
    row.updated_at = row.updated_at.max(at);
    if let Event::Book(book::Event::Rescheduled { price, .. }) = &event.event {
        row.amount = price.minor;
    }
    if let Event::Payment(payment) = &event.event {
        row.version = event.sequence;
        row.take_in(payment)?;
        if matches!(payment, payment::Event::PaymentRequested { .. }) {
            row.created_at = at;
        }
    }
    Ok(())
}

shows_money!(PaymentRow);
