//! What a rebuild would take, measured and not guessed: a sample of real events goes the whole way, into tables
//! that are made, indexed and read back in one transaction, which is rolled back.
//!
//! What it cannot know: the first events may be unlike the later ones, tables that outgrow memory are slower, and
//! the machine may be busier tomorrow. So it says between which times the answer lies, and they are far apart.

use std::collections::HashSet;
use std::time::Duration;

use journal::Recorded;
use journal::StoreError;
use journal::feed::{Feed, Item};
use journal::follow::{Handler, HandlerError};
use journal::measure::count_to;
use journal::schema::connect_as_owner;
use serde::Serialize;
use sqlx::{Connection, PgConnection, Row};

use super::compare::{Side, sum_up};
use super::report::{Difference, between, seconds as told};
use super::{Moment, Rebuilder, ReplayError, known};
use crate::generation;
use crate::live::{Fill, Pace};
use crate::projection::Projection;

/// How many events a sample holds at most.
const SAMPLE_EVENTS_MAX: u64 = 20_000;
/// After this time no more events are taken into it.
const SAMPLE_TIME_MAX: Duration = Duration::from_secs(2);
/// How many of them are taken between two looks at the clock.
const SAMPLE_BATCH: i64 = 4_000;
/// How much longer, or shorter, a rebuild may take than the sample says.
const SPREAD: u32 = 2;

/// What a rebuild would do, in the shape of a [`super::Report`] and with more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Which projection.
    pub projection: String,
    /// How many events would be read.
    pub events: u64,
    /// How many rows the live generation has.
    pub rows: u64,
    /// How long it should take.
    pub seconds: f64,
    /// How fast the sample was.
    pub events_per_second: u64,
    /// Everything up to here would be in the new generation.
    pub to_position: i64,
    /// Nothing was built.
    pub verified: bool,
    /// Nothing was built.
    pub switched: bool,
    /// Nothing was compared.
    pub differences: Vec<Difference>,
    /// Always true: this is an estimate.
    pub dry_run: bool,
    /// It may be this quick.
    pub seconds_at_least: f64,
    /// It may be this slow, or slower when the sample is unlike the rest.
    pub seconds_at_most: f64,
    /// What was measured.
    pub sample: Sample,
    /// The tables of the live generation.
    pub tables: Vec<TableSize>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// How many events, from the first one on.
    pub events: u64,
    /// How many rows they made.
    pub rows: u64,
    /// How long folding, writing, indexing and reading back took.
    pub seconds: f64,
}

/// The size of a live table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableSize {
    /// Its name.
    pub table: String,
    /// How many rows.
    pub rows: i64,
    /// How many bytes on disk, with indexes.
    pub bytes: i64,
}

