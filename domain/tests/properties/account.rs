//! The money and the points of one payment, counted from its events alone: what the aggregate says is
//! compared with this.

use domain::payment::{Event, Payment, Purpose};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// Sums of minor units. Wanted money pays for the booking; surplus came late or twice.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
    asked_back: i64,
    surplus: i64,
    surplus_refunded: i64,
    surplus_asked_back: i64,
    points_earned: i64,
    points_clawed_back: i64,
    /// How often money came when some was back already.
    captured_after_refunds: i64,
    pub(crate) points_spent: i64,
    pub(crate) points_returned: i64,
    pub(crate) fee: Option<i64>,
}

/// `whole * part / of` rounded half up, written as one would on paper.
fn rounded(whole: i64, part: i64, of: i64) -> i64 {
    let (whole, part, of) = (i128::from(whole), i128::from(part), i128::from(of));
    let (share, rest) = (whole * part / of, whole * part % of);
    i64::try_from(if rest * 2 >= of { share + 1 } else { share }).unwrap()
}

impl Account {
    pub(crate) fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut account = Self::default();
        for event in events {
            account.count(event);
        }
        account
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::Approved { captured, .. } => self.captured += captured.minor,
            Event::ChargeApproved { captured, .. } => {
                self.captured += captured.minor;
                self.captured_after_refunds += i64::from(self.refunded > 0);
            }
            Event::PointsSpent { points, .. } => self.points_spent += points,
            Event::PointsReturned { points, .. } => self.points_returned += points,
            Event::LateApproval { captured, .. } | Event::DuplicateCharge { captured, .. } => {
                self.surplus += captured.minor;
            }
            Event::RefundRequested {
                refund, purpose, ..
            } => match purpose {
                Purpose::Surplus => self.surplus_asked_back += refund.minor,
                Purpose::Cancellation | Purpose::Partial => self.asked_back += refund.minor,
            },
            Event::PartiallyRefunded { refund, .. } => self.refunded += refund.minor,
            Event::Cancelled { refund, fee, .. } => {
                self.refunded += refund.minor;
                self.fee = Some(*fee);
            }
            Event::SurplusRefunded { refund, .. } => self.surplus_refunded += refund.minor,
            Event::PointsAccrued { points, .. } => self.points_earned += points,
            Event::PointsClawedBack { points, .. } => self.points_clawed_back += points,
            Event::PaymentRequested { .. }
            | Event::ChargeRequested { .. }
            | Event::ChargeDeclined { .. }
            | Event::PaymentDeclined { .. }
            | Event::PaymentOutcomeUnknown { .. }
            | Event::VoidRequested { .. }
            | Event::RefundFailed { .. } => {}
        }
    }

    /// What holds at every moment, also of what `payment` says about itself.
    pub(crate) fn balances(&self, payment: &Payment) -> TestCaseResult {
        prop_assert!(
            0 <= self.refunded && self.refunded <= self.asked_back,
            "{self:?}"
        );
        prop_assert!(self.asked_back <= self.captured, "{self:?}");
        prop_assert!(self.surplus_refunded <= self.surplus_asked_back, "{self:?}");
        prop_assert_eq!(self.surplus_asked_back, self.surplus);
        prop_assert_eq!(payment.captured(), self.captured + self.surplus);
        prop_assert_eq!(payment.refunded(), self.refunded + self.surplus_refunded);
        let left = self.points_earned - self.points_clawed_back;
        prop_assert!(left >= 0, "{self:?}");
        prop_assert_eq!(payment.points(), left);
        let spent = self.points_spent - self.points_returned;
        prop_assert!(spent >= 0, "{self:?}");
        prop_assert_eq!(payment.points_spent(), spent);
        if self.captured > 0 {
            prop_assert_eq!(self.points_earned, self.captured / 100);
            let owed = rounded(self.points_earned, self.refunded, self.captured);
            // Money that came after a refund moves what is owed by its rounding, until the next refund sets it right.
            let off = (self.points_clawed_back - owed).abs();
            prop_assert!(off <= self.captured_after_refunds, "{self:?}");
        }
        Ok(())
    }

    /// What holds once every refund that was asked for is done.
    pub(crate) fn is_settled(&self) -> TestCaseResult {
        prop_assert_eq!(self.refunded, self.asked_back);
        prop_assert_eq!(self.surplus_refunded, self.surplus);
        if let Some(fee) = self.fee {
            prop_assert_eq!(fee, self.captured - self.refunded, "a fee is what was kept");
        }
        Ok(())
    }

    /// Whether all that came went back, with its points, and the points that paid.
    pub(crate) fn is_undone(&self) -> TestCaseResult {
        self.money_is_undone()?;
        prop_assert_eq!(self.points_spent, self.points_returned);
        Ok(())
    }

    /// Whether all the money that came went back, with the points that it had earned.
    pub(crate) fn money_is_undone(&self) -> TestCaseResult {
        prop_assert_eq!(self.captured, self.refunded);
        prop_assert_eq!(self.points_earned, self.points_clawed_back);
        Ok(())
    }
}
