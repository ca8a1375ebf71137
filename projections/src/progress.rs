//! How far a booking is after an event: the seed's status string of each resource, and the phase of all.
//!
//! One pure function, [`after`], used by every projection that shows a booking, so that they cannot disagree.
//! Events of the three streams of a booking may come in several orders. What holds in all of them: the phase
//! only moves forward; a booking that is being undone, or is over, is never moved back by a late event; and a
//! payment's and a registration's own status follows its own stream, also while the booking is being undone.

use domain::book::Outcome;
use domain::{Event, Phase, Status, book, payment, space};

/// What an event makes of a booking. A status that is `None` stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The phase, the same on all resources.
    pub phase: Phase,
    /// Of the booking.
    pub book: Option<Status>,
    /// Of its payment.
    pub payment: Option<Status>,
    /// Of its registration.
    pub space: Option<Status>,
    /// On My Page.
    pub mypage: Option<Status>,
}

/// What `event` makes of a booking that is in phase `before`; for `Booked`, which is the first, any phase will do.
#[must_use]
pub fn after(before: Phase, event: &Event) -> Progress {
    match event {
        Event::Book(event) => after_book(before, event),
        Event::Payment(event) => after_payment(before, event),
        Event::Space(event) => after_space(before, event),
    }
}

fn after_book(before: Phase, event: &book::Event) -> Progress {
    use book::Event as E;
    let both = |phase, status| forward(before, phase, Some(status), Some(status));
    match event {
        E::Booked { .. } => Progress {
            phase: Phase::Placed,
            book: Some(Status::Booking),
            mypage: Some(Status::Booking),
            ..unmoved(before)
        },
        E::PaymentDeferred { .. } => {
            let progress = both(Phase::PaymentPending, Status::Timeout);
            // Also the payment says that it waits, unless its outcome came first.
            Progress {
                payment: progress.book,
                ..progress
            }
        }
        // `Registered` said it already; another time is no other phase.
        E::BookConfirmed { .. } | E::Rescheduled { .. } => unmoved(before),
        E::BookRejected { .. } => both(Phase::PaymentFailed, Status::PayFailed),
        E::BookExpired { .. } => {
            let progress = both(Phase::Expired, Status::Expired);
            Progress {
                payment: progress.book.map(|_| Status::CancelPay),
                ..progress
            }
        }
        E::Bookcancelled { .. } => both(Phase::Cancelling, Status::CancelBooking),
        E::BookClosed { outcome, .. } => {
            let phase = match outcome {
                Outcome::Cancelled => Phase::Cancelled,
                Outcome::Completed => Phase::Completed,
                Outcome::NoShow => Phase::NoShow,
            };
            both(phase, outcome.status())
        }
    }
}

fn after_payment(before: Phase, event: &payment::Event) -> Progress {
    use payment::Event as E;
    // The payment's own status; once it is undone it stays undone.
    let own = |status| {
        let undone = matches!(before, Phase::Expired | Phase::Refunded | Phase::Cancelled);
        (!undone).then_some(status)
    };
    match event {
        E::Approved { .. } => Progress {
            payment: own(Status::SuccessPay),
            ..forward(
                before,
                Phase::Paid,
                Some(Status::Booking),
                Some(Status::SuccessPay),
            )
        },
        E::PaymentDeclined { .. } => {
            let status = Some(Status::PayFailed);
            Progress {
                payment: own(Status::PayFailed),
                ..forward(before, Phase::PaymentFailed, status, status)
            }
        }
        E::Cancelled { .. } if before == Phase::Cancelling => Progress {
            payment: Some(Status::CancelPay),
            ..forward(before, Phase::Refunded, None, Some(Status::CancelPay))
        },
        // The booking expired or was rejected, and says so itself.
        E::Cancelled { .. } => Progress {
            payment: Some(Status::CancelPay),
            ..unmoved(before)
        },
        // A further charge moves no booking.
        E::ChargeRequested { .. }
        | E::ChargeApproved { .. }
        | E::ChargeDeclined { .. }
        | E::PaymentRequested { .. }
        | E::PointsSpent { .. }
        | E::PointsReturned { .. }
        | E::PointsAccrued { .. }
        | E::PaymentOutcomeUnknown { .. }
        | E::VoidRequested { .. }
        | E::RefundRequested { .. }
        | E::RefundFailed { .. }
        | E::PartiallyRefunded { .. }
        | E::PointsClawedBack { .. }
        | E::LateApproval { .. }
        | E::DuplicateCharge { .. }
        | E::SurplusRefunded { .. } => unmoved(before),
    }
}

fn after_space(before: Phase, event: &space::Event) -> Progress {
    use space::Event as E;
    let step = |phase, book, status, mypage| Progress {
        space: Some(status),
        ..forward(before, phase, book, Some(mypage))
    };
    let staff = |phase, status| step(phase, None, status, status);
    let over = |phase, status| step(phase, Some(status), status, status);
    match event {
        E::Registered { .. } => {
            let status = Status::SuccessRegister;
            step(Phase::Registered, Some(status), status, Status::Registered)
        }
        E::PreparationStarted { .. } => staff(Phase::Preparing, Status::Preparing),
        E::Prepared { .. } => staff(Phase::Ready, Status::Ready),
        E::HandedOver { .. } => staff(Phase::HandedOver, Status::Delivered),
        E::CheckedIn { .. } => staff(Phase::InUse, Status::InUse),
        E::CheckedOut { .. } => over(Phase::Completed, Status::Completed),
        E::NoShowMarked { .. } => over(Phase::NoShow, Status::NoShow),
        // The booking is cancelled when it is closed, which follows.
        E::Registercancelled { .. } => Progress {
            space: Some(Status::CancelRegister),
            ..unmoved(before)
        },
        // `Bookcancelled` says it, in the same commit.
        E::FulfilmentStopped { .. }
        | E::RegistrationMoved { .. }
        | E::RegistrationRefused { .. } => unmoved(before),
    }
}

/// Moves to `phase` with these statuses, unless the booking is there or further.
fn forward(before: Phase, phase: Phase, book: Option<Status>, mypage: Option<Status>) -> Progress {
    if rank(phase) <= rank(before) {
        return unmoved(before);
    }
    Progress {
        phase,
        book,
        mypage,
        ..unmoved(before)
    }
}

fn unmoved(before: Phase) -> Progress {
    Progress {
        phase: before,
        book: None,
        payment: None,
        space: None,
        mypage: None,
    }
}

/// The order of phases: a booking moves to a higher rank or stays.
const fn rank(phase: Phase) -> u8 {
    match phase {
        Phase::Placed => 0,
        Phase::PaymentPending => 1,
        Phase::Paid => 2,
        Phase::Registered => 3,
        Phase::Preparing => 4,
        Phase::Ready => 5,
        Phase::HandedOver => 6,
        Phase::InUse => 7,
        Phase::Completed | Phase::NoShow => 8,
        // What fails or is undone leaves the way above for good.
        Phase::PaymentFailed | Phase::Expired => 9,
        Phase::Cancelling => 10,
        Phase::Refunded => 11,
        Phase::Cancelled => 12,
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
