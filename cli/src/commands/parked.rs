//! `spacerent parked`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use journal::Journal;
use journal::recover::{Decision, ParkedAt, ParkedEvent, ParkedKey};
use journal::runtime::{Runtime, Tokio};
use processes::order;
use serde::Serialize;

use crate::args::recovery::{At, By, ParkedCommand};
use crate::database::on_journal;
use crate::settings::Settings;
use crate::{log, output};

/// How often, and how long in between, we look whether the follower has tried.
const LOOKS_MAX: u32 = 100;
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Serialize)]
struct List {
    parked: Vec<ParkedKey>,
    /// Whether there are more than were asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    generation: i32,
    key: &'a str,
    events: Vec<ParkedEvent>,
}

/// What became of a retry or a discard.
#[derive(Serialize)]
struct Outcome<'a> {
    name: &'a str,
    generation: i32,
    key: &'a str,
    /// Given up.
    discarded: i32,
    /// Whether the follower has tried since.
    tried: bool,
    /// Still parked.
    left: Vec<ParkedEvent>,
}

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    command: ParkedCommand,
) -> anyhow::Result<ExitCode> {
    on_journal(settings, folder, async |journal| match command {
        ParkedCommand::List { limit, json } => list(&journal, limit, json).await,
        ParkedCommand::Show { at, json } => show(&journal, &at, json).await,
        ParkedCommand::Retry {
            at,
            by: By { by },
            json,
        } => {
            let at = find(&journal, &at).await?;
            journal.retry_parked(&at, &by).await?;
            outcome(&journal, &at, 0, json).await
        }
        ParkedCommand::Discard {
            at,
            reason,
            all,
            by: By { by },
            json,
        } => {
            let at = find(&journal, &at).await?;
            let decision = Decision {
                by: &by,
                reason: &reason,
            };
            // What is given up stands in a log, too; a command has none otherwise.
            log::start();
            let discarded = journal.discard_parked(&at, all, &decision).await?;
            outcome(&journal, &at, discarded, json).await
        }
    })
    .await
}

async fn list(journal: &Journal, limit: i64, json: bool) -> anyhow::Result<ExitCode> {
    let (parked, more) = output::at_most(limit, journal.parked(limit + 1).await?);
    if json {
        output::json(&List { parked, more })?;
    } else {
        let rows = parked.iter().map(|p| {
            [
                p.name.clone(),
                p.generation.to_string(),
                p.key.clone(),
                p.position.to_string(),
                event(&p.event_type, p.event_version.as_deref()),
                p.behind.to_string(),
                p.parked_at.to_string(),
                p.attempts.to_string(),
                next_try(p),
                reason(p.reason.as_deref()),
            ]
        });
        let header = [
            "follower", "gen", "booking", "position", "event", "behind", "since", "tries",
            "next try", "reason",
        ];
        output::table(header, rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(journal: &Journal, at: &At, json: bool) -> anyhow::Result<ExitCode> {
    let at = find(journal, at).await?;
    let events = journal.parked_events(&at).await?;
    if json {
        output::json(&Shown {
            name: &at.name,
            generation: at.generation,
            key: &at.key,
            events,
        })?;
    } else {
        events_table(&events)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn events_table(events: &[ParkedEvent]) -> anyhow::Result<()> {
    let rows = events.iter().map(|e| {
        [
            e.position.to_string(),
            event(&e.event_type, e.event_version.as_deref()),
            e.parked_at.to_string(),
            reason(e.reason.as_deref()),
        ]
    });
    output::table(["position", "event", "since", "reason"], rows)?;
    Ok(())
}

/// An event as it is stored: `Booked 2`.
fn event(event_type: &str, event_version: Option<&str>) -> String {
    match event_version {
        Some(version) => format!("{event_type} {version}"),
        None => event_type.to_owned(),
    }
}

/// When a booking is tried again, or what that waits for.
fn next_try(parked: &ParkedKey) -> String {
    match parked.next_try_at {
        _ if parked.retry_asked => "now".to_owned(),
        Some(at) => at.to_string(),
        None if parked.quarantined => "quarantined".to_owned(),
        None if parked.waits_for_upgrade => "with an upgrade".to_owned(),
        None => "when asked for".to_owned(),
    }
}

fn reason(reason: Option<&str>) -> String {
    reason.unwrap_or("(behind another one)").to_owned()
}

/// Whether some follower has this name.
fn is_a_follower(name: &str) -> bool {
    name == order::follower_id().name || projections::NAMES.contains(&name)
}

/// The parked booking that is meant.
async fn find(journal: &Journal, at: &At) -> anyhow::Result<ParkedAt> {
    let generations: Vec<i32> = journal
        .parked_of(std::slice::from_ref(&at.key))
        .await?
        .into_iter()
        .filter(|p| p.name == at.name)
        .map(|p| p.generation)
        .filter(|generation| at.generation.is_none_or(|wanted| wanted == *generation))
        .collect();
    let (name, key) = (&at.name, &at.key);
    let generation = match generations[..] {
        [generation] => generation,
        [] if !is_a_follower(name) => bail!(
            "there is no follower {name}; there are {}, {}",
            projections::NAMES.join(", "),
            order::follower_id().name
        ),
        [] => bail!(
            "{name} has nothing parked of booking {key}; `spacerent parked list` shows what there is"
        ),
        _ => bail!(
            "several generations of {name} have booking {key} parked; choose one with --generation"
        ),
    };
    Ok(ParkedAt {
        name: name.clone(),
        generation,
        key: key.clone(),
    })
}

/// Waits until the follower has tried, and says what is left.
async fn outcome(
    journal: &Journal,
    at: &ParkedAt,
    discarded: i32,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut looks = 0;
    while journal.retry_is_open(at).await? && looks < LOOKS_MAX {
        looks += 1;
        Tokio.sleep(LOOK_EVERY).await;
    }
    let tried = looks < LOOKS_MAX;
    let left = journal.parked_events(at).await?;
    let done = tried && left.is_empty();
    let ParkedAt {
        name,
        generation,
        key,
    } = at;
    if json {
        output::json(&Outcome {
            name,
            generation: *generation,
            key,
            discarded,
            tried,
            left,
        })?;
    } else if done {
        output::result(&format!(
            "{name}: booking {key} is parked no longer ({discarded} discarded)"
        ))?;
    } else if tried {
        let first = left.first().context("nothing is left")?;
        output::result(&format!(
            "{name}: booking {key} is still parked at position {}: {}",
            first.position,
            reason(first.reason.as_deref())
        ))?;
    } else {
        output::say(&format!(
            "spacerent: no follower {name} has tried yet; it does when its role runs ({discarded} discarded)"
        ));
    }
    Ok(if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
