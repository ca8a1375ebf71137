//! Notes in the texts that rows hold: what is in databases stays readable, for the version before and the one after.

use std::collections::BTreeMap;

use domain::{BookId, Event, payment};
use journal::{Metadata, StreamId};
use serde_json::json;
use uuid::Uuid;

use super::*;

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// A row as jsonb holds it, read as a version that knows texts only reads it.
fn row(payload: &Value) -> JobRow {
    let payload: BTreeMap<String, String> = serde_json::from_value(payload.clone()).unwrap();
    JobRow {
        id: 1,
        kind: "charge".to_owned(),
        key: "7:1".to_owned(),
        bookid: 7,
        state: "open".to_owned(),
        timer: false,
        due_at: Timestamp::UNIX_EPOCH,
        attempts: 0,
        claimed_until: None,
        last_error: None,
        created_at: Timestamp::UNIX_EPOCH,
        finished_at: None,
        payload,
    }
}

fn read(payload: &Value) -> Result<Notes, String> {
    Notes::of_row(&row(payload))
}

/// An event that led to a job; what it says is in its metadata.
fn event() -> Recorded {
    Recorded {
        position: 1,
        part: 0,
        stream: StreamId::new("Payment", "7"),
        sequence: 1,
        event_id: Uuid::from_u128(7),
        command_id: Uuid::nil(),
        event_type: "PointsSpent",
        recorded_at: Timestamp::UNIX_EPOCH,
        metadata: Metadata {
            occurred_at: Timestamp::UNIX_EPOCH,
            correlation_id: "a journey".to_owned(),
            causation_id: None,
            traceparent: Some("00-1-2-01".to_owned()),
            actor_type: Actor::Customer,
            actor_id: None,
        },
        event: Event::Payment(payment::Event::PointsSpent {
            payid: BookId(7),
            userid: None,
            points: 1,
        }),
    }
}

/// What every job says of its journey.
fn journey(number: &str, beside: &Value) -> Value {
    let mut row = json!({
        "number": number,
        "correlation_id": "a journey",
        "causation_id": "00000000-0000-0000-0000-000000000007",
        "traceparent": "00-1-2-01"
    });
    let names = row.as_object_mut().unwrap();
    names.extend(beside.as_object().unwrap().clone());
    row
}

/// The same, as recordings have it.
fn trace() -> Trace {
    Trace {
        correlation_id: "a journey".to_owned(),
        causation_id: Some(Uuid::from_u128(7)),
        traceparent: Some("00-1-2-01".to_owned()),
        actor: Actor::System,
        actor_id: Some("charge".to_owned()),
    }
}

/// Everything that can be told, and how a row holds it: these texts are in databases.
fn samples() -> Vec<(Told, Value)> {
    let (one, other) = (
        at("2026-12-01T10:00:00Z"),
        at("2026-12-01T10:00:00.123456Z"),
    );
    let charge = |due, until, wanted| Told::of_charge(&event(), 1, due, until, wanted);
    let wanted = |then, since| Some(Wanted { then, since });
    vec![
        (
            charge(Due::Now, Some(one), None),
            journey(
                "1",
                &json!({"sent": "no", "held_until": "2026-12-01T10:00:00Z"}),
            ),
        ),
        (
            charge(Due::AfterInlineCall, None, None),
            journey("1", &json!({"sent": "maybe"})),
        ),
        (
            charge(Due::Now, None, wanted(Elsewhere::Asked, None)),
            journey("1", &json!({"sent": "maybe", "imported": "ask"})),
        ),
        (
            Told::of_refund(&event(), 2, wanted(Elsewhere::Held, Some(one))),
            journey(
                "2",
                &json!({"imported": "hold", "wanted_since": "2026-12-01T10:00:00Z"}),
            ),
        ),
        (
            Told::of_no_show(&event(), one),
            journey("0", &json!({"start": "2026-12-01T10:00:00Z"})),
        ),
        (
            Told::of_late_call(&trace(), 1, one),
            journey("1", &json!({"late_since": "2026-12-01T10:00:00Z"})),
        ),
        (Told::of_try(3), json!({"tries": "3"})),
        (
            Told::of_sending(3, other),
            json!({"tries": "3", "sent_at": "2026-12-01T10:00:00.123456Z"}),
        ),
        (
            Told::of_giving_back(4, one),
            json!({"tries": "4", "first_sent_at": "2026-12-01T10:00:00Z"}),
        ),
        (Told::of_not_sent(2), json!({"not_sent": "2"})),
        (Told::of_letting_go(), json!({"let_go": "yes"})),
        (
            Told::of_looking(one),
            json!({"looked_at": "2026-12-01T10:00:00Z"}),
        ),
    ]
}

#[test]
fn a_row_holds_texts_by_name_whichever_version_wrote_it() {
    for (told, stored) in samples() {
        let payload = told.clone().into_payload().unwrap();
        assert_eq!(json!(payload), stored);
        assert_eq!(Told::read(payload.iter()), Ok(told), "{stored}");
    }
}

#[test]
fn a_row_of_many_claims_is_read_whole() {
    let notes = read(&journey(
        "2",
        &json!({
            "sent": "no", "tries": "3", "not_sent": "3", "let_go": "yes",
            "sent_at": "2026-12-01T10:00:01Z", "first_sent_at": "2026-12-01T10:00:02Z",
            "looked_at": "2026-12-01T10:00:03Z", "held_until": "2026-12-01T10:00:04Z",
            "start": "2026-12-01T10:00:05Z", "imported": "ask",
            // What importing writes, and what a newer version may.
            "resolved": "elsewhere", "of_tomorrow": "something"
        }),
    ))
    .unwrap();
    assert_eq!((notes.number, notes.tries()), (2, 3));
    assert!(notes.nothing_sent() && notes.is_let_go());
    let told = &notes.told;
    assert_eq!(told.sent_at, Some(at("2026-12-01T10:00:01Z")));
    assert_eq!(told.first_sent_at, Some(at("2026-12-01T10:00:02Z")));
    assert_eq!(told.looked_at, Some(at("2026-12-01T10:00:03Z")));
    assert_eq!(told.held_until, Some(at("2026-12-01T10:00:04Z")));
    assert_eq!(told.start, Some(at("2026-12-01T10:00:05Z")));
    assert_eq!(told.imported, Some(Elsewhere::Asked));
    assert_eq!(notes.trace, trace());
}

#[test]
fn what_is_not_clear_is_read_as_the_careful_thing() {
    let notes = read(&json!({"number": "1"})).unwrap();
    assert!(notes.inline_sent() && !notes.nothing_sent() && !notes.is_let_go());
    let notes = read(&json!({
        "number": "1", "sent": "perhaps", "let_go": "since noon", "imported": "leave", "causation_id": "seven"
    }))
    .unwrap();
    assert!(notes.inline_sent() && notes.is_let_go());
    assert_eq!(notes.told.imported, Some(Elsewhere::Held));
    assert_eq!(notes.trace.causation_id, None);
}

#[test]
fn what_cannot_be_read_is_named() {
    for (payload, wrong) in [
        (json!({}), "it does not say which number it is about"),
        (
            json!({"number": "one"}),
            "number: invalid digit found in string",
        ),
        (
            json!({"number": "1", "tries": ""}),
            "tries: cannot parse integer from empty string",
        ),
    ] {
        assert_eq!(read(&payload).unwrap_err(), wrong);
    }
    let wrong = read(&json!({"number": "1", "held_until": "noon"})).unwrap_err();
    assert!(wrong.starts_with("held_until: "), "{wrong}");
}
