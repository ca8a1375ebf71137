//! `Idempotency-Key`: a command that is sent again gets the first answer again.
//!
//! The key's row is written before the command runs and holds a lock of [`LOCK_MS`] by the database's clock.
//! While it is locked, the same request is told to come back; another request under the same key is refused;
//! afterwards the stored answer is given again. When the process dies in between, the lock runs out and the
//! next try runs the command under the command id of the row, which the journal answers with what it stored then.
//! A key is forgotten after a day; the same request is then a new one, with an id of its own (migrations/0029).

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use journal::StoreError;
use journal::keys::{self, Kept, Keyed};
use ring::digest::{SHA256, digest};
use uuid::Uuid;

use crate::command::Call;
use crate::problem::{Problem, impossible, internal};
use crate::state::Api;

/// How long a command may be at work before somebody else may take it over: well above the longest answer.
pub(crate) const LOCK_MS: i32 = 15_000;
/// How long a key may be.
const KEY_CHARS_MAX: usize = 255;

/// The header.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Makes command ids out of keyed requests.
const NAMESPACE: Uuid = Uuid::from_u128(0x73_70_61_63_65_72_65_6e_74_2f_6b_65_79_73_2f_32);
/// The same in the version before, out of key and body alone.
const NAMESPACE_BEFORE: Uuid = Uuid::from_u128(0x73_70_61_63_65_72_65_6e_74_2f_6b_65_79_73_2f_31);

/// A client's key, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    principal: &'static str,
    text: String,
}

impl Key {
    /// The request's key, if it has one: a quoted string as structured fields write it, or a bare token.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = given.next() else {
            return Ok(None);
        };
        let text = value
            .to_str()
            .ok()
            .filter(|_| given.next().is_none())
            .and_then(read);
        match text {
            // Whose key it is comes with authentication; until then everybody is one principal.
            Some(text) => Ok(Some(Self {
                principal: "anonymous",
                text,
            })),
            None => Err(Problem::Malformed(format!(
                "Idempotency-Key must be one string of 1 to {KEY_CHARS_MAX} visible characters"
            ))),
        }
    }

    /// As the journal keeps it.
    fn stored(&self) -> keys::Key<'_> {
        keys::Key {
            principal: self.principal,
            text: &self.text,
        }
    }

    /// The id of the command that this key and request stand for. All of the request belongs to it, because a key is
    /// forgotten after a day, and may come back with another one that must not be taken for the old one.
    fn command_id(&self, method: &str, path: &str, body: &[u8]) -> Uuid {
        let fingerprint = fingerprint(body);
        let parts = [
            self.principal.as_bytes(),
            self.text.as_bytes(),
            method.as_bytes(),
            path.as_bytes(),
            fingerprint.as_ref(),
        ];
        Uuid::new_v5(&NAMESPACE, &parts.join(&0))
    }

    /// The same of a request that a process of the version before has begun. It can go with the next version: a day
    /// after this one came, no such request is left.
    fn command_id_before(&self, body: &[u8]) -> Uuid {
        let fingerprint = fingerprint(body);
        let parts = [
            self.principal.as_bytes(),
            self.text.as_bytes(),
            fingerprint.as_ref(),
        ];
        Uuid::new_v5(&NAMESPACE_BEFORE, &parts.join(&0))
    }
}

fn fingerprint(body: &[u8]) -> impl AsRef<[u8]> {
    digest(&SHA256, body)
}

/// The key in a header's text.
fn read(text: &str) -> Option<String> {
    let text = text.trim();
    let key = match text.strip_prefix('"') {
        Some(quoted) => unquote(quoted.strip_suffix('"')?)?,
        None => text.to_owned(),
    };
    let usable = |c: char| c.is_ascii_graphic() || c == ' ';
    ((1..=KEY_CHARS_MAX).contains(&key.len()) && key.chars().all(usable)).then_some(key)
}

/// The inside of a structured-field string: only `\"` and `\\` are escapes, and a bare quote ends it early.
fn unquote(inside: &str) -> Option<String> {
    let mut key = String::new();
    let mut rest = inside.chars();
    while let Some(c) = rest.next() {
        key.push(match c {
            '"' => return None,
            '\\' => rest
                .next()
                .filter(|escaped| matches!(escaped, '"' | '\\'))?,
            plain => plain,
        });
    }
    Some(key)
}

/// What is known of a keyed request.
pub(crate) enum Begun {
    /// The caller runs it.
    Mine {
        /// How often it was begun.
        attempt: i32,
        /// Under which id it runs, whoever runs it.
        command_id: Uuid,
    },
    /// It has an answer.
    Done(Response),
}

