//! The table of statuses row by row, and what holds when events come in another order.

#[path = "progress_tests/events.rs"]
mod events;

use domain::book::Outcome;
use domain::{Event, Phase, Status};

use super::after;
use events::{
    approved, bookcancelled, booked, cancelled, checked_in, checked_out, closed, declined,
    deferred, expired, handed_over, no_show, prepared, preparing, registercancelled, registered,
    rejected,
};

/// Folds as the projections do and shows a row of the table: books, payments, spaces, mypages, phase.
fn row(events: &[Event]) -> [&'static str; 5] {
    let mut phase = Phase::Placed;
    let (mut book, mut payment, mut space, mut mypage) = (None, None, None, None);
    for event in events {
        let progress = after(phase, event);
        phase = progress.phase;
        book = progress.book.or(book);
        payment = progress.payment.or(payment);
        space = progress.space.or(space);
        mypage = progress.mypage.or(mypage);
    }
    let word = |status: Option<Status>| status.map_or("-", Status::as_str);
    [
        word(book),
        word(payment),
        word(space),
        word(mypage),
        phase.as_str(),
    ]
}

/// Every prefix of a story against the row that its last event is to make.
fn story(lines: Vec<(Event, [&'static str; 5])>) {
    let mut events = Vec::new();
    for (event, expected) in lines {
        events.push(event);
        assert_eq!(row(&events), expected, "after {:?}", events.last());
    }
}

#[test]
fn a_rental_goes_through_the_table() {
    story(vec![
        (booked(), ["booking", "-", "-", "booking", "placed"]),
        (
            deferred(),
            ["Timeout", "Timeout", "-", "Timeout", "payment_pending"],
        ),
        (
            approved(),
            ["booking", "success-pay", "-", "success-pay", "paid"],
        ),
        (
            registered(),
            [
                "success-register",
                "success-pay",
                "success-register",
                "Registered",
                "registered",
            ],
        ),
        (
            preparing(),
            [
                "success-register",
                "success-pay",
                "preparing",
                "preparing",
                "preparing",
            ],
        ),
        (
            prepared(),
            ["success-register", "success-pay", "ready", "ready", "ready"],
        ),
        (
            handed_over(),
            [
                "success-register",
                "success-pay",
                "delivered",
                "delivered",
                "handed_over",
            ],
        ),
        (
            checked_in(),
            [
                "success-register",
                "success-pay",
                "in-use",
                "in-use",
                "in_use",
            ],
        ),
        (
            checked_out(),
            [
                "completed",
                "success-pay",
                "completed",
                "completed",
                "completed",
            ],
        ),
        (
            closed(Outcome::Completed),
            [
                "completed",
                "success-pay",
                "completed",
                "completed",
                "completed",
            ],
        ),
    ]);
}

#[test]
fn nobody_came() {
    let expected = ["no-show", "success-pay", "no-show", "no-show", "no_show"];
    let mut events = vec![booked(), approved(), registered(), no_show()];
    assert_eq!(row(&events), expected);
    events.push(closed(Outcome::NoShow));
    assert_eq!(row(&events), expected);
}

#[test]
fn a_declined_payment_fails_the_booking_at_once() {
    let failed = [
        "pay-failed",
        "pay-failed",
        "-",
        "pay-failed",
        "payment_failed",
    ];
    story(vec![
        (booked(), ["booking", "-", "-", "booking", "placed"]),
        (declined(), failed),
        (rejected(), failed),
    ]);
}

#[test]
fn a_refused_registration_fails_the_booking_and_gives_the_money_back() {
    story(vec![
        (booked(), ["booking", "-", "-", "booking", "placed"]),
        (
            approved(),
            ["booking", "success-pay", "-", "success-pay", "paid"],
        ),
        (
            rejected(),
            [
                "pay-failed",
                "success-pay",
                "-",
                "pay-failed",
                "payment_failed",
            ],
        ),
        (
            cancelled(),
            [
                "pay-failed",
                "cancel-pay",
                "-",
                "pay-failed",
                "payment_failed",
            ],
        ),
    ]);
}

#[test]
fn an_expired_booking_stays_expired() {
    let expected = ["expired", "cancel-pay", "-", "expired", "expired"];
    story(vec![
        (booked(), ["booking", "-", "-", "booking", "placed"]),
        (expired(), expected),
        (declined(), expected),
        (cancelled(), expected),
    ]);
    let late = [
        "expired",
        "cancel-pay",
        "cancel-register",
        "expired",
        "expired",
    ];
    let events = [
        booked(),
        approved(),
        expired(),
        registered(),
        registercancelled(),
        cancelled(),
    ];
    assert_eq!(row(&events), late);
}

#[test]
fn a_cancellation_goes_through_the_table() {
    let registered_row = [
        "success-register",
        "success-pay",
        "success-register",
        "Registered",
        "registered",
    ];
    story(vec![
        (booked(), ["booking", "-", "-", "booking", "placed"]),
        (
            approved(),
            ["booking", "success-pay", "-", "success-pay", "paid"],
        ),
        (registered(), registered_row),
        (
            bookcancelled(),
            [
                "cancel-booking",
                "success-pay",
                "success-register",
                "cancel-booking",
                "cancelling",
            ],
        ),
        (
            cancelled(),
            [
                "cancel-booking",
                "cancel-pay",
                "success-register",
                "cancel-pay",
                "refunded",
            ],
        ),
        (
            registercancelled(),
            [
                "cancel-booking",
                "cancel-pay",
                "cancel-register",
                "cancel-pay",
                "refunded",
            ],
        ),
        (
            closed(Outcome::Cancelled),
            [
                "cancel-register",
                "cancel-pay",
                "cancel-register",
                "cancel-register",
                "cancelled",
            ],
        ),
    ]);
}

/// Every order in which the given events can come when each list keeps its own.
fn interleavings(streams: &[Vec<Event>]) -> Vec<Vec<Event>> {
    if streams.iter().all(Vec::is_empty) {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for (place, stream) in streams.iter().enumerate() {
        let Some((first, rest)) = stream.split_first() else {
            continue;
        };
        let mut left = streams.to_vec();
        left[place] = rest.to_vec();
        for tail in interleavings(&left) {
            all.push([vec![first.clone()], tail].concat());
        }
    }
    all
}

#[test]
fn a_late_event_never_takes_a_cancellation_back() {
    let streams = [
        vec![bookcancelled(), cancelled(), closed(Outcome::Cancelled)],
        vec![registered(), preparing(), registercancelled()],
        vec![deferred()],
    ];
    let orders = interleavings(&streams);
    assert_eq!(orders.len(), 140);
    for late in orders {
        let events = [vec![booked(), approved()], late.clone()].concat();
        for until in 0..=events.len() {
            let seen = &events[..until];
            let [book, _, _, mypage, phase] = row(seen);
            let undone = |event| seen.contains(&event);
            let expected = if undone(closed(Outcome::Cancelled)) {
                ("cancel-register", "cancel-register", "cancelled")
            } else if undone(cancelled()) {
                ("cancel-booking", "cancel-pay", "refunded")
            } else if undone(bookcancelled()) {
                ("cancel-booking", "cancel-booking", "cancelling")
            } else {
                continue;
            };
            assert_eq!((book, mypage, phase), expected, "after {seen:?}");
        }
        assert_eq!(
            row(&events),
            [
                "cancel-register",
                "cancel-pay",
                "cancel-register",
                "cancel-register",
                "cancelled"
            ]
        );
    }
}

#[test]
fn a_charge_that_ends_after_the_cancellation_ends_cancelled_too() {
    let end = [
        "cancel-register",
        "cancel-pay",
        "-",
        "cancel-register",
        "cancelled",
    ];
    let close = closed(Outcome::Cancelled);
    for outcome in [approved(), declined()] {
        let events = [
            booked(),
            bookcancelled(),
            outcome,
            cancelled(),
            close.clone(),
        ];
        assert_eq!(row(&events), end);
    }
    // Nothing was charged at all, and a decline that was seen before the cancellation.
    assert_eq!(
        row(&[booked(), bookcancelled(), cancelled(), close.clone()]),
        end
    );
    assert_eq!(
        row(&[booked(), declined(), bookcancelled(), cancelled(), close]),
        end
    );
}

#[test]
fn being_told_to_wait_after_the_outcome_changes_nothing() {
    let paid = ["booking", "success-pay", "-", "success-pay", "paid"];
    assert_eq!(row(&[booked(), approved(), deferred()]), paid);
    let failed = [
        "pay-failed",
        "pay-failed",
        "-",
        "pay-failed",
        "payment_failed",
    ];
    assert_eq!(row(&[booked(), declined(), deferred()]), failed);
}

#[test]
fn a_space_that_was_handed_over_before_the_cancellation_says_so() {
    let events = [
        booked(),
        approved(),
        registered(),
        prepared(),
        bookcancelled(),
        handed_over(),
        cancelled(),
        closed(Outcome::Cancelled),
        checked_in(),
    ];
    assert_eq!(
        row(&events),
        [
            "cancel-register",
            "cancel-pay",
            "in-use",
            "cancel-register",
            "cancelled"
        ]
    );
}
