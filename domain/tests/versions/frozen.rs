//! The samples as they lie in a folder, and everything that can be wrong with them.
//!
//! `<Aggregate>.<EventType>.<version>[.<case>].json` is a payload as it stands in some journal. Of a version that is
//! no longer written, `steps/` has under the same name what the step from it makes of that payload.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use domain::Event;
use domain::version::{Payload, Reading, Shape, Step, Stored, Table};
use serde_json::{Value, json};
use uuid::Uuid;

/// A stored event, as its file's name and content say.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) file: String,
    pub(crate) aggregate_type: String,
    pub(crate) event_type: String,
    pub(crate) event_version: String,
    pub(crate) payload: Value,
    /// What the step from it makes of it, where that is written down.
    step: Option<Value>,
}

impl Sample {
    pub(crate) fn read(folder: &Path, file: &str) -> Self {
        let parts: Vec<&str> = file.split('.').collect();
        let ([aggregate_type, event_type, event_version, "json"]
        | [aggregate_type, event_type, event_version, _, "json"]) = parts[..]
        else {
            panic!("{file} is not <Aggregate>.<EventType>.<version>[.<case>].json");
        };
        let json = |path: &Path| {
            let text = fs::read_to_string(path).ok()?;
            Some(serde_json::from_str(&text).unwrap_or_else(|e| panic!("{file}: {e}")))
        };
        Self {
            file: file.to_owned(),
            aggregate_type: aggregate_type.to_owned(),
            event_type: event_type.to_owned(),
            event_version: event_version.to_owned(),
            payload: json(&folder.join(file)).unwrap(),
            step: json(&folder.join("steps").join(file)),
        }
    }

    pub(crate) fn decode(&self, table: &Table) -> Result<Reading<Event>, String> {
        let stored = Stored {
            aggregate_type: &self.aggregate_type,
            event_type: &self.event_type,
            event_version: &self.event_version,
            payload: Payload::Text(&self.payload.to_string()),
        };
        table.read(stored).map_err(|error| error.to_string())
    }

    fn is_of(&self, aggregate_type: &str, shape: Shape) -> bool {
        self.aggregate_type == aggregate_type
            && self.event_type == shape.event_type
            && self.event_version == shape.event_version
    }
}

/// The files of a folder, by name.
fn files(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return BTreeSet::new();
    };
    let entries = entries.map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files
        .map(|file| file.file_name().into_string().unwrap())
        .collect()
}

pub(crate) fn samples(folder: &Path) -> Vec<Sample> {
    let names = files(folder).into_iter();
    names.map(|file| Sample::read(folder, &file)).collect()
}

/// Everything that is wrong with a table and its samples. `frozen` lists the prints of all files, a line each.
pub(crate) fn complaints(table: &Table, folder: &Path, frozen: &str) -> Vec<String> {
    let samples = samples(folder);
    let mut complaints = edited(folder, frozen);
    for sample in &samples {
        if let Err(error) = sample.decode(table) {
            complaints.push(format!("{}: {error}", sample.file));
        }
    }
    for stream in table.0 {
        let aggregate_type = stream.aggregate_type;
        let mut names = BTreeSet::new();
        for lineage in stream.events {
            let name = lineage.event_type;
            if !names.insert(name) {
                complaints.push(format!("{aggregate_type} {name} stands in the table twice"));
            }
            if let Some(event_version) = lineage.today {
                let shape = Shape {
                    event_type: name,
                    event_version,
                };
                complaints.extend(unwritten(table, &samples, aggregate_type, shape));
            }
            let mut versions: BTreeSet<_> = lineage.today.into_iter().collect();
            for step in lineage.steps {
                if !versions.insert(step.from) {
                    complaints.push(format!(
                        "{aggregate_type} {name} {} stands in the table twice",
                        step.from
                    ));
                }
                complaints.extend(wrong_step(table, &samples, aggregate_type, name, step));
            }
        }
    }
    complaints
}

