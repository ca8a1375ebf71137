//! `spacerent trace`: what happened to a booking, because of what, and what it still waits for.

mod calls;
mod tree;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use journal::Journal;
use journal::feed::Stored;
use journal::recover::{JobRow, ParkedKey};
use journal::story::{EVENTS_MAX, Subject};
use serde::Serialize;

use crate::database::look_at_journal;
use crate::output;
use crate::settings::Settings;
use calls::Call;
use tree::{CommandNode, EventNode, Told};

/// Everything that is known.
#[derive(Serialize)]
struct Report {
    bookings: Vec<i64>,
    /// The causation tree: commands, their events, the commands that these led to.
    commands: Vec<CommandNode>,
    gateway_calls: Vec<Call>,
    jobs: Vec<JobRow>,
    followers: Vec<Reach>,
    /// What has not happened yet, or will not without people; empty: it rests.
    waits_for: Vec<String>,
}

/// How far a follower is, seen from the last of these events.
#[derive(Serialize)]
struct Reach {
    name: String,
    position: i64,
    /// Whether it has passed the last one.
    passed: bool,
    /// The positions that it has parked.
    parked: Vec<i64>,
}

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    asked: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    look_at_journal(settings, folder, async |journal| {
        let report = look(&journal, asked).await?;
        if json {
            output::json(&report)?;
        } else {
            for line in text(&report) {
                output::result(&line)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
    .await
}

/// A number is a booking's, unless there is none and it is a correlation id.
async fn find(journal: &Journal, asked: &str) -> anyhow::Result<Vec<Stored>> {
    if let Ok(bookid) = asked.parse() {
        let events = journal.story(&Subject::Booking(bookid)).await?;
        if !events.is_empty() {
            return Ok(events);
        }
    }
    let events = journal.story(&Subject::Journey(asked.to_owned())).await?;
    if events.is_empty() {
        bail!("nothing is recorded of {asked}, neither as a booking nor as a correlation id");
    }
    Ok(events)
}

async fn look(journal: &Journal, asked: &str) -> anyhow::Result<Report> {
    let events = find(journal, asked).await?;
    if i64::try_from(events.len()).is_ok_and(|count| count == EVENTS_MAX) {
        output::say(&format!(
            "spacerent: only the first {EVENTS_MAX} events are shown"
        ));
    }
    let bookings: BTreeSet<i64> = events
        .iter()
        .filter_map(|event| event.aggregate_id.parse().ok())
        .collect();
    let bookings: Vec<i64> = bookings.into_iter().collect();
    let jobs = journal.jobs_of(&bookings).await?;
    let keys: Vec<_> = bookings.iter().map(ToString::to_string).collect();
    let parked = journal.parked_of(&keys).await?;
    let last = events.last().map_or(0, |event| event.position);
    let mut followers = Vec::new();
    for follower in journal.status().await?.followers {
        let here = |p: &&ParkedKey| {
            p.name == follower.name
                && p.generation == follower.generation
                && p.key.parse().is_ok_and(|key| bookings.contains(&key))
        };
        followers.push(Reach {
            passed: follower.position >= last,
            parked: parked.iter().filter(here).map(|p| p.position).collect(),
            name: follower.name,
            position: follower.position,
        });
    }
    let told: Vec<_> = events
        .iter()
        .map(|event| Told::of(event, journal.events()))
        .collect();
    let gateway_calls = calls::of(&told);
    let mut waits_for = waits_for(&gateway_calls, &jobs, &followers, &parked);
    waits_for.extend(told.iter().filter_map(Told::unreadable));
    Ok(Report {
        waits_for,
        commands: tree::grow(&told),
        bookings,
        gateway_calls,
        jobs,
        followers,
    })
}

fn waits_for(
    calls: &[Call],
    jobs: &[JobRow],
    followers: &[Reach],
    parked: &[ParkedKey],
) -> Vec<String> {
    let mut waits = Vec::new();
    for follower in followers {
        for position in &follower.parked {
            let reason = parked
                .iter()
                .find(|p| p.name == follower.name && p.position == *position)
                .and_then(|p| p.reason.clone());
            let reason = reason.unwrap_or_else(|| "it was not tried yet".to_owned());
            waits.push(format!(
                "{} has parked it at position {position}: {reason}",
                follower.name
            ));
        }
        if !follower.passed {
            waits.push(format!(
                "{} is at position {} and has not seen all of it",
                follower.name, follower.position
            ));
        }
    }
    for job in jobs.iter().filter(|job| job.state != "done") {
        let error = job.last_error.as_deref().unwrap_or("not tried yet");
        waits.push(if job.state == "attention" {
            format!("job {} ({}) is for people: {error}", job.id, job.kind)
        } else {
            format!(
                "job {} ({}) is due {}: {error}",
                job.id, job.kind, job.due_at
            )
        });
    }
    for call in calls.iter().filter(|call| call.outcome.is_none()) {
        waits.push(format!(
            "{} {} of booking {} has no outcome",
            call.kind, call.number, call.booking
        ));
    }
    waits
}

fn text(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for command in &report.commands {
        draw(command, 0, &report.jobs, &mut lines);
    }
    lines.push(String::new());
    for call in &report.gateway_calls {
        let outcome = match (&call.outcome, &call.answer) {
            (Some(outcome), Some(answer)) => format!("{outcome} ({answer})"),
            (Some(outcome), None) => outcome.clone(),
            (None, _) => "no outcome yet".to_owned(),
        };
        lines.push(format!(
            "gateway: {} {} of booking {}, key {}: {outcome}; {} times without an answer",
            call.kind, call.number, call.booking, call.key, call.without_answer
        ));
    }
    for follower in &report.followers {
        let passed = if follower.passed { "has" } else { "has not" };
        lines.push(format!(
            "{}: at position {}, {passed} seen all of it",
            follower.name, follower.position
        ));
    }
    lines.push(String::new());
    if report.waits_for.is_empty() {
        lines.push("nothing is waited for".to_owned());
    }
    lines.extend(report.waits_for.iter().map(|wait| format!("waits: {wait}")));
    lines
}

fn draw(command: &CommandNode, depth: usize, jobs: &[JobRow], lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let who = match &command.actor_id {
        Some(id) => format!("{} {id}", command.actor),
        None => command.actor.clone(),
    };
    let cause = command
        .caused_by
        .map(|id| format!(", because of event {id}"))
        .unwrap_or_default();
    lines.push(format!(
        "{indent}{who} (journey {}{cause})",
        command.correlation_id
    ));
    for event in &command.events {
        draw_event(event, depth, jobs, lines);
    }
}

fn draw_event(event: &EventNode, depth: usize, jobs: &[JobRow], lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth + 1);
    let read_as = match &event.read_as {
        Some(names) if names.is_empty() => ", read as nothing today".to_owned(),
        Some(names) => format!(", read as {}", names.join(", ")),
        None => String::new(),
    };
    let unreadable = if event.unreadable {
        ", which cannot be read here"
    } else {
        ""
    };
    lines.push(format!(
        "{indent}{} {:.6} {} {}{read_as}{unreadable}",
        event.position, event.recorded_at, event.stream, event.event_type
    ));
    let id = event.event_id.to_string();
    for job in jobs
        .iter()
        .filter(|job| job.payload.get("causation_id") == Some(&id))
    {
        lines.push(format!(
            "{indent}  job {} {}: {}, {} attempts",
            job.id, job.kind, job.state, job.attempts
        ));
    }
    for command in &event.led_to {
        draw(command, depth + 2, jobs, lines);
    }
}
