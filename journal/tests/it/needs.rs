//! What commands take and give back beside their streams: derived from what was decided, whoever decided it.

use cqrs_es::CqrsFramework;
use domain::book::{self, Book, Scheduled};
use domain::payment::{self, Difference, Points};
use domain::space::{self, Method};
use domain::terms::{Policy, Slot, Terms};
use domain::value::BasisPoints;
use domain::{BookId, Command, Money, UserId};
use jiff::Timestamp;
use journal::append::Claim;
use journal::{CommandError, Done, Request};

use crate::samples::{Compose, append, booked, hour, metadata, request};
use crate::sql;
use crate::stage::Stage;

/// What is wrong with `slot_claims`: what the events say and it does not, and the other way round.
pub(crate) const ASTRAY: &str = "
    select count(*) from (select * from slots_by_events(1, 9223372036854775807)) e
    full join slot_claims c using (bookid, unit, during)
    where e.bookid is null or c.bookid is null";

const PRICE: Money = Money::krw(10_000);

fn terms() -> Terms {
    Terms {
        venue_version: 1,
        timezone: "Asia/Seoul".to_owned(),
        policy: Policy {
            grace_minutes: 0,
            tiers: vec![],
        },
        buffer_before_minutes: 15,
        buffer_after_minutes: 30,
        hold_minutes: 10,
        no_show_grace_minutes: 15,
        overtime_per_hour: PRICE,
        hand_over: Method::Key,
    }
}

pub(crate) fn slot(from: i64, to: i64) -> Slot {
    Slot::new(hour(from), hour(to))
}

fn claim(bookid: i64, slot: &Slot) -> Claim {
    let (start, end) = terms().occupied(slot);
    Claim {
        bookid,
        units: vec![5, 6],
        start,
        end,
    }
}

fn to_place(key: i64, slot: Slot) -> Vec<Command> {
    let (bookid, userid) = (BookId(key), Some(UserId(7)));
    let place = book::Command::Place {
        bookid,
        userid,
        spacename: "numberone".to_owned(),
        price: PRICE,
        scheduled: Some(Box::new(Scheduled {
            slot,
            terms: terms(),
            booked_at: hour(0),
        })),
    };
    vec![Command::Book(bookid, place), to_pay(key, 0)]
}

/// The payment of a booking, for which so many points are spent.
fn to_pay(key: i64, spent: i64) -> Command {
    let rate = BasisPoints::default();
    let request = payment::Command::Request {
        bookid: BookId(key),
        userid: Some(UserId(7)),
        spacename: "numberone".to_owned(),
        price: PRICE,
        points: Points { spent, rate },
    };
    Command::Payment(BookId(key), request)
}

fn claiming(command: u128, commands: Vec<Command>, claim: Claim) -> Request {
    Request {
        claims: vec![claim],
        ..request(command, commands)
    }
}

/// Places a booking for these hours.
pub(crate) async fn placed(stage: &Stage, command: u128, key: i64, from: i64, to: i64) {
    let slot = slot(from, to);
    let request = claiming(command, to_place(key, slot), claim(key, &slot));
    stored(stage, request).await;
}

pub(crate) async fn stored(stage: &Stage, request: Request) {
    let done = stage.journal.execute_one(request).await;
    assert!(matches!(done, Ok(Done::Stored(_))), "{done:?}");
}

async fn held(stage: &mut Stage) -> Vec<String> {
    let held = "select bookid || ' in ' || unit from slot_claims order by bookid";
    assert_eq!(stage.number(ASTRAY).await, 0);
    sql::texts(&mut stage.owner, held).await
}

fn on_book(command: book::Command) -> Vec<Command> {
    vec![Command::Book(BookId(1), command)]
}

