//! The tests' HTTP client, and what came back.

use api::Role;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request on its way.
pub(crate) struct Call(reqwest::RequestBuilder);

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// The host that the seed's clients use for a role: links in answers carry it.
pub(crate) fn seed_host(role: Role) -> &'static str {
    match role {
        Role::Book => "localhost:8081",
        Role::Space => "localhost:8082",
        Role::Payment => "localhost:8083",
        Role::Mypage => "localhost:8084",
        Role::Gateway => "localhost:8088",
    }
}

/// A client; making one takes a while.
pub(crate) fn client() -> reqwest::Client {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Sends exactly these lines and this body over a connection of its own, and reads to its end what comes back.
pub(crate) async fn raw(address: &str, lines: &[&str], body: &str) -> Answer {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = lines.join("\r\n");
    let request = format!("{head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    Answer {
        status: status.parse().unwrap(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    }
}

impl Call {
    pub(crate) fn new(
        client: &reqwest::Client,
        address: &str,
        role: Role,
        method: &str,
        path: &str,
    ) -> Self {
        let method = method.parse().unwrap();
        let request = client.request(method, format!("http://{address}{path}"));
        Self(request.header("host", seed_host(role)))
    }

    /// Replaces nothing: a header that is given twice is sent twice.
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().unwrap();
        Self(
            self.0
                .header(name, HeaderValue::from_bytes(value.as_bytes()).unwrap()),
        )
    }

    /// A JSON body, with the headers that httpie sends.
    pub(crate) fn json(self, body: &str) -> Self {
        let headers = self
            .header("content-type", "application/json")
            .header("accept", "application/json, */*;q=0.5");
        headers.body(body.as_bytes().to_vec())
    }

    pub(crate) fn body(self, body: Vec<u8>) -> Self {
        Self(self.0.body(body))
    }

    pub(crate) async fn send(self) -> Answer {
        self.try_send().await.unwrap()
    }

    pub(crate) async fn try_send(self) -> reqwest::Result<Answer> {
        let response = self.0.send().await?;
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        let headers = response.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        Ok(Answer {
            status: response.status().as_u16(),
            headers,
            body: response.text().await?,
        })
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(given, _)| given == name)?;
        Some(value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Where the answer stands in the journal.
    pub(crate) fn position(&self) -> i64 {
        self.header("x-event-position")
            .unwrap_or_else(|| panic!("{self:?}"))
            .parse()
            .unwrap()
    }

    /// The number of the booking that it speaks of.
    pub(crate) fn bookid(&self) -> i64 {
        let location = self
            .header("location")
            .unwrap_or_else(|| panic!("{self:?}"));
        location.rsplit('/').next().unwrap().parse().unwrap()
    }

    /// That it is a problem of this kind.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, slug: &str) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let body = self.json();
        assert_eq!(body["type"], format!("/problems/{slug}"), "{self:?}");
        assert_eq!(body["status"], status, "{self:?}");
        assert_eq!(
            body["correlation_id"],
            self.header("x-correlation-id").unwrap(),
            "{self:?}"
        );
        body
    }
}
