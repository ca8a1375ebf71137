//! Connection URIs that sqlx and every libpq client (psql, pg_dump, …) read alike.
//!
//! The two differ where it hurts: libpq does not read `+` as a space, sqlx does, and sqlx refuses a user name
//! without a host. So everything travels percent-encoded, user and socket as parameters; the port and
//! `sslmode` are spelt out because both take defaults from the environment.

use std::fmt::Write;
use std::path::Path;

use crate::folder::PORT;

/// The superuser of every private server, and its only role at the start.
pub(crate) const ROLE: &str = "spacerent";

/// The URI of one database behind the socket in `socket_folder`.
pub(crate) fn of(socket_folder: &Path, database: &str) -> String {
    let database = encode(database);
    let host = encode(&socket_folder.to_string_lossy());
    format!("postgresql:///{database}?host={host}&port={PORT}&user={ROLE}&sslmode=disable")
}

/// Percent-encodes all but letters, digits and `-._~/`.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::str::FromStr;

    use super::{ROLE, of};

    #[test]
    fn sqlx_reads_back_what_was_written() {
        let folder = PathBuf::from("/tmp/a b+c&d=é%/socket");
        let options =
            sqlx::postgres::PgConnectOptions::from_str(&of(&folder, "my+data base")).unwrap();
        assert_eq!(options.get_socket(), Some(&folder));
        assert_eq!(options.get_database(), Some("my+data base"));
        assert_eq!(options.get_username(), ROLE);
    }
}
