//! `spacerent events import`: a journal from a file or a pipe.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use journal::runtime::Tokio;
use journal::schema;
use journal::transfer::{BATCH_MAX, Import, ImportReport, Source};

use super::progress::Told;
use crate::args::events::ImportArgs;
use crate::database::Database;
use crate::output;
use crate::settings::Settings;
use crate::signal::Stop;

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    args: &ImportArgs,
) -> anyhow::Result<ExitCode> {
    let stop = Stop::catch()?.token(&Tokio);
    let database = Database::open(settings, folder).await?;
    let told = Told::new("import");
    let imported = async {
        let pool = schema::connect(&database.url, 1)?;
        schema::check(&pool).await?;
        pool.close().await;
        let import = Import {
            owner_url: &database.owner_url,
            append: args.append,
            allow_truncated: args.allow_truncated,
            hold_payments: args.hold_payments,
            next_booking: args.next_booking,
            batch_max: BATCH_MAX,
            told: &told,
            stop,
        };
        anyhow::Ok(import.run(source(&args.file)).await?)
    }
    .await;
    told.end();
    let closed = database.close().await;
    let imported = imported?;
    closed?;
    if args.json {
        output::json(&imported)?;
    } else {
        output::result(&text(&imported))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn source(file: &Path) -> Source {
    if file.as_os_str() == "-" {
        Source::Stream(Box::new(BufReader::new(io::stdin())))
    } else {
        Source::File(file.to_owned())
    }
}

fn text(imported: &ImportReport) -> String {
    let ImportReport {
        source,
        journal,
        events,
        commands,
        claims,
        jobs,
        last_position,
        ..
    } = imported;
    let mut text = format!(
        "{events} events of journal {source} are in journal {journal}, up to position {last_position}; \
         {commands} command ids, {claims} slots, {jobs} jobs of people"
    );
    if imported.truncated {
        text += &format!(
            "; the file had no footer: claims and jobs of people may be missing, {} events of its last command were left \
             out, and the next booking has number {}",
            imported.events_left_out, imported.next_booking
        );
    }
    if imported.payments_held {
        text += "; charges and refunds without an outcome will be left to people";
    }
    text
}
