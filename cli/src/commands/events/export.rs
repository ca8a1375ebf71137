//! `spacerent events export`: the journal into a file or a pipe.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use journal::runtime::{SystemClock, SystemRandom, Tokio};
use journal::transfer::{Export, Exported, MARK_EVERY, Resumed, Target, TransferError};
use journal::{Journal, schema};
use processes::order;
use tokio_util::sync::CancellationToken;

use super::progress::Told;
use super::tail::explain;
use crate::args::events::ExportArgs;
use crate::database::Database;
use crate::output;
use crate::settings::Settings;
use crate::signal::Stop;

/// Connections: one reads, one draws transaction ids.
const CONNECTIONS: u32 = 2;
/// What it reads.
const TABLES: &str = "journal, events, dead_spans, followers, parked, slot_claims, venues, venue_units, \
                      venue_changes, jobs, decisions, imports, _sqlx_migrations";

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    args: &ExportArgs,
) -> anyhow::Result<ExitCode> {
    let stop = Stop::catch()?.token(&Tokio);
    let database = Database::open(settings, folder).await?;
    let told = Told::new("export");
    let exported = export(&database, args, &told, stop).await;
    told.end();
    let closed = database.close().await;
    let exported = exported.map_err(|error| explain(error, TABLES))?;
    closed?;
    tell(args, &exported)?;
    Ok(ExitCode::SUCCESS)
}

async fn export(
    database: &Database,
    args: &ExportArgs,
    told: &Told,
    stop: CancellationToken,
) -> anyhow::Result<Exported> {
    let pool = database.connect_to_read(CONNECTIONS)?;
    schema::check(&pool).await?;
    let journal = Journal::new(pool.clone(), Arc::new(SystemClock), Arc::new(SystemRandom));
    let exported = write(&journal, args, told, stop).await;
    pool.close().await;
    Ok(exported?)
}

async fn write(
    journal: &Journal,
    args: &ExportArgs,
    told: &Told,
    stop: CancellationToken,
) -> Result<Exported, TransferError> {
    let export = Export {
        journal,
        acting: order::follower_id(),
        from: args.from_position,
        to: args.to_position,
        mark_every: MARK_EVERY,
        runtime: &Tokio,
        told,
        stop,
    };
    let target = match &args.output {
        Some(path) => Target::File(path.clone()),
        None => Target::Stream(Box::new(io::stdout())),
    };
    export.run(target).await
}

/// The result: on stdout, unless the journal itself went there.
fn tell(args: &ExportArgs, exported: &Exported) -> io::Result<()> {
    if args.json {
        return output::json(exported);
    }
    let Exported {
        journal,
        events,
        events_total,
        last_position,
        ..
    } = exported;
    let what = match (exported.resumed, events) {
        (Some(Resumed::Finished), 0) => "nothing is newer".to_owned(),
        (Some(Resumed::Finished), _) => format!("{events} newer events appended"),
        (Some(Resumed::Unfinished), _) => format!("gone on with: {events} more events"),
        (None, _) => format!("{events} events"),
    };
    let line = format!(
        "{what}; {events_total} events up to position {last_position} of journal {journal}"
    );
    if args.output.is_some() {
        return output::result(&line);
    }
    output::say(&format!("spacerent: {line}"));
    Ok(())
}
