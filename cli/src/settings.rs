//! Settings: the environment, read once into one struct.
//!
//! The table below is the single list: it makes the struct, the errors that name the variable, the redacted
//! print at start, and (through a test) the page in docs/operations.md. A secret may also come from the file
//! that `NAME_FILE` names, as Kubernetes and Docker mount them.

mod names;
mod value;

use std::collections::BTreeMap;

use domain::Currency;
use names::refuse_unknown;
use sqlx::postgres::PgConnectOptions;
use value::Value;
pub use value::{Auth, Gateway, Networks, Pooler, Secret, Store};

/// Why the settings cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A value is not what it must be.
    #[error("{name}: {reason}")]
    Malformed {
        /// Which variable.
        name: String,
        /// What it must be.
        reason: String,
    },
    /// A name that looks like ours and is not.
    #[error("{0} is not a setting of spacerent; docs/operations.md lists them")]
    Unknown(String),
    /// Both the value and its file are given.
    #[error("{0} and {0}_FILE are both set; keep one")]
    Twice(String),
    /// A secret's file cannot be read.
    #[error("{name}_FILE: {reason}")]
    File {
        /// Which variable.
        name: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// Open to the network without authentication.
    #[error(
        "LISTEN_HOST={0} can be reached by others and AUTH=open lets everybody do everything; \
         listen on 127.0.0.1, or set AUTH_ALLOW_OPEN=1 when something in front checks who calls"
    )]
    OpenToAll(String),
    /// A choice that this version does not have.
    #[error("{0}")]
    NotBuilt(&'static str),
}

/// One line of the settings' documentation, which a test holds against the table.
#[cfg(test)]
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// The variable.
    pub name: &'static str,
    /// Its default, as it would be written.
    pub default: &'static str,
    /// What it means, with its unit.
    pub doc: String,
    /// Whether it is never shown.
    pub secret: bool,
}

