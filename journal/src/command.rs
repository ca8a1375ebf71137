//! Runs commands: load, decide, append, and again when somebody else was faster.
//!
//! A request is one or more commands, one per stream, that are stored together or not at all. A command that
//! creates its stream is decided without loading; when the stream turns out to be there, it is loaded and
//! decided again. The retry budget is [`ROUNDS_MAX`]; what is decided again sees the winner's events, so a
//! round always moves somebody forward.
//!
//! Cost of a command on an existing stream: one load and one append; of a creating one: the append alone.

use std::collections::HashSet;

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use domain::book::Book;
use domain::payment::Payment;
use domain::space::Space;
use domain::{Command, Event, Refusal, book, payment, space};
use futures::StreamExt;
use futures::stream;
use sqlx::Row;
use uuid::Uuid;

use crate::append::{Answer, Append, Claim, Outcome, StoredEvent, StreamAppend, StreamVersion};
use crate::repository::LoadedEvent;
use crate::{Journal, Metadata, StoreError, StreamId, Trace};

/// How often a request is decided at most.
pub const ROUNDS_MAX: u32 = 24;

/// How many streams one call loads at a time.
const LOADS_MAX: usize = 8;

/// Commands that are stored together or not at all.
#[derive(Clone, Debug)]
pub struct Request {
    /// The same id happens once.
    pub command_id: Uuid,
    /// Where it comes from.
    pub trace: Trace,
    /// One per stream.
    pub commands: Vec<Command>,
    /// Slots that must be free.
    pub claims: Vec<Claim>,
}

impl Request {
    /// A request of one command without claims.
    #[must_use]
    pub fn one(command_id: Uuid, trace: Trace, command: Command) -> Self {
        Self {
            command_id,
            trace,
            commands: vec![command],
            claims: vec![],
        }
    }
}

/// What a request that was not refused did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Its events are stored.
    Stored(Answer),
    /// It was stored before, under the same command id; the answer of then.
    Already(Answer),
    /// There was nothing to do; where its streams stand.
    Unchanged(Answer),
}

impl Done {
    /// Position and versions, whichever way it went.
    #[must_use]
    pub fn answer(&self) -> &Answer {
        match self {
            Self::Stored(answer) | Self::Already(answer) | Self::Unchanged(answer) => answer,
        }
    }
}

/// Why a request did nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An aggregate refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A slot is taken.
    #[error("the slot is taken")]
    SlotTaken,
    /// The stream has none of the versions that the request expected.
    #[error("the stream is at version {current}")]
    OtherVersion {
        /// The one that it has.
        current: i64,
    },
    /// Others were faster [`ROUNDS_MAX`] times.
    #[error("others changed the same streams {ROUNDS_MAX} times in a row")]
    Contended,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a request comes to on the streams as they are now.
enum Decided {
    Append(Append),
    Unchanged(Vec<StreamId>),
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

type Answered = Result<Done, CommandError>;

/// A request without an answer yet.
struct Open {
    place: usize,
    request: Request,
    /// The versions of which its streams must have one; any will do when there are none.
    versions: Option<Vec<i64>>,
    /// How often it was decided.
    decisions: u32,
}

impl Open {
    fn new(place: usize, request: Request) -> Self {
        Self {
            place,
            request,
            versions: None,
            decisions: 0,
        }
    }
}

impl Journal {
    /// Runs requests; answers stand in the order of the requests. Requests on one stream are run one after the
    /// other, in their order.
    pub async fn execute(&self, requests: Vec<Request>) -> Vec<Answered> {
        let open = (0..).zip(requests);
        self.run(
            open.map(|(place, request)| Open::new(place, request))
                .collect(),
        )
        .await
    }

    async fn run(&self, mut open: Vec<Open>) -> Vec<Answered> {
        let mut answers: Vec<Option<Answered>> = Vec::new();
        answers.resize_with(open.len(), || None);
        while !open.is_empty() {
            let (turn, behind) = next_turn(open);
            open = self.round(turn, &mut answers).await;
            open.extend(behind);
            open.sort_by_key(|open| open.place);
        }
        answers.into_iter().flatten().collect()
    }

    /// Runs one request.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was stored, except after [`StoreError::Unreachable`], where the same
    /// command id may be sent again to find out.
    pub async fn execute_one(&self, request: Request) -> Answered {
        self.run_one(Open::new(0, request)).await
    }

    /// Runs one request if its stream has one of these versions. Whoever changes the stream in between makes it
    /// decided again, on the version of then.
    ///
    /// # Errors
    /// [`CommandError::OtherVersion`] when it has another; else as [`Self::execute_one`].
    pub async fn execute_at(&self, request: Request, versions: Vec<i64>) -> Answered {
        let open = Open {
            versions: Some(versions),
            ..Open::new(0, request)
        };
        self.run_one(open).await
    }

    async fn run_one(&self, open: Open) -> Answered {
        let answer = self.run(vec![open]).await.pop();
        answer.unwrap_or(Err(CommandError::Contended))
    }

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

