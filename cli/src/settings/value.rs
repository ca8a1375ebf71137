//! What a setting can be, and how it is read and shown.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use domain::Currency;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};

use super::Error;

/// What is wrong with a value, before its name is known.
pub enum Problem {
    Malformed(String),
    NotBuilt(&'static str),
}

impl Problem {
    pub fn at(self, name: &str) -> Error {
        match self {
            Self::Malformed(reason) => Error::Malformed {
                name: name.to_owned(),
                reason,
            },
            Self::NotBuilt(what) => Error::NotBuilt(what),
        }
    }
}

/// A type that a setting can have.
pub trait Value: Sized {
    /// Whether the value is never shown, and may come from a file.
    const SECRET: bool = false;
    fn parse(text: &str) -> Result<Self, Problem>;
    fn shown(&self) -> String;
}

/// A value that is never printed.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The value, for the one who needs it.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(set)")
    }
}

impl Value for Option<Secret> {
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, Problem> {
        Ok((!text.is_empty()).then(|| Secret(text.into())))
    }

    fn shown(&self) -> String {
        if self.is_some() { "(set)" } else { "(not set)" }.to_owned()
    }
}

impl Value for Option<String> {
    fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.starts_with("http://") || text.starts_with("https://") {
            return Ok(Some(text.trim_end_matches('/').to_owned()));
        }
        Err(Problem::Malformed(format!(
            "{text:?} is not an http:// or https:// address"
        )))
    }

    fn shown(&self) -> String {
        self.clone().unwrap_or_else(|| "(not set)".to_owned())
    }
}

impl Value for Currency {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "KRW" => Ok(Self::KRW),
            "USD" => Ok(Self::USD),
            "EUR" => Ok(Self::EUR),
            "JPY" => Ok(Self::JPY),
            _ => Err(Problem::Malformed(format!(
                "{text:?} is not KRW, USD, EUR or JPY"
            ))),
        }
    }

    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

impl Value for Option<PathBuf> {
    fn parse(text: &str) -> Result<Self, Problem> {
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    }

    fn shown(&self) -> String {
        self.as_ref()
            .map_or_else(|| "(not set)".to_owned(), |path| path.display().to_string())
    }
}

macro_rules! numbers {
    ($($type:ty),+) => { $(
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, Problem> {
                text.parse().map_err(|_| {
                    Problem::Malformed(format!(
                        "{text:?} is not a whole number of at most {}", <$type>::MAX
                    ))
                })
            }

            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}
numbers!(u8, u16, u32, u64);

impl Value for bool {
    fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "1" | "true" => Ok(true),
            "0" | "false" | "" => Ok(false),
            _ => Err(Problem::Malformed(format!("{text:?} is neither 0 nor 1"))),
        }
    }

    fn shown(&self) -> String {
        u8::from(*self).to_string()
    }
}

impl Value for IpAddr {
    fn parse(text: &str) -> Result<Self, Problem> {
        let text = if text == "localhost" {
            "127.0.0.1"
        } else {
            text
        };
        text.parse()
            .map_err(|_| Problem::Malformed(format!("{text:?} is not an IP address")))
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// Networks, as CIDR or as single addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Networks(pub Vec<IpNet>);

impl Value for Networks {
    fn parse(text: &str) -> Result<Self, Problem> {
        let words = text.split(',').map(str::trim);
        let network = |word: &str| {
            let network = word.parse().ok();
            let single = || word.parse::<IpAddr>().ok().map(IpNet::from);
            network
                .or_else(single)
                .filter(|network: &IpNet| network.addr() == network.network())
                .ok_or_else(|| {
                    Problem::Malformed(format!(
                        "{word:?} is neither an IP address nor a network such as 10.0.0.0/8"
                    ))
                })
        };
        words
            .filter(|word| !word.is_empty())
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn shown(&self) -> String {
        let networks: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        networks.join(",")
    }
}

impl Value for api::Origins {
    fn parse(text: &str) -> Result<Self, Problem> {
        text.parse().map_err(Problem::Malformed)
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

macro_rules! choices {
    ($(
        $(#[doc = $doc:literal])+
        $type:ident { $( $(#[doc = $vdoc:literal])+ $variant:ident = $word:literal, )+ }
        missing { $( $later:literal => $what:literal, )* }
    )+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type { $( $(#[doc = $vdoc])+ $variant, )+ }

        impl Value for $type {
            fn parse(text: &str) -> Result<Self, Problem> {
                match text {
                    $( $word => Ok(Self::$variant), )+
                    $( $later => Err(Problem::NotBuilt($what)), )*
                    _ => Err(Problem::Malformed(format!("{text:?} is none of {}", [$( $word ),+].join(", ")))),
                }
            }

            fn shown(&self) -> String {
                match self { $( Self::$variant => $word, )+ }.to_owned()
            }
        }
    )+ };
}

choices! {
    /// Who moves the money.
    Gateway {
        /// The stub that comes with spacerent; it moves none.
        Stub = "stub",
    }
    missing {
        "toss" => "GATEWAY=toss: this version has no adapter for Toss Payments yet",
        "stripe" => "GATEWAY=stripe: this version has no adapter for Stripe yet",
    }

    /// Who may do what.
    Auth {
        /// Everybody everything; for loopback and development.
        Open = "open",
    }
    missing {
        "jwt" => "AUTH=jwt: this version cannot check tokens yet; put it behind something that does",
    }

    /// What stands between this process and the database.
    Pooler {
        /// Nothing: a connection is a session.
        None = "none",
        /// A pooler that lends a session for a transaction at a time.
        Transaction = "transaction",
    }
    missing {}

    /// Where My Page is kept.
    Store {
        /// In the same database.
        Postgres = "postgres",
        /// In an SQLite file of the process's own.
        Sqlite = "sqlite",
    }
    missing {}
}

impl From<Pooler> for journal::schema::Pooler {
    fn from(pooler: Pooler) -> Self {
        match pooler {
            Pooler::None => Self::None,
            Pooler::Transaction => Self::Transaction,
        }
    }
}
