//! What of a batch was imported, and how far the saga had acted on it where it comes from.
//!
//! Acting is sending commands. Those of events that the other saga had acted on are not sent: what they did stands
//! in the journal. Those of the events behind have the ids that the other saga would have given them, so what it sent
//! after all is found stored and left out, and only the rest is sent. Jobs are rows here and were not imported, so they are
//! scheduled for the whole past: a worker that finds the outcome in the journal asks nobody.

//!
//! A charge or refund that is asked for here because of an imported event was perhaps asked for there, too, under the
//! same key: where the file ended in between. It is as old as what led to it, and whoever holds imported payments holds
//! it.

use std::collections::HashMap;

use journal::Recorded;
use journal::transfer::{Imported, Led};
use uuid::Uuid;

use crate::jobs::notes::{Elsewhere, Wanted};

/// The imports there were up to a batch, and what of the batch they led to.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    imports: Vec<Imported>,
    led: HashMap<Uuid, Led>,
}

/// Where an event comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// It happened here.
    Here,
    /// It was imported.
    Elsewhere {
        /// Its commands were sent there.
        done: bool,
        wanted: Wanted,
    },
}

impl Past {
    pub(super) fn new(imports: Vec<Imported>, led: Vec<Led>) -> Self {
        let led = led.into_iter().map(|led| (led.event_id, led)).collect();
        Self { imports, led }
    }

    /// Whether any of these events was imported.
    pub(super) fn has_any_of(&self, events: &[Recorded]) -> bool {
        let mut positions = events.iter().map(|event| event.position);
        positions.any(|position| self.import_of(position).is_some())
    }

    pub(super) fn origin(&self, event: &Recorded) -> Origin {
        if let Some(import) = self.import_of(event.position) {
            return Origin::Elsewhere {
                done: event.position <= import.acted_to,
                wanted: Wanted {
                    then: then(import),
                    since: None,
                },
            };
        }
        let led = self.led.get(&event.event_id);
        let from = led.and_then(|led| Some((self.import_of(led.position)?, led.recorded_at)));
        from.map_or(Origin::Here, |(import, since)| Origin::Elsewhere {
            done: false,
            wanted: Wanted {
                then: then(import),
                since: Some(since),
            },
        })
    }

    fn import_of(&self, position: i64) -> Option<&Imported> {
        self.imports.iter().find(|import| import.holds(position))
    }
}

fn then(import: &Imported) -> Elsewhere {
    if import.payments_held {
        Elsewhere::Held
    } else {
        Elsewhere::Asked
    }
}

impl Origin {
    pub(super) fn is_done(self) -> bool {
        matches!(self, Self::Elsewhere { done: true, .. })
    }

    pub(super) fn wanted(self) -> Option<Wanted> {
        match self {
            Self::Here => None,
            Self::Elsewhere { wanted, .. } => Some(wanted),
        }
    }
}
