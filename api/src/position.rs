//! Reading one's own writes: where a command's answer stands in the journal, and how a read waits for it.
//!
//! A command answers with `X-Event-Position` (the last event that the answer speaks of) and an `ETag` (the
//! stream's version). A read that carries `?min_position=` waits until its projection has passed that
//! position, for at most [`WAIT_MAX`], and answers anyway. Where that position was not reached, `X-Projection-Lag` then
//! says how many events of the journal are not in the projection: all that there are behind its own position, not those
//! up to the one asked for. It is counted up to 10,000, which means so many or more.

use std::time::Duration;

use axum::http::HeaderName;
use axum::response::Response;

use crate::conditions::Tag;
use crate::input::Parameters;
use crate::problem::Problem;
use crate::state::Api;

/// How long a read waits for its projection.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(1);

/// Where in the journal the last event is that an answer speaks of.
pub(crate) const EVENT_POSITION: HeaderName = HeaderName::from_static("x-event-position");
/// How many events of the journal are not in a read model that did not reach the position asked for, up to
/// [`LAG_EVENTS_MAX`](projections::LAG_EVENTS_MAX).
pub(crate) const PROJECTION_LAG: HeaderName = HeaderName::from_static("x-projection-lag");

/// How far behind a read model is that did not reach the position asked for: nothing where it did, or nobody asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lag(Option<i64>);

impl Lag {
    /// Says so on an answer.
    pub(crate) fn on(self, mut answer: Response) -> Response {
        if let Self(Some(events)) = self {
            answer.headers_mut().insert(PROJECTION_LAG, events.into());
        }
        answer
    }
}

impl Api {
    /// Waits for what the client asked to see.
    pub(crate) async fn caught_up(
        &self,
        projection: &str,
        parameters: &Parameters,
    ) -> Result<Lag, Problem> {
        let Some(min_position) = parameters.integer("min_position")? else {
            return Ok(Lag(None));
        };
        let freshness = self
            .read_models
            .wait(projection, min_position, &*self.runtime, WAIT_MAX)
            .await?;
        let behind = freshness.position < min_position;
        // What is asked for is not there: at least that is missing, also where nothing else is.
        Ok(Lag(behind.then_some(freshness.lag_events.max(1))))
    }
}

/// Says on a command's answer where it stands.
pub(crate) fn at(mut answer: Response, position: i64, version: Option<i64>) -> Response {
    answer.headers_mut().insert(EVENT_POSITION, position.into());
    match version {
        Some(version) => Tag::of_version(version).on(answer),
        None => answer,
    }
}
