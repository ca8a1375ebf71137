//! The order saga: given what was seen, when this is seen, then that must happen.
//!
//! This file has the words, the saga's table row by row and what becomes of bookings that run out; the races
//! are in `order_race_tests.rs`. What the aggregates make of an intent is not played here but in the
//! simulation of `tests/properties`.

use super::{Due, Intent, Order, Stage};
use crate::payment::Purpose;
use crate::status::Status;
use crate::value::{BookId, Money, UserId};
use crate::{Command, Event, book, payment, space};

const BOOK: BookId = BookId(7);
const CUSTOMER: Option<UserId> = Some(UserId(1));
const PRICE: Money = Money::krw(10_000);
/// What the policy gives back when the booking is cancelled: not the price, so that they are told apart.
const QUOTE: Money = Money::krw(4_000);

/// A saga that has seen some events.
struct Given(Order);

/// What one more event led to.
struct Then(Order, Vec<Intent>);

fn given(events: impl IntoIterator<Item = Event>) -> Given {
    let mut order = Order::default();
    for event in events {
        order.react(BOOK, &event);
    }
    Given(order)
}

impl Given {
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a test reads as a sentence: when(approved())"
    )]
    fn when(mut self, event: Event) -> Then {
        let intents = self.0.react(BOOK, &event);
        Then(self.0, intents)
    }
}

impl Then {
    fn then<const N: usize>(self, stage: Stage, intents: [Intent; N]) {
        assert_eq!(self.1, Vec::from(intents));
        assert_eq!(self.0.stage, stage);
    }
}

fn booked() -> Event {
    Event::Book(book::Event::Booked {
        bookid: BOOK,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        status: Status::Booking,
        price: PRICE,
        held_until: None,
        slot: None,
        terms: None,
    })
}

fn deferred(sent: bool) -> Event {
    Event::Book(book::Event::PaymentDeferred {
        bookid: BOOK,
        status: Status::Timeout,
        reason: "the breaker is open".to_owned(),
        sent,
    })
}

fn book_confirmed() -> Event {
    Event::Book(book::Event::BookConfirmed {
        bookid: BOOK,
        status: Status::SuccessRegister,
    })
}

fn book_rejected() -> Event {
    Event::Book(book::Event::BookRejected {
        bookid: BOOK,
        status: Status::PayFailed,
        reason: "no funds".to_owned(),
    })
}

fn book_expired() -> Event {
    Event::Book(book::Event::BookExpired {
        bookid: BOOK,
        status: Status::Expired,
    })
}

fn book_cancelled() -> Event {
    Event::Book(book::Event::Bookcancelled {
        bookid: BOOK,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        status: Status::CancelBooking,
        refund: QUOTE,
        reason: None,
        refund_percent: None,
    })
}

fn book_closed() -> Event {
    Event::Book(book::Event::BookClosed {
        bookid: BOOK,
        status: Status::CancelRegister,
        outcome: book::Outcome::Cancelled,
    })
}

fn requested() -> Event {
    Event::Payment(payment::Event::PaymentRequested {
        payid: BOOK,
        bookid: BOOK,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        price: PRICE,
        charge_no: 1,
        idempotency_key: "charge:7:1".to_owned(),
        points_rate: None,
    })
}

fn approved() -> Event {
    Event::Payment(payment::Event::Approved {
        payid: BOOK,
        bookid: BOOK,
        userid: CUSTOMER,
        status: Status::SuccessPay,
        spacename: "numberone".to_owned(),
        captured: PRICE,
        charge_no: 1,
        gateway_ref: "tx-1".to_owned(),
    })
}

fn declined() -> Event {
    Event::Payment(payment::Event::PaymentDeclined {
        payid: BOOK,
        status: Status::PayFailed,
        charge_no: 1,
        code: "card".to_owned(),
        message: "no funds".to_owned(),
    })
}

fn refund_requested(refund_no: u32, purpose: Purpose) -> Event {
    Event::Payment(payment::Event::RefundRequested {
        payid: BOOK,
        refund_no,
        refund: QUOTE,
        purpose,
        gateway_ref: "tx-1".to_owned(),
        idempotency_key: format!("refund:7:{refund_no}"),
        reason: "rain".to_owned(),
    })
}

