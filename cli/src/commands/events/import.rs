//! `spacerent events import`: a journal from a file or a pipe.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use journal::runtime::Tokio;
use journal::schema;
use journal::transfer::{BATCH_MAX, Import, ImportReport, Progress};

use super::input;
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
    let told = Arc::new(Told::new("import"));
    let say = Arc::clone(&told);
    let stop = Stop::catch()?.twice(&Tokio, move |signal| {
        say.remark(&format!(
            "{signal}: stopping after this batch; once more stops at once"
        ));
    });
    let database = Database::open(settings, folder).await?;
    let importing = async {
        let pool = database.connect(1)?;
        schema::check(&pool).await?;
        pool.close().await;
        let import = Import {
            owner_url: &database.owner_url,
            append: args.append,
            allow_truncated: args.allow_truncated,
            hold_payments: args.hold_payments,
            next_booking: args.next_booking,
            batch_max: BATCH_MAX,
            told: told.as_ref(),
            stop: stop.asked.clone(),
        };
        let source = input::source(&args.file, stop.asked.clone())?;
        anyhow::Ok(import.run(source).await?)
    };
    let imported = tokio::select! {
        biased;
        () = stop.insisted.cancelled() => Err(anyhow!("stopped at once; the same command goes on")),
        imported = importing => imported,
    };
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
