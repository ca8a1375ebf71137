//! The crash matrix: `kill -9` at every step of booking, cancellation, move, no-show and expiry, then a restart, and everything comes right.

use std::sync::Arc;
use std::time::Duration;

use local_postgres::testing::stopwatch;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::load::{Answered, at, book, book_for, cancel, move_to, put};
use super::verdict;
use super::world::{SETTLED_MAX, SHORT, World};
use crate::process::Process;
use crate::server::moment;

/// Within this time a customer who asks again under the key is answered.
const ANSWERED_MAX: Duration = Duration::from_secs(30);
/// To when a booking is moved.
const MOVED_TO: &str = "12:00";
/// How many crashes are at work at a time: nearly all of each is waiting.
const AT_ONCE: usize = 8;
/// Short calls, and few connections: several crashes share a server.
const FEW: [(&str, &str); 3] = [SHORT[0], SHORT[1], ("DATABASE_CONNECTIONS_MAX", "12")];
/// The same with a breaker that one slow call opens.
const OPENING: [(&str, &str); 6] = [
    FEW[0],
    FEW[1],
    FEW[2],
    ("PAYMENT_TIMEOUT_MS", "500"),
    ("CB_MIN_CALLS", "1"),
    ("CB_OPEN_MS", "60000"),
];

/// Which way a booking or a cancellation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Paid while the customer waits.
    Booking,
    /// The breaker is open: 202, and a worker charges.
    Deferred,
    /// The process that took the booking was killed before: a worker finds out what became of the charge.
    TakenOver,
    /// Of a registered booking.
    Cancellation,
    /// Of a registered booking with a time, to one that costs more: a further charge, by a worker.
    Move,
    /// Nobody comes to a registered booking with a time.
    NoShow,
    /// A booking with a time is not charged while its slot is kept for it.
    Expiry,
}

use Flow::{Booking, Cancellation, Deferred, Expiry, Move, NoShow, TakenOver};

impl Flow {
    /// How a booking stands in the end that time brings about.
    const fn end(self) -> Option<&'static str> {
        match self {
            NoShow => Some("no-show"),
            Expiry => Some("expired"),
            _ => None,
        }
    }
}

/// One crash.
pub struct Row {
    pub point: &'static str,
    pub flow: Flow,
    /// Whether plain `cargo test` has it, too.
    always: bool,
}

const fn always(point: &'static str, flow: Flow) -> Row {
    Row {
        point,
        flow,
        always: true,
    }
}

const fn full(point: &'static str, flow: Flow) -> Row {
    Row {
        point,
        flow,
        always: false,
    }
}

/// Every fail point with every flow that reaches it; in plain `cargo test` each point once.
pub const MATRIX: [Row; 75] = [
    always("key-taken", Booking),
    full("key-taken", Cancellation),
    always("key-answer-due", Booking),
    full("key-answer-due", Cancellation),
    always("key-answer-stored", Booking),
    full("key-answer-stored", Cancellation),
    always("booking-numbered", Booking),
    always("booking-stored", Booking),
    full("booking-stored", Deferred),
    always("deferral-due", Deferred),
    always("deferral-stored", Deferred),
    always("cancel-due", Cancellation),
    always("cancel-stored", Cancellation),
    always("charge-due", Booking),
    full("charge-due", Deferred),
    full("charge-due", TakenOver),
    always("charge-answered", Booking),
    full("charge-answered", Deferred),
    full("charge-answered", TakenOver),
    always("look-up-answered", TakenOver),
    always("refund-due", Cancellation),
    always("refund-answered", Cancellation),
    always("outcome-due", Booking),
    full("outcome-due", Deferred),
    full("outcome-due", TakenOver),
    full("outcome-due", Cancellation),
    always("outcome-stored", Booking),
    full("outcome-stored", Deferred),
    full("outcome-stored", TakenOver),
    full("outcome-stored", Cancellation),
    always("saga-commands-due/1", Booking),
    full("saga-commands-due/1", Deferred),
    always("saga-commands-due/1", Cancellation),
    always("saga-command-sent", Booking),
    full("saga-command-sent", Deferred),
    always("saga-command-sent", Cancellation),
    always("checkpoint-moved/orders", Booking),
    full("checkpoint-moved/mypage", Booking),
    full("checkpoint-moved/points", Cancellation),
    full("checkpoint-moved/orders", Cancellation),
    full("batch-written/orders", Booking),
    always("batch-written/mypage", Booking),
    full("batch-written/books", Cancellation),
    full("batch-written/orders", Cancellation),
    full("batch-committed/orders", Booking),
    full("batch-committed/payments", Booking),
    full("batch-committed/spaces", Cancellation),
    always("batch-committed/orders", Cancellation),
    always("job-claimed/charge", Deferred),
    full("job-claimed/charge", TakenOver),
    full("job-claimed/refund", Cancellation),
    full("job-noted/charge", Deferred),
    full("job-noted/charge", TakenOver),
    always("job-noted/refund", Cancellation),
    always("job-worked/charge", Deferred),
    full("job-worked/charge", TakenOver),
    full("job-worked/refund", Cancellation),
    full("key-answer-due", Move),
    always("move-due", Move),
    always("move-stored", Move),
    full("charge-due", Move),
    full("charge-answered", Move),
    full("outcome-due", Move),
    full("outcome-stored", Move),
    full("job-noted/charge", Move),
    full("job-worked/charge", Move),
    always("job-claimed/no-show", NoShow),
    full("job-worked/no-show", NoShow),
    full("saga-commands-due/1", NoShow),
    full("saga-command-sent", NoShow),
    always("job-worked/charge", Expiry),
    full("saga-commands-due/1", Expiry),
    full("saga-command-sent", Expiry),
    full("outcome-due", Expiry),
    full("outcome-stored", Expiry),
];

