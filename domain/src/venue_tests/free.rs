//! Which windows are free, and what is offered instead of a slot that is taken.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{LONG_AGO, at, slot, venue};
use crate::terms::Slot;
use crate::venue::{Span, Taken, Windows};

const DAY: (&str, &str) = ("2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z");

fn span(start: &str, end: &str) -> Span {
    Span::new(at(start), at(end))
}

/// An hour of 2026-12-01 as a moment.
fn hour(hour: &str) -> String {
    format!("2026-12-01T{hour}:00Z")
}

fn taken(unit: i64, start: &str, end: &str) -> Taken {
    let (start, end) = (at(&hour(start)), at(&hour(end)));
    Taken { unit, start, end }
}

fn windows(body: Value, units: &[i64], taken: &[Taken], minutes: Option<i64>) -> Vec<String> {
    let duration = minutes.map(SignedDuration::from_mins);
    let span = span(DAY.0, DAY.1);
    let free = venue(body).free(units, taken, span, duration, at(LONG_AGO), usize::MAX);
    let time = |at: jiff::Timestamp| at.strftime("%H:%M").to_string();
    let free = free.shown.iter();
    free.map(|it| format!("{}-{} {}", time(it.start), time(it.end), it.units))
        .collect()
}

fn offered(body: Value, units: &[i64], taken: &[Taken], wish: (&str, &str)) -> Vec<String> {
    let wish = slot(&hour(wish.0), &hour(wish.1));
    let slots = venue(body).alternatives(units, taken, span(DAY.0, DAY.1), &wish, at(LONG_AGO));
    let time = |at: jiff::Timestamp| at.strftime("%H:%M").to_string();
    let slots = slots.iter();
    slots
        .map(|it| format!("{}-{}", time(it.start), time(it.end)))
        .collect()
}

fn nine_to_five() -> Value {
    let hours = json!([{"from": "09:00", "to": "17:00"}]);
    json!({"opening_hours": {"tuesday": hours}})
}

#[test]
fn what_is_open_and_not_taken_is_free() {
    assert_eq!(windows(nine_to_five(), &[1], &[], None), ["09:00-17:00 1"]);
    let some = [taken(1, "10:00", "11:00"), taken(1, "11:00", "12:30")];
    assert_eq!(
        windows(nine_to_five(), &[1], &some, None),
        ["09:00-10:00 1", "12:30-17:00 1"]
    );
    assert_eq!(
        windows(nine_to_five(), &[1], &some, Some(90)),
        ["12:30-17:00 1"]
    );
    assert!(windows(nine_to_five(), &[], &some, None).is_empty());
}

#[test]
fn buffers_are_kept_on_both_sides() {
    let mut body = nine_to_five();
    body["buffer_before_minutes"] = json!(10);
    body["buffer_after_minutes"] = json!(20);
    // What is taken has its own buffers in it: a booking from 11:00 to 12:00.
    let some = [taken(1, "10:50", "12:20")];
    assert_eq!(
        windows(body, &[1], &some, None),
        ["09:00-10:30 1", "12:30-17:00 1"]
    );
}

#[test]
fn a_window_is_free_on_one_unit_for_all_of_its_time() {
    let some = [taken(1, "11:00", "17:00"), taken(2, "09:00", "10:00")];
    assert_eq!(
        windows(nine_to_five(), &[1, 2], &some, None),
        ["09:00-11:00 1", "10:00-17:00 1"]
    );
    let all = [
        taken(1, "09:00", "17:00"),
        taken(2, "09:00", "10:00"),
        taken(3, "09:00", "11:00"),
    ];
    assert_eq!(
        windows(nine_to_five(), &[1, 2, 3], &all, None),
        ["10:00-17:00 1"]
    );
    assert_eq!(
        windows(nine_to_five(), &[1, 2, 3], &[], None),
        ["09:00-17:00 3"]
    );
}

#[test]
fn windows_stand_on_the_grid_and_hold_the_shortest_slot() {
    let mut body = nine_to_five();
    body["granularity_minutes"] = json!(30);
    body["min_duration_minutes"] = json!(60);
    let some = [taken(1, "10:10", "10:50"), taken(1, "11:40", "12:00")];
    // 09:00-10:10 holds 09:00-10:00; of 10:50-11:40 only 11:00-11:30 is left, and too short.
    assert_eq!(
        windows(body, &[1], &some, None),
        ["09:00-10:00 1", "12:00-17:00 1"]
    );
}

