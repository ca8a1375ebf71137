//! Which slots a venue takes, and what those are told whose slot it does not.

use serde_json::{Value, json};

use super::{LONG_AGO, at, slot, venue};
use crate::terms::Slot;
use crate::venue::Refused;

/// The names of what stands against a slot that is booked long before it.
#[track_caller]
fn refused(body: Value, start: &str, end: &str) -> Vec<&'static str> {
    refused_at(body, start, end, LONG_AGO)
}

fn refused_at(body: Value, start: &str, end: &str, now: &str) -> Vec<&'static str> {
    match venue(body).check(&slot(start, end), at(now)) {
        Ok(()) => vec![],
        Err(refused) => refused.iter().map(super::super::Refused::code).collect(),
    }
}

#[test]
fn a_venue_that_says_nothing_takes_everything_that_is_to_come() {
    let any = json!({});
    let now = "2026-12-01T00:00:00Z";
    for (start, end) in [
        ("2026-12-01T00:00:00Z", "2026-12-01T00:01:00Z"),
        ("2026-12-01T03:17:23.123456Z", "2026-12-05T01:00:00Z"),
        ("2036-01-01T00:00:00Z", "2036-12-31T00:00:00Z"),
    ] {
        assert!(
            refused_at(any.clone(), start, end, now).is_empty(),
            "{start}"
        );
    }
    for (start, end, code) in [
        ("2026-11-30T23:59:59Z", "2026-12-01T01:00:00Z", "too-soon"),
        (
            "2026-12-01T01:00:00Z",
            "2026-12-01T01:00:00Z",
            "end-not-after-start",
        ),
        (
            "2026-12-01T01:00:00Z",
            "2026-12-01T00:59:00Z",
            "end-not-after-start",
        ),
        (
            "2026-12-01T01:00:00.0000001Z",
            "2026-12-01T02:00:00Z",
            "too-fine",
        ),
        ("2026-12-01T01:00:00Z", "2027-12-03T01:00:00Z", "too-long"),
        // It would cost nothing, and keep others away.
        (
            "2026-12-01T10:00:00Z",
            "2026-12-01T10:00:00.1Z",
            "too-short",
        ),
        (
            "2026-12-01T10:00:00Z",
            "2026-12-01T10:00:59.999999Z",
            "too-short",
        ),
    ] {
        assert_eq!(
            refused_at(any.clone(), start, end, now),
            [code],
            "{start} {end}"
        );
    }
}

#[test]
fn slots_stand_on_the_grid_of_the_clock_there() {
    // Kathmandu is 5:45 ahead, so its full hours are nobody else's.
    let hours = json!({"timezone": "Asia/Kathmandu", "granularity_minutes": 60});
    let ok = refused(
        hours.clone(),
        "2026-12-01T04:15:00Z",
        "2026-12-01T06:15:00Z",
    );
    assert!(ok.is_empty(), "{ok:?}");
    let both = refused(
        hours.clone(),
        "2026-12-01T04:00:00Z",
        "2026-12-01T06:00:00Z",
    );
    assert_eq!(both, ["off-grid", "off-grid"]);
    let seconds = refused(
        hours.clone(),
        "2026-12-01T04:15:01Z",
        "2026-12-01T06:15:00Z",
    );
    assert_eq!(seconds, ["off-grid"]);
    let wish = slot("2026-12-01T04:00:00Z", "2026-12-01T06:15:00Z");
    let refused = venue(hours).check(&wish, at(LONG_AGO)).unwrap_err();
    assert_eq!(
        refused[0].to_string(),
        "a booking begins at a multiple of 60 minutes of the clock there, such as 2026-12-01T03:15:00Z or 2026-12-01T04:15:00Z"
    );
}

#[test]
fn durations_have_bounds() {
    let body = json!({"min_duration_minutes": 60, "max_duration_minutes": 120});
    let start = "2026-12-01T00:00:00Z";
    for (end, codes) in [
        ("2026-12-01T00:59:59Z", &["too-short"][..]),
        ("2026-12-01T01:00:00Z", &[]),
        ("2026-12-01T02:00:00Z", &[]),
        ("2026-12-01T02:00:01Z", &["too-long"]),
    ] {
        assert_eq!(refused(body.clone(), start, end), codes, "{end}");
    }
}

