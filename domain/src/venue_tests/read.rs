//! What operators write, and what they are told.

use serde_json::json;

use super::{read, venue};
use crate::space::Method;
use crate::value::Money;
use crate::venue::{Definition, WallTime};
use crate::written;

pub(super) fn complaints(body: &serde_json::Value) -> Vec<(String, &'static str)> {
    let errors = read(body).unwrap_err();
    errors
        .into_iter()
        .map(|error| (error.pointer, error.code))
        .collect()
}

#[test]
fn a_name_is_enough() {
    let definition = read(&json!({"spacename": "numberone"})).unwrap();
    assert_eq!(definition.timezone, "UTC");
    assert_eq!(definition.units, 1);
    assert_eq!(definition.price_per_hour, Money::krw(10_000));
    assert_eq!(definition.overtime_per_hour, Money::krw(10_000));
    assert_eq!(definition.points_rate.0, 100);
    assert_eq!(definition.opening_hours, None);
    assert_eq!(definition.granularity_minutes, None);
    assert_eq!(definition.hold_minutes, 10);
    assert_eq!(definition.hand_over, Method::Key);
    assert!(!definition.unscheduled);
    let policy = serde_json::to_value(&definition.cancellation).unwrap();
    let expected = json!({"grace_minutes": 60, "tiers": [
        {"hours_before": 48, "refund_percent": 100},
        {"hours_before": 24, "refund_percent": 50},
    ]});
    assert_eq!(policy, expected);
}

#[test]
fn what_is_left_out_of_a_policy_has_its_default() {
    let default = read(&json!({"spacename": "numberone"}))
        .unwrap()
        .cancellation;
    let policy = |said: serde_json::Value| {
        read(&json!({"spacename": "numberone", "cancellation": said}))
            .unwrap()
            .cancellation
    };
    assert_eq!(policy(json!({})), default);
    let patient = policy(json!({"grace_minutes": 30}));
    assert_eq!(
        (patient.grace_minutes, &patient.tiers),
        (30, &default.tiers)
    );
    let strict = policy(json!({"tiers": []}));
    assert_eq!((strict.grace_minutes, strict.tiers), (60, vec![]));
}

