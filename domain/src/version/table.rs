//! The table as data: aggregates, the names of their events, and the steps from what was once written to today.

use serde_json::Value;

/// How events are written and read: every name that was ever stored, by aggregate. A value, so that whoever reads
/// events can be given another one; production has one, [`super::TODAY`].
#[derive(Clone, Copy, Debug)]
pub struct Table(pub &'static [Stream]);

/// The events of one aggregate. A step stays within its aggregate: a stream is loaded alone.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// `Book`, `Payment` or `Space`.
    pub aggregate_type: &'static str,
    /// Every name that was ever stored in such a stream.
    pub events: &'static [Lineage],
}

/// One name: the version that is written under it, and what became of the others.
#[derive(Clone, Copy, Debug)]
pub struct Lineage {
    /// The name.
    pub event_type: &'static str,
    /// The version that is written, and that the type in the code has. None: the name is retired.
    pub today: Option<&'static str>,
    /// From every other version that is known, one step each, in any order.
    pub steps: &'static [Step],
}

/// What is read in the place of a version that is not today's.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The stored version.
    pub from: &'static str,
    /// What is read in its place.
    pub becomes: Becomes,
}

/// A name and a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// The name.
    pub event_type: &'static str,
    /// The version.
    pub event_version: &'static str,
}

/// Reshapes a payload, or says why it cannot be. Pure, and the same for ever: what it makes of a stored event is
/// part of what happened.
pub type Reshape = fn(Value) -> Result<Value, String>;

/// Takes a payload apart: each part with the name it is of, in the order in which they happened.
pub type Split = fn(Value) -> Result<Vec<(&'static str, Value)>, String>;

/// What becomes of an event.
#[derive(Clone, Copy, Debug)]
pub enum Becomes {
    /// One event, of another version or another name.
    One {
        /// The shape that it has there.
        to: Shape,
        /// How. The name inside the payload is set afterwards.
        reshape: Reshape,
    },
    /// Several events, in order; how many and which of `to` is up to the payload.
    Several {
        /// Which may come out.
        to: &'static [Shape],
        /// How. The names inside the payloads are set afterwards.
        split: Split,
    },
    /// Nothing: the fact means nothing any more.
    Nothing {
        /// Why, for whoever reads the table.
        why: &'static str,
    },
}

/// A shape, as steps name it.
#[must_use]
pub const fn shape(event_type: &'static str, event_version: &'static str) -> Shape {
    Shape {
        event_type,
        event_version,
    }
}

/// A reshaping that changes nothing: for an event that only has another name.
///
/// # Errors
/// Never.
pub fn unchanged(payload: Value) -> Result<Value, String> {
    Ok(payload)
}

impl Lineage {
    /// A name that is written as version 1 and never was anything else.
    #[must_use]
    pub const fn first(event_type: &'static str) -> Self {
        Self::now(event_type, "1", &[])
    }

    /// A name that is written as version `today`; `steps` read its other versions.
    #[must_use]
    pub const fn now(
        event_type: &'static str,
        today: &'static str,
        steps: &'static [Step],
    ) -> Self {
        Self {
            event_type,
            today: Some(today),
            steps,
        }
    }

    /// A name that is written no longer.
    #[must_use]
    pub const fn retired(event_type: &'static str, steps: &'static [Step]) -> Self {
        Self {
            event_type,
            today: None,
            steps,
        }
    }

    /// The step from a version, if there is one.
    #[must_use]
    pub fn step(&self, event_version: &str) -> Option<&'static Step> {
        self.steps.iter().find(|step| step.from == event_version)
    }
}

impl Step {
    /// A step to one event.
    #[must_use]
    pub const fn one(from: &'static str, to: Shape, reshape: Reshape) -> Self {
        let becomes = Becomes::One { to, reshape };
        Self { from, becomes }
    }

    /// A step to several events.
    #[must_use]
    pub const fn several(from: &'static str, to: &'static [Shape], split: Split) -> Self {
        let becomes = Becomes::Several { to, split };
        Self { from, becomes }
    }

    /// A step to nothing.
    #[must_use]
    pub const fn nothing(from: &'static str, why: &'static str) -> Self {
        let becomes = Becomes::Nothing { why };
        Self { from, becomes }
    }
}

