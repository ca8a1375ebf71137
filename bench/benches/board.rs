//! `cargo bench -p bench --bench board [-- BOOKINGS]`: how long managers' questions take over a million bookings, and what
//! they read for it. It fails when one of them reads the whole table.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::Duration;

use anyhow::ensure;
use jiff::civil::{Date, date};
use journal::Journal;
use local_postgres::Profile;
use local_postgres::testing::Cluster;
use local_postgres::testing::stopwatch;
use projections::{BoardFilter, BoardList, Place, ReadModels};
use sqlx::{Connection, PgConnection};

/// How many bookings there are unless the command line says otherwise: of 50 venues over 1,000 days.
const BOOKINGS: i64 = 1_000_000;
/// How often each question is asked; the median is shown.
const TIMES: usize = 21;

/// Bookings of 50 venues in Seoul, twenty a venue and day: nine tenths are over, of the rest most are to come, and a few
/// of each hundred are stuck, being prepared, or of two days.
const FILL: &str = "
    insert into board_1.bookings
    select n, n % 5000, 'venue' || n % 50, n % 3 + 1, start, start + interval '1 hour', 60, 'Asia/Seoul',
           to_char(start at time zone 'Asia/Seoul', 'YYYYMMDD')::bigint,
           case when n % 200 = 0 then to_char(start at time zone 'Asia/Seoul' + interval '1 day', 'YYYYMMDD')::bigint end,
           phase, 'Registered', 10000, 'KRW', case when n % 1000 = 7 then 'outstanding' else 'paid' end,
           case when n % 1000 = 1 then 'pending' else 'none' end, 10000, 0, 0, 0, '',
           case when n % 1000 = 1 then 1 else 0 end, case when n % 1000 = 1 then start end,
           case phase when 'registered' then 'preparation' when 'ready' then 'arrival'
                      when 'payment_pending' then 'payment' when 'cancelling' then 'cancellation' end,
           start - interval '1 day', 'kim', null, null, null, 0, start - interval '2 days', start
    from (select n, timestamptz '2026-01-01 09:00+09' + interval '1 day' * (n / ($1 / 1000)) + interval '30 minutes' * (n % 20) as start,
                 case when n < $1 * 9 / 10 then case when n % 1000 = 3 then 'payment_pending' when n % 1000 = 5 then 'cancelling' else 'completed' end
                      when n % 3 = 0 then 'ready' else 'registered' end as phase
          from generate_series(1, $1) n) made";

fn main() -> anyhow::Result<()> {
    let bookings = std::env::args().find_map(|argument| argument.parse().ok());
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(bookings.unwrap_or(BOOKINGS)))
}

async fn run(bookings: i64) -> anyhow::Result<()> {
    let cluster = Cluster::start(Profile::Durable).await?;
    cluster.server().create_database_if_missing("board").await?;
    let url = cluster.url("board");
    journal::schema::migrate(&url).await?;
    projections::prepare(&url).await?;
    let mut owner = PgConnection::connect(&url).await?;
    let began = stopwatch();
    sqlx::query(FILL).bind(bookings).execute(&mut owner).await?;
    sqlx::raw_sql("vacuum analyze board_1.bookings")
        .execute(&mut owner)
        .await?;
    println!("{bookings} bookings in {:.1?}", began.elapsed());
    // One connection, so that what it read can be asked of it.
    let journal = bench::journal(&url, 1)?;
    let models = ReadModels::new(journal.clone());
    for (name, question) in questions() {
        let before = whole_reads(&journal).await?;
        let (took, rows) = ask(&models, &question).await?;
        let whole = whole_reads(&journal).await? - before;
        ensure!(whole == 0, "{name} read the whole table {whole} times");
        println!("{name:<44} {rows:>5} rows {took:>10.2?}");
    }
    Ok(())
}