#[test]
fn nothing_is_free_out_of_reach() {
    let body = json!({"min_notice_minutes": 60, "max_notice_minutes": 180});
    let span = span(DAY.0, DAY.1);
    let free = venue(body).free(&[1], &[], span, None, at(&hour("09:00")), 9);
    let free = free.shown;
    assert_eq!(free.len(), 1);
    assert_eq!(
        (free[0].start, free[0].end),
        (at(&hour("10:00")), at(&hour("12:00")))
    );
    let now = at("2027-01-01T00:00:00Z");
    let late = venue(json!({})).free(&[1], &[], span, None, now, 9);
    assert_eq!(late, Windows::default());
}

#[test]
fn the_nearest_free_slots_are_offered() {
    let some = [taken(1, "11:00", "13:00")];
    assert_eq!(
        offered(nine_to_five(), &[1], &some, ("12:00", "13:00")),
        [
            "09:00-10:00",
            "10:00-11:00",
            "13:00-14:00",
            "14:00-15:00",
            "15:00-16:00"
        ]
    );
    assert_eq!(
        offered(nine_to_five(), &[1], &some, ("11:30", "13:30")),
        ["09:00-11:00", "13:00-15:00", "15:00-17:00"]
    );
    let mut body = nine_to_five();
    body["granularity_minutes"] = json!(60);
    let some = [taken(1, "10:30", "11:30")];
    assert_eq!(
        offered(body, &[1], &some, ("11:00", "12:00")),
        ["09:00-10:00", "12:00-13:00", "13:00-14:00", "14:00-15:00"]
    );
    let all = [taken(1, "00:00", "23:59")];
    assert!(offered(nine_to_five(), &[1], &all, ("11:00", "12:00")).is_empty());
}

#[test]
fn another_unit_is_offered_only_as_a_whole() {
    // Free are 09:00-12:00 on one unit and 11:00-17:00 on the other; 10:00-14:00 is free on none.
    let some = [taken(1, "12:00", "17:00"), taken(2, "09:00", "11:00")];
    assert_eq!(
        offered(nine_to_five(), &[1, 2], &some, ("10:00", "14:00")),
        ["11:00-15:00"]
    );
}

#[test]
fn as_many_windows_are_shown_as_are_asked_for() {
    let venue = venue(nine_to_five());
    let some = [
        taken(1, "10:00", "11:00"),
        taken(1, "12:00", "13:00"),
        taken(2, "09:00", "16:00"),
    ];
    let first = |most| {
        let span = span(DAY.0, DAY.1);
        let free = venue.free(&[1, 2], &some, span, None, at(LONG_AGO), most);
        (free.shown.len(), free.next)
    };
    // 09:00, 11:00 and 13:00; what the second unit has at 16:00 is within the last one.
    assert_eq!(first(0), (0, Some(at(&hour("09:00")))));
    assert_eq!(first(1), (1, Some(at(&hour("11:00")))));
    assert_eq!(first(2), (2, Some(at(&hour("13:00")))));
    assert_eq!(first(3), (3, None));
}

#[test]
fn a_hundred_full_units_are_looked_through() {
    // A booking every half hour, with a minute between: nothing that the database could join.
    let (units, minute) = (
        (1..=100).collect::<Vec<i64>>(),
        SignedDuration::from_mins(1),
    );
    let begin = at(DAY.0);
    let some: Vec<_> = (0..20_000)
        .map(|n| {
            let start = begin + minute * (30 * (n / 100));
            let end = start + minute * 29;
            let unit = i64::from(n % 100) + 1;
            Taken { unit, start, end }
        })
        .collect();
    let wish = Slot::new(begin, begin + minute * 10_000);
    let span = Span::new(begin, begin + minute * 30 * 200);
    let (venue, now) = (venue(json!({})), at(LONG_AGO));
    let free = venue.free(&units, &some, span, None, now, 1_000);
    assert_eq!((free.shown.len(), free.shown[0].units), (200, 100));
    assert!(
        venue
            .alternatives(&units, &some, span, &wish, now)
            .is_empty()
    );
}
