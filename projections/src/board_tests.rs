//! On which day a booking is, and what it waits for.

use domain::space::Method;
use domain::terms::Policy;
use domain::{BookId, Money};

use super::*;

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn terms(timezone: &str) -> Terms {
    Terms {
        venue_version: 1,
        timezone: timezone.into(),
        policy: Policy {
            grace_minutes: 0,
            tiers: vec![],
        },
        buffer_before_minutes: 0,
        buffer_after_minutes: 0,
        hold_minutes: 15,
        no_show_grace_minutes: 30,
        overtime_per_hour: Money::krw(0),
        hand_over: Method::Key,
    }
}

/// A booking from `start` to `end` at a venue in this time zone, made long before.
fn booked(timezone: &str, start: &str, end: &str) -> BoardRow {
    let booked = book::Event::Booked {
        bookid: BookId(7),
        userid: None,
        spacename: "numberone".into(),
        status: Status::Booking,
        price: Money::krw(10_000),
        slot: Some(Slot::new(at(start), at(end))),
        terms: Some(terms(timezone)),
        held_until: None,
    };
    made(7, &booked, at("2026-01-01T00:00:00Z")).unwrap()
}

#[test]
fn a_booking_is_on_the_days_of_its_venues_clock() {
    for (timezone, start, end, day, last_day, minutes) in [
        // 23:30 in Seoul is the afternoon of UTC, and half past midnight is the next day there only.
        (
            "Asia/Seoul",
            "2026-05-01T14:30:00Z",
            "2026-05-01T15:30:00Z",
            20_260_501,
            Some(20_260_502),
            60,
        ),
        // Up to midnight is not on the next day.
        (
            "Asia/Seoul",
            "2026-05-01T14:30:00Z",
            "2026-05-01T15:00:00Z",
            20_260_501,
            None,
            30,
        ),
        // 23:30 in New York is the next day of UTC.
        (
            "America/New_York",
            "2026-05-02T03:30:00Z",
            "2026-05-02T03:45:00Z",
            20_260_501,
            None,
            15,
        ),
        // The day on which clocks are set back has 25 hours, and is one day.
        (
            "Europe/Berlin",
            "2026-10-24T22:00:00Z",
            "2026-10-25T23:00:00Z",
            20_261_025,
            None,
            1_500,
        ),
        // One that is set forward has 23.
        (
            "Europe/Berlin",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
            20_260_329,
            None,
            1_380,
        ),
        // Both of the two hours from two to three are on it.
        (
            "Europe/Berlin",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            20_261_025,
            None,
            60,
        ),
        (
            "UTC",
            "2026-12-31T00:00:00Z",
            "2027-01-02T00:00:00Z",
            20_261_231,
            Some(20_270_101),
            2_880,
        ),
        // A zone that nobody knows is UTC: the booking is not lost for it.
        (
            "Atlantis/Centre",
            "2026-05-01T23:59:00Z",
            "2026-05-02T00:00:00Z",
            20_260_501,
            None,
            1,
        ),
    ] {
        let row = booked(timezone, start, end);
        let found = (row.day.number(), row.last_day.map(Day::number), row.minutes);
        assert_eq!(found, (day, last_day, minutes), "{timezone} {start}");
        assert_eq!((row.starts_at, row.ends_at), (at(start), Some(at(end))));
    }
}

#[test]
fn a_booking_without_a_time_is_on_the_day_on_which_it_is_made() {
    let booked = book::Event::Booked {
        bookid: BookId(7),
        userid: None,
        spacename: "numberone".into(),
        status: Status::Booking,
        price: Money::krw(10_000),
        slot: None,
        terms: None,
        held_until: None,
    };
    let made_at = at("2026-05-01T23:59:59.999999Z");
    let row = made(7, &booked, made_at).unwrap();
    assert_eq!(
        (row.day.number(), row.last_day, row.minutes),
        (20_260_501, None, 0)
    );
    assert_eq!((row.starts_at, row.ends_at), (made_at, None));
    assert_eq!(row.timezone, "UTC");
}

#[test]
fn a_booking_that_moves_is_on_the_other_day_of_the_same_clock() {
    let mut row = booked("Asia/Seoul", "2026-05-01T14:30:00Z", "2026-05-01T15:30:00Z");
    row.takes_place(&Slot {
        unit: Some(3),
        ..Slot::new(at("2026-06-30T16:00:00Z"), at("2026-06-30T17:00:00Z"))
    });
    let found = (row.day.number(), row.last_day, row.minutes, row.unit);
    assert_eq!(found, (20_260_701, None, 60, Some(3)));
}

#[test]
fn since_when_a_booking_waits_does_not_move_with_what_happens_meanwhile() {
    let mut row = booked("UTC", "2026-05-01T10:00:00Z", "2026-05-01T11:00:00Z");
    let (first, later) = (at("2026-04-01T00:00:00Z"), at("2026-04-02T00:00:00Z"));
    row.wait(first);
    row.phase = Phase::PaymentPending;
    row.wait(later);
    assert_eq!(row.waits_for.as_deref(), Some("payment"));
    assert_eq!(row.waits_since, first);
    row.phase = Phase::Paid;
    row.wait(later);
    assert_eq!(row.waits_for.as_deref(), Some("registration"));
    assert_eq!(row.waits_since, later);
    row.phase = Phase::Cancelled;
    row.wait(later);
    assert_eq!(row.waits_for, None);
}
