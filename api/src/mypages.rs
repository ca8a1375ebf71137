//! `/mypages`: where each booking stands, and its story.
//!
//! The seed showed all rows at once; here a page may be asked for, and whoever asks for none gets as many as
//! one page holds and a link to the rest.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::{Currency, Phase, Status};
use jiff::Timestamp;
use journal::Actor;
use projections::{MypageFilter, MypageRow, TimelineRow};
use serde::Serialize;

use crate::hal::{Client, Item};
use crate::input::{ItemId, Parameters};
use crate::paging::{Asked, Unasked};
use crate::problem::Problem;
use crate::state::Api;

/// The projection that answers.
const PROJECTION: &str = "mypage";

/// The parameters that narrow the collection.
const FILTERS: [&str; 5] = ["userid", "bookid", "spacename", "status", "phase"];

/// `GET /mypages`.
pub(crate) async fn list(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let filter = filter(&parameters)?;
    let lag = api.caught_up(PROJECTION, &parameters).await?;
    let asked = Asked::read(&parameters, Unasked::Everything, &FILTERS);
    let found = api.read_models.mypages(&filter, &asked.request()).await?;
    let mypages = found.rows.into_iter().map(MypageView::from).collect();
    Ok(lag.on(client.collection(mypages, &asked.of(found.total))))
}

/// `GET /mypages/{id}`.
pub(crate) async fn show(
    State(api): State<Api>,
    ItemId(id): ItemId,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let lag = api.caught_up(PROJECTION, &parameters).await?;
    let mypage = api
        .read_models
        .mypage(id)
        .await?
        .ok_or(Problem::NoSuchItem)?;
    Ok(lag.on(client.item(StatusCode::OK, MypageView::from(mypage))))
}

/// `GET /mypages/{id}/trace`: what happened, when, by whom.
pub(crate) async fn trace(
    State(api): State<Api>,
    ItemId(id): ItemId,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let lag = api.caught_up(PROJECTION, &parameters).await?;
    let story = api.read_models.timeline(id).await?;
    if story.is_empty() {
        return Err(Problem::NotFound);
    }
    let events = story.into_iter().map(Line::from).collect();
    Ok(lag.on(client.plain(&Trace {
        bookid: id.0,
        events,
    })))
}

fn filter(parameters: &Parameters) -> Result<MypageFilter, Problem> {
    let text = |name| parameters.get(name).map(str::to_owned);
    Ok(MypageFilter {
        userid: parameters.integer("userid")?,
        bookid: parameters.integer("bookid")?,
        spacename: text("spacename"),
        status: text("status"),
        phase: text("phase"),
    })
}

/// A row of My Page on the wire: the seed's fields first, in its order.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MypageView {
    userid: Option<i64>,
    bookid: i64,
    spacename: String,
    status: Status,
    spaceid: Option<i64>,
    id: i64,
    payid: Option<i64>,
    phase: Phase,
    amount: i64,
    currency: Currency,
    refunded: i64,
    points: i64,
    attention: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl Item for MypageView {
    const COLLECTION: &'static str = "mypages";
    const REL: &'static str = "mypage";

    fn id(&self) -> i64 {
        self.id
    }
}

impl From<MypageRow> for MypageView {
    fn from(row: MypageRow) -> Self {
        Self {
            userid: row.userid,
            bookid: row.bookid,
            spacename: row.spacename,
            status: row.status,
            spaceid: row.spaceid,
            id: row.id,
            payid: row.payid,
            phase: row.phase,
            amount: row.amount,
            currency: row.currency,
            refunded: row.refunded,
            points: row.points,
            attention: row.attention,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
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
