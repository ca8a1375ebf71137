//! Cancels a booking: `PATCH` and `PUT` with `{"status":"cancel-booking"}`, and `DELETE`.
//!
//! A booking that is being cancelled, or was, is left as it is, and the answer is the same: the client wanted
//! exactly that. What is over in another way refuses. The answer comes from the stream itself, never from a
//! read model that may be a moment behind.

use axum::response::Response;
use domain::book::{self, Book};
use domain::{BookId, Command as Asked, Phase, Refusal, Status, UserId};
use journal::append::Answer;
use journal::{CommandError, Done, Request, StreamId};

use super::{BookView, STREAM, phase};
use crate::command::Command;
use crate::input::Form;
use crate::position;
use crate::problem::Problem;
use crate::state::Api;

/// A change that a client asks for: always to cancel. What it says beside that must be as it is.
pub(super) struct Change(Form);

impl Change {
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        Form::parse(body).map(Self)
    }

    /// Whether this change cancels `book` and leaves everything else as it is.
    fn only_cancels(self, book: &Book) -> Result<(), Problem> {
        let Self(mut form) = self;
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
        for field in ["start", "end"] {
            if form.has(field) {
                form.refuse(field, "not-writable", "this booking has no times");
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
            self.answer.version_of(STREAM),
        )
    }
}

pub(super) async fn cancel(
    api: &Api,
    command: &Command,
    id: BookId,
    change: Option<Change>,
) -> Result<Cancelled, Problem> {
    let before = load(api, id).await?;
    if let Some(change) = change {
        change.only_cancels(&before)?;
    }
    let cancel = Asked::Book(id, book::Command::Cancel { reason: None });
    let request = Request::one(command.id, command.trace(), cancel);
    match api.journal.execute_one(request).await {
        // What this command made of it, even if the saga is further already.
        Ok(Done::Stored(answer) | Done::Already(answer)) => {
            let view = BookView::of(id, &before).standing(Status::CancelBooking, Phase::Cancelling);
            Ok(Cancelled { view, answer })
        }
        Ok(Done::Unchanged(answer)) => {
            let view = BookView::of(id, &load(api, id).await?);
            Ok(Cancelled { view, answer })
        }
        Err(CommandError::Refused(Refusal::Book(book::Error::IllegalTransition { .. }))) => {
            over(api, id).await
        }
        Err(error) => Err(error.into()),
    }
}

/// A booking that is over: fine when it was cancelled, refused otherwise.
async fn over(api: &Api, id: BookId) -> Result<Cancelled, Problem> {
    let book = load(api, id).await?;
    if book.status() != Status::CancelRegister {
        return Err(Problem::IllegalTransition {
            current: phase(&book),
        });
    }
    let answer = api
        .journal
        .where_they_stand(&[StreamId::new(STREAM, &id)])
        .await?;
    Ok(Cancelled {
        view: BookView::of(id, &book),
        answer,
    })
}

async fn load(api: &Api, id: BookId) -> Result<Book, Problem> {
    let (book, _) = api
        .journal
        .load::<Book>(id)
        .await?
        .ok_or(Problem::NoSuchItem)?;
    Ok(book)
}
