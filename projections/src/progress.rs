//! How far a booking is after an event: the seed's status string of each resource, and the phase of all.
//!
//! One pure function, [`after`], used by every projection that shows a booking, so that they cannot disagree.
//! Events of the three streams of a booking may come in several orders. What holds in all of them: the phase
//! only moves forward; a booking that is being undone, or is over, is never moved back by a late event; and a
//! payment's and a registration's own status follows its own stream, also while the booking is being undone.
//!
//! What a stage of one stream is called stands in `domain`, beside the stage. That this fold of a booking's events says
//! what the three streams say together is tried in `together_tests.rs`, on stories that chance writes.

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
        E::BookClosed { outcome, .. } => both(outcome.phase(), outcome.status()),
    }
}

fn after_payment(before: Phase, event: &payment::Event) -> Progress {
    use payment::{Event as E, Stage};
    // The payment's own status; once it is undone it stays undone.
    let own = |stage: Stage| {
        let undone = matches!(before, Phase::Expired | Phase::Refunded | Phase::Cancelled);
        stage.status().filter(|_| !undone)
    };
    match event {
        E::Approved { .. } => {
            let stage = Stage::Approved;
            let book = Some(Status::Booking);
            Progress {
                payment: own(stage),
                ..forward(before, stage.phase(), book, stage.status())
            }
        }
        E::PaymentDeclined { .. } => {
            let stage = Stage::Declined;
            Progress {
                payment: own(stage),
                ..forward(before, stage.phase(), stage.status(), stage.status())
            }
        }
        E::Cancelled { .. } if before == Phase::Cancelling => Progress {
            payment: Stage::Cancelled.status(),
            ..forward(
                before,
                Stage::Cancelled.phase(),
                None,
                Stage::Cancelled.status(),
            )
        },
        // The booking expired or was rejected, and says so itself.
        E::Cancelled { .. } => Progress {
            payment: Stage::Cancelled.status(),
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
    use space::{Event as E, Stage};
    let step = |stage: Stage, book, mypage| Progress {
        space: stage.status(),
        ..forward(before, stage.phase(), book, mypage)
    };
    let staff = |stage: Stage| step(stage, None, stage.status());
    let over = |stage: Stage| step(stage, stage.status(), stage.status());
    match event {
        E::Registered { .. } => {
            let stage = Stage::Registered;
            step(stage, stage.status(), Some(Status::Registered))
        }
        E::PreparationStarted { .. } => staff(Stage::Preparing),
        E::Prepared { .. } => staff(Stage::Prepared),
        E::HandedOver { .. } => staff(Stage::HandedOver),
        E::CheckedIn { .. } => staff(Stage::CheckedIn),
        E::CheckedOut { .. } => over(Stage::CheckedOut),
        E::NoShowMarked { .. } => over(Stage::NoShow),
        // The booking is cancelled when it is closed, which follows.
        E::Registercancelled { .. } => Progress {
            space: Stage::Cancelled.status(),
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

#[cfg(test)]
#[path = "together_tests.rs"]
mod together;
