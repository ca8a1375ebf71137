//! Requests of several streams, which are read one after the other: what is decided on states that never were together
//! is decided again.

use domain::book::{self, Scheduled};
use domain::payment::Difference;
use domain::space::Method;
use domain::terms::{Policy, Slot, Terms};
use domain::{BookId, Command, Money, Refusal, payment};
use futures::future::join_all;
use jiff::SignedDuration;
use journal::append::Claim;
use journal::{CommandError, Done, Request};

use crate::samples::{hour, id, register, request, request_payment};
use crate::stage::Stage;

/// Moves to one time that are asked for at once.
const AT_ONCE: u128 = 8;
const ROUNDS: i64 = 12;

fn slot(from: i64) -> Slot {
    Slot::new(hour(from), hour(from + 1))
}

fn claim(key: i64, from: i64) -> Claim {
    Claim {
        bookid: key,
        units: vec![key],
        start: hour(from),
        end: hour(from + 1),
    }
}

/// A booking for the tenth hour, paid, registered and confirmed.
async fn confirmed(stage: &Stage, key: i64) {
    let scheduled = Scheduled {
        slot: slot(10),
        terms: Terms {
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
            overtime_per_hour: Money::krw(10_000),
            hand_over: Method::Key,
        },
        booked_at: hour(0),
    };
    let bookid = BookId(key);
    let place = book::Command::Place {
        bookid,
        userid: None,
        spacename: "numberone".to_owned(),
        price: Money::krw(10_000),
        scheduled: Some(Box::new(scheduled)),
    };
    let approval = payment::Command::RecordApproval {
        charge_no: 1,
        gateway_ref: format!("tx-{key}"),
        captured: Money::krw(10_000),
    };
    let steps = [
        vec![Command::Book(bookid, place), request_payment(key)],
        vec![Command::Payment(bookid, approval)],
        vec![register(key)],
        vec![Command::Book(bookid, book::Command::Confirm)],
    ];
    for (step, commands) in (0..).zip(steps) {
        let number = u128::try_from(key).unwrap() * 1_000 + step;
        stage
            .journal
            .execute_one(request(number, commands))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_moves_at_once_are_one_move_and_nothing_is_refused_for_what_never_was() {
    let stage = Stage::open().await;
    for key in 1..=ROUNDS {
        confirmed(&stage, key).await;
        let moves = (0..AT_ONCE).map(|number| {
            let commands = Command::reschedule(
                BookId(key),
                slot(20),
                Difference {
                    from: Money::krw(10_000),
                    kept: 0,
                    to: Money::krw(15_000),
                    refund_percent: 100,
                },
                hour(-100) + SignedDuration::from_secs(1),
            );
            let asked = Request {
                claims: vec![claim(key, 20)],
                ..request(1_000_000 * u128::try_from(key).unwrap() + number, commands)
            };
            stage.journal.execute_one(asked)
        });
        let answers = join_all(moves).await;
        let stored = answers
            .iter()
            .filter(|answer| matches!(answer, Ok(Done::Stored(_))));
        assert_eq!(stored.count(), 1, "{answers:?}");
        for answer in &answers {
            let same_time = matches!(
                answer,
                Err(CommandError::Refused(Refusal::Book(book::Error::SameTime)))
            );
            assert!(
                same_time || matches!(answer, Ok(Done::Stored(_))),
                "{answer:?}"
            );
        }
    }
    let _ = id(0);
}
