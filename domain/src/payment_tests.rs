//! What a payment decides: given what happened, when this is asked, then that follows.
//!
//! The payment is of ten thousand won and earns a hundred points. This file has the words: events, commands,
//! and the [`history`] that leads a payment into each of its stages. The stories are told in two files
//! beside it: money that comes (`payment_charge_tests.rs`) and money that goes back
//! (`payment_refund_tests.rs`).

use cqrs_es::test::TestFramework;

use super::{Command, Error, Event, Payment, Purpose, Stage, charge_key, refund_key};
use crate::status::Status;
use crate::value::{BookId, Currency, Money, UserId};

const PAY: BookId = BookId(7);
const CUSTOMER: Option<UserId> = Some(UserId(1));
const PRICE: Money = Money::krw(10_000);

const STAGES: [Stage; 6] = [
    Stage::Requested,
    Stage::Unknown,
    Stage::Approved,
    Stage::Declined,
    Stage::Refunding,
    Stage::Cancelled,
];

fn won(minor: i64) -> Money {
    Money::krw(minor)
}

fn requested_at(price: Money) -> Event {
    Event::PaymentRequested {
        payid: PAY,
        bookid: PAY,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        price,
        charge_no: 1,
        idempotency_key: "charge:7:1".to_owned(),
        points_rate: None,
    }
}

fn requested() -> Event {
    requested_at(PRICE)
}

fn approved_of(captured: Money) -> Event {
    Event::Approved {
        payid: PAY,
        bookid: PAY,
        userid: CUSTOMER,
        status: Status::SuccessPay,
        spacename: "numberone".to_owned(),
        captured,
        charge_no: 1,
        gateway_ref: "tx-1".to_owned(),
    }
}

fn approved() -> Event {
    approved_of(PRICE)
}

fn accrued(points: i64) -> Event {
    Event::PointsAccrued {
        payid: PAY,
        userid: CUSTOMER,
        points,
    }
}

fn clawed_back(points: i64) -> Event {
    Event::PointsClawedBack {
        payid: PAY,
        userid: CUSTOMER,
        points,
    }
}

fn declined(code: &str, message: &str) -> Event {
    Event::PaymentDeclined {
        payid: PAY,
        status: Status::PayFailed,
        charge_no: 1,
        code: code.to_owned(),
        message: message.to_owned(),
    }
}

fn card_declined() -> Event {
    declined("card", "no funds")
}

fn unknown(attempt: u32) -> Event {
    Event::PaymentOutcomeUnknown {
        payid: PAY,
        charge_no: 1,
        attempt,
        reason: "timeout".to_owned(),
    }
}

fn void_requested(refund: Money) -> Event {
    Event::VoidRequested {
        payid: PAY,
        refund,
        reason: "rain".to_owned(),
    }
}

fn refund_requested(refund_no: u32, refund: Money, purpose: Purpose, why: &str) -> Event {
    let gateway_ref = if purpose == Purpose::Surplus {
        "tx-2"
    } else {
        "tx-1"
    };
    Event::RefundRequested {
        payid: PAY,
        refund_no,
        refund,
        purpose,
        gateway_ref: gateway_ref.to_owned(),
        idempotency_key: format!("refund:7:{refund_no}"),
        reason: why.to_owned(),
    }
}

fn cancellation_of(refund_no: u32, refund: Money) -> Event {
    refund_requested(refund_no, refund, Purpose::Cancellation, "rain")
}

fn partial_of(refund_no: u32, refund: Money) -> Event {
    refund_requested(refund_no, refund, Purpose::Partial, "broken heater")
}

fn surplus_of(refund_no: u32, refund: Money) -> Event {
    let why = "captured when it was no longer wanted";
    refund_requested(refund_no, refund, Purpose::Surplus, why)
}

fn partially_refunded(refund_no: u32, refund: Money) -> Event {
    Event::PartiallyRefunded {
        payid: PAY,
        refund_no,
        refund,
        refund_ref: "re-1".to_owned(),
    }
}

fn cancelled(refund: Money, fee: i64) -> Event {
    Event::Cancelled {
        payid: PAY,
        bookid: PAY,
        userid: CUSTOMER,
        status: Status::CancelPay,
        spacename: "numberone".to_owned(),
        refund,
        fee,
        voided: false,
    }
}