#[test]
fn notice_has_bounds() {
    let body = json!({"min_notice_minutes": 60, "max_notice_minutes": 1_440});
    let now = "2026-12-01T00:00:00Z";
    for (start, end, codes) in [
        (
            "2026-12-01T00:59:59Z",
            "2026-12-01T02:00:00Z",
            &["too-soon"][..],
        ),
        ("2026-12-01T01:00:00Z", "2026-12-01T02:00:00Z", &[]),
        ("2026-12-01T22:00:00Z", "2026-12-02T00:00:00Z", &[]),
        (
            "2026-12-01T22:00:00Z",
            "2026-12-02T00:00:01Z",
            &["too-far-ahead"],
        ),
        (
            "2026-12-01T00:00:00Z",
            "2026-12-03T00:00:00Z",
            &["too-soon", "too-far-ahead"],
        ),
    ] {
        assert_eq!(
            refused_at(body.clone(), start, end, now),
            codes,
            "{start} {end}"
        );
    }
}

#[test]
fn a_time_that_is_named_as_possible_can_be_booked() {
    // Nobody's clock stands at a whole minute when a customer asks.
    let now = at("2026-11-29T21:41:15.234492999Z");
    for body in [
        json!({"max_notice_minutes": 1_000}),
        json!({"min_notice_minutes": 90, "max_notice_minutes": 1_000}),
        json!({"timezone": "Asia/Kathmandu", "granularity_minutes": 30, "max_notice_minutes": 1_000}),
        json!({"granularity_minutes": 1_440, "max_notice_minutes": 10_000}),
    ] {
        let venue = venue(body.clone());
        let refusal = |start: &str, end: &str| venue.check(&slot(start, end), now).unwrap_err();
        let soon = refusal("2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z");
        let earliest = soon.iter().find_map(|it| match it {
            Refused::TooSoon { earliest } => Some(*earliest),
            _ => None,
        });
        let far = refusal("2027-11-29T00:00:00Z", "2027-11-30T00:00:00Z");
        let latest = far.iter().find_map(|it| match it {
            Refused::TooFarAhead { latest } => Some(*latest),
            _ => None,
        });
        let named = Slot::new(earliest.unwrap(), latest.unwrap());
        assert_eq!(venue.check(&named, now), Ok(()), "{body} {named:?}");
        let early = named.start.duration_since(now);
        let least = body["min_notice_minutes"].as_i64().unwrap_or(0);
        let step = body["granularity_minutes"].as_i64().unwrap_or(1);
        assert!(early.as_mins() < least + step, "{body} {early:?}");
    }
}