#[tokio::test]
async fn whatever_ends_a_booking_gives_its_slot_back() {
    let ends = [
        Command::cancel_booking(BookId(1), None, hour(1)),
        on_book(book::Command::Reject {
            reason: "declined".to_owned(),
        }),
        on_book(book::Command::Expire),
    ];
    for end in ends {
        let mut stage = Stage::open().await;
        placed(&stage, 1, 1, 10, 12).await;
        placed(&stage, 2, 2, 10, 12).await;
        assert_eq!(held(&mut stage).await, ["1 in 5", "2 in 6"]);
        stored(&stage, request(3, end)).await;
        assert_eq!(held(&mut stage).await, ["2 in 6"]);
        placed(&stage, 4, 4, 10, 12).await;
        assert_eq!(held(&mut stage).await, ["2 in 6", "4 in 5"]);
    }
}

#[tokio::test]
async fn what_does_not_end_it_leaves_it() {
    let mut stage = Stage::open().await;
    placed(&stage, 1, 1, 10, 12).await;
    let deferred = book::Command::DeferPayment {
        reason: "slow".to_owned(),
        sent: true,
    };
    stored(&stage, request(2, on_book(deferred))).await;
    stored(&stage, request(3, on_book(book::Command::Confirm))).await;
    let outcome = book::Outcome::NoShow;
    stored(
        &stage,
        request(4, on_book(book::Command::Close { outcome })),
    )
    .await;
    assert_eq!(held(&mut stage).await, ["1 in 5"]);
}

#[tokio::test]
async fn cqrs_es_cannot_forget_it_either() {
    let mut stage = Stage::open().await;
    placed(&stage, 1, 1, 10, 12).await;
    let framework = CqrsFramework::new(stage.journal.store::<Book>(), vec![], ());
    let cancel = book::Command::Cancel {
        reason: None,
        at: hour(1),
    };
    framework
        .execute_with_metadata("1", cancel, metadata().to_map())
        .await
        .unwrap();
    assert!(held(&mut stage).await.is_empty());
}

/// Paid, registered and confirmed.
pub(crate) async fn confirmed(stage: &Stage, command: u128, key: i64, from: i64, to: i64) {
    placed(stage, command, key, from, to).await;
    let approve = payment::Command::RecordApproval {
        charge_no: 1,
        gateway_ref: "paid".to_owned(),
        captured: PRICE,
    };
    let bookid = BookId(key);
    let register = space::Command::Register {
        bookid,
        approved_payid: bookid,
        userid: Some(UserId(7)),
        spacename: "numberone".to_owned(),
        slot: Some(slot(from, to)),
        no_show_grace_minutes: None,
    };
    let commands = vec![
        Command::Payment(bookid, approve),
        Command::Space(bookid, register),
        Command::Book(bookid, book::Command::Confirm),
    ];
    stored(stage, request(command + 100, commands)).await;
}

pub(crate) fn to_move(command: u128, key: i64, to: Slot) -> Request {
    let difference = Difference {
        from: PRICE,
        kept: 0,
        to: PRICE,
        refund_percent: 0,
    };
    let commands = Command::reschedule(BookId(key), to, difference, hour(1));
    claiming(command, commands, claim(key, &to))
}

#[tokio::test]
async fn a_booking_that_is_moved_has_its_new_slot_and_no_other() {
    let mut stage = Stage::open().await;
    confirmed(&stage, 1, 1, 10, 12).await;
    confirmed(&stage, 2, 2, 10, 12).await;
    // Over its own old slot.
    stored(&stage, to_move(3, 1, slot(11, 13))).await;
    assert_eq!(held(&mut stage).await, ["1 in 5", "2 in 6"]);
    stored(&stage, to_move(4, 2, slot(14, 16))).await;
    assert_eq!(held(&mut stage).await, ["1 in 5", "2 in 5"]);
    let named = "select payload #>> '{slot,unit}' from events
                 where event_type in ('Rescheduled', 'RegistrationMoved') order by position";
    assert_eq!(
        sql::texts(&mut stage.owner, named).await,
        ["5", "5", "5", "5"]
    );
    confirmed(&stage, 5, 5, 8, 10).await;
    // What is in its way now is its own buffer, and another one's.
    let taken = to_move(6, 5, slot(13, 15));
    placed(&stage, 7, 7, 12, 14).await;
    let taken = stage.journal.execute_one(taken).await;
    assert!(matches!(taken, Err(CommandError::SlotTaken)), "{taken:?}");
    assert_eq!(held(&mut stage).await.len(), 4);
}

