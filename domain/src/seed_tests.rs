//! The seed's lines, byte for byte, at the turn of years too; and that nothing is lost or made up on the way.

use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof};
use proptest::{option, proptest};
use serde_json::Value;

use super::*;
use crate::Money;
use crate::space::Stage;

const NOON: &str = "2021-06-24T16:22:30.999999Z";

fn line(event: impl Into<crate::Event>, at: &str) -> String {
    let event = translate(event.into(), at.parse().unwrap(), &TimeZone::UTC).unwrap();
    serde_json::to_string(&Line { event, position: 9 }).unwrap()
}

impl From<book::Event> for crate::Event {
    fn from(event: book::Event) -> Self {
        Self::Book(event)
    }
}

impl From<payment::Event> for crate::Event {
    fn from(event: payment::Event) -> Self {
        Self::Payment(event)
    }
}

impl From<space::Event> for crate::Event {
    fn from(event: space::Event) -> Self {
        Self::Space(event)
    }
}

fn booked() -> book::Event {
    book::Event::Booked {
        bookid: BookId(7),
        userid: Some(UserId(1)),
        spacename: "numberone".into(),
        status: Status::Booking,
        price: Money::krw(10_000),
        held_until: None,
        slot: None,
        terms: None,
    }
}

#[test]
fn booked_reads_as_the_seed_wrote_it() {
    assert_eq!(
        line(booked(), NOON),
        r#"{"eventType":"Booked","timestamp":"20210624162230","bookid":7,"userid":1,"status":"booking","spacename":"numberone","position":9}"#
    );
}

#[test]
fn bookcancelled_reads_as_the_seed_wrote_it() {
    let event = book::Event::Bookcancelled {
        bookid: BookId(7),
        userid: None,
        spacename: "a \"quoted\" 방".into(),
        status: Status::CancelBooking,
        refund: Money::krw(10_000),
        reason: Some("it rains".into()),
        refund_percent: None,
    };
    assert_eq!(
        line(event, NOON),
        r#"{"eventType":"Bookcancelled","timestamp":"20210624162230","bookid":7,"userid":null,"status":"cancel-booking","spacename":"a \"quoted\" 방","position":9}"#
    );
}

#[test]
fn approved_reads_as_the_seed_wrote_it() {
    let event = payment::Event::Approved {
        payid: BookId(1),
        bookid: BookId(1),
        userid: Some(UserId(1)),
        status: Status::SuccessPay,
        spacename: "numberone".into(),
        captured: Money::krw(10_000),
        charge_no: 1,
        gateway_ref: "ref".into(),
    };
    assert_eq!(
        line(event, NOON),
        r#"{"eventType":"Approved","timestamp":"20210624162230","payid":1,"bookid":1,"userid":1,"status":"success-pay","spacename":"numberone","position":9}"#
    );
}

#[test]
fn cancelled_reads_as_the_seed_wrote_it() {
    let event = payment::Event::Cancelled {
        payid: BookId(7),
        bookid: BookId(7),
        userid: Some(UserId(1)),
        status: Status::CancelPay,
        spacename: "numberone".into(),
        refund: Money::krw(6_000),
        fee: 4_000,
        voided: false,
    };
    assert_eq!(
        line(event, NOON),
        r#"{"eventType":"Cancelled","timestamp":"20210624162230","payid":7,"bookid":7,"userid":1,"status":"cancel-pay","spacename":"numberone","position":9}"#
    );
}

#[test]
fn registered_reads_as_the_seed_wrote_it() {
    let event = space::Event::Registered {
        spaceid: BookId(7),
        payid: BookId(7),
        userid: Some(UserId(1)),
        spacename: "numberone".into(),
        status: Status::SuccessRegister,
        bookid: BookId(7),
        no_show_grace_minutes: None,
        slot: None,
    };
    assert_eq!(
        line(event, NOON),
        r#"{"eventType":"Registered","timestamp":"20210624162230","spaceid":7,"userid":1,"spacename":"numberone","status":"success-register","bookid":7,"position":9}"#
    );
}

#[test]
fn registercancelled_says_which_registration_under_both_names() {
    let event = space::Event::Registercancelled {
        spaceid: BookId(7),
        userid: Some(UserId(1)),
        spacename: "numberone".into(),
        status: Status::CancelRegister,
        bookid: BookId(7),
        stage: Stage::Preparing,
    };
    assert_eq!(
        line(event, NOON),
        r#"{"eventType":"Registercancelled","timestamp":"20210624162230","id":7,"userid":1,"spacename":"numberone","status":"cancel-register","bookid":7,"spaceid":7,"position":9}"#
    );
}

