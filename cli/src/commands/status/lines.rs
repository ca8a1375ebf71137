//! The status in lines, for people: printed once, or shown again and again.

use journal::incidents::{Class, Incident};
use journal::status::{Blocker, FollowerStatus, Hole, Status};
use journal::transfer::Unfinished;

use super::OUTDATED;
use crate::output::plain;

/// What a line is to whoever looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something as it should be.
    Plain,
    /// Says what stands below.
    Heading,
    /// Somebody should do something.
    Trouble,
}

/// One line, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub tone: Tone,
    /// What it says.
    pub text: String,
}

impl Line {
    pub fn new(tone: Tone, text: &str) -> Self {
        let text = plain(text);
        Self { tone, text }
    }
}

/// Everything that the status says.
pub fn lines(status: &Status) -> Vec<Line> {
    let mut lines = vec![Line::new(
        Tone::Plain,
        &format!("head {}   watermark {}", status.head, status.watermark),
    )];
    lines.extend(status.hole.as_ref().map(hole));
    lines.extend(status.import.as_ref().map(import));
    lines.push(Line::new(
        Tone::Heading,
        &row([
            "follower", "gen", "position", "lag", "lag s", "parked", "state",
        ]),
    ));
    lines.extend(status.followers.iter().map(follower));
    lines.extend(status.generations.iter().map(follower));
    let outdated = status.followers.iter().filter(|f| f.state == OUTDATED);
    lines.extend(outdated.map(remedy));
    for as_of in &status.as_of {
        let said = format!(
            "{} as of position {}: schema {}, made {}",
            as_of.name, as_of.position, as_of.schema, as_of.created_at
        );
        lines.push(Line::new(Tone::Plain, &said));
    }
    lines.push(jobs(status));
    // That a lease is denied is the rule where several processes run; --json has it.
    let told = status.incidents.iter();
    lines.extend(
        told.filter(|incident| incident.class != Class::LeaseDenied.as_str())
            .map(incident),
    );
    lines
}

fn hole(hole: &Hole) -> Line {
    let mut said = format!("hole {}-{} since {}", hole.first, hole.last, hole.since);
    if let Some(blocker) = &hole.blocked_by {
        said += ", waits for ";
        said += &who(blocker);
    }
    Line::new(Tone::Trouble, &said)
}

fn import(import: &Unfinished) -> Line {
    let Unfinished {
        source,
        events,
        begun_at,
    } = import;
    let said = format!(
        "an import of journal {source} is unfinished since {begun_at}, {events} events are here: nothing else is stored \
         and nobody follows until `spacerent events import FILE` has ended"
    );
    Line::new(Tone::Trouble, &said)
}

fn incident(incident: &Incident) -> Line {
    let Incident {
        class,
        subject,
        reason,
        times,
        began_at,
        ended_at,
    } = incident;
    let (tone, until) = match ended_at {
        None => (Tone::Trouble, String::new()),
        Some(ended_at) if ended_at == began_at => (Tone::Plain, String::new()),
        Some(ended_at) => (Tone::Plain, format!(" until {ended_at}")),
    };
    let said = format!("{class} {subject} since {began_at}{until} ({times} times): {reason}");
    Line::new(tone, &said)
}

fn who(blocker: &Blocker) -> String {
    let (database, role) = (blocker.database.as_deref(), blocker.role.as_deref());
    let of = format!(
        "of {} in {}",
        role.unwrap_or("a role that is gone"),
        database.unwrap_or("no database")
    );
    let age = blocker
        .age_seconds
        .map_or_else(String::new, |age| format!(", {age} s"));
    match (blocker.pid, &blocker.prepared, &blocker.query) {
        (_, Some(name), _) => format!("the prepared transaction '{name}' {of}{age}"),
        (pid, None, Some(query)) => format!(
            "session {} {of} ({}{age}): {query}",
            pid.unwrap_or_default(),
            blocker.state.as_deref().unwrap_or("state unknown")
        ),
        (pid, None, None) => format!(
            "session {} {of}; what it runs is shown to logins with the role pg_read_all_stats",
            pid.unwrap_or_default()
        ),
    }
}

fn follower(f: &FollowerStatus) -> Line {
    let tone = if f.parked > 0 || f.state == OUTDATED || f.reason.is_some() {
        Tone::Trouble
    } else {
        Tone::Plain
    };
    let numbers = [
        f.generation.to_string(),
        f.position.to_string(),
        f.lag_events.to_string(),
        f.lag_seconds.to_string(),
        f.parked.to_string(),
    ];
    let [generation, position, events, seconds, parked] = numbers.each_ref().map(String::as_str);
    let cells = [
        &f.name, generation, position, events, seconds, parked, &f.state,
    ];
    Line::new(tone, &row(cells))
}

fn row([name, generation, position, events, seconds, parked, state]: [&str; 7]) -> String {
    format!(
        "{name:<12} {generation:>4} {position:>10} {events:>8} {seconds:>7} {parked:>7}  {state}"
    )
}

/// What to do about a read model of another version.
fn remedy(behind: &FollowerStatus) -> Line {
    let FollowerStatus { name, version, .. } = behind;
    let filled = version.map_or_else(String::new, |version| format!(" {version}"));
    let said = match projections::by_name(name).map(|projection| projection.version) {
        Some(known) if Some(known) > *version => format!(
            "{name} was filled by version{filled} of its fold and stands still; this program knows {known}: \
             run `spacerent replay {name}`"
        ),
        _ => format!(
            "{name} was filled by version{filled} of its fold, which this program does not know: a newer one is needed"
        ),
    };
    Line::new(Tone::Trouble, &said)
}

fn jobs(status: &Status) -> Line {
    let jobs = &status.jobs;
    let tone = if jobs.needs_attention > 0 {
        Tone::Trouble
    } else {
        Tone::Plain
    };
    let said = format!(
        "jobs: {} due, {} waiting, {} for people, {} timers",
        jobs.due, jobs.waiting, jobs.needs_attention, jobs.timers
    );
    Line::new(tone, &said)
}
