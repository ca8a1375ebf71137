//! The saga of a booking with a time: what it passes on, which hour it waits for, and what it charges afterwards.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::payment::Extra;
use crate::status::Status;
use crate::terms::{Policy, Slot, Terms};
use crate::value::UserId;

const BOOK: BookId = BookId(7);
const PRICE: Money = Money::krw(12_000);
const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn slot() -> Slot {
    Slot {
        unit: Some(4),
        ..Slot::new(START, START + minutes(120))
    }
}

fn held_until() -> Timestamp {
    START - minutes(1_000)
}

fn booked() -> Event {
    Event::Book(book::Event::Booked {
        bookid: BOOK,
        userid: Some(UserId(1)),
        spacename: "numberone".to_owned(),
        status: Status::Booking,
        price: PRICE,
        slot: Some(slot()),
        terms: Some(Terms {
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
            hand_over: space::Method::Key,
        }),
        held_until: Some(held_until()),
    })
}

fn approved() -> Event {
    Event::Payment(payment::Event::Approved {
        payid: BOOK,
        bookid: BOOK,
        userid: Some(UserId(1)),
        status: Status::SuccessPay,
        spacename: "numberone".to_owned(),
        captured: PRICE,
        charge_no: 1,
        gateway_ref: "tx-1".to_owned(),
    })
}

fn registered() -> Event {
    Event::Space(space::Event::Registered {
        spaceid: BOOK,
        payid: BOOK,
        userid: Some(UserId(1)),
        spacename: "numberone".to_owned(),
        status: Status::SuccessRegister,
        bookid: BOOK,
        slot: Some(slot()),
        no_show_grace_minutes: Some(15),
    })
}

fn checked_out(overtime_minutes: u32) -> Event {
    Event::Space(space::Event::CheckedOut {
        spaceid: BOOK,
        status: Status::Completed,
        overtime_minutes,
        by: None,
    })
}

fn seen(events: impl IntoIterator<Item = Event>) -> Order {
    let mut order = Order::default();
    for event in events {
        order.react(BOOK, &event);
    }
    order
}

fn charge(charge_no: u32, due: Due, held_until: Option<Timestamp>) -> Intent {
    Intent::Charge {
        charge_no,
        due,
        held_until,
    }
}

#[test]
fn a_charge_that_was_never_sent_knows_how_long_the_slot_is_kept() {
    let deferred = Event::Book(book::Event::PaymentDeferred {
        bookid: BOOK,
        status: Status::Timeout,
        reason: "the breaker is open".to_owned(),
        sent: false,
    });
    let intents = seen([booked()]).react(BOOK, &deferred);
    assert_eq!(intents, [charge(1, Due::Now, Some(held_until()))]);
}

#[test]
fn the_slot_goes_to_the_registration_and_the_hour_of_a_no_show_is_waited_for() {
    let mut order = seen([booked()]);
    let intents = order.react(BOOK, &approved());
    let told = |intent: &Intent| match intent {
        Intent::Command(Command::Space(_, space::Command::Register { slot, .. })) => *slot,
        _ => None,
    };
    assert_eq!(intents.iter().find_map(told), Some(slot()));
    let intents = order.react(BOOK, &registered());
    let timer = Intent::NoShowTimer {
        start: START,
        at: START + minutes(15),
    };
    assert!(intents.contains(&timer), "{intents:?}");
}

#[test]
fn a_moved_booking_has_another_hour() {
    let mut order = seen([booked(), approved(), registered()]);
    let later = Slot::new(START + minutes(300), START + minutes(420));
    order.react(
        BOOK,
        &Event::Book(book::Event::Rescheduled {
            bookid: BOOK,
            status: Status::SuccessRegister,
            from: slot(),
            slot: later,
            price: PRICE,
            refund_percent_max: 100,
        }),
    );
    let moved = Event::Space(space::Event::RegistrationMoved {
        spaceid: BOOK,
        slot: later,
    });
    let timer = Intent::NoShowTimer {
        start: later.start,
        at: later.start + minutes(15),
    };
    assert_eq!(order.react(BOOK, &moved), [timer]);
}

#[test]
fn time_past_the_end_is_charged_by_the_minute_and_closes_the_booking_all_the_same() {
    let mut order = seen([booked(), approved(), registered()]);
    let intents = order.react(BOOK, &checked_out(7));
    let amount = Money::krw(1_400);
    let overtime = Command::Payment(BOOK, payment::Command::ChargeOvertime { amount });
    assert_eq!(
        intents,
        [
            close(BOOK, book::Outcome::Completed),
            Intent::Command(overtime)
        ]
    );
    let mut order = seen([booked(), approved(), registered()]);
    assert_eq!(
        order.react(BOOK, &checked_out(0)),
        [close(BOOK, book::Outcome::Completed)]
    );
}

#[test]
fn a_further_charge_is_the_backgrounds_and_moves_nothing() {
    let mut order = seen([booked(), approved(), registered()]);
    let before = order.clone();
    let requested = Event::Payment(payment::Event::ChargeRequested {
        payid: BOOK,
        charge_no: 2,
        price: Money::krw(1_400),
        purpose: Extra::Overtime,
        idempotency_key: "charge:7:2".to_owned(),
    });
    assert_eq!(order.react(BOOK, &requested), [charge(2, Due::Now, None)]);
    let declined = Event::Payment(payment::Event::ChargeDeclined {
        payid: BOOK,
        charge_no: 2,
        code: "card".to_owned(),
        message: "no funds".to_owned(),
    });
    let settled = Intent::ChargeSettled { charge_no: 2 };
    assert_eq!(order.react(BOOK, &declined), [settled]);
    assert_eq!(order, before);
}

#[test]
fn an_order_that_was_kept_before_there_were_times_is_read() {
    let kept = r#"{"stage":"fulfilling","price":{"amount":12000,"currency":"KRW"},"undoing":null,"payment_undone":false,"registration":"standing"}"#;
    let mut order: Order = serde_json::from_str(kept).unwrap();
    assert_eq!(
        order.react(BOOK, &checked_out(30)),
        [close(BOOK, book::Outcome::Completed)]
    );
}
