//! What went wrong, as the client is told: `application/problem+json` (RFC 9457).
//!
//! One enum for every way in which a request can fail, and one `match` ([`Problem::face`]) that gives each its
//! status. A problem never carries internals: what the database said goes to the log. The body is written by
//! [`complete`], because only the outermost layer knows the path and the correlation id that stand in it.

mod cause;
mod part;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::{Currency, Money, Phase, book};
use jiff::Timestamp;
use serde::Serialize;

use crate::conditions::Tag;
use crate::media;
use crate::methods::{ACCEPT_PATCH, ACCEPT_POST};

pub(crate) use self::cause::{impossible, internal};
pub(crate) use self::part::{Alternative, Invalid};

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{0}")]
    Malformed(String),
    #[error("the request cannot be used as it is")]
    Invalid(Vec<Invalid>),
    /// No such item of a collection; without a body where the seed's clients expect none.
    #[error("there is no such item")]
    NoSuchItem,
    #[error("there is nothing here")]
    NotFound,
    /// The route adds `Allow`.
    #[error("this resource does not take this method")]
    MethodNotAllowed,
    #[error("this is offered as {offers}")]
    NotAcceptable { offers: String },
    #[error("a body of this media type is not read here; the header says which are")]
    UnsupportedMediaType {
        /// Whether it was to be a patch.
        patch: bool,
    },
    #[error("it is at version {current}, which is not what If-Match expects")]
    VersionMismatch { current: i64 },
    /// A precondition of what is not there.
    #[error("there is nothing here that If-Match could speak of")]
    NothingToMatch,
    #[error("a change must say in If-Match which version it changes; GET shows it as ETag")]
    VersionRequired,
    /// The patch takes something for granted that is not so.
    #[error("{0}")]
    PatchDoesNotFit(String),
    #[error("the body is larger than {max_bytes} bytes")]
    TooLarge { max_bytes: usize },
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("a booking that is {current} cannot be cancelled", current = current.as_str())]
    IllegalTransition { current: Phase },
    #[error("a booking that is {current} cannot be moved", current = current.as_str())]
    NotMovable { current: Phase },
    #[error(
        "a booking is moved {} times at most; cancel it and make another one",
        book::MOVES_MAX
    )]
    MovedTooOften,
    #[error("the time of this booking began at {start}; it can neither be cancelled nor moved")]
    Started { start: Timestamp },
    #[error(
        "the venue's prices are in another currency by now than what was paid; cancel this booking and make another one"
    )]
    OtherCurrency,
    #[error("the space was handed over already; a manager can still give money back")]
    AlreadyHandedOver,
    /// What staff wanted to do, where the registration is, and what could be done there.
    #[error("{step} is not possible for a space that is {current}", current = current.as_str())]
    ImpossibleStep {
        step: &'static str,
        current: Phase,
        allowed: Vec<&'static str>,
    },
    #[error("the customer is waited for until {until}")]
    TooEarly { until: Timestamp },
    #[error("the booking has no time that could be moved")]
    Unscheduled,
    #[error("what is to be paid for the booking is not paid yet")]
    PaymentOpen,
    #[error("only {available} can still be given back")]
    NotRefundable { available: i64 },
    /// What a cancellation kept, in minor units.
    #[error(
        "the booking was cancelled by its terms, which kept {kept}; that cannot be given back here"
    )]
    KeptByTerms { kept: i64 },
    #[error("nothing that was declined is to be paid for the booking")]
    NothingOutstanding,
    #[error("there is no booking of this number that could be paid")]
    NoSuchBooking,
    #[error("the space is already booked for that time")]
    SlotTaken {
        /// The nearest times that were free when it was refused.
        alternatives: Vec<Alternative>,
    },
    #[error("it costs {} {} by now, which is not expected_amount; nothing was stored", price.minor, price.currency)]
    PriceChanged { price: Money },
    #[error("there is no venue of this name")]
    NoSuchVenue,
    #[error("there is a venue of this name; PUT changes it")]
    VenueExists { version: i64 },
    #[error("fewer points are there than are to be spent")]
    PointsNotCovered,
    #[error("others changed the same booking at the same time; try again")]
    Contended,
    #[error("a request with this Idempotency-Key is still being worked on")]
    KeyInProgress,
    #[error("this Idempotency-Key was used for another request")]
    KeyReused,
    #[error("{message}")]
    PaymentDeclined { code: String, message: String },
    #[error("too many bookings wait for their payment; nothing was stored, please come back")]
    PaymentOverloaded,
    #[error("too many requests are being worked on")]
    Overloaded,
    #[error(
        "the storage does not answer; try again, and what changes something under the same Idempotency-Key"
    )]
    StorageUnavailable,
    /// While nodes are upgraded one after the other, an old one may meet what a new one stored.
    #[error(
        "this booking was last changed by a newer version of this service than the one that answered; nothing was \
         stored, please try again"
    )]
    NewerVersionNeeded,
    /// The live rows lack a column that this program shows.
    #[error(
        "what is shown here was filled by another version of this service, and has to be rebuilt by its operator: \
         spacerent migrate --rebuild"
    )]
    ReadModelOutdated,
    #[error("the part of the system that does this cannot be reached; it was not asked")]
    UpstreamUnavailable,
    #[error("the part of the system that does this did not answer")]
    UpstreamSilent,
    #[error("something went wrong on our side")]
    Internal,
}

