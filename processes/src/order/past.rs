//! What of a batch was imported, and how far the saga had acted on it where it comes from.
//!
//! Acting is sending commands. Those of events that the other saga had acted on are not sent: what they did stands
//! in the journal. Those of the events behind have the ids that the other saga would have given them, so what it sent
//! after all is found stored and left out, and only the rest is sent. Jobs are rows here and were not imported, so they are
//! scheduled for the whole past: a worker that finds the outcome in the journal asks nobody.

use journal::transfer::Imported;

use crate::jobs::notes::Elsewhere;

/// The imports that a batch has events of.
#[derive(Clone, Debug, Default)]
pub(super) struct Past(Vec<Imported>);

/// Where an event comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// It happened here.
    Here,
    /// It was imported.
    Elsewhere {
        /// Its commands were sent there.
        done: bool,
        then: Elsewhere,
    },
}

impl Past {
    pub(super) fn new(imports: Vec<Imported>) -> Self {
        Self(imports)
    }

    /// Whether all of the batch happened here.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn origin(&self, position: i64) -> Origin {
        let import = self.0.iter().find(|import| import.holds(position));
        import.map_or(Origin::Here, |import| Origin::Elsewhere {
            done: position <= import.acted_to,
            then: if import.payments_held {
                Elsewhere::Held
            } else {
                Elsewhere::Asked
            },
        })
    }
}

impl Origin {
    pub(super) fn is_done(self) -> bool {
        matches!(self, Self::Elsewhere { done: true, .. })
    }

    pub(super) fn imported(self) -> Option<Elsewhere> {
        match self {
            Self::Here => None,
            Self::Elsewhere { then, .. } => Some(then),
        }
    }
}
