//! The verdict sees harm: whatever it looks for is planted by hand in a world that is well, and is found.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;

use super::load::{Answered, at, book, book_for, cancel, move_to, put};
use super::looks::{Harm, NEVER_MORE_THAN, ONCE, ONCE_A_REQUEST, looks};
use super::verdict;
use super::world::{SHORT, World};

const SETTLED_MAX: Duration = Duration::from_secs(30);
/// Nothing moves any more.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Harm that is done to rows: what the verdict must find, and how it is done. The bookings are those of [`a_world`].
const ROWS: [(&str, &str); 22] = [
    ("a booking that is not in the books", "delete from books_1.books where bookid = 1"),
    ("a booking that is not in the payments", "delete from payments_1.payments where bookid = 1"),
    ("a booking that is not in My Page", "delete from mypage_1.mypages where bookid = 1"),
    ("a cancellation", "update books_1.books set status = 'success-register' where bookid = 3"),
    (
        "charged twice",
        "insert into stub_gateway.charges (key, reference, bookid, charge_no, amount, currency)
         select key || '/again', gen_random_uuid(), bookid, charge_no, amount, currency from stub_gateway.charges",
    ),
    (
        "more given back than was taken",
        "insert into stub_gateway.refunds (key, reference, charge, amount)
         select key || '/' || n, gen_random_uuid(), reference, amount from stub_gateway.charges, generate_series(1, 2) n",
    ),
    (
        "an event",
        "insert into parked (name, generation, position, key, event_type, event_version, reason)
         values ('mypage', 1, 1, '1', 'Booked', '1', 'planted')",
    ),
    ("a booking", "update books_1.books set status = 'booking' where bookid = 1"),
    ("a booking", "update mypage_1.mypages set status = 'Booked' where bookid = 1"),
    ("a booking", "delete from payments_1.payments where bookid = 1"),
    (
        "an open job",
        "insert into jobs (kind, key, bookid, payload, due_at) values ('charge', 'x', 1, '{}', now() + interval '1 day')",
    ),
    (
        "a job that needs people",
        "insert into jobs (kind, key, bookid, payload, due_at, state) values ('charge', 'x', 1, '{}', now(), 'attention')",
    ),
    ("a follower behind the head", "update followers set position = position - 1 where name = 'orders'"),
    ("a follower behind the head", "update followers set position = position - 1 where name = 'points'"),
    (
        "the gateway's books differ from the journal",
        "insert into stub_gateway.charges (key, reference, bookid, charge_no, amount, currency) values ('x', gen_random_uuid(), 99, 1, 1, 'KRW')",
    ),
    ("the gateway's books differ from the journal", "delete from stub_gateway.refunds; delete from stub_gateway.charges"),
    ("the gateway's books differ from the journal", "update stub_gateway.charges set amount = amount + 1 where bookid = 1"),
    ("nothing is held for one that is registered", "delete from stub_gateway.refunds; delete from stub_gateway.charges"),
    ("something is held for one that is over", "delete from stub_gateway.refunds"),
    (
        "kept for nobody",
        "insert into slot_claims (bookid, unit, during) values (1, 1, tstzrange(now(), now() + interval '1 hour'))",
    ),
    ("promised and not kept", "delete from slot_claims"),
    ("promised and not kept", "update slot_claims set during = tstzrange(lower(during), upper(during) - interval '1 minute')"),
];

/// What is put among the answers that were given.
type Untruth = fn(&mut Answered);

/// Harm that is in what customers were answered.
const ANSWERS: [(&str, Untruth); 4] = [
    ("a booking that is not in the journal", |answered| {
        answered.booked.push(99);
    }),
    ("a cancellation", |answered| answered.cancelled.push(1)),
    ("a move", |answered| answered.moved.push((2, at("15:00")))),
    ("{}", |answered| answered.look_at(&(500, json!({})))),
];

/// Puts an event into the journal past everything that keeps it whole.
const PLANT: &str = "
    create function pg_temp.plant(aggregate_type text, aggregate_id int, sequence int, event_type text, journey text) returns void language sql as $$
        insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        values (aggregate_type, aggregate_id, sequence, event_type, '1', '{}', jsonb_build_object('correlation_id', journey))
    $$";

/// Events that come too often, each with what the verdict must find.
fn events() -> Vec<(String, String)> {
    let plant = |kind: &str, id: u8, sequence: u8, event: &str| {
        format!("select pg_temp.plant('{kind}', {id}, {sequence}, '{event}', 'one journey');")
    };
    let mut harms = vec![(
        "a registration".to_owned(),
        plant("Space", 99, 1, "Registered"),
    )];
    for event in ONCE {
        let twice = plant("Book", 99, 1, event) + &plant("Book", 99, 2, event);
        harms.push((format!("{event} twice"), twice));
    }
    for event in ONCE_A_REQUEST {
        let twice = plant("Book", 98, 1, event) + &plant("Book", 99, 1, event);
        harms.push((format!("{event} twice for one request"), twice));
    }
    for (event, _) in NEVER_MORE_THAN {
        harms.push((format!("{event} too often"), plant("Payment", 99, 1, event)));
    }
    harms
}