impl Row {
    fn is_keyed(&self) -> bool {
        self.point.starts_with("key-")
    }

    fn name(&self) -> String {
        format!("{:<28} {:?}", self.point, self.flow)
    }
}

/// Crashes at one point; how long it took from the restart until everything had come to its end.
async fn crash(row: &Row) -> Duration {
    let world = World::shared().await;
    let settings = match row.flow {
        Deferred | Expiry => &OPENING[..],
        _ => &FEW,
    };
    if row.flow.end().is_some() {
        world.set_clock(&at("09:00"));
    }
    let mut node = world.node(settings).await;
    let mut answered = Answered::default();
    let bookid = prepare(&world, &mut node, row.flow, &mut answered).await;
    world.arm(row.point, "kill");
    if row.flow == Expiry {
        node = world.started(settings);
    }
    let key = row.is_keyed().then_some("a key of its own");
    let first = act(&world, &node, row.flow, bookid, key).await;
    answered.look_at(&first);
    assert!(world.taken().await, "{}: nobody came there", row.name());
    node.ended().await;

    let began = stopwatch();
    let node = world.node(settings).await;
    match (key, first) {
        (_, (200..300, body)) => note(&mut answered, row.flow, &body),
        (Some(_), _) => {
            let body = until_answered(&world, &node, row, bookid, key).await;
            note(&mut answered, row.flow, &body);
        }
        _ => {}
    }
    let settled =
        verdict::settles(&world, SETTLED_MAX).await && comes_to_its_end(&world, row).await;
    let took = began.elapsed();
    let verdict = verdict::of(&world, &answered, SETTLED_MAX).await;
    let open = &verdict.open;
    assert!(
        settled,
        "{}: not within {SETTLED_MAX:?}: {open:#?}",
        row.name()
    );
    assert!(verdict.is_well(), "{}: {verdict:#?}", row.name());
    if key.is_some() && row.flow == Booking {
        let booked = world.count("select count(*) from events where event_type = 'Booked'");
        assert_eq!(booked.await, 1, "{}", row.name());
    }
    took
}

/// Waits until time has brought about what it must, and once.
async fn comes_to_its_end(world: &World, row: &Row) -> bool {
    let Some(end) = row.flow.end() else {
        return true;
    };
    let ended = format!("select count(*) from books.books where status = '{end}'");
    let began = stopwatch();
    while world.count(&ended).await == 0 {
        if began.elapsed() > SETTLED_MAX {
            return false;
        }
        moment().await;
    }
    verdict::settles(world, SETTLED_MAX).await
}