/// A question about the board.
#[derive(Debug)]
enum Question {
    List(BoardList, BoardFilter, Option<Place>, u64),
    Revenue(Option<&'static str>, Date, Date),
    Occupancy(&'static str, Date, Date),
}

/// How often the table of bookings was read from one end to the other.
async fn whole_reads(journal: &Journal) -> anyhow::Result<i64> {
    // What the connection counted is shown once it is flushed; the second statement sees it.
    sqlx::query("select pg_stat_force_next_flush()")
        .execute(journal.questions())
        .await?;
    let sql = "select seq_scan from pg_stat_all_tables where relid = 'board_1.bookings'::regclass";
    let reads = sqlx::query_scalar(sql);
    Ok(reads.fetch_one(journal.questions()).await?)
}

/// The median time of a question, and how many rows its answer has.
async fn ask(models: &ReadModels, question: &Question) -> anyhow::Result<(Duration, usize)> {
    let mut times = Vec::with_capacity(TIMES);
    let mut rows = 0;
    for _ in 0..TIMES {
        let began = stopwatch();
        rows = match question {
            Question::List(list, filter, after, size) => {
                models.board(*list, filter, *after, *size).await?.rows.len()
            }
            Question::Revenue(spacename, from, to) => {
                models.revenue(*spacename, *from, *to).await?.len()
            }
            Question::Occupancy(spacename, from, to) => {
                let days = models.booked(spacename, *from, *to).await?;
                let mut after = None;
                loop {
                    let part = models.booked_longer(spacename, *from, *to, after).await?;
                    after = part.next;
                    if after.is_none() {
                        break days.len();
                    }
                }
            }
        };
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok((times[TIMES / 2], rows))
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn questions() -> Vec<(&'static str, Question)> {
    use Question::{List, Occupancy, Revenue};
    let day = date(2027, 6, 1);
    let days = |from, to| BoardList::Days { from, to };
    let of = |spacename: &str| BoardFilter {
        spacename: Some(spacename.to_owned()),
        ..BoardFilter::default()
    };
    let everywhere = BoardFilter::default();
    let user = BoardFilter {
        userid: Some(77),
        ..BoardFilter::default()
    };
    let phase = |phase: &str| BoardFilter {
        phase: Some(phase.to_owned()),
        ..of("venue7")
    };
    let year = (date(2026, 6, 1), date(2027, 5, 31));
    let middle = place(date(2027, 1, 1));
    let late = date(2028, 9, 1);
    let since = "2028-01-01T00:00:00Z".parse().unwrap_or_default();
    vec![
        (
            "board: a venue's day",
            List(days(day, day), of("venue7"), None, 100),
        ),
        (
            "board: a day everywhere",
            List(days(day, day), everywhere.clone(), None, 1_000),
        ),
        (
            "board: a user's year",
            List(days(year.0, year.1), user, None, 100),
        ),
        (
            "calendar: a venue's year, first part",
            List(days(year.0, year.1), of("venue7"), None, 1_000),
        ),
        (
            "calendar: a part in the middle of it",
            List(days(year.0, year.1), of("venue7"), Some(middle), 1_000),
        ),
        (
            "calendar: a venue's year, one phase",
            List(days(year.0, year.1), phase("cancelling"), None, 100),
        ),
        (
            "preparation: the first hundred",
            List(BoardList::Preparation, everywhere.clone(), None, 100),
        ),
        (
            "preparation: of one venue",
            List(BoardList::Preparation, of("venue7"), None, 100),
        ),
        (
            "preparation: a part far behind",
            List(
                BoardList::Preparation,
                everywhere.clone(),
                Some(place(late)),
                100,
            ),
        ),
        (
            "arrivals: a day everywhere",
            List(
                BoardList::Arrivals { on: late },
                everywhere.clone(),
                None,
                100,
            ),
        ),
        (
            "arrivals: a venue's day",
            List(BoardList::Arrivals { on: late }, of("venue7"), None, 100),
        ),
        (
            "stuck: the first hundred",
            List(BoardList::Stuck { since }, everywhere, None, 100),
        ),
        (
            "occupancy: a venue's month",
            Occupancy("venue7", date(2027, 5, 1), date(2027, 5, 31)),
        ),
        (
            "occupancy: a venue's year",
            Occupancy("venue7", year.0, year.1),
        ),
        (
            "revenue: a month everywhere",
            Revenue(None, date(2027, 5, 1), date(2027, 5, 31)),
        ),
        (
            "revenue: a venue's year",
            Revenue(Some("venue7"), year.0, year.1),
        ),
    ]
}

/// A place in a list, at nine in the morning of a day.
fn place(on: Date) -> Place {
    let at = on
        .at(0, 0, 0, 0)
        .in_tz("UTC")
        .map(|zoned| zoned.timestamp());
    Place {
        day: on.into(),
        at: at.unwrap_or_default(),
        bookid: 0,
    }
}
