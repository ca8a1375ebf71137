//! Runs commands: load, decide, append, and again when somebody else was faster.
//!
//! A request is one or more commands, one per stream, that are stored together or not at all. A command that
//! creates its stream is decided without loading; when the stream turns out to be there, it is loaded and
//! decided again. The retry budget is [`ROUNDS_MAX`]; what is decided again sees the winner's events, so a
//! round always moves somebody forward.
//!
//! Cost of a command on an existing stream: one load and one append; of a creating one: the append alone.

mod decide;
mod request;

use std::collections::HashSet;

use cqrs_es::Aggregate;
use domain::Command;
use domain::book::Book;
use domain::payment::Payment;
use domain::space::Space;
use futures::StreamExt;
use futures::stream;

use crate::append::{Answer, Append, Outcome, each_answered, unanswered};
use crate::{Journal, StoreError, StreamId};

pub use request::{CommandError, Done, Request};

use decide::Decided;

/// How often a request is decided at most.
pub const ROUNDS_MAX: u32 = 24;

/// How many streams one call loads at a time.
const LOADS_MAX: usize = 8;

type Answered = Result<Done, CommandError>;

/// A request without an answer yet.
struct Open {
    place: usize,
    request: Request,
    /// The versions of which its first command's stream must have one; any will do when there are none.
    versions: Option<Vec<i64>>,
    /// How often it was decided.
    decisions: u32,
}

/// What becomes of a request that was decided.
enum Turn {
    /// Its events are sent.
    Send(Append),
    /// It is decided again.
    Again,
    /// It stores nothing.
    Answer(Answered),
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
        each_answered(answers)
    }

    /// Runs one request.
    ///
    /// # Errors
    /// [`CommandError`]; nothing was stored, except after [`StoreError::Unreachable`], where the same
    /// command id may be sent again to find out.
    pub async fn execute_one(&self, request: Request) -> Answered {
        self.run_one(Open::new(0, request)).await
    }

    /// Runs one request if the stream of its first command has one of these versions. Whoever changes that stream in
    /// between makes it decided again, on the version of then.
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
        answer.unwrap_or_else(|| Err(unanswered().into()))
    }

    /// Decides and appends; returns what must be decided again.
    async fn round(&self, turn: Vec<Open>, answers: &mut [Option<Answered>]) -> Vec<Open> {
        let decided: Vec<_> = stream::iter(turn)
            .map(|open| async move {
                let unappended = match self.decide(&open).await {
                    Ok(Decided::Append(append)) => return (open, Turn::Send(append)),
                    Ok(Decided::Torn) => return (open, Turn::Again),
                    Ok(Decided::Unchanged(streams)) => Ok(streams),
                    Err(error) => Err(error),
                };
                let answer = self.answer_unappended(&open.request, unappended).await;
                (open, Turn::Answer(answer))
            })
            .buffered(LOADS_MAX)
            .collect()
            .await;
        let (mut sent, mut appends) = (Vec::new(), Vec::new());
        let mut again = Vec::new();
        for (mut open, decided) in decided {
            match decided {
                Turn::Send(append) => {
                    sent.push(open);
                    appends.push(append);
                }
                Turn::Again if open.decisions + 1 < ROUNDS_MAX => {
                    open.decisions += 1;
                    again.push(open);
                }
                Turn::Again => answers[open.place] = Some(Err(CommandError::Contended)),
                Turn::Answer(answer) => answers[open.place] = Some(answer),
            }
        }
        for (mut open, outcome) in sent.into_iter().zip(self.append(appends).await) {
            open.decisions += 1;
            answers[open.place] = Some(match outcome {
                Ok(Outcome::Stored(answer)) => Ok(Done::Stored(answer)),
                Ok(Outcome::Already(answer)) => Ok(Done::Already(answer)),
                Ok(Outcome::Taken) => Err(CommandError::SlotTaken),
                Ok(Outcome::NotCovered) => Err(CommandError::PointsNotCovered),
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

    /// Last position and version of each stream, for a request that changed nothing.
    ///
    /// # Errors
    /// [`StoreError`] when the database does not answer.
    pub async fn where_they_stand(&self, streams: &[StreamId]) -> Result<Answer, StoreError> {
        self.store.standing(streams).await
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