#[test]
fn the_year_is_the_calendars_at_its_end_and_in_a_week_of_the_next() {
    for (at, zone, digits) in [
        ("2026-12-31T23:59:59Z", "UTC", "20261231235959"),
        ("2026-12-31T23:59:59.999999Z", "UTC", "20261231235959"),
        ("2027-01-01T00:00:00Z", "UTC", "20270101000000"),
        // In the first week of 2025: the seed wrote 20251230.
        ("2024-12-30T12:00:00Z", "UTC", "20241230120000"),
        // In the last week of 2026 where weeks are counted by ISO 8601.
        ("2027-01-01T12:00:00Z", "UTC", "20270101120000"),
        ("2026-12-31T15:00:00Z", "Asia/Seoul", "20270101000000"),
        ("2027-01-01T00:00:00Z", "America/New_York", "20261231190000"),
    ] {
        let zone = TimeZone::get(zone).unwrap();
        assert_eq!(timestamp(at.parse().unwrap(), &zone), digits, "{at}");
    }
}

#[test]
fn the_names_are_those_of_the_events_that_are_translated() {
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/samples");
    let mut translated = std::collections::BTreeSet::new();
    for file in std::fs::read_dir(samples).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let stored: Value = serde_json::from_str(&text).unwrap();
        let event: crate::Event = serde_json::from_value(stored.clone()).unwrap();
        if let Some(event) = translate(event, Timestamp::UNIX_EPOCH, &TimeZone::UTC) {
            let ours = serde_json::to_value(event).unwrap();
            assert_eq!(ours["eventType"], stored["type"], "a name was changed");
            translated.insert(stored["type"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(translated, NAMES.map(str::to_owned).into());
}

/// Any event of the six, with any values.
fn events() -> impl Strategy<Value = crate::Event> {
    let facts = (
        any::<i64>().prop_map(BookId),
        option::of(any::<i64>().prop_map(UserId)),
        any::<String>(),
    );
    (facts, 0..NAMES.len()).prop_flat_map(|((id, userid, spacename), which)| {
        let event: crate::Event = match which {
            0 => book::Event::Booked {
                bookid: id,
                userid,
                spacename,
                status: Status::Booking,
                price: Money::krw(1),
                held_until: None,
                slot: None,
                terms: None,
            }
            .into(),
            1 => book::Event::Bookcancelled {
                bookid: id,
                userid,
                spacename,
                status: Status::CancelBooking,
                refund: Money::krw(1),
                reason: None,
                refund_percent: None,
            }
            .into(),
            2 => payment::Event::Approved {
                payid: id,
                bookid: id,
                userid,
                status: Status::SuccessPay,
                spacename,
                captured: Money::krw(1),
                charge_no: 1,
                gateway_ref: String::new(),
            }
            .into(),
            3 => payment::Event::Cancelled {
                payid: id,
                bookid: id,
                userid,
                status: Status::CancelPay,
                spacename,
                refund: Money::krw(1),
                fee: 0,
                voided: true,
            }
            .into(),
            4 => space::Event::Registered {
                spaceid: id,
                payid: id,
                userid,
                spacename,
                status: Status::SuccessRegister,
                bookid: id,
                no_show_grace_minutes: None,
                slot: None,
            }
            .into(),
            _ => space::Event::Registercancelled {
                spaceid: id,
                userid,
                spacename,
                status: Status::CancelRegister,
                bookid: id,
                stage: Stage::Registered,
            }
            .into(),
        };
        Just(event)
    })
}

/// From 0001 to 9998, whatever the zone: four digits of a year.
fn moments() -> impl Strategy<Value = Timestamp> {
    (-62_000_000_000_i64..253_000_000_000).prop_map(|s| Timestamp::from_second(s).unwrap())
}

fn zones() -> impl Strategy<Value = TimeZone> {
    prop_oneof![Just("UTC"), Just("Asia/Seoul"), Just("America/St_Johns")]
        .prop_map(|name| TimeZone::get(name).unwrap())
}

proptest! {
    #[test]
    fn a_line_reads_back_as_the_same_facts(
        event in events(), at in moments(), zone in zones(), position in 1..i64::MAX,
    ) {
        let stored = serde_json::to_value(&event).unwrap();
        let line = Line { event: translate(event, at, &zone).unwrap(), position };
        let text = serde_json::to_string(&line).unwrap();
        prop_assert_eq!(text.lines().count(), 1);
        prop_assert_eq!(&serde_json::from_str::<Line>(&text).unwrap(), &line);

        // And with the event itself, by a reader who knows no type of ours.
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read["eventType"], &stored["type"]);
        prop_assert_eq!(&read["position"], &Value::from(position));
        let digits = read["timestamp"].as_str().unwrap();
        let local = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", digits).unwrap();
        prop_assert_eq!(local, at.to_zoned(zone).datetime());
        for (name, value) in read.as_object().unwrap() {
            match name.as_str() {
                "eventType" | "timestamp" | "position" => {}
                "id" => prop_assert_eq!(value, &stored["spaceid"]),
                _ => prop_assert_eq!(value, &stored[name], "{}", name),
            }
        }
    }
}
