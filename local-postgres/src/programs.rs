//! The server programs that a server runs on: found on this machine, or fetched once.

use std::ffi::OsStr;
use std::path::Path;

use crate::binaries::{Installation, Search};
use crate::fetch::Fetch;
use crate::{Error, default_folder};

/// Forbids (`0`) or allows (`1`, the default) to fetch a Postgres where there is none.
const FETCH: &str = "SPACERENT_PG_FETCH";

/// The environment variables that decide which server programs are used.
pub const VARIABLES: [&str; 2] = ["SPACERENT_PG_BIN", FETCH];

/// Where server programs come from.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) search: Search,
    /// None when fetching is forbidden.
    pub(crate) fetch: Option<Fetch>,
}

impl Programs {
    /// As this machine and this process's environment say; what is fetched is kept in `packages`.
    pub(crate) fn here(packages: &Path) -> Result<Self, Error> {
        let mut kept_in = vec![packages.to_owned(), default_folder()];
        kept_in.dedup();
        let allowed = switch(FETCH, &std::env::var_os(FETCH).unwrap_or_default())?;
        Ok(Self {
            search: Search::here(kept_in),
            fetch: allowed.then(|| Fetch::here(packages)),
        })
    }

    /// The programs for a data folder of major version `wanted`, or the newest; fetches nothing.
    pub(crate) fn find(&self, data: &Path, wanted: Option<u32>) -> Result<Installation, Error> {
        self.search.find(data, wanted)
    }

    /// The newest programs; fetches some if there are none.
    pub(crate) async fn provide(&self) -> Result<Installation, Error> {
        let newest = || self.find(Path::new(""), None);
        let missing = match newest() {
            Err(
                missing @ Error::NoBinaries {
                    not_fetched: None, ..
                },
            ) => missing,
            outcome => return outcome,
        };
        match &self.fetch {
            None => Err(because(missing, format!("{FETCH}=0 forbids it"))),
            Some(fetch) => match fetch.run().await {
                Ok(()) => newest(),
                Err(reason) => Err(because(missing, reason.to_string())),
            },
        }
    }
}

/// Says why what is missing was not fetched.
fn because(missing: Error, reason: String) -> Error {
    match missing {
        Error::NoBinaries {
            oldest,
            seen,
            install,
            ..
        } => Error::NoBinaries {
            oldest,
            seen,
            not_fetched: Some(reason),
            install,
        },
        other => other,
    }
}

/// A variable that is on unless it is `0`.
fn switch(name: &'static str, value: &OsStr) -> Result<bool, Error> {
    match value.to_str() {
        Some("" | "1") => Ok(true),
        Some("0") => Ok(false),
        _ => Err(Error::NotASwitch {
            name,
            value: value.to_string_lossy().into_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::switch;

    #[test]
    fn a_switch_is_on_or_off_and_nothing_else() {
        assert!(switch("X", "".as_ref()).unwrap());
        assert!(switch("X", "1".as_ref()).unwrap());
        assert!(!switch("X", "0".as_ref()).unwrap());
        let error = switch("X", "no".as_ref()).unwrap_err().to_string();
        assert_eq!(error, "X=\"no\" is neither 0 nor 1");
    }
}
