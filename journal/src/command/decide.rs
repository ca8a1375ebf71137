//! Loads what a request speaks of, and decides.

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use domain::book::Book;
use domain::payment::Payment;
use domain::space::Space;
use domain::{Command, Event, Refusal, book, payment, space};

use super::{CommandError, Open};
use crate::append::{Append, Needs, StoredEvent, StreamAppend};
use crate::loading::LoadedEvent;
use crate::{Journal, Metadata, StoreError, StreamId};

/// What a request comes to on the streams as they are now.
pub(super) enum Decided {
    Append(Append),
    Unchanged(Vec<StreamId>),
    /// A refusal that rests on streams as they never were together: one was changed after it had been read, and before
    /// the one that refuses was.
    Torn,
}

/// A stream's part of a decision.
struct Part {
    stream: StreamId,
    version: i64,
    events: Vec<Event>,
}

/// Where a stream stands.
#[derive(Default)]
struct Standing<A> {
    aggregate: A,
    /// Of its last stored row.
    version: i64,
    /// Of the last row that says something today.
    shown: i64,
}

/// What a stream is decided on.
#[derive(Clone, Copy)]
struct Start<'a> {
    /// Whether it is taken for empty without a look.
    assume_new: bool,
    versions: Option<&'a [i64]>,
}

impl Journal {
    /// Loads a stream; `None` when nothing was ever stored in it. The number is its version: that of its last
    /// stored row, also when nothing is read from that any more.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn load<A: Aggregate>(
        &self,
        id: impl ToString + Send,
    ) -> Result<Option<(A, i64)>, StoreError> {
        let standing = self.standing::<A>(&id.to_string()).await?;
        Ok((standing.version > 0).then_some((standing.aggregate, standing.version)))
    }

    async fn standing<A: Aggregate>(&self, id: &str) -> Result<Standing<A>, StoreError> {
        let loaded = self.stream::<A>(id).await?;
        let mut standing = Standing {
            aggregate: A::default(),
            version: loaded.version,
            shown: loaded.shown,
        };
        for LoadedEvent { event, .. } in loaded.events {
            standing.aggregate.apply(event);
        }
        Ok(standing)
    }

    pub(super) async fn decide(&self, open: &Open) -> Result<Decided, CommandError> {
        let Open { request, .. } = open;
        let mut streams = Vec::with_capacity(request.commands.len());
        let mut untouched = Vec::new();
        let mut seen = Vec::new();
        let mut needs = Needs::default();
        for (place, command) in request.commands.iter().enumerate() {
            let Part {
                stream,
                version,
                events,
            } = match self.decide_part(command, open, place == 0).await {
                Ok(part) => part,
                Err(CommandError::Refused(_)) if self.have_moved(&seen).await? => {
                    return Ok(Decided::Torn);
                }
                Err(error) => return Err(error),
            };
            seen.push((stream.clone(), version));
            events.iter().for_each(|event| needs.add(event));
            if events.is_empty() {
                untouched.push(stream);
                continue;
            }
            let events = events
                .iter()
                .map(|event| StoredEvent::of(event, self.events()))
                .collect::<Result<_, _>>()?;
            streams.push(StreamAppend {
                stream,
                expected_version: version,
                events,
            });
        }
        if streams.is_empty() {
            return Ok(Decided::Unchanged(untouched));
        }
        Ok(Decided::Append(Append {
            command_id: request.command_id,
            metadata: Metadata::new(&request.trace, self.clock().now()),
            streams,
            claims: request.claims.clone(),
            release: needs.release,
            spend: needs.spend,
        }))
    }

    /// Whether one of these streams has another version than it was decided on.
    async fn have_moved(&self, seen: &[(StreamId, i64)]) -> Result<bool, StoreError> {
        if seen.is_empty() {
            return Ok(false);
        }
        let streams: Vec<StreamId> = seen.iter().map(|(stream, _)| stream.clone()).collect();
        let stands = self.store.standing(&streams).await?;
        let moved = |(stream, version): &(StreamId, i64)| {
            stands.version_of(&stream.aggregate_type).unwrap_or(0) != *version
        };
        Ok(seen.iter().any(moved))
    }

    async fn decide_part(
        &self,
        command: &Command,
        open: &Open,
        is_first: bool,
    ) -> Result<Part, CommandError> {
        let versions = open.versions.as_deref().filter(|_| is_first);
        // A creating command is decided on an empty stream first; the append finds out whether it is.
        let start = Start {
            assume_new: open.decisions == 0 && versions.is_none() && creates(command),
            versions,
        };
        match command.clone() {
            Command::Book(id, command) => {
                self.decide_on::<Book, _>(id.0, start, command, Event::Book)
                    .await
            }
            Command::Payment(id, command) => {
                self.decide_on::<Payment, _>(id.0, start, command, Event::Payment)
                    .await
            }
            Command::Space(id, command) => {
                self.decide_on::<Space, _>(id.0, start, command, Event::Space)
                    .await
            }
        }
    }

    async fn decide_on<A, F>(
        &self,
        id: i64,
        start: Start<'_>,
        command: A::Command,
        event: F,
    ) -> Result<Part, CommandError>
    where
        A: Aggregate<Services = ()>,
        A::Command: Send,
        Refusal: From<A::Error>,
        F: Fn(A::Event) -> Event,
    {
        let Standing {
            mut aggregate,
            version,
            shown,
        } = if start.assume_new {
            Standing::default()
        } else {
            self.standing::<A>(&id.to_string()).await?
        };
        // A read model shows the version of the last row that said something to it.
        let is_wanted = |wanted: &[i64]| wanted.contains(&version) || wanted.contains(&shown);
        if start.versions.is_some_and(|wanted| !is_wanted(wanted)) {
            return Err(CommandError::OtherVersion { current: version });
        }
        let sink = EventSink::default();
        aggregate
            .handle(command, &(), &sink)
            .await
            .map_err(Refusal::from)?;
        let events = sink.collect().await.into_iter().map(event).collect();
        Ok(Part {
            stream: StreamId::new(A::TYPE, &id),
            version,
            events,
        })
    }
}

/// Whether a command is the first of its stream.
fn creates(command: &Command) -> bool {
    matches!(
        command,
        Command::Book(_, book::Command::Place { .. })
            | Command::Payment(_, payment::Command::Request { .. })
            | Command::Space(_, space::Command::Register { .. })
    )
}
