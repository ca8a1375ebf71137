//! `cargo bench -p bench --bench rebuild [-- EVENTS [BATCH]]`: how fast My Page is rebuilt from a million events, beside the
//! one SQL statement that computes the same two tables, in the same run and on a server of its own with fsync on;
//! then once more while bookings are made, the live model is followed and readers read.

#![allow(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a benchmark prints ratios"
)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use bench::rebuild::{ONE_STATEMENT, many_bookings};
use domain::BookId;
use journal::Journal;
use journal::follow::BULK_BATCH_MAX;
use journal::runtime::{Runtime, Tokio};
use local_postgres::Profile;
use local_postgres::testing::Cluster;
use local_postgres::testing::stopwatch;
use projections::rebuild::{Goal, Progress, Rebuilder, Report, Stage};
use projections::{BookingFilter, MypageRow, PageRequest, ReadModels};
use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

/// How many events there are unless the command line says otherwise.
const EVENTS: i64 = 1_000_000;
/// How often each is measured.
const ROUNDS: usize = 2;
/// How many slices are written beside each other.
const SLICES: [u32; 2] = [1, 2];
const READERS: usize = 2;
/// How long a reader rests between two pages.
const READER_RESTS: Duration = Duration::from_millis(5);
/// How long a writer rests between two bookings: about a hundred a second.
const WRITER_RESTS: Duration = Duration::from_millis(10);
const CONNECTIONS: u32 = 20;

fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let (events, batch) = (numbers.next(), numbers.next());
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(
            events.unwrap_or(EVENTS),
            batch.unwrap_or(BULK_BATCH_MAX),
        ))
}

async fn run(events: i64, batch: i64) -> anyhow::Result<()> {
    let cluster = Cluster::start(Profile::Durable).await?;
    cluster.server().create_database_if_missing("bench").await?;
    let url = cluster.url("bench");
    journal::schema::migrate(&url).await?;
    projections::prepare(&url).await?;
    let journal = bench::journal(&url, CONNECTIONS)?;
    let mut owner = PgConnection::connect(&url).await?;
    let began = stopwatch();
    many_bookings(&journal, &mut owner, events).await?;
    let events = journal.head().await?;
    println!(
        "{events} events made in {:.1} s",
        began.elapsed().as_secs_f64()
    );

    let rebuilder = Rebuilder::new(&url, &journal, &Tokio).in_batches_of(batch);
    let estimate = rebuilder.estimate("mypage", None).await?;
    println!(
        "dry run: {:.1} s, between {:.1} and {:.1}",
        estimate.seconds, estimate.seconds_at_least, estimate.seconds_at_most
    );
    // Nothing was followed yet: this one has nothing to compare with, and the next ones have this one.
    rebuilder.replay("mypage", Goal::Switch).await?;
    let stages = Stages::default();
    for slices in SLICES.into_iter().cycle().take(SLICES.len() * ROUNDS) {
        let staged = rebuilder.clone().in_slices(slices).telling(&stages);
        let report = staged.replay("mypage", Goal::Switch).await?;
        let stages_took = stages.took();
        ensure!(
            report.verified && report.differences_total == 0,
            "{report:?}"
        );
        let rebuilt = report.events_per_second as f64;
        let (filled, indexed) = one_statement(&mut owner).await?;
        let live: i32 = sqlx::query_scalar(
            "select generation from projections where name = 'mypage' and state = 'live'",
        )
        .fetch_one(&mut owner)
        .await?;
        same(&mut owner, live).await?;
        let statement = events as f64 / (filled + indexed).as_secs_f64();
        println!(
            "rebuild in {slices} slices, verified and switched: {:.1} s, {rebuilt:.0} events/s; one statement: {:.1} s and {:.1} s for \
             the indexes, {statement:.0} events/s; ratio {:.2}",
            report.seconds,
            filled.as_secs_f64(),
            indexed.as_secs_f64(),
            rebuilt / statement
        );
        println!("  {stages_took}");
    }
    sqlx::raw_sql("drop schema mypage_sql cascade")
        .execute(&mut owner)
        .await?;
    busy(&rebuilder.in_slices(2), &journal).await?;
    journal.pool().close().await;
    Ok(())
}

/// Notes when each stage of a rebuild began.
#[derive(Default)]
struct Stages(Mutex<Vec<(Stage, Instant)>>);

