//! Further charges and points that pay: given what happened, when this is asked, then that follows.

use super::*;
use crate::status::Status;

const PAY: BookId = BookId(7);
const CUSTOMER: Option<UserId> = Some(UserId(1));
const PRICE: Money = Money::krw(10_000);

pub(super) fn request(spent: i64) -> Command {
    Command::Request {
        bookid: PAY,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        price: PRICE,
        points: Points {
            spent,
            ..Points::default()
        },
    }
}

pub(super) fn approval(charge_no: u32, captured: i64) -> Command {
    Command::RecordApproval {
        charge_no,
        gateway_ref: format!("tx-{charge_no}"),
        captured: Money::krw(captured),
    }
}

pub(super) fn cancel(refund: i64) -> Command {
    cancel_by(refund, 100)
}

pub(super) fn cancel_by(refund: i64, percent: u8) -> Command {
    Command::Cancel {
        refund: Money::krw(refund),
        percent,
        reason: "rain".to_owned(),
    }
}

pub(super) fn adjust(from: i64, to: i64) -> Command {
    adjust_by(from, to, 100)
}

pub(super) fn adjust_by(from: i64, to: i64, refund_percent: u8) -> Command {
    Command::Adjust(Difference {
        from: Money::krw(from),
        kept: 0,
        to: Money::krw(to),
        refund_percent,
    })
}

/// A payment after these commands, and the events of the last one.
pub(super) fn after(commands: impl IntoIterator<Item = Command>) -> (Payment, Vec<Event>) {
    let (mut payment, mut last) = (Payment::default(), vec![]);
    for command in commands {
        last = payment.decide(command).unwrap();
        for event in &last {
            payment.apply(event.clone());
        }
    }
    (payment, last)
}

pub(super) fn refunds(events: &[Event]) -> Vec<(String, i64)> {
    let refund = |event: &Event| match event {
        Event::RefundRequested {
            gateway_ref,
            refund,
            ..
        } => Some((gateway_ref.clone(), refund.minor)),
        _ => None,
    };
    events.iter().filter_map(refund).collect()
}

pub(super) fn returned(events: &[Event]) -> i64 {
    let points = |event: &Event| match event {
        Event::PointsReturned { points, .. } => *points,
        _ => 0,
    };
    events.iter().map(points).sum()
}

#[test]
fn points_pay_their_part_and_money_the_rest() {
    let (payment, events) = after([request(3_000)]);
    assert!(matches!(
        events[..],
        [
            Event::PaymentRequested { price, .. },
            Event::PointsSpent { points: 3_000, userid: CUSTOMER, .. }
        ] if price == Money::krw(7_000)
    ));
    assert_eq!(payment.points_spent(), 3_000);
    let (_, earned) = after([request(3_000), approval(1, 7_000)]);
    assert!(matches!(
        earned[..],
        [
            Event::Approved { .. },
            Event::PointsAccrued { points: 70, .. }
        ]
    ));
}

#[test]
fn points_beyond_the_price_and_points_of_nobody_are_refused() {
    let ask = |command| Payment::default().decide(command);
    for asked in [-1, 10_001] {
        let price = PRICE.minor;
        assert_eq!(
            ask(request(asked)),
            Err(Error::PointsBeyondPrice { asked, price })
        );
    }
    let nobody = Command::Request {
        bookid: PAY,
        userid: None,
        spacename: "numberone".to_owned(),
        price: PRICE,
        points: Points {
            spent: 1,
            ..Points::default()
        },
    };
    assert_eq!(ask(nobody), Err(Error::PointsOfNobody));
}

#[test]
fn points_come_back_in_the_proportion_in_which_they_paid() {
    let (_, events) = after([request(3_000), approval(1, 7_000), cancel(5_000)]);
    assert_eq!(returned(&events), 1_500);
    assert_eq!(refunds(&events), [("tx-1".to_owned(), 3_500)]);
    let (_, events) = after([request(3_000), approval(1, 7_000), cancel(10_000)]);
    assert_eq!(returned(&events), 3_000);
    assert_eq!(refunds(&events), [("tx-1".to_owned(), 7_000)]);
}

#[test]
fn points_come_back_whole_when_nothing_was_captured() {
    let declined = Command::RecordDecline {
        charge_no: 1,
        code: "card".to_owned(),
        message: "no funds".to_owned(),
    };
    let (payment, events) = after([request(3_000), declined]);
    assert_eq!((returned(&events), payment.points_spent()), (3_000, 0));
    let not_charged = Command::RecordNotCharged { charge_no: 1 };
    let (payment, events) = after([request(3_000), cancel(10_000), not_charged]);
    assert_eq!((returned(&events), payment.points_spent()), (3_000, 0));
    assert!(matches!(
        events.last(),
        Some(Event::Cancelled { voided: true, .. })
    ));
}