fn voided() -> Event {
    Event::Cancelled {
        payid: PAY,
        bookid: PAY,
        userid: CUSTOMER,
        status: Status::CancelPay,
        spacename: "numberone".to_owned(),
        refund: won(0),
        fee: 0,
        voided: true,
    }
}

fn late_approval(gateway_ref: &str) -> Event {
    Event::LateApproval {
        payid: PAY,
        charge_no: 1,
        captured: PRICE,
        gateway_ref: gateway_ref.to_owned(),
    }
}

fn duplicate_charge() -> Event {
    Event::DuplicateCharge {
        payid: PAY,
        charge_no: 1,
        captured: PRICE,
        gateway_ref: "tx-2".to_owned(),
    }
}

fn paid() -> Vec<Event> {
    vec![requested(), approved(), accrued(100)]
}

fn paid_and(more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    paid().into_iter().chain(more).collect()
}

/// What leads a payment into `stage`.
fn history(stage: Stage) -> Vec<Event> {
    match stage {
        Stage::None => vec![],
        Stage::Requested => vec![requested()],
        Stage::Unknown => vec![requested(), unknown(1)],
        Stage::Approved => paid(),
        Stage::Declined => vec![requested(), card_declined()],
        Stage::Refunding => paid_and([cancellation_of(1, PRICE)]),
        Stage::Cancelled => paid_and([
            cancellation_of(1, PRICE),
            cancelled(PRICE, 0),
            clawed_back(100),
        ]),
    }
}

fn fold(events: Vec<Event>) -> Payment {
    let mut payment = Payment::default();
    for event in events {
        payment.fold(event);
    }
    payment
}

/// What a payment with this past answers to `command`.
fn ask(given: Vec<Event>, command: Command) -> Result<Vec<Event>, Error> {
    TestFramework::<Payment>::with(())
        .given(given)
        .when(command)
        .inspect_result()
}

fn request() -> Command {
    Command::Request {
        bookid: PAY,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        price: PRICE,
        points: crate::payment::Points::default(),
    }
}

fn approval_of(charge_no: u32, gateway_ref: &str, captured: Money) -> Command {
    Command::RecordApproval {
        charge_no,
        gateway_ref: gateway_ref.to_owned(),
        captured,
    }
}

fn approval(gateway_ref: &str) -> Command {
    approval_of(1, gateway_ref, PRICE)
}

fn decline(charge_no: u32) -> Command {
    Command::RecordDecline {
        charge_no,
        code: "card".to_owned(),
        message: "no funds".to_owned(),
    }
}

fn not_known(charge_no: u32, attempt: u32) -> Command {
    Command::RecordUnknown {
        charge_no,
        attempt,
        reason: "timeout".to_owned(),
    }
}

fn cancel(refund: Money) -> Command {
    Command::Cancel {
        refund,
        percent: 100,
        reason: "rain".to_owned(),
    }
}

fn refund(refund_no: u32) -> Command {
    Command::RecordRefund {
        refund_no,
        refund_ref: "re-1".to_owned(),
    }
}

fn refund_failure(refund_no: u32) -> Command {
    Command::RecordRefundFailure {
        refund_no,
        attempt: 2,
        code: "busy".to_owned(),
    }
}

fn refund_partially(amount: Money) -> Command {
    Command::RefundPartially {
        amount,
        reason: "broken heater".to_owned(),
    }
}

#[path = "payment_charge_tests.rs"]
mod charge;
#[path = "payment_refund_tests.rs"]
mod refund;

#[test]
fn the_histories_lead_where_they_say() {
    for stage in [Stage::None].into_iter().chain(STAGES) {
        assert_eq!(fold(history(stage)).stage, stage);
    }
}

#[test]
fn nothing_can_be_asked_of_a_payment_that_was_never_requested() {
    for command in [
        approval("tx-1"),
        decline(1),
        not_known(1, 1),
        Command::RecordNotCharged { charge_no: 1 },
        cancel(PRICE),
        refund(1),
        refund_failure(1),
        refund_partially(won(1)),
    ] {
        let answer = ask(vec![], command.clone());
        assert_eq!(answer, Err(Error::NoSuchPayment), "{command:?}");
    }
}

#[test]
fn gateways_know_charges_and_refunds_by_keys_that_never_change() {
    assert_eq!(charge_key(PAY, 1), "charge:7:1");
    assert_eq!(refund_key(PAY, 2), "refund:7:2");
}
