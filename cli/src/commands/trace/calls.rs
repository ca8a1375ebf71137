//! What the journal knows of calls to the payment gateway: every intent, and what became of it.

use domain::payment::Event;
use journal::feed::Stored;

use super::tree::Told;
use serde::Serialize;

/// A charge or a refund.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    pub booking: i64,
    /// `charge` or `refund`.
    pub kind: &'static str,
    /// Which one of its kind, from 1.
    pub number: u32,
    /// The gateway's idempotency key.
    pub key: String,
    /// Where the intent stands.
    pub intended_at: i64,
    /// How often it was recorded that nobody knows, or that a try failed.
    pub without_answer: u32,
    /// The event that says what became of it; none while that is open.
    pub outcome: Option<String>,
    /// Where that stands.
    pub outcome_at: Option<i64>,
    /// The gateway's reference, or its code for a no.
    pub answer: Option<String>,
}

/// The calls of these events, in the order of their intents. What cannot be read says so in the tree.
pub fn of(events: &[Told<'_>]) -> Vec<Call> {
    let mut calls = Vec::new();
    for Told { stored, reading } in events {
        for event in reading.iter().flatten() {
            if let domain::Event::Payment(event) = event {
                take(&mut calls, stored, event.clone());
            }
        }
    }
    calls
}

#[expect(
    clippy::too_many_lines,
    reason = "an arm for each event, and each is short"
)]
fn take(calls: &mut Vec<Call>, stored: &Stored, event: Event) {
    let name = event.name();
    match event {
        Event::PaymentRequested {
            bookid,
            charge_no,
            idempotency_key,
            ..
        } => calls.push(intent(
            stored,
            bookid.0,
            "charge",
            charge_no,
            idempotency_key,
        )),
        Event::ChargeRequested {
            payid,
            charge_no,
            idempotency_key,
            ..
        } => calls.push(intent(
            stored,
            payid.0,
            "charge",
            charge_no,
            idempotency_key,
        )),
        Event::RefundRequested {
            payid,
            refund_no,
            idempotency_key,
            ..
        } => calls.push(intent(
            stored,
            payid.0,
            "refund",
            refund_no,
            idempotency_key,
        )),
        Event::PaymentOutcomeUnknown { charge_no, .. } => {
            without_answer(calls, stored, "charge", charge_no);
        }
        Event::RefundFailed { refund_no, .. } => without_answer(calls, stored, "refund", refund_no),
        Event::Approved {
            charge_no,
            gateway_ref,
            ..
        }
        | Event::ChargeApproved {
            charge_no,
            gateway_ref,
            ..
        }
        | Event::LateApproval {
            charge_no,
            gateway_ref,
            ..
        }
        | Event::DuplicateCharge {
            charge_no,
            gateway_ref,
            ..
        } => outcome(
            calls,
            stored,
            name,
            Some(("charge", charge_no)),
            Some(gateway_ref),
        ),
        Event::PaymentDeclined {
            charge_no, code, ..
        }
        | Event::ChargeDeclined {
            charge_no, code, ..
        } => outcome(calls, stored, name, Some(("charge", charge_no)), Some(code)),
        Event::PartiallyRefunded {
            refund_no,
            refund_ref,
            ..
        }
        | Event::SurplusRefunded {
            refund_no,
            refund_ref,
            ..
        } => outcome(
            calls,
            stored,
            name,
            Some(("refund", refund_no)),
            Some(refund_ref),
        ),
        // It names no refund: it ends the one that was open, or nothing had to be given back.
        Event::Cancelled { .. } => outcome(calls, stored, name, None, None),
        Event::PointsAccrued { .. }
        | Event::PointsSpent { .. }
        | Event::PointsReturned { .. }
        | Event::PointsClawedBack { .. }
        | Event::VoidRequested { .. } => {}
    }
}

fn intent(stored: &Stored, booking: i64, kind: &'static str, number: u32, key: String) -> Call {
    Call {
        booking,
        kind,
        number,
        key,
        intended_at: stored.position,
        without_answer: 0,
        outcome: None,
        outcome_at: None,
        answer: None,
    }
}

fn find<'a>(
    calls: &'a mut [Call],
    stored: &Stored,
    kind: &str,
    number: Option<u32>,
) -> Option<&'a mut Call> {
    calls.iter_mut().rev().find(|call| {
        call.kind == kind
            && call.booking.to_string() == stored.aggregate_id
            && number.map_or(call.outcome.is_none(), |number| number == call.number)
    })
}

fn without_answer(calls: &mut [Call], stored: &Stored, kind: &str, number: u32) {
    if let Some(call) = find(calls, stored, kind, Some(number)) {
        call.without_answer += 1;
    }
}

/// `of`: kind and number of the call; without, it is the refund that is open.
fn outcome(
    calls: &mut [Call],
    stored: &Stored,
    name: &str,
    of: Option<(&str, u32)>,
    answer: Option<String>,
) {
    let (kind, number) = of.map_or(("refund", None), |(kind, number)| (kind, Some(number)));
    if let Some(call) = find(calls, stored, kind, number) {
        call.outcome = Some(name.to_owned());
        call.outcome_at = Some(stored.position);
        call.answer = answer;
    }
}
