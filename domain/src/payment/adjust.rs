//! What a move to another time means for the money: a dearer one is charged, of a cheaper one a part goes back.

use super::{Difference, Error, Event, Extra, Payment, Purpose, Stage};
use crate::terms::percent_of;
use crate::value::BookId;

impl Payment {
    /// Charges or gives back what a move to another time changes.
    pub(super) fn adjust(
        &self,
        payid: BookId,
        difference: Difference,
    ) -> Result<Vec<Event>, Error> {
        let Difference { from, to, .. } = difference;
        if self.stage != Stage::Approved {
            let current = self.stage;
            return Err(Error::NotAdjustable { current });
        }
        if from.currency != to.currency {
            let (paid, asked) = (from.currency, to.currency);
            return Err(Error::OtherCurrency { paid, asked });
        }
        let change = self.change(&difference);
        if change == 0 {
            return Ok(vec![]);
        }
        // What is not paid yet can be neither given back nor added to without losing track of it.
        if self.is_more_open() || self.outstanding() > 0 {
            return Err(Error::DifferenceOpen);
        }
        let amount = to.with_minor(change.saturating_abs());
        Ok(if change > 0 {
            vec![self.charge_more(payid, amount, Extra::Difference)]
        } else {
            let back = self.part(percent_of(amount, difference.refund_percent).minor);
            let mut events: Vec<Event> =
                self.return_points(payid, back.points).into_iter().collect();
            let reason = "the new time costs less";
            events.extend(self.give_back(payid, back.money, Purpose::Partial, reason));
            events
        })
    }

    /// What a new time costs more, less what is paid for it already; or what it costs less, below zero.
    fn change(&self, difference: &Difference) -> i64 {
        let Difference { from, kept, to, .. } = *difference;
        let change = to.minor.saturating_sub(from.minor);
        if change <= 0 {
            return change;
        }
        // The booking does not know what people gave back.
        let still_there = self.paid().saturating_sub(from.minor).clamp(0, kept.max(0));
        change.saturating_sub(still_there).max(0)
    }
}
