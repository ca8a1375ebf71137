//! How a booking's money stands: what came, what went back, what is still to come, and two words for it.
//!
//! It is folded here for every projection that shows it. What the two words mean is said by `domain`, beside the payment
//! itself; the tests hold this fold against that payment.

use domain::payment::{Event, Extra, GivenBack, PaymentStatus, Purpose, RefundStatus};

use crate::projection::Unfit;

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
        self.payment = self.payment.owing(self.outstanding);
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
        let was_failed = self.refund == RefundStatus::Failed;
        let has_failed = match event {
            Event::RefundRequested { .. } => {
                self.refunds_open = self.refunds_open.saturating_add(1);
                was_failed
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
            _ => was_failed,
        };
        let given_back = GivenBack {
            is_open: self.refunds_open > 0,
            has_failed,
            refunded: self.refunded,
            captured: self.captured,
        };
        self.refund = given_back.status();
    }
}

/// Gives a row that shows how its booking's money stands the way in which it takes an event of the payment in.
macro_rules! shows_money {
    ($row:ty) => {
        impl $row {
            fn take_in(&mut self, event: &domain::payment::Event) -> Result<(), Unfit> {
                let before = Standing {
                    payment: self.payment_status,
                    refund: self.refund_status,
                    captured: self.captured,
                    refunded: self.refunded,
                    outstanding: self.outstanding,
                    unanswered: std::mem::take(&mut self.unanswered),
                    refunds_open: self.refunds_open,
                };
                let after = before.after(event)?;
                self.payment_status = after.payment;
                self.refund_status = after.refund;
                self.captured = after.captured;
                self.refunded = after.refunded;
                self.outstanding = after.outstanding;
                self.unanswered = after.unanswered;
                self.refunds_open = after.refunds_open;
                Ok(())
            }
        }
    };
}
pub(crate) use shows_money;

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
