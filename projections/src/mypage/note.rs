//! What the timeline says about an event beside its name: reasons, amounts, and the names of staff.

use domain::payment::Extra;
use domain::{Event, Money, book, payment, space};

/// The note of an event; none when its name says it all.
pub(super) fn of(event: &Event) -> Option<String> {
    match event {
        Event::Book(event) => of_book(event),
        Event::Payment(event) => of_payment(event),
        Event::Space(event) => of_space(event),
    }
}

fn of_book(event: &book::Event) -> Option<String> {
    use book::Event as E;
    match event {
        E::Booked {
            spacename, price, ..
        } => Some(format!("{spacename}, {}", money(*price))),
        E::PaymentDeferred { reason, .. } | E::BookRejected { reason, .. } => Some(reason.clone()),
        E::Bookcancelled { refund, reason, .. } => Some(match reason {
            Some(reason) => format!("{} to be given back: {reason}", money(*refund)),
            None => format!("{} to be given back", money(*refund)),
        }),
        E::Rescheduled {
            from, slot, price, ..
        } => Some(format!(
            "from {} to {}, {}",
            from.start,
            slot.start,
            money(*price)
        )),
        E::BookConfirmed { .. } | E::BookExpired { .. } | E::BookClosed { .. } => None,
    }
}

fn of_payment(event: &payment::Event) -> Option<String> {
    use payment::Event as E;
    match event {
        E::PaymentRequested { price, .. } => Some(money(*price)),
        E::ChargeRequested { price, purpose, .. } => {
            let what_for = match purpose {
                Extra::Difference => "for the new time",
                Extra::Overtime => "for time past the end",
                Extra::Outstanding => "for what was declined",
            };
            Some(format!("{} {what_for}", money(*price)))
        }
        E::PointsSpent { points, .. } => Some(format!("{points} points spent")),
        E::PointsReturned { points, .. } => Some(format!("{points} points given back")),
        E::Approved { captured, .. }
        | E::ChargeApproved { captured, .. }
        | E::LateApproval { captured, .. }
        | E::DuplicateCharge { captured, .. } => Some(format!("{} captured", money(*captured))),
        E::PointsAccrued { points, .. } => Some(format!("{points} points")),
        E::PointsClawedBack { points, .. } => Some(format!("{points} points taken back")),
        E::PaymentDeclined { code, message, .. } | E::ChargeDeclined { code, message, .. } => {
            Some(format!("{message} ({code})"))
        }
        E::PaymentOutcomeUnknown {
            attempt, reason, ..
        } => Some(format!("try {attempt}: {reason}")),
        E::VoidRequested { reason, .. } => Some(reason.clone()),
        E::RefundRequested { refund, reason, .. } => Some(format!("{}: {reason}", money(*refund))),
        E::RefundFailed { attempt, code, .. } => Some(format!("try {attempt}: {code}")),
        E::PartiallyRefunded { refund, .. } | E::SurplusRefunded { refund, .. } => {
            Some(format!("{} given back", money(*refund)))
        }
        E::Cancelled { voided: true, .. } => Some("nothing had been captured".into()),
        E::Cancelled { refund, fee, .. } => {
            let given_back = format!("{} given back", money(*refund));
            let kept = money(refund.with_minor(*fee));
            Some(if *fee > 0 {
                format!("{given_back}, {kept} kept")
            } else {
                given_back
            })
        }
    }
}

fn of_space(event: &space::Event) -> Option<String> {
    use space::Event as E;
    match event {
        E::RegistrationRefused { reason, .. } => Some(reason.clone()),
        E::PreparationStarted { by, .. } | E::Prepared { by, .. } | E::HandedOver { by, .. } => {
            Some(format!("by {by}"))
        }
        E::CheckedOut {
            overtime_minutes: late @ 1..,
            by,
            ..
        } => Some(match by {
            Some(by) => format!("{late} minutes late, by {by}"),
            None => format!("{late} minutes late"),
        }),
        E::RegistrationMoved { slot, .. } => Some(format!("to {}", slot.start)),
        E::CheckedIn { by, .. } | E::CheckedOut { by, .. } | E::NoShowMarked { by, .. } => {
            by.as_ref().map(|by| format!("by {by}"))
        }
        E::Registered { .. } | E::FulfilmentStopped { .. } | E::Registercancelled { .. } => None,
    }
}

/// Minor units with their currency: the page knows how many decimals a currency has.
fn money(money: Money) -> String {
    format!("{} {}", money.minor, money.currency)
}
