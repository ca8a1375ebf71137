//! Takes a payment in another process: asks whoever plays the payment role, over HTTP.
//!
//! That role records the outcome and looks after what is unknown, so nothing is recorded here. A breaker and
//! a bulkhead of our own stand before the call: a payment role that is away must not make every booking wait.
//! Only a connection that was never made is surely "not sent"; whatever else goes wrong may have reached it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::Status;
use domain::ports::{Clock, PaymentDue, PendingReason, TakePayment, Taken};
use journal::runtime::Runtime;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use serde_json::json;

use crate::breaker::Verdict;
use crate::guard::Guard;
use crate::guarded::{Call, Guarded, Limits, pending};
use crate::settings::PaymentSettings;

/// How long making a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How much longer than its customer a call is waited for: the payment role answers when *its* customer's time
/// is over, and that answer shows that it is well.
const ANSWER_MARGIN: Duration = Duration::from_millis(500);
/// How much of an answer is read.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// Where the answer's last event stands in the journal.
const EVENT_POSITION: HeaderName = HeaderName::from_static("x-event-position");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Why payments cannot be taken elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address is not a URL.
    #[error("the payment role's address cannot be used: {0}")]
    Address(String),
    /// The HTTP client cannot be made: its TLS has no roots, say.
    #[error("no HTTP client can be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// Takes payments in the process at an address.
pub struct RemotePayment {
    posts: Arc<Guarded<Post>>,
}

impl RemotePayment {
    /// Asks the payment role at `payment_url`; its breaker goes by `clock`. The process's TLS provider must be
    /// installed before.
    ///
    /// # Errors
    /// [`RemoteError`] when that address cannot be called.
    pub fn new(
        payment_url: &str,
        clock: Arc<dyn Clock>,
        settings: PaymentSettings,
        runtime: Arc<dyn Runtime>,
    ) -> Result<Self, RemoteError> {
        let url = format!("{}/payments", payment_url.trim_end_matches('/'));
        let url: Url = url
            .parse()
            .map_err(|error| RemoteError::Address(format!("{error}")))?;
        let answered_within = settings.timeout() + ANSWER_MARGIN;
        let client = Client::builder()
            .connect_timeout(CONNECT_MAX)
            .timeout(answered_within)
            .redirect(redirect::Policy::none())
            // The payment role is a neighbour.
            .no_proxy()
            .build()?;
        let limits = Limits {
            patience: settings.timeout(),
            unanswered: answered_within,
            call_max: answered_within,
            // What goes on, goes on over there.
            late_max: 0,
        };
        let guard = Guard::new("remote", settings.breaker, Arc::clone(&clock));
        Ok(Self {
            posts: Guarded::new(Post { client, url }, guard, limits, clock, runtime),
        })
    }
}

#[async_trait]
impl TakePayment for RemotePayment {
    async fn take(&self, due: PaymentDue) -> Taken {
        let patience = self.posts.patience();
        self.posts.take(due, patience).await
    }
}

/// `POST /payments`.
struct Post {
    client: Client,
    url: Url,
}

#[async_trait]
impl Call for Post {
    type Answer = (Verdict, Taken);

    async fn send(&self, due: &PaymentDue) -> Self::Answer {
        let request = self
            .client
            .post(self.url.clone())
            .headers(journey(due))
            .json(&json!({ "bookid": due.bookid }));
        match request.send().await {
            Ok(response) => read(response).await,
            Err(error) => {
                let sent = !error.is_connect();
                // Without the address: it may hold a password.
                let error = error.without_url();
                tracing::warn!(bookid = due.bookid.0, %error, sent, "the payment role did not answer");
                (Verdict::Failed, pending(PendingReason::Unreachable, sent))
            }
        }
    }

    fn unanswered(&self, _why: &str) -> Self::Answer {
        (Verdict::Failed, pending(PendingReason::Timeout, true))
    }

    fn verdict(&self, (verdict, _): &Self::Answer) -> Verdict {
        *verdict
    }

    async fn conclude(&self, _due: &PaymentDue, (_, taken): Self::Answer) -> Taken {
        taken
    }
}

fn journey(due: &PaymentDue) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let texts = [
        (CORRELATION_ID, Some(&due.correlation_id)),
        (TRACEPARENT, due.traceparent.as_ref()),
    ];
    for (name, text) in texts {
        // What no header can hold is omitted rather than let the payment fail.
        if let Some(Ok(value)) = text.map(HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }
    headers
}

/// What the payment role says beside its status. Which fields are there goes by the status; `code` is a pending
/// payment's reason or a gateway's refusal.
#[derive(Default, Deserialize)]
struct Body {
    status: Option<serde_json::Value>,
    sent: Option<bool>,
    reason: Option<String>,
    code: Option<String>,
    detail: Option<String>,
}

async fn read(response: Response) -> (Verdict, Taken) {
    let status = response.status();
    let position = position(response.headers());
    let body = body(response).await.unwrap_or_default();
    let taken = match (status, position) {
        (StatusCode::OK | StatusCode::CREATED, Some(position))
            if body.status == Some(Status::SuccessPay.as_str().into()) =>
        {
            Taken::Approved { position }
        }
        (StatusCode::PAYMENT_REQUIRED, Some(position)) => Taken::Declined {
            code: body.code.unwrap_or_default(),
            message: body.detail.unwrap_or_default(),
            position,
        },
        (StatusCode::ACCEPTED, _) => pending(why(&body), body.sent.unwrap_or(true)),
        (status, _) => {
            tracing::warn!(%status, "the payment role's answer says nothing about the payment");
            return (Verdict::Failed, pending(PendingReason::Unreachable, true));
        }
    };
    (Verdict::Answered, taken)
}

fn position(headers: &HeaderMap) -> Option<i64> {
    headers.get(EVENT_POSITION)?.to_str().ok()?.parse().ok()
}

async fn body(mut response: Response) -> Option<Body> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_MAX_BYTES {
            return None;
        }
    }
    serde_json::from_slice(&bytes).ok()
}

/// Why the payment is pending. A role that does not say is taken to have waited in vain.
fn why(body: &Body) -> PendingReason {
    let code = body.code.as_deref().and_then(PendingReason::of_code);
    let sentence = || body.reason.as_deref().and_then(of_sentence);
    code.or_else(sentence).unwrap_or(PendingReason::Timeout)
}

/// The reason that a payment role of an older version means: it sent a sentence and no code. These are its sentences,
/// whatever they read like today.
fn of_sentence(sentence: &str) -> Option<PendingReason> {
    Some(match sentence {
        "the payment gateway is overloaded" => PendingReason::BreakerOpen,
        "too many payments are in flight" => PendingReason::BulkheadFull,
        "the payment gateway did not answer in time" => PendingReason::Timeout,
        "the payment gateway could not be reached" => PendingReason::Unreachable,
        "the outcome could not be recorded" => PendingReason::NotRecorded,
        _ => return None,
    })
}