#[test]
fn a_higher_price_is_a_further_charge_whose_decline_leaves_an_outstanding_amount() {
    let (payment, events) = after([request(0), approval(1, 10_000), adjust(10_000, 12_500)]);
    assert!(matches!(
        &events[..],
        [Event::ChargeRequested { charge_no: 2, price, purpose: Extra::Difference, idempotency_key, .. }]
            if *price == Money::krw(2_500) && idempotency_key == "charge:7:2"
    ));
    assert!(payment.is_charge_open(2) && !payment.is_unwanted(2));
    let decline = Command::RecordDecline {
        charge_no: 2,
        code: "card".to_owned(),
        message: "no funds".to_owned(),
    };
    let known = [request(0), approval(1, 10_000), adjust(10_000, 12_500)];
    let (payment, events) = after(known.into_iter().chain([decline]));
    assert!(matches!(
        events[..],
        [Event::ChargeDeclined { charge_no: 2, .. }]
    ));
    assert_eq!(
        (payment.stage, payment.outstanding()),
        (Stage::Approved, 2_500)
    );
    assert_eq!(
        payment.decide(adjust(12_500, 9_000)),
        Err(Error::DifferenceOpen)
    );
    let again = payment.decide(Command::ChargeOutstanding).unwrap();
    let mut payment = payment;
    payment.apply(again[0].clone());
    assert!(matches!(
        again[..],
        [Event::ChargeRequested {
            charge_no: 3,
            purpose: Extra::Outstanding,
            ..
        }]
    ));
    assert_eq!(payment.outstanding(), 0);
    assert_eq!(payment.decide(Command::ChargeOutstanding), Ok(vec![]));
}

#[test]
fn several_charges_earn_what_one_would() {
    let (payment, _) = after([
        request(0),
        approval(1, 10_000),
        adjust(10_000, 10_099),
        approval(2, 99),
        adjust(10_099, 10_199),
        approval(3, 100),
    ]);
    assert_eq!(payment.captured(), 10_199);
    assert_eq!(payment.points(), 101);
}

#[test]
fn money_goes_back_charge_by_charge_and_the_last_one_ends_the_payment() {
    let paid = [
        request(0),
        approval(1, 10_000),
        adjust(10_000, 12_500),
        approval(2, 2_500),
        cancel(12_500),
    ];
    let (payment, events) = after(paid);
    assert_eq!(
        refunds(&events),
        [("tx-2".to_owned(), 2_500), ("tx-1".to_owned(), 10_000)]
    );
    let done = |refund_no| Command::RecordRefund {
        refund_no,
        refund_ref: format!("re-{refund_no}"),
    };
    let first = payment.decide(done(2)).unwrap();
    assert!(matches!(first[0], Event::PartiallyRefunded { refund, .. } if refund.minor == 10_000));
    let mut payment = payment;
    for event in first {
        payment.apply(event);
    }
    let last = payment.decide(done(1)).unwrap();
    assert!(matches!(
        last[0],
        Event::Cancelled { refund, fee: 0, status: Status::CancelPay, .. } if refund.minor == 2_500
    ));
    for event in last {
        payment.apply(event);
    }
    assert_eq!((payment.refunded(), payment.points()), (12_500, 0));
}

#[test]
fn a_lower_price_goes_back_in_part() {
    let (_, events) = after([request(0), approval(1, 10_000), adjust(10_000, 8_000)]);
    assert_eq!(refunds(&events), [("tx-1".to_owned(), 2_000)]);
    let (_, events) = after([request(0), approval(1, 10_000), adjust(10_000, 10_000)]);
    assert_eq!(events, []);
}

#[test]
fn a_further_charge_that_comes_after_the_cancellation_is_surplus() {
    let (payment, events) = after([
        request(0),
        approval(1, 10_000),
        adjust(10_000, 12_500),
        cancel(12_500),
        approval(2, 2_500),
    ]);
    assert!(matches!(
        events[..],
        [
            Event::LateApproval { charge_no: 2, .. },
            Event::RefundRequested {
                purpose: Purpose::Surplus,
                ..
            }
        ]
    ));
    assert!(!payment.is_charge_open(2));
}

#[test]
fn overtime_is_charged_once() {
    let overtime = || Command::ChargeOvertime {
        amount: Money::krw(700),
    };
    let (payment, events) = after([request(0), approval(1, 10_000), overtime()]);
    assert!(matches!(
        events[..],
        [Event::ChargeRequested {
            purpose: Extra::Overtime,
            ..
        }]
    ));
    assert_eq!(payment.decide(overtime()), Ok(vec![]));
}

pub(super) fn decline_of(charge_no: u32) -> Command {
    Command::RecordDecline {
        charge_no,
        code: "card".to_owned(),
        message: "no funds".to_owned(),
    }
}

/// Refunds go out under a charge's reference: two charges under one would share them.
#[test]
fn a_reference_is_one_charges_and_not_blank() {
    let (payment, _) = after([request(0), approval(1, 10_000), adjust(10_000, 12_500)]);
    let approve = |reference: &str| {
        payment.decide(Command::RecordApproval {
            charge_no: 2,
            gateway_ref: reference.to_owned(),
            captured: Money::krw(2_500),
        })
    };
    let reference = "tx-1".to_owned();
    assert_eq!(approve("tx-1"), Err(Error::ReferenceTaken { reference }));
    for blank in ["", "  "] {
        assert_eq!(approve(blank), Err(Error::NoReference));
    }
    assert_eq!(approve("tx-2").map(|events| events.len()), Ok(2));
    // Nor where the money is not wanted any more: it could not go back.
    let (cancelled, _) = after([request(0), decline_of(1), cancel(0)]);
    let late = |reference: &str| {
        cancelled.decide(Command::RecordApproval {
            charge_no: 1,
            gateway_ref: reference.to_owned(),
            captured: PRICE,
        })
    };
    assert_eq!(late(" "), Err(Error::NoReference));
    assert_eq!(late("tx-1").map(|events| events.len()), Ok(2));
}

#[test]
fn what_was_undone_owes_nothing() {
    let declined = [
        request(0),
        approval(1, 10_000),
        adjust(10_000, 20_000),
        decline_of(2),
    ];
    let (payment, _) = after(declined.clone());
    assert_eq!(payment.outstanding(), 10_000);
    let (payment, _) = after(declined.into_iter().chain([cancel(10_000)]));
    assert_eq!(payment.outstanding(), 0);
}
