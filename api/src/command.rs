//! Runs a command route: once per idempotency key, and to its end.
//!
//! A booking is stored, paid and answered in several steps. The client may hang up between any two of them,
//! and the server drops what nobody waits for; so the steps run in a task of their own, and the handler only
//! waits for its answer. At most [`COMMANDS_MAX`] are at work at a time.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::Method;
use axum::http::header::IF_MATCH;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use journal::append::Answer;
use journal::{Actor, Trace, fail_point};
use tokio::sync::oneshot;
use tracing::Instrument;
use uuid::Uuid;

use crate::client::Client;
use crate::conditions::Expected;
use crate::correlation::Correlation;
use crate::idempotency::{Begun, Key};
use crate::media::{self, Written};
use crate::problem::{self, Problem, internal};
use crate::state::Api;

/// How many commands one router works on at a time. A refused one is told to come back.
pub(crate) const COMMANDS_MAX: usize = 2_000;

/// A command as it came.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Bytes,
    /// How the body says what it wants.
    pub(crate) written: Written,
    /// Whom to answer, and how.
    pub(crate) client: Client,
    key: Option<Key>,
    expected: Expected,
    /// Whether it says what it expects, be it "any".
    is_conditional: bool,
    correlation: Correlation,
}

/// A command at work.
#[derive(Clone)]
pub(crate) struct Command {
    /// Happens once.
    pub(crate) id: Uuid,
    /// Whether it was run before under its key, and may have been stored.
    pub(crate) is_repeated: bool,
    /// Whom to answer, and how.
    pub(crate) client: Client,
    /// What it must find to be done.
    pub(crate) expected: Expected,
    /// The journey that it belongs to.
    pub(crate) correlation: Correlation,
}

impl Command {
    /// What stands in the metadata of the events that the client asked for.
    pub(crate) fn trace(&self) -> Trace {
        self.correlation.trace(Actor::Customer)
    }

    /// The same, where somebody else than a customer asked.
    pub(crate) fn trace_of(&self, actor: Actor) -> Trace {
        self.correlation.trace(actor)
    }

    /// What stands in the metadata of the events that follow from it on our side.
    pub(crate) fn trace_of_ours(&self) -> Trace {
        Trace {
            actor_id: Some("api".to_owned()),
            ..self.correlation.trace(Actor::System)
        }
    }

    /// The id of a further step of this command.
    pub(crate) fn step(&self, name: &str) -> Uuid {
        Uuid::new_v5(&self.id, name.as_bytes())
    }
}

impl FromRequest<Api> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        Ok(Self {
            key: Key::of(&parts.headers)?,
            client: Client::from_request_parts(&mut parts, api).await?,
            written: media::written(&parts.method, &parts.headers)?,
            is_conditional: parts.headers.contains_key(IF_MATCH),
            expected: Expected::from_request_parts(&mut parts, api).await?,
            correlation: Correlation::from_request_parts(&mut parts, api).await?,
            method: parts.method,
            path: parts.uri.path().to_owned(),
            // It was read before, within its limits.
            body: axum::body::to_bytes(body, usize::MAX)
                .await
                .map_err(|error| internal(&error))?,
        })
    }
}

impl Call {
    /// Whether it is to be done only where there is something: whoever says what it expects, be it any version, does not
    /// expect nothing.
    pub(crate) fn expects_something(&self) -> bool {
        self.is_conditional
    }

    /// Refuses a change that does not say which version it changes, where the operator demands that it does.
    pub(crate) fn says_its_version(&self, api: &Api) -> Result<(), Problem> {
        if api.settings.require_if_match && !self.is_conditional {
            return Err(Problem::VersionRequired);
        }
        Ok(())
    }

    fn command(&self, id: Uuid, is_repeated: bool) -> Command {
        Command {
            id,
            is_repeated,
            client: self.client.clone(),
            expected: self.expected.clone(),
            correlation: self.correlation.clone(),
        }
    }
}

impl Api {
    /// Runs `work` in a task of its own, whether or not the client waits for the answer.
    pub(crate) async fn run<W, F>(&self, call: Call, work: W) -> Result<Response, Problem>
    where
        W: FnOnce(Self, Command) -> F + Send + 'static,
        F: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let place = self
            .places
            .clone()
            .try_acquire_owned()
            .map_err(|_| Problem::Overloaded)?;
        let (answer, answered) = oneshot::channel();
        let api = self.clone();
        let task = async move {
            // Nobody takes the answer when the client hung up; the command is done all the same.
            let _ = answer.send(api.once(call, work).await);
            drop(place);
        };
        self.runtime
            .spawn(task.instrument(tracing::Span::current()).boxed());
        answered.await.unwrap_or_else(|gone| Err(internal(&gone)))
    }

    /// What a command stored when it came before. Whoever asks anything before the journal decides, and is refused
    /// there, asks for this first: the answer may have been lost, and the rules may be others by now.
    pub(crate) async fn stored_before(
        &self,
        command: &Command,
        refused: Problem,
    ) -> Result<Answer, Problem> {
        let stored = self.journal.stored_answer(command.id).await?;
        stored.ok_or(refused)
    }

    /// Runs `work`, unless its key says that it was run, or that somebody does.
    async fn once<W, F>(&self, call: Call, work: W) -> Result<Response, Problem>
    where
        W: FnOnce(Self, Command) -> F + Send,
        F: Future<Output = Result<Response, Problem>> + Send,
    {
        let Some(key) = &call.key else {
            let id = self.journal.random().uuid();
            return work(self.clone(), call.command(id, false)).await;
        };
        match self.begin(key, &call).await? {
            Begun::Done(answer) => Ok(answer),
            Begun::Mine {
                attempt,
                command_id,
            } => {
                fail_point!("key-taken");
                if attempt > 1 {
                    metrics::counter!("idempotency_keys_run_again_total").increment(1);
                    tracing::info!(
                        path = call.path,
                        attempt,
                        "a request is run again under its key: its answer was not to be kept, or never was"
                    );
                }
                let command = call.command(command_id, attempt > 1);
                let answer = work(self.clone(), command).await.into_response();
                let answer = problem::complete(answer, &call.path, &call.correlation.id);
                fail_point!("key-answer-due");
                let finished = self.finish(key, attempt, answer).await;
                fail_point!("key-answer-stored");
                finished
            }
        }
    }
}
