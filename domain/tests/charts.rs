//! The state charts of docs/event-model.md are those of the code: every arrow that changes a stage is drawn, and nothing
//! is drawn that cannot happen.
//!
//! Each aggregate is walked from nothing on: every command that is listed here is asked of every state that was reached,
//! and what an event makes of a stage is an arrow.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;

use cqrs_es::{Aggregate, DomainEvent};
use domain::book::{self, Book, Outcome, Scheduled};
use domain::payment::{self, Difference, Payment, Points};
use domain::space::{self, Method, Space};
use domain::terms::{Policy, Slot, Terms};
use domain::{BookId, Money, UserId};
use jiff::{SignedDuration, Timestamp};

const PAGE: &str = include_str!("../../docs/event-model.md");
const ID: BookId = BookId(7);
const PRICE: Money = Money::krw(10_000);
const START: Timestamp = Timestamp::constant(1_800_000_000, 0);
/// How many commands lead to a state at most: more than the longest way through any chart.
const DEPTH: usize = 7;

/// From where, by which event, to where.
type Arrow = (String, String, String);

/// The chart of the page that begins with `state "NAME"`.
fn drawn(name: &str) -> BTreeSet<Arrow> {
    let begin = format!("state \"{name}\"");
    let chart = PAGE
        .split("```")
        .find(|block| block.contains(&begin))
        .unwrap_or_else(|| panic!("the page has no chart of {name}"));
    let arrow = |line: &str| {
        let (way, event) = line.trim().split_once(": ")?;
        let (from, to) = way.split_once(" --> ")?;
        let from = if from == "[*]" { "None" } else { from };
        // What stands in brackets says when, for people.
        let event = event.split(" (").next()?;
        Some((from.to_owned(), event.to_owned(), to.to_owned()))
    };
    chart.lines().filter_map(arrow).collect()
}

/// The arrows of the code.
fn walked<A>(
    commands: impl Fn() -> Vec<A::Command>,
    decide: impl Fn(&A, A::Command) -> Vec<A::Event>,
    stage: impl Fn(&A) -> String,
) -> BTreeSet<Arrow>
where
    A: Aggregate + Debug + Clone,
{
    let mut arrows = BTreeSet::new();
    let mut seen = HashSet::new();
    let mut reached = vec![A::default()];
    for _ in 0..DEPTH {
        let mut next = vec![];
        for state in &reached {
            for command in commands() {
                let mut after = state.clone();
                for event in decide(state, command) {
                    let (from, name) = (stage(&after), event.event_type());
                    after.apply(event);
                    arrows.insert((from, name, stage(&after)));
                }
                if seen.insert(format!("{after:?}")) {
                    next.push(after);
                }
            }
        }
        reached = next;
    }
    arrows
}

fn agree(name: &str, drawn: &BTreeSet<Arrow>, walked: &BTreeSet<Arrow>) {
    let impossible: Vec<_> = drawn.difference(walked).collect();
    assert!(
        impossible.is_empty(),
        "{name} is drawn with what cannot happen: {impossible:?}"
    );
    let moves = walked.iter().filter(|(from, _, to)| from != to);
    let missing: Vec<_> = moves.filter(|arrow| !drawn.contains(*arrow)).collect();
    assert!(missing.is_empty(), "{name} lacks arrows: {missing:?}");
}

fn slot(hours: i64) -> Slot {
    let start = START + SignedDuration::from_hours(hours);
    Slot::new(start, start + SignedDuration::from_hours(1))
}

fn scheduled() -> Scheduled {
    Scheduled {
        slot: slot(0),
        terms: Terms {
            venue_version: 1,
            timezone: "Asia/Seoul".to_owned(),
            policy: Policy {
                grace_minutes: 0,
                tiers: vec![],
            },
            buffer_before_minutes: 0,
            buffer_after_minutes: 0,
            hold_minutes: 10,
            no_show_grace_minutes: 15,
            overtime_per_hour: PRICE,
            hand_over: Method::Key,
        },
        booked_at: START,
    }
}