/// One customer, twice at once, to two times that overlap: each decides on the same version.
#[tokio::test]
async fn of_two_moves_of_one_booking_at_once_the_second_is_decided_on_the_first() {
    let mut stage = Stage::open().await;
    confirmed(&stage, 1, 1, 10, 12).await;
    let (one, other) = tokio::join!(
        stage.journal.execute_one(to_move(2, 1, slot(11, 13))),
        stage.journal.execute_one(to_move(3, 1, slot(12, 14))),
    );
    assert!(matches!(one, Ok(Done::Stored(_))), "{one:?}");
    assert!(matches!(other, Ok(Done::Stored(_))), "{other:?}");
    assert_eq!(held(&mut stage).await, ["1 in 5"]);
}

#[tokio::test]
async fn points_that_are_not_there_pay_for_nothing() {
    let mut stage = Stage::open().await;
    let payload =
        serde_json::json!({"type": "PointsAccrued", "payid": 9, "userid": 7, "points": 300});
    let earns = append(9).saying("Payment", 9, 0, "PointsAccrued", payload);
    stage.append(earns).await.unwrap();
    let with = |command, key, points| {
        let slot = slot(10, 12);
        let place = to_place(key, slot).remove(0);
        claiming(command, vec![place, to_pay(key, points)], claim(key, &slot))
    };
    let too_many = stage.journal.execute_one(with(1, 1, 301)).await;
    assert!(matches!(too_many, Err(CommandError::PointsNotCovered)));
    assert!(held(&mut stage).await.is_empty());
    stored(&stage, with(2, 2, 200)).await;
    let too_many = stage.journal.execute_one(with(3, 3, 101)).await;
    assert!(matches!(too_many, Err(CommandError::PointsNotCovered)));
    stored(&stage, with(4, 4, 100)).await;
    assert_eq!(held(&mut stage).await, ["2 in 5", "4 in 6"]);
    assert_eq!(stage.number("select points_balance(7)").await, 0);
}

#[tokio::test]
async fn an_expected_version_is_that_of_the_first_commands_stream() {
    let stage = Stage::open().await;
    confirmed(&stage, 1, 1, 10, 12).await;
    // The Book stream is at 2, the Space stream at 1.
    let cancel = || Command::cancel_booking(BookId(1), None, hour(1));
    let other = stage
        .journal
        .execute_at(request(2, cancel()), vec![1])
        .await;
    assert!(
        matches!(other, Err(CommandError::OtherVersion { current: 2 })),
        "{other:?}"
    );
    let done = stage
        .journal
        .execute_at(request(3, cancel()), vec![2])
        .await;
    assert!(matches!(done, Ok(Done::Stored(_))), "{done:?}");
}

/// The slots that the events say are those that the claims were made for, buffers and all.
#[tokio::test]
async fn the_claims_follow_from_the_events() {
    let mut stage = Stage::open().await;
    for (key, from) in [(1, 10), (2, 10), (3, 20)] {
        let command = u128::try_from(key).unwrap();
        confirmed(&stage, command, key, from, from + 2).await;
    }
    // An unscheduled one has none.
    stage.append(booked(4, 4)).await.unwrap();
    stored(&stage, to_move(5, 1, slot(30, 31))).await;
    let cancel = Command::cancel_booking(BookId(2), None, hour(1));
    stored(&stage, request(6, cancel)).await;
    assert_eq!(held(&mut stage).await, ["1 in 5", "3 in 5"]);
    let during = "select extract(epoch from lower(during))::bigint from slot_claims where bookid = 1
                  union all select extract(epoch from upper(during))::bigint from slot_claims where bookid = 1";
    let (start, end) = terms().occupied(&slot(30, 31));
    let seconds = [start, end].map(Timestamp::as_second);
    assert_eq!(sql::numbers(&mut stage.owner, during).await, seconds);
    sql::run(
        &mut stage.owner,
        "update slot_claims set unit = 6 where bookid = 3; delete from slot_claims where bookid = 1",
    )
    .await;
    assert_eq!(stage.number(ASTRAY).await, 3, "and the comparison sees it");
}
