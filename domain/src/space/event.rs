//! What happened to a registration, and at its space.

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use super::{Method, Space, Stage};
use crate::status::Status;
use crate::value::{BookId, UserId};
use crate::version;

/// What happened to a registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum Event {
    /// The space is registered for the booking.
    Registered {
        /// The registration; equals `bookid`.
        spaceid: BookId,
        /// The approved payment.
        payid: BookId,
        /// For whom.
        userid: Option<UserId>,
        /// Which space.
        spacename: String,
        /// `success-register`.
        status: Status,
        /// The booking.
        bookid: BookId,
    },
    /// The space could not be registered.
    RegistrationRefused {
        /// The registration.
        spaceid: BookId,
        /// The booking.
        bookid: BookId,
        /// Why.
        reason: String,
    },
    /// Staff began to prepare.
    PreparationStarted {
        /// The registration.
        spaceid: BookId,
        /// `preparing`.
        status: Status,
        /// Who.
        by: String,
    },
    /// The space is ready.
    Prepared {
        /// The registration.
        spaceid: BookId,
        /// `ready`.
        status: Status,
        /// Who.
        by: String,
    },
    /// The customer has key or code.
    HandedOver {
        /// The registration.
        spaceid: BookId,
        /// `delivered`.
        status: Status,
        /// How.
        method: Method,
        /// Who handed over.
        by: String,
    },
    /// The customer is in.
    CheckedIn {
        /// The registration.
        spaceid: BookId,
        /// `in-use`.
        status: Status,
    },
    /// The customer is out.
    CheckedOut {
        /// The registration.
        spaceid: BookId,
        /// `completed`.
        status: Status,
        /// Minutes past the end.
        overtime_minutes: u32,
    },
    /// Nobody came.
    NoShowMarked {
        /// The registration.
        spaceid: BookId,
        /// `no-show`.
        status: Status,
    },
    /// The registration is undone.
    Registercancelled {
        /// The registration.
        spaceid: BookId,
        /// For whom it was.
        userid: Option<UserId>,
        /// Which space.
        spacename: String,
        /// `cancel-register`.
        status: Status,
        /// The booking.
        bookid: BookId,
        /// How far it had come.
        stage: Stage,
    },
}

impl Event {
    /// Its name, as it is stored.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "Registered",
            Self::RegistrationRefused { .. } => "RegistrationRefused",
            Self::PreparationStarted { .. } => "PreparationStarted",
            Self::Prepared { .. } => "Prepared",
            Self::HandedOver { .. } => "HandedOver",
            Self::CheckedIn { .. } => "CheckedIn",
            Self::CheckedOut { .. } => "CheckedOut",
            Self::NoShowMarked { .. } => "NoShowMarked",
            Self::Registercancelled { .. } => "Registercancelled",
        }
    }
}

impl DomainEvent for Event {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        version::written(Space::TYPE, self.name())
    }
}
