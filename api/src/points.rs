//! `/points/{userid}`: how many points somebody has, and where they came from and went. Nobody has none.

use axum::extract::State;
use axum::response::Response;
use domain::UserId;
use jiff::Timestamp;
use projections::projection::Row;
use projections::{BalanceRow, LedgerRow};
use serde::Serialize;

use crate::client::Client;
use crate::hal::Links;
use crate::input::{ItemId, Parameters};
use crate::manager::ask::{Ask, link};
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

/// `GET /points/{userid}/ledger?after&size`: one line for each time that points came or went, oldest first.
pub(crate) async fn ledger(
    State(api): State<Api>,
    ItemId(userid): ItemId,
    client: Client,
    parameters: Parameters,
) -> Result<Response, Problem> {
    let mut ask = Ask::for_numbers(&parameters, &["after", "size"], &[]);
    let after = ask.number("after", 0, i64::MAX);
    let size = ask.size();
    ask.finish()?;
    let userid = userid.0;
    let lag = api.caught_up(LedgerRow::SCHEMA, &parameters).await?;
    let found = api
        .read_models
        .ledger_after(UserId(userid), after.unwrap_or(0), size)
        .await?;
    let path = format!("/points/{userid}/ledger");
    let mut links = vec![("self", link(&client, &path, &parameters, &[], &[]))];
    if let Some(next) = found.next {
        let after = next.to_string();
        let with = [("after", after.as_str())];
        let next = link(&client, &path, &parameters, &["min_position"], &with);
        links.push(("next", next));
    }
    let links = Links(links);
    let lines = found.rows.into_iter().map(Line::from).collect();
    let ledger = Ledger {
        userid,
        embedded: Lines { lines },
        links: &links,
    };
    Ok(lag.on(client.answer(&links, &ledger)))
}

#[derive(Serialize)]
struct Ledger<'l> {
    userid: i64,
    #[serde(rename = "_embedded")]
    embedded: Lines,
    #[serde(rename = "_links")]
    links: &'l Links,
}

#[derive(Serialize)]
struct Lines {
    lines: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    /// The event's place in the journal.
    position: i64,
    payid: i64,
    /// `accrued`, `clawed_back`, `spent` or `returned`.
    kind: String,
    /// How many; less than zero when they went.
    points: i64,
    at: Timestamp,
}

impl From<LedgerRow> for Line {
    fn from(row: LedgerRow) -> Self {
        Self {
            position: row.position,
            payid: row.payid,
            kind: row.kind,
            points: row.points,
            at: row.at,
        }
    }
}

#[derive(Serialize)]
struct Balance {
    userid: i64,
    points: i64,
}