#[test]
fn opening_hours_are_of_the_clock_there() {
    // 2026-12-01 is a Tuesday. 09:00 in Seoul is midnight in Greenwich.
    let body = json!({
        "timezone": "Asia/Seoul",
        "opening_hours": {
            "tuesday": [{"from": "09:00", "to": "12:00"}, {"from": "12:00", "to": "14:00"}, {"from": "22:00", "to": "02:00"}],
            "thursday": [{"from": "00:00", "to": "24:00"}], "friday": [{"from": "00:00", "to": "24:00"}],
        },
    });
    for (start, end, open) in [
        (
            "2026-12-01T09:00:00+09:00",
            "2026-12-01T14:00:00+09:00",
            true,
        ),
        (
            "2026-12-01T08:59:00+09:00",
            "2026-12-01T14:00:00+09:00",
            false,
        ),
        (
            "2026-12-01T13:00:00+09:00",
            "2026-12-01T14:00:01+09:00",
            false,
        ),
        // Past midnight, into a Wednesday that is closed itself.
        (
            "2026-12-01T22:00:00+09:00",
            "2026-12-02T02:00:00+09:00",
            true,
        ),
        (
            "2026-12-02T01:00:00+09:00",
            "2026-12-02T02:00:00+09:00",
            true,
        ),
        (
            "2026-12-02T01:00:00+09:00",
            "2026-12-02T03:00:00+09:00",
            false,
        ),
        // Through the night between two whole days.
        (
            "2026-12-03T00:00:00+09:00",
            "2026-12-05T00:00:00+09:00",
            true,
        ),
        (
            "2026-12-07T09:00:00+09:00",
            "2026-12-07T10:00:00+09:00",
            false,
        ),
    ] {
        let expected: &[&str] = if open { &[] } else { &["venue-closed"] };
        assert_eq!(refused(body.clone(), start, end), expected, "{start} {end}");
    }
    let wish = slot("2026-12-01T08:00:00+09:00", "2026-12-01T10:00:00+09:00");
    let refused = venue(body).check(&wish, at(LONG_AGO)).unwrap_err();
    assert_eq!(
        refused[0].to_string(),
        "the venue is not open for all of it; around it, it is open from 2026-12-01T00:00:00Z to 2026-12-01T05:00:00Z, \
         from 2026-12-01T13:00:00Z to 2026-12-01T17:00:00Z"
    );
    let refused = venue(json!({"opening_hours": {}})).check(&wish, at(LONG_AGO));
    assert_eq!(
        refused.unwrap_err()[0].to_string(),
        "the venue is not open for all of it, nor at any time from a day before it to a day after it"
    );
}

#[test]
fn exceptions_go_before_weekdays_and_blackouts_before_everything() {
    let body = json!({
        "opening_hours": {"friday": [{"from": "09:00", "to": "17:00"}]},
        "exceptions": [{"date": "2026-12-25"}, {"date": "2026-12-26", "hours": [{"from": "10:00", "to": "11:00"}]}],
        "blackouts": [{"start": "2026-12-18T10:00:00Z", "end": "2026-12-18T11:00:00Z", "reason": "fire drill"}],
    });
    for (start, end, codes) in [
        (
            "2026-12-25T09:00:00Z",
            "2026-12-25T10:00:00Z",
            &["venue-closed"][..],
        ),
        ("2026-12-26T10:00:00Z", "2026-12-26T11:00:00Z", &[]),
        ("2026-12-18T09:00:00Z", "2026-12-18T10:00:00Z", &[]),
        (
            "2026-12-18T09:00:00Z",
            "2026-12-18T10:00:01Z",
            &["blacked-out"],
        ),
        ("2026-12-18T11:00:00Z", "2026-12-18T12:00:00Z", &[]),
        (
            "2026-12-18T08:00:00Z",
            "2026-12-18T12:00:00Z",
            &["venue-closed", "blacked-out"],
        ),
    ] {
        assert_eq!(refused(body.clone(), start, end), codes, "{start} {end}");
    }
    // Where it is always open, the exception is all there is of its day.
    let body = json!({"exceptions": [{"date": "2026-12-25"}]});
    assert_eq!(
        refused(body.clone(), "2026-12-24T22:00:00Z", "2026-12-25T00:00:01Z"),
        ["venue-closed"]
    );
    assert!(refused(body, "2026-12-24T22:00:00Z", "2026-12-25T00:00:00Z").is_empty());
}

#[test]
fn everything_that_stands_against_a_slot_is_said_at_once() {
    let body = json!({
        "granularity_minutes": 30, "min_duration_minutes": 60, "min_notice_minutes": 60, "max_notice_minutes": 61,
        "opening_hours": {},
        "blackouts": [{"start": "2026-12-01T00:00:00Z", "end": "2026-12-02T00:00:00Z"}],
    });
    let found = refused_at(
        body,
        "2026-12-01T00:01:00Z",
        "2026-12-01T00:31:00Z",
        "2026-11-30T23:29:00Z",
    );
    assert_eq!(
        found,
        [
            "too-short",
            "too-soon",
            "too-far-ahead",
            "off-grid",
            "off-grid",
            "venue-closed",
            "blacked-out"
        ]
    );
}
