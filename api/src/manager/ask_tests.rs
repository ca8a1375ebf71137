//! What managers may ask, and how it is told what they may not.

use super::*;

#[test]
fn a_place_reads_as_it_is_written_and_nothing_else_does() {
    let read = place("20260501.1777593600000000.17").unwrap();
    assert_eq!((read.day.number(), read.bookid), (20_260_501, 17));
    assert_eq!(read.at.to_string(), "2026-05-01T00:00:00Z");
    for bad in [
        "",
        "1",
        "1.2",
        "1.2.3.4",
        "1.2.x",
        "1.9223372036854775807.3",
        "a.b.c",
    ] {
        assert_eq!(place(bad), None, "{bad}");
    }
}

#[test]
fn the_next_part_keeps_what_was_asked() {
    let client = Client::at("http://host");
    let asked = Parameters::of(&[
        ("spacename", "방 & 1"),
        ("after", "1.2.3"),
        ("size", "2"),
        ("min_position", "9"),
    ]);
    let next = Place {
        day: Day::numbered(20_260_501),
        at: Timestamp::UNIX_EPOCH,
        bookid: 4,
    };
    let links = links(&client, "/manager/board", &asked, Some(next));
    let json = serde_json::to_value(&links).unwrap();
    let own =
        "http://host/manager/board?spacename=%EB%B0%A9%20%26%201&after=1.2.3&size=2&min_position=9";
    assert_eq!(json["self"]["href"], own);
    let next = "http://host/manager/board?spacename=%EB%B0%A9%20%26%201&size=2&after=20260501.0.4";
    assert_eq!(json["next"]["href"], next);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let asked = Parameters::of(&[
        ("colour", "red"),
        ("size", "1001"),
        ("after", "x"),
        ("phase", "lost"),
        ("userid", "me"),
        ("from", "2026-05-01T00:00"),
        ("to", ""),
    ]);
    let mut ask = Ask::of(&asked, &["from", "to"], Ask::FILTERS);
    ask.must_say("spacename");
    ask.days();
    ask.filter();
    ask.part();
    let Err(Problem::Invalid(errors)) = ask.finish() else {
        panic!("it was not refused");
    };
    let errors: Vec<_> = errors
        .iter()
        .map(|error| (error.pointer.as_str(), error.code))
        .collect();
    let wanted = [
        ("/colour", "unknown-parameter"),
        ("/spacename", "required"),
        ("/to", "required"),
        ("/from", "not-a-date"),
        ("/userid", "not-a-number"),
        ("/phase", "unknown-value"),
        ("/size", "not-a-number"),
        ("/after", "not-a-place"),
    ];
    assert_eq!(errors, wanted);
}

#[test]
fn a_year_is_as_much_as_can_be_asked_for() {
    for (from, to, code) in [
        ("2026-05-01", "2026-05-01", None),
        ("2026-01-01", "2026-12-31", None),
        ("2024-01-01", "2024-12-31", None),
        ("2026-01-01", "2027-01-02", Some("too-far")),
        ("2026-05-02", "2026-05-01", Some("before-from")),
        ("0000-01-01", "9999-12-31", Some("too-far")),
    ] {
        let asked = Parameters::of(&[("from", from), ("to", to)]);
        let mut ask = Ask::for_numbers(&asked, &["from", "to"], &[]);
        ask.days();
        let found = ask.errors.first().map(|error| error.code);
        assert_eq!(found, code, "{from} {to}");
    }
}

#[test]
fn every_word_that_a_row_can_say_can_be_asked_for() {
    let words = [
        ("phase", Phase::ALL.iter().map(|it| it.as_str()).collect()),
        ("status", of_mypage().collect()),
        (
            "payment_status",
            PaymentStatus::ALL.iter().map(|it| it.as_str()).collect(),
        ),
        (
            "refund_status",
            RefundStatus::ALL
                .iter()
                .map(|it| it.as_str())
                .collect::<Vec<_>>(),
        ),
    ];
    for (name, words) in words {
        for word in words {
            let asked = Parameters::of(&[(name, word)]);
            let mut ask = Ask::of(&asked, &[], Ask::FILTERS);
            ask.filter();
            assert!(ask.finish().is_ok(), "{name} {word}");
        }
    }
    let asked = Parameters::of(&[("status", "success-register")]);
    let mut ask = Ask::of(&asked, &[], Ask::FILTERS);
    ask.filter();
    assert!(ask.finish().is_err(), "no booking would ever be found");
}
