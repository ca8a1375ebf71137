//! `POST /spaces/{id}/prepare|ready|hand-over|check-in|check-out|no-show {"by":"kim"}`: what staff do, step by step.
//!
//! A step that was taken already is left as it is, and the answer is the same. One that cannot be taken is refused
//! with where the registration is and what could be done instead; the registration itself is asked for both.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::space::{self, Method, Space, Stage};
use domain::{Aggregate as _, BookId, Command as Asked, Refusal};
use jiff::Timestamp;
use journal::append::Answer;
use journal::{Actor, CommandError, Done, Request, StreamId, Trace};

use super::SpaceView;
use crate::command::{Call, Command};
use crate::input::{Form, ItemId};
use crate::methods::{Methods, post};
use crate::position;
use crate::problem::Problem;
use crate::state::Api;

/// How a space is handed over, as a client writes it.
const METHODS: [(&str, Method); 3] = [
    ("key", Method::Key),
    ("code", Method::Code),
    ("staff", Method::Staff),
];

/// What staff do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// They begin to prepare.
    Prepare,
    /// The space can be handed over.
    Ready,
    /// The customer has key or code, or the door is open.
    HandOver,
    /// The customer is in.
    CheckIn,
    /// The customer is out; time past the end is charged.
    CheckOut,
    /// Nobody came.
    NoShow,
}

/// All of them, in the order in which they follow each other.
const STEPS: [Step; 6] = [
    Step::Prepare,
    Step::Ready,
    Step::HandOver,
    Step::CheckIn,
    Step::CheckOut,
    Step::NoShow,
];

impl Step {
    /// The last part of its path.
    const fn name(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Ready => "ready",
            Self::HandOver => "hand-over",
            Self::CheckIn => "check-in",
            Self::CheckOut => "check-out",
            Self::NoShow => "no-show",
        }
    }

    /// Where the registration is after it.
    const fn leads_to(self) -> Stage {
        match self {
            Self::Prepare => Stage::Preparing,
            Self::Ready => Stage::Prepared,
            Self::HandOver => Stage::HandedOver,
            Self::CheckIn => Stage::CheckedIn,
            Self::CheckOut => Stage::CheckedOut,
            Self::NoShow => Stage::NoShow,
        }
    }

    fn command(self, by: String, method: Method, at: Timestamp) -> space::Command {
        use space::Command as C;
        match self {
            Self::Prepare => C::StartPreparation { by },
            Self::Ready => C::CompletePreparation { by },
            Self::HandOver => C::HandOver { method, by },
            Self::CheckIn => C::CheckIn { by: Some(by) },
            Self::CheckOut => C::CheckOut { at, by: Some(by) },
            Self::NoShow => C::MarkNoShow { at, by: Some(by) },
        }
    }

    /// The steps that could be taken now, by their names.
    fn possible(space: &Space, at: Timestamp) -> Vec<&'static str> {
        let is_possible = |step: &Step| {
            let asked = step.command(String::new(), Method::Staff, at);
            space.decide(asked).is_ok_and(|events| !events.is_empty())
        };
        STEPS
            .into_iter()
            .filter(is_possible)
            .map(Self::name)
            .collect()
    }
}

/// What a client says of a step.
struct Note {
    by: String,
    /// How the space is handed over; only a hand-over says it, and only there it is read.
    method: Method,
}

impl Note {
    fn read(step: Step, body: &[u8]) -> Result<Self, Problem> {
        if step != Step::HandOver {
            let mut form = Form::strict(body, &["by"])?;
            let by = form.required_text("by");
            form.finish()?;
            let method = Method::Staff;
            return Ok(Self { by, method });
        }
        let mut form = Form::strict(body, &["by", "method"])?;
        let by = form.required_text("by");
        let given = form.required_text("method");
        let method = METHODS.iter().find(|(name, _)| *name == given);
        if method.is_none() && !given.is_empty() {
            form.refuse("method", "unknown-value", "must be key, code or staff");
        }
        form.finish()?;
        let method = method.map_or(Method::Staff, |(_, method)| *method);
        Ok(Self { by, method })
    }
}

/// A path on which staff take a step.
pub(crate) fn takes(step: Step) -> Methods {
    post(
        async move |State(api): State<Api>, ItemId(id): ItemId, call: Call| {
            take(api, step, id, call).await
        },
    )
}

async fn take(api: Api, step: Step, id: BookId, call: Call) -> Result<Response, Problem> {
    call.says_its_version(&api)?;
    let note = Note::read(step, &call.body)?;
    api.run(call, move |api, command| async move {
        let (view, answer) = carry_out(&api, &command, id, step, note).await?;
        let response = command.client.done(StatusCode::OK, view);
        let version = answer.version_of(Space::TYPE);
        Ok(position::at(response, answer.position, version))
    })
    .await
}

async fn carry_out(
    api: &Api,
    command: &Command,
    id: BookId,
    step: Step,
    note: Note,
) -> Result<(SpaceView, Answer), Problem> {
    let before = load(api, id).await?;
    let now = api.journal.clock().now();
    let trace = Trace {
        actor_id: Some(note.by.clone()),
        ..command.trace_of(Actor::Manager)
    };
    let asked = step.command(note.by, note.method, now);
    let request = Request::one(command.id, trace, Asked::Space(id, asked));
    let done = match &command.expected.0 {
        None => api.journal.execute_one(request).await,
        Some(versions) => api.journal.execute_at(request, versions.clone()).await,
    };
    match done {
        // What this command made of it, even if somebody is further already.
        Ok(Done::Stored(answer)) => {
            let stage = step.leads_to();
            let view = SpaceView {
                status: stage.status(),
                phase: stage.phase(),
                ..SpaceView::of(id, &before)
            };
            Ok((view, answer))
        }
        // It was taken before, by this very request perhaps, whose answer was lost.
        Ok(Done::Unchanged(_) | Done::Already(_)) => {
            let view = SpaceView::of(id, &load(api, id).await?);
            let streams = [StreamId::new(Space::TYPE, &id)];
            Ok((view, api.journal.where_they_stand(&streams).await?))
        }
        Err(CommandError::Refused(Refusal::Space(refusal))) => {
            let space = load(api, id).await?;
            Err(refused(step, &refusal, &space, now))
        }
        Err(error) => Err(error.into()),
    }
}

fn refused(step: Step, refusal: &space::Error, space: &Space, now: Timestamp) -> Problem {
    let is_before_hand_over = matches!(step, Step::Prepare | Step::Ready);
    match (refusal, space.stage) {
        (space::Error::NoSuchRegistration, _) => Problem::NoSuchItem,
        (space::Error::TooEarly { until }, _) => Problem::TooEarly { until: *until },
        (_, Stage::HandedOver | Stage::CheckedIn | Stage::CheckedOut) if is_before_hand_over => {
            Problem::AlreadyHandedOver
        }
        (_, stage) => Problem::ImpossibleStep {
            step: step.name(),
            current: stage.phase(),
            allowed: Step::possible(space, now),
        },
    }
}

/// A registration; a booking that is not registered yet has none.
async fn load(api: &Api, id: BookId) -> Result<Space, Problem> {
    let found = api.journal.load::<Space>(id).await?;
    found
        .map(|(space, _)| space)
        .filter(|space| space.reached() != Stage::None)
        .ok_or(Problem::NoSuchItem)
}