/// What a problem looks like.
struct Face {
    status: StatusCode,
    /// The last part of its type's address; its title is made of the same words.
    slug: &'static str,
    retry_after_seconds: Option<u16>,
}

impl Problem {
    /// The one place that gives a problem its status.
    fn face(&self) -> Face {
        use StatusCode as S;
        let (status, slug, retry_after_seconds) = match self {
            Self::Malformed(_) => (S::BAD_REQUEST, "malformed-request", None),
            Self::Invalid(_) => (S::UNPROCESSABLE_ENTITY, "validation-failed", None),
            Self::NoSuchItem | Self::NoSuchVenue | Self::NotFound => {
                (S::NOT_FOUND, "not-found", None)
            }
            Self::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "method-not-allowed", None),
            Self::NotAcceptable { .. } => (S::NOT_ACCEPTABLE, "not-acceptable", None),
            Self::UnsupportedMediaType { .. } => {
                (S::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", None)
            }
            Self::VersionMismatch { .. } | Self::NothingToMatch => {
                (S::PRECONDITION_FAILED, "version-mismatch", None)
            }
            Self::VersionRequired => (S::PRECONDITION_REQUIRED, "if-match-required", None),
            Self::PatchDoesNotFit(_) => (S::CONFLICT, "patch-does-not-fit", None),
            Self::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, "body-too-large", None),
            Self::TooSlow => (S::REQUEST_TIMEOUT, "body-too-slow", None),
            Self::IllegalTransition { .. }
            | Self::NotMovable { .. }
            | Self::ImpossibleStep { .. } => (S::CONFLICT, "illegal-transition", None),
            Self::Started { .. } => (S::CONFLICT, "already-started", None),
            Self::OtherCurrency => (S::CONFLICT, "other-currency", None),
            Self::MovedTooOften => (S::CONFLICT, "moved-too-often", None),
            Self::AlreadyHandedOver => (S::CONFLICT, "already-handed-over", None),
            Self::TooEarly { .. } => (S::CONFLICT, "too-early", None),
            Self::Unscheduled => (S::CONFLICT, "unscheduled", None),
            Self::PaymentOpen => (S::CONFLICT, "payment-open", None),
            Self::NotRefundable { .. } | Self::KeptByTerms { .. } => {
                (S::CONFLICT, "not-refundable", None)
            }
            Self::NothingOutstanding => (S::CONFLICT, "nothing-outstanding", None),
            Self::NoSuchBooking => (S::CONFLICT, "no-such-booking", None),
            Self::SlotTaken { .. } => (S::CONFLICT, "slot-taken", None),
            Self::PriceChanged { .. } => (S::CONFLICT, "price-changed", None),
            Self::VenueExists { .. } => (S::CONFLICT, "venue-exists", None),
            Self::PointsNotCovered => (S::CONFLICT, "points-not-covered", None),
            Self::Contended => (S::CONFLICT, "concurrent-update", Some(1)),
            Self::KeyInProgress => (S::CONFLICT, "idempotency-key-in-progress", Some(1)),
            Self::KeyReused => (S::UNPROCESSABLE_ENTITY, "idempotency-key-reused", None),
            Self::PaymentDeclined { .. } => (S::PAYMENT_REQUIRED, "payment-declined", None),
            Self::PaymentOverloaded => (S::SERVICE_UNAVAILABLE, "payment-overloaded", Some(30)),
            Self::Overloaded => (S::SERVICE_UNAVAILABLE, "overloaded", Some(1)),
            Self::StorageUnavailable => (S::SERVICE_UNAVAILABLE, "storage-unavailable", Some(5)),
            Self::NewerVersionNeeded => (S::SERVICE_UNAVAILABLE, "newer-version-needed", Some(30)),
            Self::ReadModelOutdated => (S::SERVICE_UNAVAILABLE, "read-model-outdated", Some(30)),
            Self::UpstreamUnavailable => (S::SERVICE_UNAVAILABLE, "upstream-unavailable", Some(5)),
            Self::UpstreamSilent => (S::GATEWAY_TIMEOUT, "upstream-silent", Some(5)),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", None),
        };
        Face {
            status,
            slug,
            retry_after_seconds,
        }
    }
}

