//! What the server is told on its command line.
//!
//! Settings travel as `-c name=value` at every start instead of living in the data folder's `postgresql.conf`:
//! the folder of an older version of this program then runs with the settings of this one.

use std::path::Path;

use crate::folder::PORT;

/// How much the data is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Development: what was committed survives a power cut.
    Durable,
    /// Tests: fast, and lost if the machine (not merely the server) goes down.
    Disposable,
}

impl Profile {
    /// The settings of this profile, in the server's own words.
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Durable => &[
                ("max_connections", "200"),
                // The log outlives the run and people share logs: no statements, no key values in it.
                ("log_min_error_statement", "panic"),
                ("log_error_verbosity", "terse"),
            ],
            Self::Disposable => &[
                ("max_connections", "300"),
                ("max_prepared_transactions", "16"),
                ("fsync", "off"),
                ("synchronous_commit", "off"),
                ("full_page_writes", "off"),
                ("autovacuum", "off"),
                // The data lies in the temporary folder: write-ahead log for a gigabyte has no place there.
                ("max_wal_size", "256MB"),
                // Every copy of a template takes two checkpoints.
                ("log_checkpoints", "off"),
            ],
        }
    }
}

/// All settings of a server, in the order the server reads them: a later one wins, so the caller's come last.
///
/// `cluster` ends up in the title of every process of the server, which is how they are recognised.
pub(crate) fn settings(
    profile: Profile,
    socket_folder: &Path,
    cluster: &str,
    extra: &[(String, String)],
) -> Vec<String> {
    let socket_folder = socket_folder.to_string_lossy().replace('"', "\"\"");
    let always = [
        ("listen_addresses", String::new()),
        ("port", PORT.to_string()),
        ("unix_socket_directories", format!("\"{socket_folder}\"")),
        ("unix_socket_permissions", "0700".to_owned()),
        ("cluster_name", cluster.to_owned()),
        ("timezone", "UTC".to_owned()),
        ("log_timezone", "UTC".to_owned()),
        // One file per hour of the day, emptied when its hour comes round: never more than a day of log.
        ("logging_collector", "on".to_owned()),
        ("log_directory", "log".to_owned()),
        ("log_filename", "server-%H.log".to_owned()),
        ("log_file_mode", "0600".to_owned()),
        ("log_rotation_age", "60".to_owned()),
        ("log_truncate_on_rotation", "on".to_owned()),
    ];
    let always = always
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"));
    let of_profile = profile
        .settings()
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let of_caller = extra.iter().map(|(name, value)| format!("{name}={value}"));
    always.chain(of_profile).chain(of_caller).collect()
}