impl Api {
    /// Begins a keyed request, or says why not.
    pub(crate) async fn begin(&self, key: &Key, call: &Call) -> Result<Begun, Problem> {
        let method = call.method.as_str();
        let fingerprint = fingerprint(&call.body);
        let request = Keyed {
            key: key.stored(),
            method,
            path: &call.path,
            fingerprint: fingerprint.as_ref(),
            command_id: key.command_id(method, &call.path, &call.body),
        };
        match self.journal.begin_keyed(&request, LOCK_MS).await? {
            keys::Begun::Mine {
                attempt,
                command_id,
            } => Ok(Begun::Mine {
                attempt,
                command_id: command_id.unwrap_or_else(|| key.command_id_before(&call.body)),
            }),
            keys::Begun::Answered(kept) => Ok(Begun::Done(replay(kept)?)),
            keys::Begun::InProgress => Err(Problem::KeyInProgress),
            keys::Begun::Reused => Err(Problem::KeyReused),
        }
    }

    /// Keeps an answer that will not change, or gives the key free for the next try; then passes it on.
    pub(crate) async fn finish(
        &self,
        key: &Key,
        attempt: i32,
        answer: Response,
    ) -> Result<Response, Problem> {
        let (parts, body) = answer.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX)
            .await
            .map_err(|error| internal(&error))?;
        let ended = if is_lasting(parts.status) {
            self.keep(key, attempt, parts.status, &parts.headers, &body)
                .await
        } else {
            self.journal.release_key(key.stored(), attempt).await
        };
        if let Err(error) = ended {
            // The command itself is done: its answer stands. The lock runs out by itself.
            tracing::warn!(%error, "an idempotency key could not be finished");
        }
        Ok(Response::from_parts(parts, Body::from(body)))
    }

    async fn keep(
        &self,
        key: &Key,
        attempt: i32,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<(), StoreError> {
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        };
        let answer = Kept {
            status: status.as_u16(),
            headers: headers.iter().filter_map(text).collect(),
            body: body.to_vec(),
        };
        self.journal
            .keep_answer(key.stored(), attempt, &answer)
            .await
    }
}

/// Whether the same request would be answered so for ever. Conflicts, versions and overload pass; our own failures, too;
/// and what is not there (a registration, say) may be there in a moment.
fn is_lasting(status: StatusCode) -> bool {
    let passing = [
        StatusCode::NOT_FOUND,
        StatusCode::CONFLICT,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::PRECONDITION_FAILED,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_success() || (status.is_client_error() && !passing.contains(&status))
}

fn replay(kept: Kept) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(kept.status);
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = status.map_err(|_| impossible("a stored answer without a status"))?;
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().append(name, value);
        }
    }
    let replayed = HeaderValue::from_static("true");
    response.headers_mut().insert(REPLAYED, replayed);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[&str]) -> Result<Option<Key>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(
                IDEMPOTENCY_KEY,
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        Key::of(&headers)
    }

    #[test]
    fn a_key_comes_quoted_or_bare() {
        let longest = "k".repeat(KEY_CHARS_MAX);
        for (given, read) in [
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            ("8e03978e-40d5", "8e03978e-40d5"),
            ("  spaced  ", "spaced"),
            ("\"two words\"", "two words"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            (&longest, &longest),
        ] {
            assert_eq!(key(&[given]).unwrap().unwrap().text, read, "{given}");
        }
        assert_eq!(key(&[]), Ok(None));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_ignored() {
        let too_long = "k".repeat(KEY_CHARS_MAX + 1);
        for given in [
            "", "\"\"", "\"open", "\"a\"b\"", r#""a\b""#, "열쇠", &too_long,
        ] {
            assert!(
                matches!(key(&[given]), Err(Problem::Malformed(_))),
                "{given:?}"
            );
        }
        assert!(matches!(key(&["a", "b"]), Err(Problem::Malformed(_))));
    }

    #[test]
    fn the_command_id_follows_from_key_and_request() {
        let (a, b) = (key(&["a"]).unwrap().unwrap(), key(&["b"]).unwrap().unwrap());
        let id = a.command_id("POST", "/payments/1/refunds", b"1");
        assert_eq!(a.command_id("POST", "/payments/1/refunds", b"1"), id);
        assert_ne!(b.command_id("POST", "/payments/1/refunds", b"1"), id);
        assert_ne!(a.command_id("PUT", "/payments/1/refunds", b"1"), id);
        assert_ne!(a.command_id("POST", "/payments/2/refunds", b"1"), id);
        assert_ne!(a.command_id("POST", "/payments/1/refunds", b"2"), id);
    }

    #[test]
    fn the_command_ids_of_the_version_before_are_what_they_were() {
        let key = key(&["a"]).unwrap().unwrap();
        let id = key.command_id_before(b"1").to_string();
        assert_eq!(id, "bdde9987-6ea3-520b-ad17-74d1597ca669");
    }

    #[test]
    fn only_answers_that_would_not_change_are_kept() {
        for (status, kept) in [(201, true), (202, true), (402, true), (422, true)] {
            assert_eq!(
                is_lasting(StatusCode::from_u16(status).unwrap()),
                kept,
                "{status}"
            );
        }
        for status in [404, 408, 409, 412, 429, 500, 503, 504] {
            assert!(
                !is_lasting(StatusCode::from_u16(status).unwrap()),
                "{status}"
            );
        }
    }
}
