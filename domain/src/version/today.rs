//! The table of production. Every name that was ever stored stands here, and stays.

use cqrs_es::Aggregate;

use super::{Lineage, Stream, Table};
use crate::book::Book;
use crate::payment::Payment;
use crate::space::Space;

/// What is written today, and how everything written before is read. All events are of their first version so far.
pub static TODAY: Table = Table(&[
    Stream {
        aggregate_type: Book::TYPE,
        events: &[
            Lineage::first("Booked"),
            Lineage::first("PaymentDeferred"),
            Lineage::first("BookConfirmed"),
            Lineage::first("BookRejected"),
            Lineage::first("BookExpired"),
            Lineage::first("Rescheduled"),
            Lineage::first("Bookcancelled"),
            Lineage::first("BookClosed"),
        ],
    },
    Stream {
        aggregate_type: Payment::TYPE,
        events: &[
            Lineage::first("PaymentRequested"),
            Lineage::first("PointsSpent"),
            Lineage::first("PointsReturned"),
            Lineage::first("ChargeRequested"),
            Lineage::first("ChargeApproved"),
            Lineage::first("ChargeDeclined"),
            Lineage::first("Approved"),
            Lineage::first("PointsAccrued"),
            Lineage::first("PaymentDeclined"),
            Lineage::first("PaymentOutcomeUnknown"),
            Lineage::first("VoidRequested"),
            Lineage::first("RefundRequested"),
            Lineage::first("RefundFailed"),
            Lineage::first("PartiallyRefunded"),
            Lineage::first("Cancelled"),
            Lineage::first("PointsClawedBack"),
            Lineage::first("LateApproval"),
            Lineage::first("DuplicateCharge"),
            Lineage::first("SurplusRefunded"),
        ],
    },
    Stream {
        aggregate_type: Space::TYPE,
        events: &[
            Lineage::first("Registered"),
            Lineage::first("RegistrationMoved"),
            Lineage::first("FulfilmentStopped"),
            Lineage::first("RegistrationRefused"),
            Lineage::first("PreparationStarted"),
            Lineage::first("Prepared"),
            Lineage::first("HandedOver"),
            Lineage::first("CheckedIn"),
            Lineage::first("CheckedOut"),
            Lineage::first("NoShowMarked"),
            Lineage::first("Registercancelled"),
        ],
    },
]);