fn bookid((status, body): (u16, Value)) -> i64 {
    assert_eq!(status, 201, "{body}");
    body["bookid"].as_i64().unwrap()
}

/// A world that is well: booking 1 is registered, 2 was moved, 3 was cancelled; nobody is at work any more.
async fn a_world() -> (World, Answered) {
    let world = World::shared().await;
    let mut node = world.node(&SHORT).await;
    let (http, url) = (&world.http, |path: &str| node.url(path));
    assert_eq!(put(http, &url("/venues/studio"), &json!({})).await.0, 201);
    let registered = bookid(book(http, &url("/books"), "numberone", Some("one")).await);
    let moved = bookid(book_for(http, &url("/books"), "studio", "10:00", "11:00").await);
    let cancelled = bookid(book(http, &url("/books"), "numberone", None).await);
    assert_eq!((registered, moved, cancelled), (1, 2, 3));
    assert!(verdict::settles(&world, SETTLED_MAX).await);
    let path = url(&format!("/books/{moved}/reschedule"));
    let (status, body) = move_to(http, &path, "12:00", "14:00", Some("two")).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = cancel(http, &url(&format!("/books/{cancelled}")), None).await;
    assert_eq!(status, 200, "{body}");
    assert!(verdict::settles(&world, SETTLED_MAX).await);
    node.kill().await;
    let answered = Answered {
        booked: vec![registered, moved, cancelled],
        cancelled: vec![cancelled],
        moved: vec![(moved, at("12:00"))],
        ..Answered::default()
    };
    (world, answered)
}

/// What is found when this was done; nothing of it stays.
async fn found(session: &PgPool, harm: &str, answered: &Answered) -> BTreeSet<String> {
    let run = async |sql: &str| sqlx::raw_sql(sql).execute(session).await.unwrap();
    run("begin").await;
    run(harm).await;
    let found = verdict::looked_at(session, answered).await;
    run("rollback").await;
    found.into_iter().map(|(_, what, _)| what).collect()
}

#[tokio::test]
async fn the_verdict_sees_every_kind_of_harm() {
    let (world, answered) = a_world().await;
    let well = verdict::of(&world, &answered, AT_ONCE).await;
    assert!(well.is_well(), "{well:#?}");
    let session = verdict::one_session(&world).await;
    sqlx::raw_sql(PLANT).execute(&session).await.unwrap();
    let rows = ROWS.map(|(what, harm)| (what.to_owned(), harm.to_owned()));
    let mut planted = BTreeSet::new();
    for (what, harm) in rows.into_iter().chain(events()) {
        let found = found(&session, &harm, &answered).await;
        assert!(
            found.contains(&what),
            "{harm}: {what} is not among {found:?}"
        );
        planted.insert(what);
    }
    for (what, harm) in ANSWERS {
        let mut answered = answered.clone();
        harm(&mut answered);
        let found = found(&session, "", &answered).await;
        assert!(found.contains(what), "{what} is not among {found:?}");
        planted.insert(what.to_owned());
    }
    let wanted: BTreeSet<String> = looks().into_iter().map(|look| look.what).collect();
    let forgotten: Vec<_> = wanted.difference(&planted).collect();
    assert!(forgotten.is_empty(), "nobody plants these: {forgotten:?}");
}

#[tokio::test]
async fn the_verdict_sees_a_read_model_that_is_not_what_a_rebuild_makes() {
    let (world, answered) = a_world().await;
    for (harm, name) in [
        (
            "update mypage_1.mypages set spacename = 'another'",
            "mypage",
        ),
        ("delete from books_1.books", "books"),
    ] {
        sqlx::raw_sql(harm).execute(&world.pool).await.unwrap();
        let verdict = verdict::of(&world, &answered, AT_ONCE).await;
        let names = |(kind, what, _): &(Harm, String, i64)| {
            *kind == Harm::Differing && what.starts_with(name)
        };
        assert!(verdict.found.iter().any(names), "{harm}: {verdict:#?}");
    }
    // Each kind is in the table that people are shown.
    let kinds: BTreeSet<Harm> = looks().into_iter().map(|look| look.harm).collect();
    let others = Harm::ALL.into_iter().filter(|harm| !kinds.contains(harm));
    assert_eq!(Vec::from_iter(others), [Harm::Differing, Harm::Unforeseen]);
}

#[tokio::test]
async fn a_booking_that_was_answered_and_is_nowhere_is_lost() {
    let world = World::shared().await;
    let answered = Answered {
        booked: vec![41, 42],
        cancelled: vec![43],
        moved: vec![(44, at("10:00"))],
        ..Answered::default()
    };
    let verdict = verdict::of(&world, &answered, AT_ONCE).await;
    let lost = verdict.count(Harm::Lost);
    assert_eq!((verdict.accepted, lost), (2, 4 * 2 + 2), "{verdict:#?}");
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
        ..Answered::default()
    };
    let verdict = verdict::of(&world, &answered, AT_ONCE).await;
    assert!(verdict.count(Harm::Stuck) > 0, "{verdict:#?}");
    assert_eq!(verdict.count(Harm::Lost), 0, "{verdict:#?}");
    let job = |line: &String| line.starts_with(&format!("job refund:{bookid}:1 is open"));
    assert!(verdict.open.iter().any(job), "{verdict:#?}");
}
