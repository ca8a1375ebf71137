//! What happened to a registration, and at its space.

use cqrs_es::{Aggregate, DomainEvent};
use serde::{Deserialize, Serialize};

use super::{Method, Space, Stage};
use crate::status::Status;
use crate::terms::Slot;
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
        /// The customer, if the booking has one.
        userid: Option<UserId>,
        /// Which space.
        spacename: String,
        /// `success-register`.
        status: Status,
        /// The booking.
        bookid: BookId,
        /// For when; an unscheduled booking has no time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<Slot>,
        /// How long after the start a customer who did not come is waited for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        no_show_grace_minutes: Option<u32>,
    },
    /// The booking was moved to another time.
    RegistrationMoved {
        /// The registration.
        spaceid: BookId,
        /// The time that it has now.
        slot: Slot,
    },
    /// The booking was cancelled: staff do nothing more. In the same commit as `Bookcancelled`, so that a cancellation
    /// and a hand-over that happen at once cannot both be; and also where nothing is registered yet.
    FulfilmentStopped {
        /// The registration.
        spaceid: BookId,
        /// How far it had come.
        stage: Stage,
    },
    /// The space could not be registered.
    RegistrationRefused {
        /// The registration.
        spaceid: BookId,
        /// The booking.
        bookid: BookId,
        /// Why, in words for the customer.
        reason: String,
    },
    /// Staff began to prepare.
    PreparationStarted {
        /// The registration.
        spaceid: BookId,
        /// `preparing`.
        status: Status,
        /// Who did it, by name.
        by: String,
    },
    /// The space is ready.
    Prepared {
        /// The registration.
        spaceid: BookId,
        /// `ready`.
        status: Status,
        /// Who did it, by name.
        by: String,
    },
    /// The customer has key or code.
    HandedOver {
        /// The registration.
        spaceid: BookId,
        /// `delivered`.
        status: Status,
        /// How the customer gets in.
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
        /// Who let them in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// The customer is out.
    CheckedOut {
        /// The registration.
        spaceid: BookId,
        /// `completed`.
        status: Status,
        /// Minutes past the end.
        overtime_minutes: u32,
        /// Who saw them out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// Nobody came.
    NoShowMarked {
        /// The registration.
        spaceid: BookId,
        /// `no-show`.
        status: Status,
        /// Who said so; nobody, when the time did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
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
            Self::RegistrationMoved { .. } => "RegistrationMoved",
            Self::FulfilmentStopped { .. } => "FulfilmentStopped",
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
