//! `spacerent jobs`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::Timestamp;
use journal::Journal;
use journal::recover::{Decided, Decision, JobRow};
use processes::jobs::people::{self, Retried, Said};
use serde::Serialize;

use crate::args::recovery::{By, JobsCommand, SaidArgs};
use crate::database::on_journal;
use crate::output;
use crate::settings::Settings;

#[derive(Serialize)]
struct List {
    jobs: Vec<JobRow>,
}

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    command: JobsCommand,
) -> anyhow::Result<ExitCode> {
    on_journal(settings, folder, async |journal| match command {
        JobsCommand::List { all, limit, json } => {
            let jobs = journal.jobs(all, limit).await?;
            let more = not_shown(&journal, all, limit, jobs.len()).await?;
            if json {
                output::json(&List { jobs })?;
            } else {
                table(&jobs)?;
            }
            if more > 0 {
                output::say(&format!("{more} more; --limit N shows them"));
            }
            Ok(ExitCode::SUCCESS)
        }
        JobsCommand::Show { id, json } => show(&journal, id, json).await,
        JobsCommand::Retry {
            id,
            not_refunded,
            reason,
            by: By { by },
            json,
        } => {
            let decision = Decision {
                by: &by,
                reason: &reason,
            };
            let decided = match people::retry(&journal, id, &decision, not_refunded).await? {
                Retried::Decided(decided) => decided,
                Retried::MayBeASecondRefund(since) => bail!(may_be_a_second_refund(id, since)),
                Retried::NoRefund => {
                    bail!("job {id} is no refund: leave out --not-refunded; nothing was changed")
                }
            };
            let said = "goes back to its worker";
            conclude(&journal, id, &decided, said, json).await
        }
        JobsCommand::Resolve {
            id,
            said,
            reason,
            by: By { by },
            json,
        } => {
            let decision = Decision {
                by: &by,
                reason: &reason,
            };
            let decided = match said.into_said() {
                None => journal.resolve_job(id, &decision).await?,
                Some(said) => people::resolve(&journal, id, &decision, &said)
                    .await
                    .with_context(|| format!("job {id} is not resolved"))?,
            };
            conclude(&journal, id, &decided, "is resolved", json).await
        }
    })
    .await
}

/// How many jobs there are beside those that are shown.
async fn not_shown(journal: &Journal, all: bool, limit: i64, shown: usize) -> anyhow::Result<i64> {
    let shown = i64::try_from(shown)?;
    if shown < limit {
        return Ok(0);
    }
    Ok(journal.count_jobs(all).await?.saturating_sub(shown))
}

fn table(jobs: &[JobRow]) -> anyhow::Result<()> {
    let rows = jobs.iter().map(|j| {
        [
            j.id.to_string(),
            j.kind.clone(),
            j.bookid.to_string(),
            state(j),
            j.attempts.to_string(),
            j.due_at.to_string(),
            j.last_error.clone().unwrap_or_default(),
        ]
    });
    let header = [
        "job",
        "kind",
        "booking",
        "state",
        "attempts",
        "due",
        "last error",
    ];
    output::table(header, rows)?;
    Ok(())
}

fn state(job: &JobRow) -> String {
    match job.state.as_str() {
        "attention" => "for people".to_owned(),
        other => other.to_owned(),
    }
}

async fn show(journal: &Journal, id: i64, json: bool) -> anyhow::Result<ExitCode> {
    let job = job(journal, id).await?;
    if json {
        output::json(&job)?;
        return Ok(ExitCode::SUCCESS);
    }
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let mut rows = vec![
        ["job".to_owned(), job.id.to_string()],
        ["kind".to_owned(), job.kind.clone()],
        ["about".to_owned(), job.key.clone()],
        ["booking".to_owned(), job.bookid.to_string()],
        ["state".to_owned(), state(&job)],
        ["attempts".to_owned(), job.attempts.to_string()],
        ["due".to_owned(), job.due_at.to_string()],
        ["claimed until".to_owned(), time(job.claimed_until)],
        ["last error".to_owned(), job.last_error.unwrap_or_default()],
        ["created".to_owned(), job.created_at.to_string()],
        ["finished".to_owned(), time(job.finished_at)],
    ];
    rows.extend(job.payload.into_iter().map(|(name, value)| [name, value]));
    output::table(["what", "is"], rows)?;
    Ok(ExitCode::SUCCESS)
}

async fn job(journal: &Journal, id: i64) -> anyhow::Result<JobRow> {
    let job = journal.job(id).await?;
    job.with_context(|| unknown(id))
}

fn unknown(id: i64) -> String {
    format!("there is no job {id}; `spacerent jobs list --all` shows what there is")
}

impl SaidArgs {
    fn into_said(self) -> Option<Said> {
        let not_charged = self.not_charged.then_some(Said::NotCharged);
        let charged = self.charged.map(Said::Charged);
        let refunded = self.refunded.map(Said::Refunded);
        not_charged.or(charged).or(refunded)
    }
}

fn may_be_a_second_refund(id: i64, since: Timestamp) -> String {
    format!(
        "the gateway may have made refund {id} since {since} and forgotten it by now: it could be made twice; look there, \
         and then `spacerent jobs resolve {id}`, or `spacerent jobs retry {id} --not-refunded`; nothing was changed"
    )
}

async fn conclude(
    journal: &Journal,
    id: i64,
    decided: &Decided,
    said: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    match decided {
        Decided::Done if json => output::json(&job(journal, id).await?)?,
        Decided::Done => output::result(&format!("job {id} {said}"))?,
        Decided::Unknown => bail!(unknown(id)),
        Decided::NotForPeople(state) => {
            bail!("job {id} is {state}, not for people: its worker sees to it; nothing was changed")
        }
    }
    Ok(ExitCode::SUCCESS)
}
