//! The verdict sees harm: each kind is planted by hand in a world that is well, and is found.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::load::{Answered, at, book, cancel};
use super::verdict::{self, Verdict};
use super::world::World;

const SETTLED_MAX: Duration = Duration::from_secs(30);
/// Nothing moves any more.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What is done, and how the verdict shows it.
type Harm = (&'static str, fn(&Verdict) -> bool);

/// Each is done to a database of its own.
const HARMS: [Harm; 9] = [
    (
        "insert into stub_gateway.charges (key, reference, bookid, charge_no, amount, currency)
         select key || '/again', gen_random_uuid(), bookid, charge_no, amount, currency from stub_gateway.charges",
        |verdict| verdict.doubled > 0 && verdict.money > 0,
    ),
    (
        "insert into stub_gateway.refunds (key, reference, charge, amount)
         select key || '/' || n, gen_random_uuid(), reference, amount from stub_gateway.charges, generate_series(1, 2) n",
        |verdict| verdict.doubled > 0 && verdict.money > 0,
    ),
    ("delete from stub_gateway.charges", |verdict| verdict.money > 0),
    (
        "insert into jobs (kind, key, bookid, payload, due_at) values ('charge', 'x', 1, '{}', now() + interval '1 day')",
        |verdict| verdict.stuck > 0,
    ),
    (
        "insert into jobs (kind, key, bookid, payload, due_at, state) values ('charge', 'x', 1, '{}', now(), 'attention')",
        |verdict| verdict.stuck > 0,
    ),
    (
        "insert into parked (name, generation, position, key, event_type, event_version, reason)
         values ('mypage', 1, 1, '1', 'Booked', '1', 'planted')",
        |verdict| verdict.parked > 0,
    ),
    (
        "insert into slot_claims (bookid, unit, during) values (1, 1, tstzrange(now(), now() + interval '1 hour'))",
        |verdict| verdict.slots > 0,
    ),
    (
        "do $$ begin execute format('update mypage_%s.mypages set spacename = ''another''', 1); end $$",
        |verdict| !verdict.differing.is_empty(),
    ),
    (
        "do $$ begin execute format('delete from mypage_%s.mypages', 1); end $$",
        |verdict| verdict.lost > 0 && verdict.stuck > 0,
    ),
];

#[tokio::test]
async fn the_verdict_sees_every_kind_of_harm() {
    for (harm, is_seen) in HARMS {
        let world = World::shared().await;
        let mut node = world.node(&[]).await;
        let (status, body) = book(&world.http, &node.url("/books"), "numberone", None).await;
        assert_eq!(status, 201, "{body}");
        let answered = Answered {
            booked: vec![body["bookid"].as_i64().unwrap()],
            cancelled: vec![],
            moved: vec![],
        };
        assert!(verdict::settles(&world, SETTLED_MAX).await);
        node.kill().await;
        let mut owner = PgConnection::connect(&world.url).await.unwrap();
        sqlx::raw_sql(harm).execute(&mut owner).await.unwrap();
        let verdict = verdict::of(&world, &answered, AT_ONCE).await;
        assert!(
            is_seen(&verdict) && !verdict.is_well(),
            "{harm}: {verdict:#?}"
        );
    }
}

#[tokio::test]
async fn a_booking_that_was_answered_and_is_nowhere_is_lost() {
    let world = World::shared().await;
    let answered = Answered {
        booked: vec![41, 42],
        cancelled: vec![43],
        moved: vec![(44, at("10:00"))],
    };
    let verdict = verdict::of(&world, &answered, AT_ONCE).await;
    assert_eq!((verdict.accepted, verdict.lost), (2, 4));
}

#[tokio::test]
async fn a_cancellation_that_is_under_way_is_stuck_and_not_lost() {
    let world = World::shared().await;
    let mut node = world.node(&[]).await;
    let (status, body) = book(&world.http, &node.url("/books"), "numberone", None).await;
    assert_eq!(status, 201, "{body}");
    let bookid = body["bookid"].as_i64().unwrap();
    assert!(verdict::settles(&world, SETTLED_MAX).await);
    world.arm("job-claimed/refund", "kill");
    // Whether it is answered before the process dies is all the same: it is in the journal.
    cancel(&world.http, &node.url(&format!("/books/{bookid}")), None).await;
    node.ended().await;
    let answered = Answered {
        booked: vec![bookid],
        cancelled: vec![bookid],
        moved: vec![],
    };
    let verdict = verdict::of(&world, &answered, AT_ONCE).await;
    assert!(verdict.stuck > 0 && !verdict.is_well(), "{verdict:#?}");
    assert_eq!(verdict.lost, 0, "{verdict:#?}");
    let job = |line: &String| line.starts_with(&format!("job refund:{bookid}:1 is open"));
    assert!(verdict.open.iter().any(job), "{verdict:#?}");
}