macro_rules! settings {
    ($( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $name:literal $(| $alias:literal)*, $default:literal; )+) => {
        /// Everything that can be set from outside.
        #[derive(Clone, Debug)]
        pub struct Settings { $( $(#[doc = $doc])+ pub $field: $type, )+ }

        impl Settings {
            /// Reads the settings from a list of variables.
            ///
            /// # Errors
            /// [`Error`] names the variable.
            pub fn from_variables(variables: &BTreeMap<String, String>) -> Result<Self, Error> {
                refuse_unknown(variables, &[$( $name, )+])?;
                let settings = Self {
                    $( $field: read::<$type>(variables, $name, &[$( $alias ),*], $default)?, )+
                };
                settings.check()?;
                Ok(settings)
            }

            /// Names and values as they may be shown: secrets only as set or not.
            #[must_use]
            pub fn shown(&self) -> BTreeMap<&'static str, String> {
                BTreeMap::from([$( ($name, self.$field.shown()), )+])
            }

            /// The table, for the documentation.
            #[cfg(test)]
            #[must_use]
            pub fn documentation() -> Vec<Line> {
                vec![$( Line {
                    name: $name,
                    default: $default,
                    doc: [$( $doc ),+].map(str::trim).join(" "),
                    secret: <$type as Value>::SECRET,
                }, )+]
            }
        }
    };
}

settings! {
    /// Where the database is, as a libpq URI; the login needs the role `spacerent_runtime`.
    database_url: Option<Secret> = "DATABASE_URL", "";
    /// The same database as the owner of its tables, for migrations and rebuilds; default: DATABASE_URL.
    migration_database_url: Option<Secret> = "MIGRATION_DATABASE_URL", "";
    /// What stands between this process and the database: `none`, or `transaction` for a pooler that lends a session for a transaction at a time, as PgBouncer does.
    database_pooler: Pooler = "DATABASE_POOLER", "none";
    /// Connections of this process to the database, at most; one more listens for wake-ups.
    database_connections_max: u32 = "DATABASE_CONNECTIONS_MAX", "40";
    /// Address that the HTTP roles listen on.
    listen_host: std::net::IpAddr = "LISTEN_HOST", "127.0.0.1";
    /// Port of /books; 0 takes a free one.
    listen_port_book: u16 = "LISTEN_PORT_BOOK", "8081";
    /// Port of /spaces.
    listen_port_space: u16 = "LISTEN_PORT_SPACE", "8082";
    /// Port of /payments.
    listen_port_payment: u16 = "LISTEN_PORT_PAYMENT", "8083";
    /// Port of /mypages.
    listen_port_mypage: u16 = "LISTEN_PORT_MYPAGE", "8084";
    /// Port of all routes.
    listen_port_gateway: u16 = "LISTEN_PORT_GATEWAY", "8088";
    /// Where the book role is, when another process plays it.
    book_url: Option<String> = "BOOK_URL", "";
    /// Where the space role is, when another process plays it.
    space_url: Option<String> = "SPACE_URL", "";
    /// Where the payment role is, when another process plays it; the seed's key `payment-url` is taken too.
    payment_url: Option<String> = "PAYMENT_URL" | "payment-url", "";
    /// Where the mypage role is, when another process plays it.
    mypage_url: Option<String> = "MYPAGE_URL", "";
    /// The address that clients see, for links; default: the host that the client used.
    public_url: Option<String> = "PUBLIC_URL", "";
    /// Networks of the proxies whose `Forwarded` and `X-Forwarded-*` count for links, separated by commas: `10.0.0.0/8,::1`; default: none.
    trusted_proxies: Networks = "TRUSTED_PROXIES", "";
    /// Whose pages may call from a browser: origins as `https://app.example` separated by commas, `*`, or `loopback` (any port of this machine).
    cors_origins: api::Origins = "CORS_ORIGINS", "loopback";
    /// Whether such a page may send cookies and the like; not with `*`.
    cors_allow_credentials: bool = "CORS_ALLOW_CREDENTIALS", "0";
    /// Who moves the money: `stub`.
    gateway: Gateway = "GATEWAY", "stub";
    /// How long a customer waits for the payment, in milliseconds.
    payment_timeout_ms: u64 = "PAYMENT_TIMEOUT_MS", "2000";
    /// How long a call to the payment gateway may take, in milliseconds.
    payment_call_max_ms: u64 = "PAYMENT_CALL_MAX_MS", "10000";
    /// How long after a call's deadline "not found" is believed, in milliseconds.
    payment_settle_ms: u64 = "PAYMENT_SETTLE_MS", "60000";
    /// Calls that go on after their customer stopped waiting, at most.
    payment_late_max: u32 = "PAYMENT_LATE_MAX", "50";
    /// Price of a space that nobody defined, in Korean won.
    default_price: u32 = "DEFAULT_PRICE", "10000";
    /// The currency in which points are worth something, one minor unit each: `KRW`, `USD`, `EUR` or `JPY`. Bookings in another one neither take nor earn points.
    points_currency: Currency = "POINTS_CURRENCY", "KRW";
    /// Bookings that wait for money, in the whole cluster; above it new ones are answered 503. What a booking is charged later (a move, time past the end) does not count.
    payment_backlog_max: u32 = "PAYMENT_BACKLOG_MAX", "10000";
    /// The breaker's rolling window, in milliseconds.
    cb_window_ms: u64 = "CB_WINDOW_MS", "10000";
    /// Calls in the window before the breaker may open.
    cb_min_calls: u32 = "CB_MIN_CALLS", "20";
    /// Share of failed calls that opens the breaker, in percent.
    cb_error_pct: u8 = "CB_ERROR_PCT", "50";
    /// How long the breaker stays open, in milliseconds.
    cb_open_ms: u64 = "CB_OPEN_MS", "5000";
    /// Payment calls at a time.
    cb_max_concurrent: u32 = "CB_MAX_CONCURRENT", "10";
    /// How long a read model or the saga may stand still with something before it, in seconds, before `/readyz` says `degraded`, and that of My Page is 503 for its own; 0 never.
    readiness_lag_max_seconds: u32 = "READINESS_LAG_MAX_SECONDS", "30";
    /// Whether every change of one booking, venue, registration or payment must carry `If-Match`; without it it is then answered 428.
    require_if_match: bool = "REQUIRE_IF_MATCH", "0";
    /// Who may do what: `open` (everybody everything).
    auth: Auth = "AUTH", "open";
    /// Allows AUTH=open on an address that others can reach.
    auth_allow_open: bool = "AUTH_ALLOW_OPEN", "0";
    /// Where a process with the mypage role keeps My Page: `postgres`, or `sqlite`, a file of its own.
    mypage_store: Store = "MYPAGE_STORE", "postgres";
    /// The file of MYPAGE_STORE=sqlite, on a local disk, one a process; default: `mypage.sqlite` in the data folder of `dev`, none for `serve`.
    mypage_sqlite_file: Option<std::path::PathBuf> = "MYPAGE_SQLITE_FILE", "";
}

impl Settings {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// [`Error`] names the variable.
    pub fn from_environment() -> Result<Self, Error> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::from_variables(&variables)
    }

    /// What no single value can tell.
    fn check(&self) -> Result<(), Error> {
        if !self.listen_host.is_loopback() && !self.auth_allow_open {
            return Err(Error::OpenToAll(self.listen_host.to_string()));
        }
        if self.payment_call_max_ms < self.payment_timeout_ms {
            return malformed(
                "PAYMENT_CALL_MAX_MS",
                "must not be below PAYMENT_TIMEOUT_MS",
            );
        }
        if !(1..=100).contains(&self.cb_error_pct) {
            return malformed("CB_ERROR_PCT", "must be from 1 to 100");
        }
        for (name, value) in [
            ("CB_MAX_CONCURRENT", u64::from(self.cb_max_concurrent)),
            ("CB_MIN_CALLS", u64::from(self.cb_min_calls)),
            ("CB_WINDOW_MS", self.cb_window_ms),
            ("PAYMENT_TIMEOUT_MS", self.payment_timeout_ms),
        ] {
            if value == 0 {
                return malformed(name, "must be 1 or more");
            }
        }
        if self.cors_allow_credentials && self.cors_origins.is_everybody() {
            return malformed(
                "CORS_ALLOW_CREDENTIALS",
                "must be 0 while CORS_ORIGINS is *: any page could act with the cookies of whoever looks at it",
            );
        }
        if self.database_connections_max < CONNECTIONS_MIN {
            return malformed("DATABASE_CONNECTIONS_MAX", "must be 12 or more");
        }
        self.check_addresses()
    }

    fn check_addresses(&self) -> Result<(), Error> {
        for (name, url) in [
            ("BOOK_URL", &self.book_url),
            ("SPACE_URL", &self.space_url),
            ("PAYMENT_URL", &self.payment_url),
            ("MYPAGE_URL", &self.mypage_url),
        ] {
            if url.as_ref().is_some_and(|url| url.starts_with("https://")) {
                return malformed(
                    name,
                    "must be http://, roles talk to each other without TLS",
                );
            }
        }
        if self
            .public_url
            .as_deref()
            .is_some_and(|url| api::PublicAddress::parse(url).is_none())
        {
            return malformed(
                "PUBLIC_URL",
                "must be http:// or https://, a host, and at most a port and a path",
            );
        }
        for (name, url) in [
            ("DATABASE_URL", &self.database_url),
            ("MIGRATION_DATABASE_URL", &self.migration_database_url),
        ] {
            let parsed = url
                .as_ref()
                .map(|url| url.reveal().parse::<PgConnectOptions>());
            if parsed.is_some_and(|parsed| parsed.is_err()) {
                return malformed(
                    name,
                    "is not a libpq URI such as postgresql://app@db.example/spacerent",
                );
            }
        }
        Ok(())
    }
}

fn malformed(name: &str, reason: &str) -> Result<(), Error> {
    Err(Error::Malformed {
        name: name.to_owned(),
        reason: reason.to_owned(),
    })
}

/// Followers, workers, the listener and a few requests need this many connections to make progress at all.
const CONNECTIONS_MIN: u32 = 12;

fn read<T: Value>(
    variables: &BTreeMap<String, String>,
    name: &'static str,
    aliases: &[&str],
    default: &str,
) -> Result<T, Error> {
    let given = std::iter::once(name)
        .chain(aliases.iter().copied())
        .find_map(|name| variables.get(name).map(|value| (name, value.clone())));
    let file = variables.get(&format!("{name}_FILE")).filter(|_| T::SECRET);
    let (name, text) = match (given, file) {
        (Some(_), Some(_)) => return Err(Error::Twice(name.to_owned())),
        (Some((name, text)), None) => (name, text),
        (None, Some(path)) => (name, read_file(name, path)?),
        (None, None) => (name, default.to_owned()),
    };
    T::parse(&text).map_err(|problem| problem.at(name))
}

fn read_file(name: &str, path: &str) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::File {
        name: name.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(text
        .strip_suffix('\n')
        .map(|text| text.strip_suffix('\r').unwrap_or(text))
        .unwrap_or(&text)
        .to_owned())
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