impl Face {
    /// `payment-declined` as "Payment declined".
    fn title(&self) -> String {
        let (first, rest) = self.slug.split_at(1);
        first.to_uppercase() + &rest.replace('-', " ")
    }
}

/// A problem's body, in the order in which its members are written.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: String,
    status: u16,
    detail: String,
    instance: &'a str,
    correlation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<&'a [Invalid]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<Phase>,
    /// What could be asked instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<&'a [&'static str]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alternatives: Option<&'a [Alternative]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<Currency>,
}

impl IntoResponse for Problem {
    /// Status and headers; the body comes with [`complete`].
    fn into_response(self) -> Response {
        let face = self.face();
        let mut response = face.status.into_response();
        if let Some(seconds) = face.retry_after_seconds {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        match &self {
            Self::VersionMismatch { current: version } | Self::VenueExists { version } => {
                response = Tag::of_version(*version).on(response);
            }
            Self::UnsupportedMediaType { patch } => {
                let (name, types) = if *patch {
                    (ACCEPT_PATCH, media::PATCH)
                } else {
                    (ACCEPT_POST, media::POST)
                };
                response
                    .headers_mut()
                    .insert(name, HeaderValue::from_static(types));
            }
            _ => {}
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Whether this is the address of one item of a resource that the seed had, or of a search for one: there "no such
/// item" has no body.
fn is_item_of_the_seed(path: &str) -> bool {
    let mut parts = path.trim_start_matches('/').splitn(3, '/');
    let is_seeds_own = parts.next().is_some_and(|name| SEEDS_OWN.contains(&name));
    is_seeds_own
        && matches!(
            (parts.next(), parts.next()),
            (Some("search"), _) | (Some(_), None)
        )
}

/// The resources that the seed had.
const SEEDS_OWN: [&str; 4] = ["books", "payments", "spaces", "mypages"];

/// Writes the body of a problem, once; any other response passes unchanged.
pub(crate) fn complete(mut response: Response, instance: &str, correlation_id: &str) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    if problem == Problem::NoSuchItem && is_item_of_the_seed(instance) {
        return response;
    }
    let face = problem.face();
    let price = match &problem {
        Problem::PriceChanged { price } => Some(price),
        _ => None,
    };
    let document = Document {
        r#type: format!("/problems/{}", face.slug),
        title: face.title(),
        status: face.status.as_u16(),
        detail: problem.to_string(),
        instance,
        correlation_id,
        errors: if let Problem::Invalid(errors) = &problem {
            Some(errors)
        } else {
            None
        },
        current: match problem {
            Problem::IllegalTransition { current }
            | Problem::NotMovable { current }
            | Problem::ImpossibleStep { current, .. } => Some(current),
            _ => None,
        },
        allowed: if let Problem::ImpossibleStep { allowed, .. } = &problem {
            Some(allowed)
        } else {
            None
        },
        until: if let Problem::TooEarly { until } = problem {
            Some(until)
        } else {
            None
        },
        code: if let Problem::PaymentDeclined { code, .. } = &problem {
            Some(code)
        } else {
            None
        },
        alternatives: if let Problem::SlotTaken { alternatives } = &problem {
            Some(alternatives)
        } else {
            None
        },
        amount: price.map(|price| price.minor),
        currency: price.map(|price| price.currency),
    };
    let Ok(body) = serde_json::to_vec(&document) else {
        return response;
    };
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    *response.body_mut() = Body::from(body);
    response
}