/// Of files that are not as they were, or that nobody froze.
fn edited(folder: &Path, frozen: &str) -> Vec<String> {
    let lines = frozen.lines().filter_map(|line| line.split_once("  "));
    let mut frozen: BTreeMap<&str, &str> = lines.map(|(print, file)| (file, print)).collect();
    let steps = files(&folder.join("steps")).into_iter();
    let steps = steps.map(|file| format!("steps/{file}"));
    let mut complaints = Vec::new();
    for file in files(folder).into_iter().chain(steps) {
        let content = fs::read(folder.join(&file)).unwrap();
        let print = Uuid::new_v5(&Uuid::nil(), &content).to_string();
        match frozen.remove(file.as_str()) {
            Some(was) if was == print => {}
            Some(_) => complaints.push(format!(
                "{file} was edited. What it shows is stored in somebody's journal for ever: take the edit back, and \
                 give the new shape a new version with a step and samples of its own (docs/changing-events.md)"
            )),
            None => complaints.push(format!("{file} is new: freeze it with the line\n{print}  {file}")),
        }
    }
    complaints.extend(frozen.into_keys().map(|file| {
        format!(
            "{file} is gone. What it shows is stored in somebody's journal for ever: put it back"
        )
    }));
    complaints
}

/// Of a version that is written today, and not as any sample stands.
fn unwritten(table: &Table, samples: &[Sample], aggregate_type: &str, shape: Shape) -> Vec<String> {
    let Shape {
        event_type,
        event_version,
    } = shape;
    let its: Vec<_> = samples
        .iter()
        .filter(|s| s.is_of(aggregate_type, shape))
        .collect();
    if its.is_empty() {
        return vec![format!(
            "{aggregate_type} {event_type} {event_version} is written today and has no sample: add \
             {aggregate_type}.{event_type}.{event_version}.json"
        )];
    }
    let otherwise = |sample: &&&Sample| match sample.decode(table) {
        Ok(Reading::Today(event)) => serde_json::to_value(&event).unwrap() != sample.payload,
        _ => false,
    };
    let otherwise = its.iter().filter(otherwise);
    otherwise
        .map(|sample| {
            format!(
                "{} is not as the code writes version {event_version} today: its shape has changed, and needs a new \
                 version (docs/changing-events.md)",
                sample.file
            )
        })
        .collect()
}

/// Of a step without samples, or that makes something else of them than is written down.
fn wrong_step(
    table: &Table,
    samples: &[Sample],
    aggregate_type: &str,
    name: &'static str,
    step: &Step,
) -> Vec<String> {
    let from = Shape {
        event_type: name,
        event_version: step.from,
    };
    let its: Vec<_> = samples
        .iter()
        .filter(|s| s.is_of(aggregate_type, from))
        .collect();
    let what = format!("{aggregate_type} {name} {}", step.from);
    let mut complaints = Vec::new();
    if its.is_empty() {
        complaints.push(format!(
            "the step from {what} has no sample of what it reads"
        ));
    }
    if !table.knows(aggregate_type, name, step.from) {
        complaints.push(format!("the steps from {what} do not lead to today"));
    }
    for shape in step.becomes.shapes() {
        if !samples
            .iter()
            .any(|sample| sample.is_of(aggregate_type, *shape))
        {
            let Shape {
                event_type,
                event_version,
            } = shape;
            complaints.push(format!(
                "{what} leads to {event_type} {event_version}, which has no sample"
            ));
        }
    }
    for sample in its {
        let made = step.take(sample.payload.clone()).map(|parts| {
            let part = |(shape, payload): (Shape, Value)| {
                json!({"event_type": shape.event_type, "event_version": shape.event_version, "payload": payload})
            };
            Value::Array(parts.into_iter().map(part).collect())
        });
        match (made, &sample.step) {
            (Ok(made), Some(written)) if made == *written => {}
            (Ok(made), Some(_)) => complaints.push(format!(
                "steps/{} is not what the step makes of its sample: a step never changes what was read before; it made\n{made:#}",
                sample.file
            )),
            (Ok(made), None) => complaints.push(format!(
                "steps/{} is missing; the step makes\n{made:#}",
                sample.file
            )),
            (Err(error), _) => complaints.push(format!("{}: {error}", sample.file)),
        }
    }
    complaints
}