#[test]
fn what_is_stored_reads_back_and_may_be_sent_again() {
    let everything = json!({
        "spacename": "numberone", "timezone": "asia/seoul", "units": 3,
        "price_per_hour": {"amount": 12_000, "currency": "KRW"},
        "rates": [{"days": ["saturday", "sunday"], "price_per_hour": {"amount": 15_000, "currency": "KRW"}},
                  {"from": "18:00", "to": "02:00", "price_per_hour": {"amount": 9_000, "currency": "KRW"}}],
        "points_rate": 250,
        "opening_hours": {"monday": [{"from": "09:00", "to": "12:00"}, {"from": "13:00", "to": "24:00"}]},
        "exceptions": [{"date": "2026-12-25"}, {"date": "2026-12-31", "hours": [{"from": "10:00", "to": "03:00"}]}],
        "blackouts": [{"start": "2026-12-01T00:00:00Z", "end": "2026-12-02T00:00:00+09:00", "reason": "paint"}],
        "granularity_minutes": 30, "min_duration_minutes": 60, "max_duration_minutes": 480,
        "min_notice_minutes": 120, "max_notice_minutes": 43_200,
        "buffer_before_minutes": 10, "buffer_after_minutes": 20,
        "cancellation": {"grace_minutes": 0, "tiers": [{"hours_before": 24, "refund_percent": 80}]},
        "hold_minutes": 5, "no_show_grace_minutes": 30,
        "overtime_per_hour": {"amount": 20_000, "currency": "KRW"},
        "hand_over": "code", "unscheduled": false,
    });
    let definition = read(&everything).unwrap();
    assert_eq!(definition.timezone, "Asia/Seoul");
    let stored = serde_json::to_value(&definition).unwrap();
    assert_eq!(
        serde_json::from_value::<Definition>(stored.clone()).unwrap(),
        definition
    );
    let mut shown = stored;
    shown["version"] = json!(7);
    shown["_links"] = json!({});
    assert_eq!(read(&shown).unwrap(), definition);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_where_it_stands() {
    let wrong = json!({
        "spacename": " ", "timezone": "Asia/Atlantis", "units": 0, "colour": "red", "a/b": 1,
        "price_per_hour": {"amount": -1, "currency": "KRW"},
        "rates": [{"price_per_hour": {"amount": 1, "currency": "USD"}},
                  {"from": "09:00", "to": "09:00", "price_per_hour": {"amount": 1, "currency": "KRW"}}],
        "points_rate": 10_001,
        "opening_hours": {"sunday": [{"from": "24:00", "to": "09:00"}]},
        "exceptions": [{"date": "2026-12-25"}, {"date": "2026-12-25"}],
        "blackouts": [{"start": "2026-12-02T00:00:00Z", "end": "2026-12-01T00:00:00Z"}],
        "granularity_minutes": 50, "min_duration_minutes": 60, "max_duration_minutes": 59,
        "min_notice_minutes": 60, "max_notice_minutes": 60,
        "buffer_before_minutes": 10_081, "hold_minutes": 121,
        "cancellation": {"tiers": [{"hours_before": 24, "refund_percent": 50},
                                   {"hours_before": 48, "refund_percent": 100},
                                   {"hours_before": 1, "refund_percent": 101}]},
    });
    let expected = [
        ("/a~1b", "unknown-field"),
        ("/colour", "unknown-field"),
        ("/spacename", "required"),
        ("/timezone", "no-such-timezone"),
        ("/units", "out-of-range"),
        ("/price_per_hour/amount", "out-of-range"),
        ("/rates/0/price_per_hour/currency", "other-currency"),
        ("/rates/1/to", "empty"),
        ("/points_rate", "out-of-range"),
        ("/opening_hours/sunday/0/from", "out-of-range"),
        ("/exceptions/1/date", "twice"),
        ("/blackouts/0/end", "end-not-after-start"),
        ("/granularity_minutes", "out-of-range"),
        ("/buffer_before_minutes", "out-of-range"),
        ("/hold_minutes", "out-of-range"),
        ("/max_duration_minutes", "out-of-range"),
        ("/max_notice_minutes", "out-of-range"),
        ("/cancellation/tiers/1/hours_before", "out-of-order"),
        ("/cancellation/tiers/1/refund_percent", "out-of-order"),
        ("/cancellation/tiers/2/refund_percent", "out-of-range"),
        ("/cancellation/tiers/2/refund_percent", "out-of-order"),
    ];
    let expected = expected.map(|(pointer, code)| (pointer.to_owned(), code));
    assert_eq!(complaints(&wrong), expected);
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_has_the_wrong_shape_is_pointed_at() {
    for (name, value, pointer) in [
        ("units", json!("two"), "/units"),
        ("units", json!(1.5), "/units"),
        ("units", json!(-1), "/units"),
        ("price_per_hour", json!(10_000), "/price_per_hour"),
        ("price_per_hour", json!({"amount": 1}), "/price_per_hour"),
        (
            "price_per_hour",
            json!({"amount": 1.5, "currency": "USD"}),
            "/price_per_hour/amount",
        ),
        (
            "price_per_hour",
            json!({"amount": 1, "currency": "XXX"}),
            "/price_per_hour/currency",
        ),
        (
            "price_per_hour",
            json!({"amount": 1, "currency": "KRW", "per": "h"}),
            "/price_per_hour/per",
        ),
        (
            "overtime_per_hour",
            json!({"amount": 1, "currency": "EUR"}),
            "/overtime_per_hour/currency",
        ),
        (
            "rates",
            json!([{"days": ["someday"], "price_per_hour": {"amount": 1, "currency": "KRW"}}]),
            "/rates/0/days/0",
        ),
        (
            "rates",
            json!([{"price_per_hour": {"amount": 1, "currency": "KRW", "x": 1}}]),
            "/rates/0/price_per_hour/x",
        ),
        (
            "opening_hours",
            json!({"Monday": []}),
            "/opening_hours/Monday",
        ),
        (
            "opening_hours",
            json!({"monday": [{"from": "9:00", "to": "10:00"}]}),
            "/opening_hours/monday/0/from",
        ),
        (
            "opening_hours",
            json!({"monday": [{"from": "09:00"}]}),
            "/opening_hours/monday/0",
        ),
        (
            "exceptions",
            json!([{"date": "2026-02-30"}]),
            "/exceptions/0/date",
        ),
        (
            "blackouts",
            json!([{"start": "2026-12-01T00:00:00", "end": "2026-12-02T00:00:00Z"}]),
            "/blackouts/0/start",
        ),
        (
            "cancellation",
            json!({"tiers": [{"hours_before": 1, "refund_percent": 300}]}),
            "/cancellation/tiers/0/refund_percent",
        ),
        ("cancellation", json!({"grace": 1}), "/cancellation/grace"),
        ("price_per_hour", json!([7, "EUR"]), "/price_per_hour"),
        ("overtime_per_hour", json!([7, "KRW"]), "/overtime_per_hour"),
        ("opening_hours", json!([]), "/opening_hours"),
        (
            "opening_hours",
            json!([[["09:00", "10:00"]]]),
            "/opening_hours",
        ),
        (
            "opening_hours",
            json!({"monday": [["09:00", "10:00"]]}),
            "/opening_hours/monday/0",
        ),
        ("cancellation", json!([5, [[10, 20]]]), "/cancellation"),
        (
            "cancellation",
            json!({"tiers": [[10, 20]]}),
            "/cancellation/tiers/0",
        ),
        (
            "rates",
            json!([{"price_per_hour": [1, "KRW"]}]),
            "/rates/0/price_per_hour",
        ),
        (
            "rates",
            json!([[[], "00:00", "24:00", {"amount": 1, "currency": "KRW"}]]),
            "/rates/0",
        ),
        ("exceptions", json!([["2026-12-25"]]), "/exceptions/0"),
        (
            "exceptions",
            json!([{"date": "2026-12-25T10:00"}]),
            "/exceptions/0/date",
        ),
        (
            "exceptions",
            json!([{"date": "-000005-12-25"}]),
            "/exceptions/0/date",
        ),
        (
            "blackouts",
            json!([["2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z"]]),
            "/blackouts/0",
        ),
        (
            "blackouts",
            json!([{"start": "2026-12-01T00:00:00+25:00", "end": "2026-12-02T00:00:00Z"}]),
            "/blackouts/0/start",
        ),
        ("timezone", json!("Etc/Unknown"), "/timezone"),
        ("spacename", json!(".."), "/spacename"),
        ("spacename", json!("."), "/spacename"),
        ("spacename", json!(" numberone"), "/spacename"),
        ("spacename", json!("numberone\u{3000}"), "/spacename"),
        ("spacename", json!("number\u{202e}one"), "/spacename"),
        ("spacename", json!("\u{feff}numberone"), "/spacename"),
        ("hand_over", json!("drone"), "/hand_over"),
        ("unscheduled", json!("yes"), "/unscheduled"),
        ("spacename", json!("a\u{0}b"), "/spacename"),
        ("spacename", json!("x".repeat(256)), "/spacename"),
        ("spacename", json!(null), "/spacename"),
        // Overtime costs the same when nobody says otherwise: it is one mistake.
        (
            "price_per_hour",
            json!({"amount": -1, "currency": "KRW"}),
            "/price_per_hour/amount",
        ),
    ] {
        let mut body = json!({"spacename": "numberone"});
        body[name] = value.clone();
        let found = complaints(&body);
        assert_eq!(found.len(), 1, "{name} {value}: {found:?}");
        assert_eq!(found[0].0, pointer, "{name} {value}");
    }
}

#[test]
fn what_is_wrong_is_said_in_words_for_people() {
    for (name, value, detail) in [
        (
            "units",
            json!("two"),
            "must be a whole number from 1 to 100",
        ),
        (
            "granularity_minutes",
            json!(-5),
            "must divide a day: 5, 10, 15, 30, 60, 1440 and so on",
        ),
        ("price_per_hour", json!(7), "must be an object"),
        ("price_per_hour", json!([7, "EUR"]), "must be an object"),
        ("price_per_hour", json!({"amount": 1}), "must say currency"),
        (
            "price_per_hour",
            json!({"amount": 1, "currency": "XXX"}),
            "must be one of KRW, USD, EUR, JPY",
        ),
        (
            "price_per_hour",
            json!({"amount": 1, "currency": "KRW", "per": 1}),
            "is not known here; there is amount or currency",
        ),
        ("rates", json!({}), "must be a list"),
        (
            "hand_over",
            json!("drone"),
            "must be one of key, code, staff",
        ),
        ("hand_over", json!(7), "must be a text"),
        ("unscheduled", json!("yes"), "must be true or false"),
        (
            "opening_hours",
            json!({"monday": [{"from": "9", "to": "10:00"}]}),
            "a time of day is written as HH:MM, from 00:00 to 24:00",
        ),
        ("exceptions", json!([{"date": "x"}]), written::A_DATE),
        (
            "blackouts",
            json!([{"start": "x", "end": "x"}]),
            written::A_TIME,
        ),
    ] {
        let mut body = json!({"spacename": "numberone"});
        body[name] = value.clone();
        let errors = read(&body).unwrap_err();
        assert_eq!(errors[0].detail, detail, "{name} {value}");
    }
}

#[test]
fn a_time_of_day_is_hours_and_minutes() {
    for text in ["00:00", "09:05", "23:59", "24:00"] {
        assert_eq!(text.parse::<WallTime>().unwrap().to_string(), text);
    }
    for text in [
        "", "9:00", "09:0", "24:01", "25:00", "09:60", "0900", "+9:00", "09:00:00", "-1:00",
    ] {
        assert!(text.parse::<WallTime>().is_err(), "{text}");
    }
}

#[test]
fn terms_are_what_the_definition_says() {
    let venue = venue(json!({
        "timezone": "Asia/Seoul", "buffer_before_minutes": 5, "buffer_after_minutes": 15, "hold_minutes": 7,
        "no_show_grace_minutes": 30, "hand_over": "staff",
        "overtime_per_hour": {"amount": 12_000, "currency": "KRW"},
    }));
    let terms = venue.terms();
    assert_eq!(terms.venue_version, 1);
    assert_eq!(terms.timezone, "Asia/Seoul");
    assert_eq!(
        (terms.buffer_before_minutes, terms.buffer_after_minutes),
        (5, 15)
    );
    assert_eq!((terms.hold_minutes, terms.no_show_grace_minutes), (7, 30));
    assert_eq!(terms.hand_over, Method::Staff);
    assert_eq!(terms.overtime_per_hour, Money::krw(12_000));
    assert_eq!(&terms.policy, &venue.definition().cancellation);
}
