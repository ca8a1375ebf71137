//! The events of one booking.

use domain::book::{Event as B, Outcome};
use domain::payment::Event as P;
use domain::space::{Event as S, Method, Stage};
use domain::{BookId, Event, Money, Status, UserId};

const ID: BookId = BookId(7);
const USER: Option<UserId> = Some(UserId(1));
const PRICE: Money = Money::krw(10_000);

pub(super) fn booked() -> Event {
    Event::Book(B::Booked {
        bookid: ID,
        userid: USER,
        spacename: "numberone".into(),
        status: Status::Booking,
        price: PRICE,
        held_until: None,
        slot: None,
        terms: None,
    })
}

pub(super) fn deferred() -> Event {
    Event::Book(B::PaymentDeferred {
        bookid: ID,
        status: Status::Timeout,
        reason: "late".into(),
        sent: true,
    })
}

pub(super) fn rejected() -> Event {
    Event::Book(B::BookRejected {
        bookid: ID,
        status: Status::PayFailed,
        reason: "no".into(),
    })
}

pub(super) fn expired() -> Event {
    Event::Book(B::BookExpired {
        bookid: ID,
        status: Status::Expired,
    })
}

pub(super) fn bookcancelled() -> Event {
    Event::Book(B::Bookcancelled {
        bookid: ID,
        userid: USER,
        spacename: "numberone".into(),
        status: Status::CancelBooking,
        refund: PRICE,
        reason: None,
        refund_percent: None,
    })
}

pub(super) fn closed(outcome: Outcome) -> Event {
    Event::Book(B::BookClosed {
        bookid: ID,
        status: outcome.status(),
        outcome,
    })
}

pub(super) fn approved() -> Event {
    Event::Payment(P::Approved {
        payid: ID,
        bookid: ID,
        userid: USER,
        status: Status::SuccessPay,
        spacename: "numberone".into(),
        captured: PRICE,
        charge_no: 1,
        gateway_ref: "ref".into(),
    })
}

pub(super) fn declined() -> Event {
    Event::Payment(P::PaymentDeclined {
        payid: ID,
        status: Status::PayFailed,
        charge_no: 1,
        code: "no".into(),
        message: "no".into(),
    })
}

pub(super) fn cancelled() -> Event {
    Event::Payment(P::Cancelled {
        payid: ID,
        bookid: ID,
        userid: USER,
        status: Status::CancelPay,
        spacename: "numberone".into(),
        refund: PRICE,
        fee: 0,
        voided: false,
    })
}

pub(super) fn registered() -> Event {
    Event::Space(S::Registered {
        spaceid: ID,
        payid: ID,
        userid: USER,
        spacename: "numberone".into(),
        status: Status::SuccessRegister,
        bookid: ID,
        no_show_grace_minutes: None,
        slot: None,
    })
}

pub(super) fn preparing() -> Event {
    Event::Space(S::PreparationStarted {
        spaceid: ID,
        status: Status::Preparing,
        by: "kim".into(),
    })
}

pub(super) fn prepared() -> Event {
    Event::Space(S::Prepared {
        spaceid: ID,
        status: Status::Ready,
        by: "kim".into(),
    })
}

pub(super) fn handed_over() -> Event {
    Event::Space(S::HandedOver {
        spaceid: ID,
        status: Status::Delivered,
        method: Method::Key,
        by: "kim".into(),
    })
}

pub(super) fn checked_in() -> Event {
    Event::Space(S::CheckedIn {
        spaceid: ID,
        status: Status::InUse,
        by: None,
    })
}

pub(super) fn checked_out() -> Event {
    Event::Space(S::CheckedOut {
        spaceid: ID,
        status: Status::Completed,
        overtime_minutes: 0,
        by: None,
    })
}

pub(super) fn no_show() -> Event {
    Event::Space(S::NoShowMarked {
        spaceid: ID,
        status: Status::NoShow,
        by: None,
    })
}

pub(super) fn registercancelled() -> Event {
    Event::Space(S::Registercancelled {
        spaceid: ID,
        userid: USER,
        spacename: "numberone".into(),
        status: Status::CancelRegister,
        bookid: ID,
        stage: Stage::Registered,
    })
}
