//! How a booking's money stands: what came, what went back, what is still to come, and two words for it.
//!
//! Payment and refund are axes of their own: a booking can be paid, and part of it on its way back. Both are folded here
//! for every projection that shows them, so that they cannot disagree.

use domain::payment::{Event, Extra, Purpose};
use serde::{Deserialize, Serialize};

use crate::projection::Unfit;

/// How far the payment of a booking is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Nothing is known of the charge yet.
    Awaiting,
    /// A charge was sent, and nobody knows what became of it; it is being found out.
    Unknown,
    /// The money is captured.
    Paid,
    /// The charge was declined.
    Declined,
    /// The booking is paid, and a further charge was declined: a difference, or time past the end.
    Outstanding,
    /// Given up before anything was captured.
    Voided,
}

/// How far refunds of a booking are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Nothing went back, and nothing is to.
    None,
    /// Money is on its way back.
    Pending,
    /// The gateway did not give it back so far; it is tried again.
    Failed,
    /// Part of what was captured is back.
    Partial,
    /// All of it is back.
    Refunded,
}

impl PaymentStatus {
    /// The word on the wire and in the read models.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Awaiting => "awaiting",
            Self::Unknown => "unknown",
            Self::Paid => "paid",
            Self::Declined => "declined",
            Self::Outstanding => "outstanding",
            Self::Voided => "voided",
        }
    }
}

impl RefundStatus {
    /// The word on the wire and in the read models.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Partial => "partial",
            Self::Refunded => "refunded",
        }
    }
}

/// A booking's money. Amounts are minor units of the booking's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) payment: PaymentStatus,
    pub(crate) refund: RefundStatus,
    /// What the gateway captured, also late or twice.
    pub(crate) captured: i64,
    /// What went back.
    pub(crate) refunded: i64,
    /// What was asked beside the booking's own charge, and declined.
    pub(crate) outstanding: i64,
    /// Further charges without an outcome: `2:3000 3:500`. There are two at most, a difference and time past the end.
    pub(crate) unanswered: String,
    /// How many refunds are on their way.
    pub(crate) refunds_open: i64,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            payment: PaymentStatus::Awaiting,
            refund: RefundStatus::None,
            captured: 0,
            refunded: 0,
            outstanding: 0,
            unanswered: String::new(),
            refunds_open: 0,
        }
    }
}

impl Standing {
    /// What `event` makes of it.
    ///
    /// # Errors
    /// [`Unfit`] when what is stored of further charges is not what was written.
    pub(crate) fn after(mut self, event: &Event) -> Result<Self, Unfit> {
        self.captured = self.captured.saturating_add(captured(event));
        self.refunded = self.refunded.saturating_add(refunded(event));
        self.charge(event)?;
        self.give_back(event);
        Ok(self)
    }

    fn charge(&mut self, event: &Event) -> Result<(), Unfit> {
        use PaymentStatus as P;
        match event {
            Event::RefundRequested {
                purpose: Purpose::Cancellation,
                ..
            } => self.owes_nothing(),
            Event::PaymentOutcomeUnknown { .. } if self.payment == P::Awaiting => {
                self.payment = P::Unknown;
            }
            Event::Approved { .. } => self.payment = P::Paid,
            Event::PaymentDeclined { .. } => self.payment = P::Declined,
            Event::Cancelled { voided, .. } => {
                self.owes_nothing();
                if *voided && matches!(self.payment, P::Awaiting | P::Unknown) {
                    self.payment = P::Voided;
                }
            }
            Event::ChargeRequested {
                charge_no,
                price,
                purpose,
                ..
            } => {
                if *purpose == Extra::Outstanding {
                    // What was declined is asked for again, all of it.
                    self.outstanding = 0;
                }
                let asked = format!("{charge_no}:{}", price.minor);
                let separator = if self.unanswered.is_empty() { "" } else { " " };
                self.unanswered = format!("{}{separator}{asked}", self.unanswered);
            }
            Event::ChargeApproved { charge_no, .. } => {
                self.answered(*charge_no)?;
            }
            Event::ChargeDeclined { charge_no, .. }
            | Event::LateApproval { charge_no, .. }
            | Event::DuplicateCharge { charge_no, .. } => {
                let declined = self.answered(*charge_no)?;
                self.outstanding = self.outstanding.saturating_add(declined);
            }
            _ => {}
        }
        self.payment = match (self.payment, self.outstanding) {
            (P::Paid, 1..) => P::Outstanding,
            (P::Outstanding, ..=0) => P::Paid,
            (payment, _) => payment,
        };
        Ok(())
    }

    /// The payment is being undone: what was declined is not asked for again, nor what has no outcome yet.
    fn owes_nothing(&mut self) {
        self.outstanding = 0;
        self.unanswered.clear();
    }

    /// Takes a further charge from those without an outcome; what it asked for, zero when it is none of them.
    fn answered(&mut self, charge_no: u32) -> Result<i64, Unfit> {
        let number = charge_no.to_string();
        let (mut amount, mut left) = (0, Vec::new());
        for charge in self.unanswered.split_whitespace() {
            match charge.split_once(':') {
                Some((no, asked)) if no == number => {
                    amount = asked
                        .parse()
                        .map_err(|_| Unfit(format!("{charge:?} is no charge")))?;
                }
                _ => left.push(charge),
            }
        }
        self.unanswered = left.join(" ");
        Ok(amount)
    }

    fn give_back(&mut self, event: &Event) {
        use RefundStatus as R;
        let failed = match event {
            Event::RefundRequested { .. } => {
                self.refunds_open = self.refunds_open.saturating_add(1);
                self.refund == R::Failed
            }
            Event::RefundFailed { .. } => true,
            Event::PartiallyRefunded { .. } | Event::SurplusRefunded { .. } => {
                self.refunds_open = self.refunds_open.saturating_sub(1).max(0);
                false
            }
            Event::Cancelled { refund, .. } if refund.minor > 0 => {
                self.refunds_open = self.refunds_open.saturating_sub(1).max(0);
                false
            }
            _ => self.refund == R::Failed,
        };
        self.refund = match (self.refunds_open, failed) {
            (1.., true) => R::Failed,
            (1.., false) => R::Pending,
            _ if self.refunded <= 0 => R::None,
            _ if self.refunded < self.captured => R::Partial,
            _ => R::Refunded,
        };
    }
}

/// The minor units that an event says were captured.
pub(crate) fn captured(event: &Event) -> i64 {
    match event {
        Event::Approved { captured, .. }
        | Event::ChargeApproved { captured, .. }
        | Event::LateApproval { captured, .. }
        | Event::DuplicateCharge { captured, .. } => captured.minor,
        _ => 0,
    }
}

/// The minor units that an event says went back.
pub(crate) fn refunded(event: &Event) -> i64 {
    match event {
        Event::Cancelled { refund, .. }
        | Event::PartiallyRefunded { refund, .. }
        | Event::SurplusRefunded { refund, .. } => refund.minor,
        _ => 0,
    }
}

#[cfg(test)]
#[path = "money_tests.rs"]
pub(crate) mod tests;
