//! `spacerent replay NAME`.

mod progress;
mod text;

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use journal::runtime::Tokio;
use journal::schema;
use projections::rebuild::{
    BookingAsOf, Dropped, Estimate, Goal, Moment, Rebuilder, Report, SLICES_MAX,
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::args::ReplayArgs;
use crate::database::{self, Database};
use crate::output;
use crate::settings::Settings;
use crate::signal::Stop;
use progress::Told;

/// Connections that a rebuild takes at most, besides the owner's: one a slice, and one reads. A rebuild that is gone
/// on with keeps the slices that it began with.
const CONNECTIONS: u32 = SLICES_MAX + 1;
/// How many slices are filled beside each other unless it is said: one a core, and no more than this.
const SLICES_DEFAULT_MAX: u32 = 4;

/// What came of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Report(Report),
    Estimate(Estimate),
    Booking(BookingAsOf),
    Dropped(Dropped),
}

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    args: &ReplayArgs,
) -> anyhow::Result<ExitCode> {
    let moment = moment(args)?;
    let mut stop = Stop::catch()?;
    let database = Database::open(settings, folder).await?;
    let told = Told::new(&args.name);
    let outcome = on_rebuilder(
        &database,
        &told,
        &mut stop,
        args.slices,
        async |rebuilder| ask(&rebuilder, args, moment).await,
    )
    .await;
    database.close().await?;
    let outcome = outcome?;
    // One booking's rows are JSON in any case.
    if args.json || matches!(outcome, Outcome::Booking(_)) {
        output::json(&outcome)?;
    } else {
        output::result(&text::of(&outcome))?;
    }
    // A rebuild heals differences; a comparison reports them.
    let same = matches!(&outcome, Outcome::Report(report) if report.compared && report.differences_total == 0);
    Ok(if args.verify && !same {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Rebuilds the read model `name`, and lets readers see the new generation.
pub async fn rebuild(database: &Database, name: &str, stop: &mut Stop) -> anyhow::Result<Report> {
    on_rebuilder(database, &Told::new(name), stop, None, async |rebuilder| {
        Ok(rebuilder.replay(name, Goal::Switch).await?)
    })
    .await
}

/// Runs `work` with a rebuilder of this database. The first signal asks it to stop, the second one does not wait
/// for it.
async fn on_rebuilder<T>(
    database: &Database,
    told: &Told,
    stop: &mut Stop,
    slices: Option<u32>,
    work: impl AsyncFnOnce(Rebuilder<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let stopped = CancellationToken::new();
    let slices = slices.unwrap_or_else(one_a_core);
    let working = async {
        let pool = database.connect(CONNECTIONS)?;
        let journal = database::journal(pool);
        schema::check(journal.pool()).await?;
        let rebuilder = Rebuilder::new(&database.owner_url, &journal, &Tokio)
            .in_slices(slices)
            .telling(told)
            .stopped_by(stopped.clone());
        let worked = work(rebuilder).await;
        journal.pool().close().await;
        worked
    };
    let worked = stoppable(stop, told, &stopped, working).await;
    told.end();
    worked
}

fn one_a_core() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    u32::try_from(cores).map_or(SLICES_DEFAULT_MAX, |cores| cores.min(SLICES_DEFAULT_MAX))
}

async fn stoppable<T>(
    stop: &mut Stop,
    told: &Told,
    stopped: &CancellationToken,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        signal = stop.requested() => {
            told.say(&format!("{signal}: stopping after this batch; once more stops at once"));
            stopped.cancel();
        }
        done = &mut work => return done,
    }
    tokio::select! {
        biased;
        signal = stop.requested() => bail!("{signal} again: stopped at once"),
        done = work => done,
    }
}

async fn ask(
    rebuilder: &Rebuilder<'_>,
    args: &ReplayArgs,
    moment: Option<Moment>,
) -> anyhow::Result<Outcome> {
    let name = &args.name;
    Ok(match (moment, args.booking) {
        _ if args.dry_run => Outcome::Estimate(rebuilder.estimate(name, moment).await?),
        _ if args.rollback => Outcome::Report(rebuilder.roll_back(name).await?),
        (Some(moment), Some(booking)) => {
            Outcome::Booking(rebuilder.booking_as_of(name, booking, moment).await?)
        }
        (Some(moment), None) if args.drop => {
            Outcome::Dropped(rebuilder.drop_as_of(name, moment).await?)
        }
        (Some(moment), None) => Outcome::Report(rebuilder.replay_as_of(name, moment).await?),
        (None, _) => {
            let goal = if args.verify {
                Goal::Compare
            } else {
                Goal::Switch
            };
            Outcome::Report(rebuilder.replay(name, goal).await?)
        }
    })
}

/// The moment that the arguments name.
fn moment(args: &ReplayArgs) -> anyhow::Result<Option<Moment>> {
    if let Some(position) = &args.to_position {
        let number = position.parse().ok().filter(|number: &i64| *number > 0);
        let number = number
            .with_context(|| format!("--to-position: {position:?} is not a whole number from 1"))?;
        return Ok(Some(Moment::Position(number)));
    }
    let Some(time) = &args.to_time else {
        return Ok(None);
    };
    let parsed = time.parse().ok();
    let parsed = parsed.with_context(|| {
        format!("--to-time: {time:?} is not a time like 2026-05-01T12:00:00Z (RFC 3339)")
    })?;
    Ok(Some(Moment::Time(parsed)))
}
