//! Cancels a booking: `PATCH` and `PUT` with `{"status":"cancel-booking"}`, and `DELETE`.
//!
//! A booking that is being cancelled, or was, is left as it is, and the answer is the same: the client wanted
//! exactly that. What is over in another way refuses. The answer comes from the stream itself, never from a
//! read model that may be a moment behind.

use axum::response::Response;

use domain::book::{self, Book};
use domain::space::{self, Space};
use domain::{Aggregate as _, BookId, Command as Asked, Phase, Refusal, Status, UserId};
use journal::append::Answer;
use journal::{CommandError, Done, Request, StreamId, fail_point};

use super::BookView;
use super::patch::Patch;
use crate::command::{Call, Command};
use crate::conditions::Expected;
use crate::input::Form;
use crate::media::Written;
use crate::position;
use crate::problem::Problem;
use crate::state::Api;

/// What a client asks to be changed.
pub(super) enum Change {
    /// To cancel, in so many words.
    Cancel {
        /// Why, if the client says.
        reason: Option<String>,
    },
    /// That the fields be these.
    Fields(Form),
    /// What a patch says.
    Patch(Patch),
}

impl Change {
    pub(super) fn read(call: &Call) -> Result<Self, Problem> {
        match call.written {
            Written::Fields => Form::parse(&call.body).map(Self::Fields),
            Written::JsonPatch => Patch::read(&call.body).map(Self::Patch),
        }
    }

    /// The versions of which `book` must have one when the change is stored. A patch was tried on the version
    /// that was read, so it is stored on that one or not at all.
    fn versions(&self, read: i64, expected: &Expected) -> Option<Vec<i64>> {
        match (self, &expected.0) {
            (Self::Patch(_), None) => Some(vec![read]),
            (Self::Patch(_), Some(versions)) if versions.contains(&read) => Some(vec![read]),
            (_, versions) => versions.clone(),
        }
    }

    fn reason(&self) -> Option<String> {
        match self {
            Self::Cancel { reason } => reason.clone(),
            Self::Fields(_) | Self::Patch(_) => None,
        }
    }

    /// Whether this change cancels `book` and leaves everything else as it is.
    fn only_cancels(self, id: BookId, book: &Book) -> Result<(), Problem> {
        let mut form = match self {
            Self::Cancel { .. } => return Ok(()),
            Self::Fields(form) => form,
            Self::Patch(patch) => patch.apply(&BookView::of(id, book))?,
        };
        let status = form.required_text("status");
        if !status.is_empty() && status != Status::CancelBooking.as_str() {
            form.refuse(
                "status",
                "not-writable",
                "the only status that can be asked for is cancel-booking",
            );
        }
        if form
            .integer("userid")
            .is_some_and(|userid| book.userid() != Some(UserId(userid)))
        {
            form.refuse(
                "userid",
                "not-writable",
                "whose booking it is cannot be changed",
            );
        }
        if form
            .text("spacename")
            .is_some_and(|spacename| spacename != book.spacename())
        {
            form.refuse("spacename", "not-writable", "the space cannot be changed");
        }
        let slot = book.slot();
        for (field, now) in [
            ("start", slot.map(|slot| slot.start)),
            ("end", slot.map(|slot| slot.end)),
        ] {
            let asked = form.time(field);
            if asked.is_some() && asked != now {
                form.refuse(
                    field,
                    "not-writable",
                    "a booking is moved with POST /books/{id}/reschedule",
                );
            }
        }
        form.finish()
    }
}

/// A booking that is cancelled.
pub(super) struct Cancelled {
    /// What the client is shown.
    pub(super) view: BookView,
    answer: Answer,
}

impl Cancelled {
    /// Says on a response where the booking's stream stands.
    pub(super) fn on(&self, response: Response) -> Response {
        position::at(
            response,
            self.answer.position,
            self.answer.version_of(Book::TYPE),
        )
    }
}

pub(super) async fn cancel(
    api: &Api,
    command: &Command,
    id: BookId,
    change: Change,
) -> Result<Cancelled, Problem> {
    let (before, version) = load(api, id).await?;
    let versions = change.versions(version, &command.expected);
    let reason = change.reason();
    if let Err(problem) = change.only_cancels(id, &before) {
        // A patch may test what this request, sent before, has changed.
        api.stored_before(command, problem).await?;
        return as_it_is(api, id).await;
    }
    let request = Request {
        command_id: command.id,
        trace: command.trace(),
        commands: Asked::cancel_booking(id, reason, api.journal.clock().now()),
        claims: vec![],
    };
    fail_point!("cancel-due");
    let done = match versions {
        None => api.journal.execute_one(request).await,
        Some(versions) => api.journal.execute_at(request, versions).await,
    };
    fail_point!("cancel-stored");
    match done {
        // What this command made of it, even if the saga is further already.
        Ok(Done::Stored(answer)) => {
            let view = BookView::of(id, &before).standing(Status::CancelBooking, Phase::Cancelling);
            Ok(Cancelled { view, answer })
        }
        // It is cancelled already, by this very request perhaps, whose answer was lost.
        Ok(Done::Unchanged(_) | Done::Already(_)) => as_it_is(api, id).await,
        // The client expected no version: the patch did, for a moment.
        Err(CommandError::OtherVersion { .. }) if command.expected.0.is_none() => {
            Err(Problem::Contended)
        }
        Err(CommandError::Refused(Refusal::Book(book::Error::IllegalTransition { .. }))) => {
            over(api, id).await
        }
        Err(CommandError::Refused(Refusal::Book(book::Error::Started { start }))) => {
            Err(Problem::Started { start })
        }
        Err(CommandError::Refused(Refusal::Space(refusal))) => Err(too_late(&refusal)),
        Err(error) => Err(error.into()),
    }
}

/// The customer has the space, or did not come.
pub(super) fn too_late(refusal: &space::Error) -> Problem {
    match refusal {
        space::Error::AlreadyHandedOver => Problem::AlreadyHandedOver,
        _ => Problem::IllegalTransition {
            current: Phase::NoShow,
        },
    }
}

/// A booking that is where it cannot be cancelled any more.
pub(super) fn refused(book: &Book) -> Problem {
    Problem::IllegalTransition {
        current: book.phase(),
    }
}

/// A booking that is over: fine when it was cancelled, refused otherwise.
async fn over(api: &Api, id: BookId) -> Result<Cancelled, Problem> {
    let (book, _) = load(api, id).await?;
    if book.status() != Status::CancelRegister {
        return Err(refused(&book));
    }
    as_it_is(api, id).await
}

async fn as_it_is(api: &Api, id: BookId) -> Result<Cancelled, Problem> {
    let (book, _) = load(api, id).await?;
    let answer = api
        .journal
        .where_they_stand(&[
            StreamId::new(Book::TYPE, &id),
            StreamId::new(Space::TYPE, &id),
        ])
        .await?;
    Ok(Cancelled {
        view: BookView::of(id, &book),
        answer,
    })
}

/// A booking and its version.
async fn load(api: &Api, id: BookId) -> Result<(Book, i64), Problem> {
    let found = api.journal.load::<Book>(id).await?;
    found.ok_or(Problem::NoSuchItem)
}
