//! A journal of a million events within seconds, and what a rebuild is measured against.

use anyhow::ensure;
use domain::payment::charge_key;
use domain::{BookId, Command, Money, UserId, book, payment, space};
use journal::{Actor, Done, Journal, Request, Trace};
use sqlx::PgConnection;

/// How many events a booking has when it is confirmed, and when it is cancelled to its end.
const CONFIRMED: i64 = 6;
const CANCELLED: i64 = 12;
/// Every so manieth booking is cancelled, and so many bookings later.
const CANCELLED_EVERY: i64 = 4;
const CANCELLED_AFTER: i64 = 5_000;

/// The statement that computes My Page from the same events.
pub const ONE_STATEMENT: &str = include_str!("rebuild/one_statement.sql");

/// The statement that tells one booking's story under other numbers.
const RETELL: &str = include_str!("rebuild/retell.sql");

/// Plays one booking through the real aggregates, and tells its story under other numbers until there are about
/// `events` events: three of four bookings are confirmed, one is cancelled a while later.
///
/// # Errors
/// When the database does not answer, or the story cannot be played.
pub async fn many_bookings(
    journal: &Journal,
    owner: &mut PgConnection,
    events: i64,
) -> anyhow::Result<()> {
    for commands in story(journal.next_booking("numberone").await?.bookid) {
        let request = Request {
            command_id: journal.random().uuid(),
            trace: Trace {
                correlation_id: journal.random().uuid().to_string(),
                causation_id: None,
                traceparent: None,
                actor: Actor::Customer,
                actor_id: Some("1".into()),
            },
            commands,
            claims: vec![],
        };
        let done = journal.execute_one(request).await?;
        ensure!(
            matches!(done, Done::Stored(_)),
            "the story stopped: {done:?}"
        );
    }
    let each = CONFIRMED * (CANCELLED_EVERY - 1) + CANCELLED;
    let bookings = events * CANCELLED_EVERY / each;
    sqlx::query(RETELL)
        .bind(bookings)
        .bind(CONFIRMED)
        .bind(CANCELLED_EVERY)
        .bind(CANCELLED_AFTER)
        .execute(&mut *owner)
        .await?;
    sqlx::query("select setval('book_ids', $1)")
        .bind(bookings)
        .execute(&mut *owner)
        .await?;
    for settle in ["vacuum analyze events", "checkpoint"] {
        sqlx::raw_sql(settle).execute(&mut *owner).await?;
    }
    Ok(())
}

/// A booking that is placed, paid, registered and confirmed, and then cancelled to its end.
fn story(bookid: BookId) -> Vec<Vec<Command>> {
    let (price, userid, spacename) = (Money::krw(10_000), Some(UserId(1)), "numberone".to_owned());
    let book = |command| Command::Book(bookid, command);
    let pay = |command| Command::Payment(bookid, command);
    let space = |command| Command::Space(bookid, command);
    let reason = "the booking was cancelled".to_owned();
    vec![
        vec![
            book(book::Command::Place {
                bookid,
                userid,
                spacename: spacename.clone(),
                price,
                scheduled: None,
            }),
            pay(payment::Command::Request {
                bookid,
                userid,
                spacename: spacename.clone(),
                price,
                points: domain::payment::Points::default(),
            }),
        ],
        vec![pay(payment::Command::RecordApproval {
            charge_no: 1,
            gateway_ref: charge_key(bookid, 1),
            captured: price,
        })],
        vec![space(space::Command::Register {
            bookid,
            approved_payid: bookid,
            userid,
            spacename,
            no_show_grace_minutes: None,
            slot: None,
        })],
        vec![book(book::Command::Confirm)],
        vec![book(book::Command::Cancel {
            reason: None,
            at: jiff::Timestamp::UNIX_EPOCH,
        })],
        vec![pay(payment::Command::Cancel {
            refund: price,
            percent: 100,
            reason: reason.clone(),
        })],
        vec![pay(payment::Command::RecordRefund {
            refund_no: 1,
            refund_ref: "refund-1".into(),
        })],
        vec![space(space::Command::Cancel { reason })],
        vec![book(book::Command::Close {
            outcome: book::Outcome::Cancelled,
        })],
    ]
}
