//! `/stub/ledger`: what the stub gateway remembers, for people who check it against the journal. It is there
//! in development only.

use axum::Json;
use axum::extract::State;
use domain::ports::LedgerCharge;
use serde::Serialize;

use crate::problem::Problem;
use crate::state::Api;

#[derive(Serialize)]
pub(crate) struct Ledger {
    charges: Vec<LedgerCharge>,
}

/// `GET /stub/ledger`.
pub(crate) async fn show(State(api): State<Api>) -> Result<Json<Ledger>, Problem> {
    let ledger = api.ledger.as_ref().ok_or(Problem::NotFound)?;
    let charges = ledger.charges().await.map_err(|reason| {
        tracing::warn!(reason, "the stub's ledger cannot be read");
        Problem::StorageUnavailable
    })?;
    Ok(Json(Ledger { charges }))
}
