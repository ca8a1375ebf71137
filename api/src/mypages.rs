//! `/mypages`: where each booking stands, and its story.
//!
//! The seed showed all rows at once; here a page may be asked for, and whoever asks for none gets as many as
//! one page holds and a link to the rest.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{Currency, Phase, Status};
use jiff::Timestamp;
use journal::Actor;
use projections::projection::Row;
use projections::{BookingFilter, MypageRow, TimelineRow};
use serde::Serialize;

use crate::client::Client;
use crate::input::{ItemId, Parameters};
use crate::paging::Unasked;
use crate::problem::Problem;
use crate::resource::{Resource, view};
use crate::state::Api;

view! {
    /// A row of My Page on the wire: the seed's fields first, in its order.
    pub(crate) struct MypageView of MypageRow {
        /// Who booked.
        userid: Option<i64>,
        /// The booking.
        bookid: i64,
        /// The name of the space.
        spacename: String,
        /// How far the booking is, in the words of this resource.
        status: Status,
        /// The registration, once there is one.
        spaceid: Option<i64>,
        /// Its number, the booking's.
        id: i64,
        /// The payment, once it was requested.
        payid: Option<i64>,
        /// How far the booking is, in the words of all resources.
        phase: Phase,
        /// The price, in minor units.
        amount: i64,
        /// The currency of all amounts.
        currency: Currency,
        /// From when it is, if it has a time.
        starts_at as "start": Option<Timestamp>,
        /// Up to when, not including.
        ends_at as "end": Option<Timestamp>,
        /// What went back.
        refunded: i64,
        /// Points that the booking earned, less those taken back.
        points: i64,
        /// What people should know about it.
        attention: Option<String>,
        /// When it was booked.
        created_at: Timestamp,
        /// When something last happened to it.
        updated_at: Timestamp,
    }
}

impl Resource for MypageView {
    const COLLECTION: &'static str = "mypages";
    const REL: &'static str = "mypage";
    const WRITABLE: &'static [&'static str] = &[];
    const UNASKED: Unasked = Unasked::Everything;
    const FILTERS: &'static [&'static str] = &["userid", "bookid", "spacename", "status", "phase"];

    fn id(&self) -> i64 {
        self.id
    }

    /// A page is of all streams of its booking.
    fn version(_: &MypageRow) -> Option<i64> {
        None
    }

    fn filter(parameters: &Parameters) -> Result<BookingFilter, Problem> {
        let text = |name| parameters.text(name).map(|text| text.map(str::to_owned));
        Ok(BookingFilter {
            userid: parameters.integer("userid")?,
            bookid: parameters.integer("bookid")?,
            spacename: text("spacename")?,
            status: text("status")?,
            phase: text("phase")?,
        })
    }
}

/// `GET /mypages/{id}/trace`: what happened, when, by whom.
pub(crate) async fn trace(
    State(api): State<Api>,
    ItemId(id): ItemId,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let lag = api.caught_up(TimelineRow::SCHEMA, &parameters).await?;
    let story = api.read_models.timeline(id).await?;
    if story.is_empty() {
        return Ok(lag.on(Problem::NotFound.into_response()));
    }
    let events = story.into_iter().map(Line::from).collect();
    Ok(lag.on(client.plain(&Trace {
        bookid: id.0,
        events,
    })))
}

/// A booking's story.
#[derive(Serialize)]
struct Trace {
    bookid: i64,
    events: Vec<Line>,
}

/// One thing that happened.
#[derive(Serialize)]
struct Line {
    position: i64,
    event: String,
    at: Timestamp,
    actor: Actor,
    actor_id: Option<String>,
    status: Status,
    phase: Phase,
    note: Option<String>,
    correlation_id: String,
}

impl From<TimelineRow> for Line {
    fn from(row: TimelineRow) -> Self {
        Self {
            position: row.position,
            event: row.event,
            at: row.at,
            actor: row.actor_type,
            actor_id: row.actor_id,
            status: row.status,
            phase: row.phase,
            note: row.note,
            correlation_id: row.correlation_id,
        }
    }
}
