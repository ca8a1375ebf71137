//! Remembers. The only crate that knows the events table.
//!
//! [`Journal::execute`] takes commands and answers each of them: load, decide, append, retry. [`append`] writes
//! groups of commands, each all or nothing and once per command id. [`feed`] reads everything in order without
//! passing over an event that is still being committed. [`follow`] drives a handler along the feed under a
//! fenced lease, with its checkpoint as the first statement of every batch. [`jobs`] holds what must call the
//! outside or wait for time, [`venues`] what operators say of the places that can be booked, [`keys`] what was
//! answered to requests that may come again. [`measure`] is what others are told of the events' number. Aggregates
//! are cqrs-es's, and postgres-es reads their rows ([`store`]); the rest is ours, because theirs loses events under
//! concurrency (docs/adr/0001). [`repository`] gives cqrs-es's framework to users of this crate.

pub mod append;
pub mod command;
pub mod connections;
mod error;
pub mod fail_point;
pub mod feed;
pub mod follow;
mod history;
mod identity;
pub mod incidents;
pub mod jobs;
pub mod keys;
mod latest;
mod loading;
pub mod measure;
mod metadata;
pub mod moves;
pub mod notify;
pub mod recover;
pub mod repository;
pub mod runtime;
pub mod schema;
mod session;
pub mod status;
pub mod store;
pub mod story;
pub mod transfer;
pub mod venues;

use std::sync::Arc;

use domain::ports::{Clock, Random};
use domain::version::{self, Table};
use tokio::sync::watch;
use uuid::Uuid;

pub use command::{CommandError, Done, Request};
pub use connections::Connections;
pub use error::StoreError;
pub use feed::Recorded;
pub use history::History;
pub use identity::Identity;
pub use latest::Latest;
pub use metadata::{Actor, Metadata, Trace};
use moves::Moves;
pub use session::Session;

use store::{Postgres, Store};

/// Aggregate type and id of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId {
    /// `Book`, `Payment` or `Space`.
    pub aggregate_type: String,
    /// The booking's number, as text.
    pub aggregate_id: String,
}

impl StreamId {
    /// A stream by type and id.
    #[must_use]
    pub fn new(aggregate_type: &str, aggregate_id: &(impl ToString + ?Sized)) -> Self {
        Self {
            aggregate_type: aggregate_type.to_owned(),
            aggregate_id: aggregate_id.to_string(),
        }
    }
}

/// The journal of one database. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    store: Arc<dyn Store>,
    pool: Connections,
    /// The same for questions of people, which may take a part of it only.
    questions: Connections,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Which node this is, of several that share the work.
    node: Option<Uuid>,
    /// How events are written and read.
    events: Table,
    /// Counts appends of this process; followers wait on it.
    appended: Arc<watch::Sender<u64>>,
    /// Counts what other processes said they appended.
    heard: Arc<watch::Sender<u64>>,
    /// Counts checkpoints that moved in this process; readers of their own writes wait on it.
    moved: Arc<watch::Sender<Moves>>,
}

impl Journal {
    /// A journal over the connections that [`schema::connect`] made.
    #[must_use]
    pub fn new(
        pool: impl Into<Connections>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let pool = pool.into();
        Self::of(Arc::new(Postgres::new(pool.clone())), pool, clock, random)
    }

    /// A journal over another store than Postgres. There is no database beside it: what asks for one of its
    /// connections is told that none can be made.
    #[must_use]
    pub fn over(store: Arc<dyn Store>, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self::of(store, Connections::nowhere(), clock, random)
    }

    fn of(
        store: Arc<dyn Store>,
        pool: Connections,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let signal = || Arc::new(watch::Sender::new(0));
        Self {
            store,
            questions: pool.for_questions(),
            pool,
            clock,
            random,
            node: None,
            events: version::TODAY,
            appended: signal(),
            heard: signal(),
            moved: Arc::new(watch::Sender::new(Moves::default())),
        }
    }

    /// The same journal, with another table of events than production's.
    #[must_use]
    pub fn with_events(self, events: Table) -> Self {
        Self { events, ..self }
    }

    /// The same journal, as one of several nodes that follow it: they share the followers out among them. One that
    /// is no node follows whatever it can get.
    #[must_use]
    pub fn as_node(self, node: Uuid) -> Self {
        let node = Some(node);
        Self { node, ..self }
    }

    /// How events are written and read.
    #[must_use]
    pub fn events(&self) -> &Table {
        &self.events
    }

    /// The connections of the runtime role, for what lives beside the journal in the same database.
    #[must_use]
    pub fn pool(&self) -> &Connections {
        &self.pool
    }

    /// The same connections for what people ask: all of them together take half at most.
    /// ([`Connections::for_questions`])
    #[must_use]
    pub fn questions(&self) -> &Connections {
        &self.questions
    }

    /// The clock that stamps events.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The source of fresh ids and jitter.
    #[must_use]
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Signals that carry no data: something was appended here, or elsewhere. Polling stays the truth.
    #[must_use]
    pub fn wake(&self) -> Wake {
        Wake {
            appended: self.appended.subscribe(),
            heard: self.heard.subscribe(),
        }
    }

    /// Wakes whoever waits for appends: another process said that it appended. Saying so in vain, or twice, does no
    /// harm.
    pub fn hear(&self) {
        self.heard
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A signal that a checkpoint moved in this process.
    #[must_use]
    pub fn moved(&self) -> watch::Receiver<Moves> {
        self.moved.subscribe()
    }
}

/// Waits for a reason to look at the journal again.
#[derive(Clone)]
pub struct Wake {
    appended: watch::Receiver<u64>,
    heard: watch::Receiver<u64>,
}

impl Wake {
    /// Returns when something was appended since the last call, here or elsewhere.
    pub async fn woken(&mut self) {
        let gone = tokio::select! {
            biased;
            changed = self.appended.changed() => changed.is_err(),
            changed = self.heard.changed() => changed.is_err(),
        };
        if gone {
            // The journal is gone; nobody will ever signal, and polling goes on until its owner stops.
            std::future::pending::<()>().await;
        }
    }
}