impl Step {
    /// What it makes of a payload, in order.
    ///
    /// # Errors
    /// Why the payload cannot be what its name and version say.
    pub fn take(&self, payload: Value) -> Result<Vec<(Shape, Value)>, String> {
        match self.becomes {
            Becomes::One { to, reshape } => {
                Ok(vec![(to, named(to.event_type, reshape(payload)?)?)])
            }
            Becomes::Several { to, split } => {
                let part = |(name, payload)| {
                    let shape = to.iter().find(|shape| shape.event_type == name);
                    let shape = shape.ok_or_else(|| format!("{name} is not among its parts"))?;
                    Ok((*shape, named(name, payload)?))
                };
                split(payload)?.into_iter().map(part).collect()
            }
            Becomes::Nothing { .. } => Ok(vec![]),
        }
    }
}

/// The payload under this name: the name stands in it, too.
fn named(name: &str, mut payload: Value) -> Result<Value, String> {
    let fields = payload.as_object_mut().ok_or("it is not an object")?;
    fields.insert("type".to_owned(), name.into());
    Ok(payload)
}

impl Becomes {
    /// The shapes that may come out.
    #[must_use]
    pub fn shapes(&self) -> &[Shape] {
        match self {
            Self::One { to, .. } => std::slice::from_ref(to),
            Self::Several { to, .. } => to,
            Self::Nothing { .. } => &[],
        }
    }
}

impl Table {
    /// The events of an aggregate.
    #[must_use]
    pub fn stream(&self, aggregate_type: &str) -> Option<&'static Stream> {
        let mut streams = self.0.iter();
        streams.find(|stream| stream.aggregate_type == aggregate_type)
    }

    /// The version that an event is written with; none when the table does not have it, or it is retired.
    #[must_use]
    pub fn written(&self, aggregate_type: &str, event_type: &str) -> Option<&'static str> {
        self.stream(aggregate_type)?.lineage(event_type)?.today
    }

    /// Whether there is a way from this event to events of today.
    #[must_use]
    pub fn knows(&self, aggregate_type: &str, event_type: &str, event_version: &str) -> bool {
        let shape = Unread {
            event_type,
            event_version,
        };
        self.ends(aggregate_type, shape).is_some()
    }

    /// The names of today that a stored event may be read as; none when the event is unknown.
    #[must_use]
    pub fn may_become(
        &self,
        aggregate_type: &str,
        event_type: &str,
        event_version: &str,
    ) -> Option<Vec<&'static str>> {
        let shape = Unread {
            event_type,
            event_version,
        };
        self.ends(aggregate_type, shape)
    }

    /// The stored names that may be read as one of `names`, whatever their version.
    #[must_use]
    pub fn stored_names(&self, names: &[&str]) -> Vec<&'static str> {
        let leads = |stream: &Stream, lineage: &Lineage| {
            let versions = lineage.today.into_iter();
            let mut versions = versions.chain(lineage.steps.iter().map(|step| step.from));
            versions.any(|version| {
                self.may_become(stream.aggregate_type, lineage.event_type, version)
                    .is_some_and(|ends| ends.iter().any(|end| names.contains(end)))
            })
        };
        let mut stored = Vec::new();
        for stream in self.0 {
            let leading = stream.events.iter().filter(|event| leads(stream, event));
            stored.extend(leading.map(|event| event.event_type));
        }
        stored
    }

    fn ends(&self, aggregate_type: &str, shape: Unread<'_>) -> Option<Vec<&'static str>> {
        let stream = self.stream(aggregate_type)?;
        let mut ends = Vec::new();
        let mut waiting = vec![(shape, 0)];
        while let Some((shape, steps)) = waiting.pop() {
            let lineage = stream.lineage(shape.event_type)?;
            if lineage.today == Some(shape.event_version) {
                ends.push(lineage.event_type);
                continue;
            }
            let step = lineage.step(shape.event_version)?;
            if steps == super::STEPS_MAX {
                return None;
            }
            let next = step.becomes.shapes().iter();
            waiting.extend(next.map(|shape| (Unread::from(*shape), steps + 1)));
        }
        Some(ends)
    }
}

/// A name and a version that may be in no table.
#[derive(Clone, Copy)]
struct Unread<'a> {
    event_type: &'a str,
    event_version: &'a str,
}

impl From<Shape> for Unread<'static> {
    fn from(shape: Shape) -> Self {
        Self {
            event_type: shape.event_type,
            event_version: shape.event_version,
        }
    }
}

impl Stream {
    /// What is known of a name.
    #[must_use]
    pub fn lineage(&self, event_type: &str) -> Option<&'static Lineage> {
        let mut events = self.events.iter();
        events.find(|lineage| lineage.event_type == event_type)
    }
}
