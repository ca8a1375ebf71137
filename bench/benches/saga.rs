//! `cargo bench -p bench --bench saga [-- BOOKINGS]`: how long the saga takes for paid bookings that it registers and
//! confirms, as one and cut into slices; on a server of its own with fsync on. Every slice is in this process, as on one
//! node of a cluster: what more nodes add is more cores.

#![allow(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a benchmark prints ratios"
)]

use std::sync::Arc;
use std::time::Duration;

use domain::{BookId, Command, Money, book, payment};
use futures::future::try_join_all;
use journal::follow;
use journal::runtime::{Runtime, Tokio};
use journal::{Actor, Journal, Request, Trace, schema};
use local_postgres::Profile;
use local_postgres::testing::Cluster;
use processes::order;
use processes::settings::PaymentSettings;
use tokio_util::sync::CancellationToken;

/// How many bookings there are unless the command line says otherwise.
const BOOKINGS: i64 = 2_000;
const ROUNDS: usize = 3;
const SLICES: [i32; 3] = [1, 2, 4];
const CONNECTIONS: u32 = 24;
/// Bookings that are placed at once.
const GROUP: i64 = 100;
const LOOK_EVERY: Duration = Duration::from_millis(20);

fn main() -> anyhow::Result<()> {
    let bookings = std::env::args().find_map(|argument| argument.parse().ok());
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(bookings.unwrap_or(BOOKINGS)))
}

async fn run(bookings: i64) -> anyhow::Result<()> {
    let cluster = Cluster::start(Profile::Durable).await?;
    println!("{bookings} paid bookings, registered and confirmed by the saga");
    for round in 0..ROUNDS {
        let mut alone = None;
        for slices in SLICES {
            let name = format!("saga_{round}_{slices}");
            cluster.server().create_database_if_missing(&name).await?;
            let took = one(&cluster.url(&name), bookings, slices).await?;
            let rate = bookings as f64 / took.as_secs_f64();
            let base = *alone.get_or_insert(rate);
            println!(
                "{slices} slices: {:.2} s, {rate:.0} bookings/s, {:.2}",
                took.as_secs_f64(),
                rate / base
            );
        }
    }
    Ok(())
}

/// How long the saga takes when it is cut into so many.
async fn one(url: &str, bookings: i64, slices: i32) -> anyhow::Result<Duration> {
    schema::migrate(url).await?;
    let journal = bench::journal(url, CONNECTIONS)?;
    for first in (1..=bookings).step_by(usize::try_from(GROUP)?) {
        let group = first..(first + GROUP).min(bookings + 1);
        try_join_all(group.map(|number| placed_and_paid(&journal, BookId(number)))).await?;
    }
    let mut owner = schema::connect_as_owner(url).await?;
    follow::cut(&mut owner, &order::follower_id(), slices).await?;
    let stop = CancellationToken::new();
    let began = local_postgres::testing::stopwatch();
    let saga = order::run(
        journal.clone(),
        Arc::new(Tokio),
        PaymentSettings::default(),
        stop.clone(),
    );
    let done = async {
        let confirmed = "select count(*) from orders where state ->> 'stage' = 'fulfilling'";
        while sqlx::query_scalar::<_, i64>(confirmed)
            .fetch_one(&mut owner)
            .await?
            < bookings
        {
            Tokio.sleep(LOOK_EVERY).await;
        }
        stop.cancel();
        Ok::<_, anyhow::Error>(began.elapsed())
    };
    let ((), took) = futures::future::join(saga, done).await;
    journal.pool().close().await;
    took
}

async fn placed_and_paid(journal: &Journal, bookid: BookId) -> anyhow::Result<()> {
    let price = Money::krw(10_000);
    let place = book::Command::Place {
        bookid,
        userid: None,
        spacename: "numberone".to_owned(),
        price,
        scheduled: None,
    };
    let charge = payment::Command::Request {
        bookid,
        userid: None,
        spacename: "numberone".to_owned(),
        price,
        points: payment::Points::default(),
    };
    let approval = payment::Command::RecordApproval {
        charge_no: 1,
        gateway_ref: "a reference".to_owned(),
        captured: price,
    };
    let place = vec![
        Command::Book(bookid, place),
        Command::Payment(bookid, charge),
    ];
    for commands in [place, vec![Command::Payment(bookid, approval)]] {
        let request = Request {
            command_id: journal.random().uuid(),
            trace: Trace {
                correlation_id: "a benchmark".to_owned(),
                causation_id: None,
                traceparent: None,
                actor: Actor::Customer,
                actor_id: None,
            },
            commands,
            claims: vec![],
        };
        journal.execute_one(request).await?;
    }
    Ok(())
}
