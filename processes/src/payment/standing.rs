//! Where a payment stands before anything is sent, from the journal.
//!
//! A charge is the customer's call's to send for a while after it was wanted, and then the background's: from
//! the moment that the booking was deferred, or the time of the customer's call is over, a worker sees to it,
//! and what that worker knows ("nothing was sent") must stay true.

use domain::BookId;
use domain::book::{self, Book};
use domain::payment::{self, Payment, Purpose, Stage};
use domain::ports::ChargeOutcome;
use futures::future::try_join;
use jiff::Timestamp;
use journal::{History, Journal, StoreError};

use crate::deadline::later;
use crate::settings::PaymentSettings;

/// Where a payment stands.
#[derive(Debug, PartialEq)]
pub(crate) enum Standing {
    /// The charge may be sent.
    Wanted,
    /// The outcome is known.
    Known(ChargeOutcome),
    /// The background sees to it, or nobody sends it any more.
    NotOurs,
    /// Nobody asked for such a payment.
    Unasked,
}

impl Standing {
    pub(crate) async fn of(
        journal: &Journal,
        bookid: BookId,
        charge_no: u32,
        settings: &PaymentSettings,
    ) -> Result<Self, StoreError> {
        let (book, payment) = try_join(
            journal.load::<Book>(bookid),
            journal.history::<Payment>(bookid),
        )
        .await?;
        let Some(payment) = payment else {
            return Ok(Self::Unasked);
        };
        if let Some(outcome) = outcome(&payment, charge_no) {
            return Ok(Self::Known(outcome));
        }
        let waits = book.is_none_or(|(book, _)| book.stage == book::Stage::Placed);
        let asked = payment.aggregate.stage == Stage::Requested
            && payment.aggregate.charge_no() == charge_no
            && !payment.aggregate.is_void_requested();
        let in_time = requested_at(&payment, charge_no).is_some_and(|requested_at| {
            journal.clock().now() < later(requested_at, settings.inline_max())
        });
        Ok(if waits && asked && in_time {
            Self::Wanted
        } else {
            Self::NotOurs
        })
    }
}

/// What became of a charge, if that is known.
fn outcome(payment: &History<Payment>, charge_no: u32) -> Option<ChargeOutcome> {
    use payment::Event as E;
    payment.events.iter().find_map(|(event, _)| match event {
        E::Approved {
            charge_no: no,
            gateway_ref,
            captured,
            ..
        } if *no == charge_no => Some(ChargeOutcome::Approved {
            gateway_ref: gateway_ref.clone(),
            captured: *captured,
        }),
        E::PaymentDeclined {
            charge_no: no,
            code,
            message,
            ..
        } if *no == charge_no => Some(ChargeOutcome::Declined {
            code: code.clone(),
            message: message.clone(),
        }),
        _ => None,
    })
}

/// Whether a charge was declined because no gateway knew of it, and nobody else said so.
pub(crate) fn counts_as_not_made(payment: &History<Payment>, charge_no: u32) -> bool {
    use payment::Event as E;
    payment.events.iter().any(|(event, _)| match event {
        E::PaymentDeclined {
            charge_no: no,
            code,
            ..
        }
        | E::ChargeDeclined {
            charge_no: no,
            code,
            ..
        } => *no == charge_no && code == payment::NOT_CHARGED,
        _ => false,
    })
}

/// When a call for a charge last ended without an answer.
pub(crate) fn unanswered_at(payment: &History<Payment>, charge_no: u32) -> Option<Timestamp> {
    let mut latest_first = payment.events.iter().rev();
    latest_first.find_map(|(event, metadata)| match event {
        payment::Event::PaymentOutcomeUnknown { charge_no: no, .. } if *no == charge_no => {
            Some(metadata.occurred_at)
        }
        _ => None,
    })
}

/// When a charge was wanted.
pub(crate) fn requested_at(payment: &History<Payment>, charge_no: u32) -> Option<Timestamp> {
    payment
        .events
        .iter()
        .find_map(|(event, metadata)| match event {
            payment::Event::PaymentRequested { charge_no: no, .. }
            | payment::Event::ChargeRequested { charge_no: no, .. }
                if *no == charge_no =>
            {
                Some(metadata.occurred_at)
            }
            _ => None,
        })
}

/// When a refund was wanted.
pub(crate) fn refund_requested_at(payment: &History<Payment>, refund_no: u32) -> Option<Timestamp> {
    payment
        .events
        .iter()
        .find_map(|(event, metadata)| match event {
            payment::Event::RefundRequested { refund_no: no, .. } if *no == refund_no => {
                Some(metadata.occurred_at)
            }
            _ => None,
        })
}

/// When this charge was no longer wanted, if so: the booking's when it was given up, a further one when the payment was.
pub(crate) fn void_at(payment: &History<Payment>, charge_no: u32) -> Option<Timestamp> {
    if !payment.aggregate.is_unwanted(charge_no) {
        return None;
    }
    let undoing = payment
        .events
        .iter()
        .find_map(|(event, metadata)| match event {
            payment::Event::VoidRequested { .. }
            | payment::Event::Cancelled { .. }
            | payment::Event::RefundRequested {
                purpose: Purpose::Cancellation,
                ..
            } => Some(metadata.occurred_at),
            _ => None,
        });
    // What is not wanted was given up at some time; if nothing says when, just now.
    undoing.or_else(|| {
        payment
            .events
            .last()
            .map(|(_, metadata)| metadata.occurred_at)
    })
}
