//! What the operator decides about the HTTP side. The variables behind these values, their defaults and their
//! checks are the business of the command line.

use std::time::Duration;

use domain::Currency;
use ipnet::IpNet;

use crate::cors::Origins;

/// Settings of the HTTP side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Price of a space that nobody defined, in Korean won.
    pub default_price: i64,
    /// The currency in which points are worth something: one minor unit each.
    pub points_currency: Currency,
    /// Bookings that may wait for money in the whole cluster; above it a new one is answered 503.
    pub payment_backlog_max: i64,
    /// How long a customer waits for the payment, in milliseconds. An answer takes at most a little longer.
    pub payment_timeout_ms: u64,
    /// The address that clients see, for links. None: the host that the client used.
    pub public_url: Option<String>,
    /// Where the proxies are whose word counts for what the client sees. Empty: nobody's.
    pub trusted_proxies: Vec<IpNet>,
    /// Whose pages may call from a browser.
    pub cors_origins: Origins,
    /// Whether such a page may send cookies and the like; never with origins that are everybody's.
    pub cors_allow_credentials: bool,
    /// How long a read model may stand still before the readiness of the roles that answer from it says so; zero: for
    /// ever.
    pub readiness_lag_max: Duration,
    /// Whether a change of a booking must say which version it changes.
    pub require_if_match: bool,
    /// Where the book role is, when another process plays it: a plain `http://` address.
    pub book_url: Option<String>,
    /// Where the space role is, when another process plays it.
    pub space_url: Option<String>,
    /// Where the payment role is, when another process plays it.
    pub payment_url: Option<String>,
    /// Where the mypage role is, when another process plays it.
    pub mypage_url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_price: 10_000,
            points_currency: Currency::KRW,
            payment_backlog_max: 10_000,
            payment_timeout_ms: 2_000,
            public_url: None,
            trusted_proxies: Vec::new(),
            cors_origins: Origins::default(),
            cors_allow_credentials: false,
            readiness_lag_max: Duration::from_secs(30),
            require_if_match: false,
            book_url: None,
            space_url: None,
            payment_url: None,
            mypage_url: None,
        }
    }
}
