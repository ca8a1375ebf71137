//! `/points/{userid}`: how many points somebody has. Nobody has none.

use axum::extract::State;
use axum::response::Response;
use domain::UserId;
use projections::BalanceRow;
use projections::projection::Row;
use serde::Serialize;

use crate::client::Client;
use crate::input::{ItemId, Parameters};
use crate::problem::Problem;
use crate::state::Api;

/// `GET /points/{userid}`.
pub(crate) async fn show(
    State(api): State<Api>,
    ItemId(userid): ItemId,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let userid = userid.0;
    let lag = api.caught_up(BalanceRow::SCHEMA, &parameters).await?;
    let points = api.read_models.points(UserId(userid)).await?;
    Ok(lag.on(client.plain(&Balance { userid, points })))
}

#[derive(Serialize)]
struct Balance {
    userid: i64,
    points: i64,
}