    /// Decides and appends; returns what must be decided again.
    async fn round(&self, turn: Vec<Open>, answers: &mut [Option<Answered>]) -> Vec<Open> {
        let decided: Vec<_> = stream::iter(turn)
            .map(|open| async move {
                let unappended = match self.decide(&open).await {
                    Ok(Decided::Append(append)) => return (open, Ok(append)),
                    Ok(Decided::Unchanged(streams)) => Ok(streams),
                    Err(error) => Err(error),
                };
                let answer = self.answer_unappended(&open.request, unappended).await;
                (open, Err(answer))
            })
            .buffered(LOADS_MAX)
            .collect()
            .await;
        let (mut sent, mut appends) = (Vec::new(), Vec::new());
        for (open, decided) in decided {
            match decided {
                Ok(append) => {
                    sent.push(open);
                    appends.push(append);
                }
                Err(answer) => answers[open.place] = Some(answer),
            }
        }
        let mut again = Vec::new();
        for (mut open, outcome) in sent.into_iter().zip(self.append(appends).await) {
            open.decisions += 1;
            answers[open.place] = Some(match outcome {
                Ok(Outcome::Stored(answer)) => Ok(Done::Stored(answer)),
                Ok(Outcome::Already(answer)) => Ok(Done::Already(answer)),
                Ok(Outcome::Taken) => Err(CommandError::SlotTaken),
                Err(error) => Err(error.into()),
                Ok(Outcome::Conflict) if open.decisions == ROUNDS_MAX => {
                    Err(CommandError::Contended)
                }
                Ok(Outcome::Conflict) => {
                    again.push(open);
                    continue;
                }
            });
        }
        again
    }

    /// Answers a request that appends nothing. If it was stored before, its streams may have moved on since, so
    /// that it looks refused or done; it is answered as it was then.
    async fn answer_unappended(
        &self,
        request: &Request,
        decided: Result<Vec<StreamId>, CommandError>,
    ) -> Answered {
        if let Err(error @ CommandError::Store(_)) = decided {
            return Err(error);
        }
        let recorded = self.recorded_answers(&[request.command_id]).await?;
        match recorded.into_values().next() {
            Some(answer) => Ok(Done::Already(answer)),
            None => Ok(Done::Unchanged(self.where_they_stand(&decided?).await?)),
        }
    }

    async fn decide(&self, open: &Open) -> Result<Decided, CommandError> {
        let Open { request, .. } = open;
        let mut streams = Vec::with_capacity(request.commands.len());
        let mut untouched = Vec::new();
        for command in &request.commands {
            let Part {
                stream,
                version,
                events,
            } = self.decide_part(command, open).await?;
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
        }))
    }

    async fn decide_part(&self, command: &Command, open: &Open) -> Result<Part, CommandError> {
        // A creating command is decided on an empty stream first; the append finds out whether it is.
        let start = Start {
            assume_new: open.decisions == 0 && open.versions.is_none() && creates(command),
            versions: open.versions.as_deref(),
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

    /// Last position and version of each stream, for a request that changed nothing.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn where_they_stand(&self, streams: &[StreamId]) -> Result<Answer, StoreError> {
        let (types, ids): (Vec<_>, Vec<_>) = streams
            .iter()
            .map(|stream| (stream.aggregate_type.clone(), stream.aggregate_id.clone()))
            .unzip();
        let rows = sqlx::query(
            "select e.aggregate_type, e.aggregate_id, max(e.sequence) as version, max(e.position) as position
             from events e
             join unnest($1::text[], $2::text[]) as s (aggregate_type, aggregate_id)
               using (aggregate_type, aggregate_id)
             group by 1, 2 order by 1, 2",
        )
        .bind(types)
        .bind(ids)
        .fetch_all(self.pool())
        .await?;
        let mut answer = Answer::default();
        for row in rows {
            answer.position = answer.position.max(row.try_get("position")?);
            answer.streams.push(StreamVersion {
                aggregate_type: row.try_get("aggregate_type")?,
                aggregate_id: row.try_get("aggregate_id")?,
                version: row.try_get("version")?,
            });
        }
        Ok(answer)
    }
}

/// Takes out what may be decided now. What stands behind another request on one of its streams is decided when
/// that one is through: on what it left.
fn next_turn(open: Vec<Open>) -> (Vec<Open>, Vec<Open>) {
    let mut streams = HashSet::new();
    open.into_iter().partition(|open| {
        let own: Vec<StreamId> = open.request.commands.iter().map(stream_of).collect();
        let free = own.iter().all(|stream| !streams.contains(stream));
        streams.extend(own);
        free
    })
}

fn stream_of(command: &Command) -> StreamId {
    match command {
        Command::Book(id, _) => StreamId::new(Book::TYPE, id),
        Command::Payment(id, _) => StreamId::new(Payment::TYPE, id),
        Command::Space(id, _) => StreamId::new(Space::TYPE, id),
    }
}

/// Whether a command is the first of its stream.
fn creates(command: &Command) -> bool {
    matches!(
        command,
        Command::Book(_, book::Command::Place { .. })
            | Command::Payment(_, payment::Command::Request { .. })
            | Command::Space(
                _,
                space::Command::Register { .. } | space::Command::Refuse { .. }
            )
    )
}
