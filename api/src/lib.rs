//! Speaks: HTTP, and nothing else.
//!
//! A handler reads as a sentence: it takes what the client sent, calls the journal or a read model, and
//! answers. [`router`] shows every route and layer; each resource has its file; what all of them share has a
//! name of its own: `methods` (what a path takes), `resource` and `part` (what all four resources are asked),
//! `profile` (what they say of themselves), `client`, `media` and `hal` (how an answer is written), `paging`,
//! `input` (tolerant bodies), `problem` (what goes wrong), `command` and `idempotency` (once, and to the end),
//! `conditions` and `position` (which version, and reading one's own writes), `forwarded` (what the client sees),
//! `cors`, `correlation`, `limits`, `server`. The payment is taken by whoever is given as
//! [`TakePayment`]; this crate knows neither saga nor gateway.

mod backlog;
mod books;
mod client;
mod command;
mod conditions;
mod correlation;
mod cors;
mod forwarded;
mod hal;
mod health;
mod host;
mod idempotency;
mod input;
mod ledger;
mod limits;
mod manager;
mod media;
mod methods;
mod mypages;
mod once;
mod paging;
mod part;
mod payments;
mod points;
mod position;
mod problem;
mod profile;
mod proxy;
mod resource;
mod router;
mod server;
mod settings;
mod slots;
mod spaces;
mod state;
mod venues;

use std::sync::Arc;

use domain::ports::{StubLedger, TakePayment};
use journal::Journal;
use journal::runtime::Runtime;
use projections::ReadModels;

pub use cors::Origins;
pub use forwarded::PublicAddress;
pub use health::Readiness;
pub use router::{commands, router};
pub use server::serve;
pub use settings::Settings;

/// What a process speaks as: the seed's services, and the gateway before all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// `/books`.
    Book,
    /// `/spaces`.
    Space,
    /// `/payments`.
    Payment,
    /// `/mypages` and `/points`.
    Mypage,
    /// All of them behind one port.
    Gateway,
}

/// What the HTTP side is given.
#[derive(Clone)]
pub struct App {
    /// Where commands go.
    pub journal: Journal,
    /// Where reads come from.
    pub read_models: ReadModels,
    /// Takes the payment of a booking while the customer waits.
    pub payment: Arc<dyn TakePayment>,
    /// The stub gateway's ledger, in development.
    pub ledger: Option<Arc<dyn StubLedger>>,
    /// Timer and tasks.
    pub runtime: Arc<dyn Runtime>,
    /// Whether this process takes requests; the same for all its routers.
    pub readiness: Readiness,
    /// The metrics of this process, as Prometheus reads them.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// What the operator decided.
    pub settings: Settings,
}