impl Stages {
    /// How long each took since the last time; the last one until now.
    fn took(&self) -> String {
        let begun = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let ends = begun.iter().skip(1).map(|(_, ended)| *ended);
        let ends = ends.chain([stopwatch()]);
        let took = begun.iter().zip(ends).map(|((stage, began), ended)| {
            let seconds = ended.duration_since(*began).as_secs_f64();
            format!("{} {seconds:.1} s", stage.as_str())
        });
        took.collect::<Vec<_>>().join(", ")
    }
}

impl Progress for Stages {
    fn stage(&self, stage: Stage) {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.push((stage, stopwatch()));
    }

    fn filled(&self, _: u64, _: i64, _: i64) {}

    fn remark(&self, remark: &str) {
        println!("{remark}");
    }
}

/// Computes My Page by one statement into empty tables like the rebuild's, and then makes their indexes.
async fn one_statement(owner: &mut PgConnection) -> anyhow::Result<(Duration, Duration)> {
    let mypage = projections::by_name("mypage").ok_or_else(|| anyhow::anyhow!("no mypage"))?;
    let create = format!(
        "drop schema if exists mypage_sql cascade; {}",
        mypage.create("mypage_sql")
    );
    sqlx::raw_sql(&create).execute(&mut *owner).await?;
    let began = stopwatch();
    sqlx::query(ONE_STATEMENT).execute(&mut *owner).await?;
    let filled = began.elapsed();
    sqlx::raw_sql(&mypage.index("mypage_sql"))
        .execute(owner)
        .await?;
    Ok((filled, began.elapsed() - filled))
}

/// The statement and the rebuild made the same rows. The one booking that was played has times in nanoseconds, which
/// a cast rounds and the fold cuts off; the others' are as exact as a column.
async fn same(owner: &mut PgConnection, live: i32) -> anyhow::Result<()> {
    for table in ["mypages", "timeline"] {
        let differing: i64 = sqlx::query_scalar(&format!(
            "select count(*) from (
                 (select * from mypage_sql.{table} except all select * from mypage_{live}.{table})
                 union all
                 (select * from mypage_{live}.{table} except all select * from mypage_sql.{table})
             ) d where bookid <> 1"
        ))
        .fetch_one(&mut *owner)
        .await?;
        ensure!(differing == 0, "{differing} rows of {table} differ");
    }
    Ok(())
}

/// A rebuild while everybody works.
async fn busy(rebuilder: &Rebuilder<'_>, journal: &Journal) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let over = AtomicBool::new(false);
    let following = projections::run(journal.clone(), Arc::new(Tokio), stop.clone());
    let models = ReadModels::new(journal.clone());
    let (reads, slowest, booked) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let (all, first) = (BookingFilter::default(), PageRequest::default());
    let read = || async {
        while !over.load(Ordering::Relaxed) {
            let began = stopwatch();
            let page = models.list::<MypageRow>(&all, &first);
            let (page, story) = tokio::try_join!(page, models.timeline(BookId(7)))?;
            ensure!(
                !page.rows.is_empty() && story.len() == 6,
                "a reader saw an empty table"
            );
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            slowest.fetch_max(took, Ordering::Relaxed);
            reads.fetch_add(1, Ordering::Relaxed);
            Tokio.sleep(READER_RESTS).await;
        }
        anyhow::Ok(())
    };
    let reading = futures::future::try_join_all((0..READERS).map(|_| read()));
    let writing = async {
        while !over.load(Ordering::Relaxed) {
            bench::one_command_a_call(journal, 1, 1).await?;
            booked.fetch_add(1, Ordering::Relaxed);
            Tokio.sleep(WRITER_RESTS).await;
        }
        anyhow::Ok(())
    };
    let rebuilding = async {
        let report = rebuilder.replay("mypage", Goal::Switch).await;
        over.store(true, Ordering::Relaxed);
        stop.cancel();
        anyhow::Ok::<Report>(report?)
    };
    let following = async {
        following.await;
        anyhow::Ok(())
    };
    let (report, _, (), ()) = tokio::try_join!(rebuilding, reading, writing, following)?;
    println!(
        "while {} bookings were made and {} pages read (slowest {} ms, no error, none empty): {:.1} s, \
         {} events/s, {} rows differed, readers held for {:.1} ms",
        booked.into_inner(),
        reads.into_inner(),
        slowest.into_inner(),
        report.seconds,
        report.events_per_second,
        report.differences_total,
        report.switch_lock_seconds.unwrap_or_default() * 1_000.0
    );
    Ok(())
}