impl Rebuilder<'_> {
    /// Says what a rebuild would read and how long it should take; `moment` is for one that stops there. Leaves
    /// nothing behind.
    ///
    /// # Errors
    /// [`ReplayError`] when the projection or the moment is not known, or the database does not answer.
    pub async fn estimate(
        &self,
        name: &str,
        moment: Option<Moment>,
    ) -> Result<Estimate, ReplayError> {
        let projection = known(name)?;
        let last = match moment {
            Some(moment) => self.position_of(moment).await?,
            None => self.journal.watermark().await?,
        };
        let mut owner = connect_as_owner(self.owner_url).await?;
        let live = generation::live(&mut owner).await?;
        let live = *live
            .get(name)
            .ok_or(ReplayError::Unprepared(projection.name))?;
        let events = count_to(&mut owner, last).await?;
        let tables = sizes(&mut owner, projection, &projection.schema(live.number)).await?;
        let mut tx = owner.begin().await?;
        let sample = self.sample(&mut tx, projection, last).await?;
        tx.rollback().await?;
        owner.close().await?;
        let events = events.cast_unsigned();
        let microseconds = per_million(sample);
        let seconds = Duration::from_micros(events.saturating_mul(microseconds) / 1_000_000);
        Ok(Estimate {
            projection: name.to_owned(),
            events,
            rows: tables.iter().map(|table| table.rows.cast_unsigned()).sum(),
            seconds: told(seconds),
            events_per_second: 1_000_000_000_000_u64.checked_div(microseconds).unwrap_or(0),
            to_position: last,
            verified: false,
            switched: false,
            differences: vec![],
            dry_run: true,
            seconds_at_least: told(seconds / SPREAD),
            seconds_at_most: told(seconds * SPREAD),
            sample,
            tables,
        })
    }

    /// Rebuilds from a sample of events, in a transaction that its caller rolls back.
    async fn sample(
        &self,
        tx: &mut PgConnection,
        projection: &'static Projection,
        last: i64,
    ) -> Result<Sample, ReplayError> {
        let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
            .fetch_one(&mut *tx)
            .await?;
        let schema = format!("{}_sample_{pid}", projection.name);
        sqlx::raw_sql(&projection.create(&schema))
            .execute(&mut *tx)
            .await?;
        let fill = Fill::new(projection, &schema, Pace::Bulk);
        let mut feed = Feed::new(self.journal.clone(), &format!("{}/sample", projection.name));
        let clock = self.journal.clock();
        let started = clock.now();
        let (mut events, mut position) = (0, 0);
        let mut parked = HashSet::new();
        while position < last
            && events < SAMPLE_EVENTS_MAX
            && between(started, clock.now()) < SAMPLE_TIME_MAX
        {
            let page = feed.read(position, SAMPLE_BATCH).await?;
            if page.position == position {
                break;
            }
            position = page.position;
            let rows = page.items.into_iter().filter_map(|item| match item {
                Item::Events { position, events } if position <= last => Some(events),
                Item::Events { .. } | Item::Unreadable(_) => None,
            });
            let rows = rows.collect::<Vec<_>>();
            // Rows, as the whole journal is counted: one that was split is read once.
            events += rows.len() as u64;
            let read = rows.into_iter().flatten().collect::<Vec<_>>();
            apply(&fill, tx, read, &mut parked).await?;
        }
        sqlx::raw_sql(&projection.index(&schema))
            .execute(&mut *tx)
            .await?;
        let mut rows = 0;
        for table in projection.tables {
            // Once for the new rows, and once in the place of the live ones.
            for _ in 0..2 {
                let connection = &mut *tx;
                let schema = schema.clone();
                rows += sum_up(table, &mut Side { connection, schema }).await?.rows;
            }
        }
        Ok(Sample {
            events,
            rows: rows / 2,
            seconds: told(between(started, clock.now())),
        })
    }
}

/// Takes a batch without what cannot be folded, which is not written down anywhere here.
async fn apply(
    fill: &Fill,
    tx: &mut PgConnection,
    mut events: Vec<Recorded>,
    parked: &mut HashSet<String>,
) -> Result<(), ReplayError> {
    loop {
        events.retain(|event| !parked.contains(event.key()));
        match fill.apply(tx, &events, ()).await {
            Ok(()) => return Ok(()),
            Err(HandlerError::Poison { position, .. }) => {
                let poison = events.iter().find(|event| event.position == position);
                parked.extend(poison.map(|event| event.key().to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// How many microseconds a million events take.
fn per_million(sample: Sample) -> u64 {
    let took = Duration::try_from_secs_f64(sample.seconds).unwrap_or_default();
    let scaled = took.as_micros().saturating_mul(1_000_000);
    let per_million = scaled.checked_div(u128::from(sample.events));
    u64::try_from(per_million.unwrap_or(0)).unwrap_or(u64::MAX)
}

async fn sizes(
    connection: &mut PgConnection,
    projection: &Projection,
    schema: &str,
) -> Result<Vec<TableSize>, StoreError> {
    let mut sizes = vec![];
    for table in projection.tables {
        let name = table.name;
        let row = sqlx::query(&format!(
            "select count(*) as rows, pg_total_relation_size('{schema}.{name}') as bytes
             from {schema}.{name}"
        ))
        .fetch_one(&mut *connection)
        .await?;
        sizes.push(TableSize {
            table: name.to_owned(),
            rows: row.try_get("rows")?,
            bytes: row.try_get("bytes")?,
        });
    }
    Ok(sizes)
}