/// What was before: a booking to be cancelled, an open breaker, a process that was killed.
async fn prepare(
    world: &World,
    node: &mut Process,
    flow: Flow,
    answered: &mut Answered,
) -> Option<i64> {
    let url = node.url("/books");
    match flow {
        Booking => None,
        Deferred => {
            // It is slower than a customer's patience, which the breaker takes for a failure.
            assert_eq!(book(&world.http, &url, "braker", None).await.0, 202);
            assert!(verdict::settles(world, SETTLED_MAX).await);
            None
        }
        TakenOver => {
            world.arm("charge-due", "kill");
            assert_eq!(book(&world.http, &url, "numberone", None).await.0, 0);
            node.ended().await;
            // Its worker takes over when the call must have ended, and a margin later.
            *node = world.node(&FEW).await;
            None
        }
        Cancellation => {
            let (status, body) = book(&world.http, &url, "numberone", None).await;
            assert_eq!(status, 201, "{body}");
            note(answered, Booking, &body);
            assert!(verdict::settles(world, SETTLED_MAX).await);
            body["bookid"].as_i64()
        }
        Move | NoShow => {
            let booked = book_the_studio(world, node, 201).await;
            note(answered, Booking, &booked);
            assert!(verdict::settles(world, SETTLED_MAX).await);
            booked["bookid"].as_i64()
        }
        Expiry => {
            assert_eq!(book(&world.http, &url, "braker", None).await.0, 202);
            assert!(verdict::settles(world, SETTLED_MAX).await);
            // Nobody is there to charge it, until the slot is kept no longer.
            world.arm("deferral-stored", "kill");
            book_the_studio(world, node, 0).await;
            node.ended().await;
            world.set_clock(&at("10:30"));
            None
        }
    }
}

/// A booking with a time, in the morning.
async fn book_the_studio(world: &World, node: &Process, expected: u16) -> Value {
    let venue = node.url("/venues/studio");
    assert_eq!(put(&world.http, &venue, &json!({})).await.0, 201);
    let url = node.url("/books");
    let (status, body) = book_for(&world.http, &url, "studio", "10:00", "11:00").await;
    assert_eq!(status, expected, "{body}");
    body
}

async fn act(
    world: &World,
    node: &Process,
    flow: Flow,
    bookid: Option<i64>,
    key: Option<&str>,
) -> (u16, Value) {
    match (flow, bookid) {
        (Cancellation, Some(bookid)) => {
            cancel(&world.http, &node.url(&format!("/books/{bookid}")), key).await
        }
        (Move, Some(bookid)) => {
            let url = node.url(&format!("/books/{bookid}/reschedule"));
            move_to(&world.http, &url, MOVED_TO, "14:00", key).await
        }
        (NoShow, _) => {
            // The customer was waited for, for fifteen minutes.
            world.set_clock(&at("10:30"));
            (0, Value::Null)
        }
        // It acts by itself.
        (TakenOver | Expiry, _) => (0, Value::Null),
        _ => book(&world.http, &node.url("/books"), "numberone", key).await,
    }
}

async fn until_answered(
    world: &World,
    node: &Process,
    row: &Row,
    bookid: Option<i64>,
    key: Option<&str>,
) -> Value {
    let began = stopwatch();
    while began.elapsed() < ANSWERED_MAX {
        let (status, body) = act(world, node, row.flow, bookid, key).await;
        if (200..300).contains(&status) {
            return body;
        }
        assert!(
            matches!(status, 0 | 409 | 503),
            "{}: {status} {body}",
            row.name()
        );
        moment().await;
    }
    panic!("{}: the key is never answered", row.name());
}

fn note(answered: &mut Answered, flow: Flow, body: &Value) {
    let bookid = body["bookid"].as_i64().unwrap();
    match flow {
        Cancellation => answered.cancelled.push(bookid),
        // It was booked before.
        Move => answered.moved.push((bookid, at(MOVED_TO))),
        _ => answered.booked.push(bookid),
    }
}

/// Crashes at each of these, several at a time, and prints how long it took to recover.
async fn crash_at(rows: impl Iterator<Item = &'static Row>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut crashes = JoinSet::new();
    for row in rows {
        let places = Arc::clone(&places);
        crashes.spawn(async move {
            let _place = places.acquire().await.unwrap();
            (row.name(), crash(row).await)
        });
    }
    let mut table: Vec<_> = crashes.join_all().await;
    table.sort();
    println!("{:<28} {:<14} recovered after", "killed at", "flow");
    for (name, took) in table {
        println!("{name:<43} {:>6} ms", took.as_millis());
    }
}

#[tokio::test]
async fn a_process_killed_at_any_step_loses_nothing_and_does_nothing_twice() {
    crash_at(MATRIX.iter().filter(|row| row.always)).await;
}

#[tokio::test]
#[ignore = "every point with every flow, about two minutes: cargo test -p cli --test it -- --ignored --nocapture the_whole_crash_matrix"]
async fn the_whole_crash_matrix() {
    // Those whose line has this word.
    let word = std::env::var("CRASHES").unwrap_or_default();
    crash_at(MATRIX.iter().filter(|row| row.name().contains(&word))).await;
}
