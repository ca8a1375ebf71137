//! `cargo bench -p bench --bench transfer [-- EVENTS]`: how fast a journal of a million events is exported and imported, and how
//! long the saga takes to read it where it was imported; beside one SQL statement that copies the same rows into a
//! table of the same shape, in the same run and on a server of its own with fsync on.

#![allow(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a benchmark prints ratios"
)]

use std::time::Duration;

use bench::rebuild::many_bookings;
use journal::Journal;
use journal::follow::Step;
use journal::runtime::Tokio;
use journal::transfer::{BATCH_MAX, Export, Import, MARK_EVERY, Progress, Source, Target};
use local_postgres::Profile;
use local_postgres::testing::Cluster;
use local_postgres::testing::stopwatch;
use processes::order;
use processes::settings::PaymentSettings;
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

/// How many events there are unless the command line says otherwise.
const EVENTS: i64 = 1_000_000;
const CONNECTIONS: u32 = 4;
/// The least that an import can do.
const ONE_STATEMENT: &str = "
    create table plain (like events including all);
    insert into plain overriding system value select * from events";

struct Silent;

impl Progress for Silent {
    fn moved(&self, _: i64, _: i64, _: i64) {}
    fn remark(&self, _: &str) {}
}

fn main() -> anyhow::Result<()> {
    let events = std::env::args().find_map(|argument| argument.parse().ok());
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(events.unwrap_or(EVENTS)))
}

async fn run(events: i64) -> anyhow::Result<()> {
    let cluster = Cluster::start(Profile::Durable).await?;
    let (from_url, from) = open(&cluster, "source").await?;
    let mut owner = PgConnection::connect(&from_url).await?;
    many_bookings(&from, &mut owner, events).await?;
    let events = from.head().await?;
    println!("{events} events");

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("journal.jsonl");
    let began = stopwatch();
    let export = Export {
        journal: &from,
        acting: order::follower_id(),
        from: None,
        to: None,
        mark_every: MARK_EVERY,
        runtime: &Tokio,
        told: &Silent,
        stop: CancellationToken::new(),
    };
    export.run(Target::File(path.clone())).await?;
    say("export", events, began.elapsed());
    let megabytes = std::fs::metadata(&path)?.len() / 1_000_000;
    println!("the file: {megabytes} MB");

    let began = stopwatch();
    sqlx::raw_sql(ONE_STATEMENT).execute(&mut owner).await?;
    say("one statement", events, began.elapsed());

    let (url, to) = open(&cluster, "target").await?;
    let began = stopwatch();
    let import = Import {
        owner_url: &url,
        append: false,
        allow_truncated: false,
        hold_payments: false,
        next_booking: None,
        batch_max: BATCH_MAX,
        told: &Silent,
        stop: CancellationToken::new(),
    };
    import.run(Source::File(path)).await?;
    say("import", events, began.elapsed());

    let began = stopwatch();
    let mut saga = order::follower(to.clone(), PaymentSettings::default());
    while !matches!(saga.step().await?, Step::Idle { hole: None }) {}
    say("the saga over it", events, began.elapsed());
    Ok(())
}

async fn open(cluster: &Cluster, name: &str) -> anyhow::Result<(String, Journal)> {
    cluster.server().create_database_if_missing(name).await?;
    let url = cluster.url(name);
    journal::schema::migrate(&url).await?;
    let journal = bench::journal(&url, CONNECTIONS)?;
    Ok((url, journal))
}

fn say(what: &str, events: i64, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "{what}: {seconds:.1} s, {:.0} events/s",
        events as f64 / seconds
    );
}
