//! `/spaces`: registrations of spaces for bookings. Read-only here: the saga registers, staff do the rest.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::{Phase, Status};
use projections::SpaceRow;
use serde::Serialize;

use crate::hal::{Client, Item};
use crate::input::{ItemId, Parameters};
use crate::paging::{Asked, Unasked};
use crate::position;
use crate::problem::Problem;
use crate::state::Api;

/// The projection that answers.
const PROJECTION: &str = "spaces";

/// `GET /spaces`.
pub(crate) async fn list(
    State(api): State<Api>,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let lag = api.caught_up(PROJECTION, &parameters).await?;
    let asked = Asked::read(&parameters, Unasked::FirstPage, &[]);
    let found = api.read_models.spaces(&asked.request()).await?;
    let spaces = found.rows.into_iter().map(SpaceView::from).collect();
    Ok(lag.on(client.collection(spaces, &asked.of(found.total))))
}

/// `GET /spaces/{id}`.
pub(crate) async fn show(
    State(api): State<Api>,
    ItemId(id): ItemId,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let lag = api.caught_up(PROJECTION, &parameters).await?;
    let space = api
        .read_models
        .space(id)
        .await?
        .ok_or(Problem::NoSuchItem)?;
    let version = space.version;
    Ok(lag.on(position::tagged(
        client.item(StatusCode::OK, SpaceView::from(space)),
        version,
    )))
}

/// A registration on the wire: the seed's fields first, in its order.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SpaceView {
    userid: Option<i64>,
    spacename: String,
    /// Read models show no registration without one.
    status: Option<Status>,
    bookid: i64,
    spaceid: i64,
    phase: Phase,
}

impl Item for SpaceView {
    const COLLECTION: &'static str = "spaces";
    const REL: &'static str = "space";

    fn id(&self) -> i64 {
        self.spaceid
    }
}

impl From<SpaceRow> for SpaceView {
    fn from(row: SpaceRow) -> Self {
        Self {
            userid: row.userid,
            spacename: row.spacename,
            status: row.status,
            bookid: row.bookid,
            spaceid: row.spaceid,
            phase: row.phase,
        }
    }
}