fn book_commands() -> Vec<book::Command> {
    use book::Command as C;
    let at = START - SignedDuration::from_hours(1);
    let close = |outcome| C::Close { outcome };
    vec![
        C::Place {
            bookid: ID,
            userid: None,
            spacename: "numberone".to_owned(),
            price: PRICE,
            scheduled: Some(Box::new(scheduled())),
        },
        C::DeferPayment {
            reason: "slow".to_owned(),
            sent: true,
        },
        C::Confirm,
        C::Reject {
            reason: "declined".to_owned(),
        },
        C::Expire,
        C::Reschedule {
            slot: slot(24),
            difference: Difference {
                from: PRICE,
                kept: 0,
                to: PRICE,
                refund_percent: 100,
            },
            at,
        },
        C::Cancel { reason: None, at },
        close(Outcome::Cancelled),
        close(Outcome::Completed),
        close(Outcome::NoShow),
    ]
}

fn payment_commands() -> Vec<payment::Command> {
    use payment::Command as C;
    let approval = |charge_no| C::RecordApproval {
        charge_no,
        gateway_ref: format!("tx-{charge_no}"),
        captured: PRICE,
    };
    let refund = |refund| C::Cancel {
        refund,
        percent: 100,
        reason: "rain".to_owned(),
    };
    vec![
        C::Request {
            bookid: ID,
            userid: Some(UserId(1)),
            spacename: "numberone".to_owned(),
            price: PRICE,
            points: Points::default(),
        },
        approval(1),
        C::RecordDecline {
            charge_no: 1,
            code: "card".to_owned(),
            message: "no funds".to_owned(),
        },
        C::RecordUnknown {
            charge_no: 1,
            attempt: 1,
            reason: "slow".to_owned(),
        },
        C::RecordNotCharged { charge_no: 1 },
        refund(PRICE),
        refund(Money::krw(0)),
        C::ChargeOvertime { amount: PRICE },
        approval(2),
        C::RecordRefund {
            refund_no: 1,
            refund_ref: "re-1".to_owned(),
        },
        C::RecordRefund {
            refund_no: 2,
            refund_ref: "re-2".to_owned(),
        },
    ]
}

fn space_commands() -> Vec<space::Command> {
    use space::Command as C;
    let by = || "Kim".to_owned();
    let at = START + SignedDuration::from_hours(1);
    vec![
        C::Register {
            bookid: ID,
            approved_payid: ID,
            userid: None,
            spacename: "numberone".to_owned(),
            slot: Some(slot(0)),
            no_show_grace_minutes: Some(15),
        },
        C::Stop { spaceid: ID },
        C::Move {
            spaceid: ID,
            slot: slot(-24),
        },
        C::StartPreparation { by: by() },
        C::CompletePreparation { by: by() },
        C::HandOver {
            method: Method::Key,
            by: by(),
        },
        C::CheckIn { by: None },
        C::CheckOut { at, by: None },
        C::MarkNoShow { at, by: None },
        C::Cancel {
            reason: "rain".to_owned(),
        },
    ]
}

#[test]
fn the_chart_of_book_is_that_of_the_code() {
    let walked = walked::<Book>(
        book_commands,
        |book, command| book.decide(command).unwrap_or_default(),
        |book| format!("{:?}", book.stage),
    );
    agree("Book", &drawn("Book"), &walked);
}

#[test]
fn the_chart_of_payment_is_that_of_the_code() {
    let walked = walked::<Payment>(
        payment_commands,
        |payment, command| payment.decide(command).unwrap_or_default(),
        |payment| format!("{:?}", payment.stage),
    );
    agree("Payment", &drawn("Payment"), &walked);
}

#[test]
fn the_chart_of_space_is_that_of_the_code() {
    let walked = walked::<Space>(
        space_commands,
        |space, command| space.decide(command).unwrap_or_default(),
        |space| format!("{:?}", space.stage),
    );
    agree("Space", &drawn("Space"), &walked);
}

#[test]
fn every_event_stands_on_the_page() {
    for stream in domain::version::TODAY.0 {
        for event in stream.events {
            let name = event.event_type;
            assert!(PAGE.contains(name), "{name} is not on the page");
        }
    }
}
