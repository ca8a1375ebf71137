//! Times of a registration: stopped while staff are at work, overtime, no-shows, moves.

use cqrs_es::test::TestFramework;
use jiff::Timestamp;

use super::tests::{
    NOON, SPACE, ask, cancel, cancelled_when, history, register, registered, step_into,
    stopped_when,
};
use super::{Aggregate, Command, Error, Event, Space, Stage};
use crate::terms::Slot;

/// A registration for an hour from noon, for which a customer is waited ten minutes.
fn registered_for(slot: Slot) -> Event {
    let Event::Registered {
        spaceid,
        payid,
        userid,
        spacename,
        status,
        bookid,
        ..
    } = registered()
    else {
        unreachable!("it is one")
    };
    Event::Registered {
        spaceid,
        payid,
        userid,
        spacename,
        status,
        bookid,
        slot: Some(slot),
        no_show_grace_minutes: Some(10),
    }
}

fn noon_to_one() -> Slot {
    Slot::new(NOON, minutes_after_noon(60))
}

fn minutes_after_noon(minutes: i64) -> Timestamp {
    NOON + jiff::SignedDuration::from_mins(minutes)
}

fn answers(history: Vec<Event>, command: Command) -> Result<Vec<Event>, Error> {
    TestFramework::<Space>::with(())
        .given(history)
        .when(command)
        .inspect_result()
}

fn stop() -> Command {
    Command::Stop { spaceid: SPACE }
}

#[test]
fn a_cancelled_booking_stops_what_staff_do_and_a_hand_over_stops_a_cancellation() {
    for stage in [
        Stage::None,
        Stage::Registered,
        Stage::Preparing,
        Stage::Prepared,
    ] {
        assert_eq!(
            ask(stage, stop()),
            Ok(vec![stopped_when(stage)]),
            "in {stage:?}"
        );
    }
    for stage in [Stage::HandedOver, Stage::CheckedIn, Stage::CheckedOut] {
        assert_eq!(
            ask(stage, stop()),
            Err(Error::AlreadyHandedOver),
            "in {stage:?}"
        );
    }
    for stage in [Stage::Refused, Stage::Stopped, Stage::Cancelled] {
        assert_eq!(ask(stage, stop()), Ok(vec![]), "in {stage:?}");
    }
    let over = Error::IllegalTransition {
        current: Stage::NoShow,
        asked: "stopped",
    };
    assert_eq!(ask(Stage::NoShow, stop()), Err(over));
}

#[test]
fn what_was_stopped_is_undone_as_far_as_it_had_come() {
    for stage in [Stage::Registered, Stage::Preparing, Stage::Prepared] {
        let mut before = history(stage);
        before.push(stopped_when(stage));
        assert_eq!(answers(before, cancel()), Ok(vec![cancelled_when(stage)]));
    }
}

#[test]
fn a_registration_that_comes_after_the_cancellation_is_refused() {
    let Ok(events) = answers(vec![stopped_when(Stage::None)], register(SPACE)) else {
        panic!("it was an error")
    };
    assert!(
        matches!(&events[..], [Event::RegistrationRefused { reason, .. }] if reason == "the booking was cancelled"),
        "{events:?}"
    );
}

#[test]
fn time_past_the_end_counts_by_started_minutes() {
    let until_check_in = || {
        vec![
            registered_for(noon_to_one()),
            step_into(Stage::Prepared).unwrap(),
            step_into(Stage::HandedOver).unwrap(),
            step_into(Stage::CheckedIn).unwrap(),
        ]
    };
    let one = minutes_after_noon(60);
    let second = jiff::SignedDuration::from_secs(1);
    for (at, expected) in [
        (NOON, 0),
        (one, 0),
        (one + second, 1),
        (minutes_after_noon(75), 15),
    ] {
        let events = answers(until_check_in(), Command::CheckOut { at, by: None }).unwrap();
        assert!(
            matches!(events[..], [Event::CheckedOut { overtime_minutes, .. }] if overtime_minutes == expected),
            "{events:?}"
        );
    }
}

#[test]
fn a_customer_is_waited_for_before_a_no_show_is_one() {
    let ask = |at| {
        let no_show = Command::MarkNoShow { at, by: None };
        answers(vec![registered_for(noon_to_one())], no_show)
    };
    let until = minutes_after_noon(10);
    assert_eq!(ask(minutes_after_noon(9)), Err(Error::TooEarly { until }));
    assert!(matches!(
        ask(until).unwrap()[..],
        [Event::NoShowMarked { by: None, .. }]
    ));
}

#[test]
fn a_registration_moves_with_its_booking_until_it_is_handed_over() {
    let slot = Slot::new(minutes_after_noon(120), minutes_after_noon(180));
    let moved = Event::RegistrationMoved {
        spaceid: SPACE,
        slot,
    };
    let to_the_afternoon = || Command::Move {
        spaceid: SPACE,
        slot,
    };
    for stage in [Stage::Registered, Stage::Preparing, Stage::Prepared] {
        assert_eq!(
            ask(stage, to_the_afternoon()),
            Ok(vec![moved.clone()]),
            "in {stage:?}"
        );
    }
    for stage in [Stage::HandedOver, Stage::CheckedIn, Stage::CheckedOut] {
        assert_eq!(
            ask(stage, to_the_afternoon()),
            Err(Error::AlreadyHandedOver)
        );
    }
    let mut space = Space::default();
    space.apply(registered_for(noon_to_one()));
    space.apply(moved);
    assert_eq!(space.no_show_at(), Some(minutes_after_noon(130)));
}