fn payment_cancelled() -> Event {
    Event::Payment(payment::Event::Cancelled {
        payid: BOOK,
        bookid: BOOK,
        userid: CUSTOMER,
        status: Status::CancelPay,
        spacename: "numberone".to_owned(),
        refund: QUOTE,
        fee: 6_000,
        voided: false,
    })
}

fn late_approval() -> Event {
    Event::Payment(payment::Event::LateApproval {
        payid: BOOK,
        charge_no: 1,
        captured: PRICE,
        gateway_ref: "tx-2".to_owned(),
    })
}

fn registered() -> Event {
    Event::Space(space::Event::Registered {
        spaceid: BOOK,
        payid: BOOK,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        status: Status::SuccessRegister,
        bookid: BOOK,
        no_show_grace_minutes: None,
        slot: None,
    })
}

fn registration_refused() -> Event {
    Event::Space(space::Event::RegistrationRefused {
        spaceid: BOOK,
        bookid: BOOK,
        reason: "closed for repairs".to_owned(),
    })
}

fn handed_over() -> Event {
    Event::Space(space::Event::HandedOver {
        spaceid: BOOK,
        status: Status::Delivered,
        method: space::Method::Key,
        by: "Kim".to_owned(),
    })
}

fn checked_in() -> Event {
    Event::Space(space::Event::CheckedIn {
        spaceid: BOOK,
        status: Status::InUse,
        by: None,
    })
}

fn checked_out() -> Event {
    Event::Space(space::Event::CheckedOut {
        spaceid: BOOK,
        status: Status::Completed,
        overtime_minutes: 0,
        by: None,
    })
}

fn no_show() -> Event {
    Event::Space(space::Event::NoShowMarked {
        spaceid: BOOK,
        status: Status::NoShow,
        by: None,
    })
}

fn registration_cancelled() -> Event {
    Event::Space(space::Event::Registercancelled {
        spaceid: BOOK,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        status: Status::CancelRegister,
        bookid: BOOK,
        stage: space::Stage::Registered,
    })
}

fn charge(due: Due) -> Intent {
    Intent::Charge {
        charge_no: 1,
        due,
        held_until: None,
    }
}

fn charge_settled() -> Intent {
    Intent::ChargeSettled { charge_no: 1 }
}

fn register() -> Intent {
    Intent::Command(Command::Space(
        BOOK,
        space::Command::Register {
            bookid: BOOK,
            approved_payid: BOOK,
            userid: CUSTOMER,
            spacename: "numberone".to_owned(),
            no_show_grace_minutes: None,
            slot: None,
        },
    ))
}

fn confirm() -> Intent {
    Intent::Command(Command::Book(BOOK, book::Command::Confirm))
}

fn reject(reason: &str) -> Intent {
    let reason = reason.to_owned();
    Intent::Command(Command::Book(BOOK, book::Command::Reject { reason }))
}

fn cancel_payment(refund: Money, reason: &str) -> Intent {
    let reason = reason.to_owned();
    Intent::Command(Command::Payment(
        BOOK,
        payment::Command::Cancel {
            refund,
            percent: 100,
            reason,
        },
    ))
}

fn cancel_registration() -> Intent {
    let reason = "the booking was cancelled".to_owned();
    Intent::Command(Command::Space(BOOK, space::Command::Cancel { reason }))
}

fn close(outcome: book::Outcome) -> Intent {
    Intent::Command(Command::Book(BOOK, book::Command::Close { outcome }))
}

fn close_cancelled() -> Intent {
    close(book::Outcome::Cancelled)
}

/// The beginning of every story.
fn placed() -> Vec<Event> {
    vec![booked(), requested()]
}

fn placed_and(more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    placed().into_iter().chain(more).collect()
}

/// A booking that went well so far.
fn standing() -> Vec<Event> {
    placed_and([approved(), registered(), book_confirmed()])
}

fn standing_and(more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    standing().into_iter().chain(more).collect()
}

#[path = "order_race_tests.rs"]
mod race;
#[path = "order_table_tests.rs"]
mod table;
