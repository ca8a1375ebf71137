//! What a payment gives back: money charge by charge, and points with it.

use super::{ChargeState, Error, Event, Payment, Purpose, Refund, Stage, refund_key};
use crate::status::Status;
use crate::terms::percent_of;
use crate::value::{BookId, Money, proportion};

/// What is given back, in minor units of the price's currency; a point is worth one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Back {
    /// Money.
    pub money: i64,
    /// Points that were spent.
    pub points: i64,
}

impl Payment {
    pub(super) fn cancel(
        &self,
        payid: BookId,
        refund: Money,
        percent: u8,
        reason: &str,
    ) -> Vec<Event> {
        match self.stage {
            Stage::None | Stage::Refunding | Stage::Cancelled => vec![],
            Stage::Requested | Stage::Unknown if self.void.is_some() => vec![],
            Stage::Requested | Stage::Unknown => vec![Event::VoidRequested {
                payid,
                refund,
                reason: reason.to_owned(),
            }],
            Stage::Declined => vec![self.cancelled(payid, 0, true)],
            Stage::Approved => {
                let back = self.cancellation(refund, percent);
                self.cancel_captured(payid, back, reason)
            }
        }
    }

    /// What a cancellation gives back: so many percent of what was paid and is still there, and at most `refund`. A
    /// customer who never paid the difference to a dearer time gets a part of what was paid, not of the price.
    #[must_use]
    pub fn cancellation(&self, refund: Money, percent: u8) -> Back {
        let paid = self.price.with_minor(self.paid());
        self.part(percent_of(paid, percent).minor.min(refund.minor))
    }

    /// What was paid and is still there, in money and in points.
    #[must_use]
    pub fn paid(&self) -> i64 {
        self.refundable().saturating_add(self.points_spent())
    }

    /// So much of what was paid: points and money in the proportion in which they pay for it by now.
    pub(super) fn part(&self, amount: i64) -> Back {
        let amount = amount.clamp(0, self.paid());
        let points = proportion(self.points_spent(), amount, self.paid());
        Back {
            money: amount - points,
            points,
        }
    }

    fn cancel_captured(&self, payid: BookId, back: Back, reason: &str) -> Vec<Event> {
        let mut events: Vec<Event> = self.return_points(payid, back.points).into_iter().collect();
        if back.money > 0 {
            events.extend(self.give_back(payid, back.money, Purpose::Cancellation, reason));
        } else {
            // Nothing to give back: the policy keeps it all, or it was given back before.
            events.push(self.cancelled(payid, 0, false));
        }
        events
    }

    pub(super) fn refund_partially(
        &self,
        payid: BookId,
        amount: Money,
        reason: &str,
    ) -> Result<Vec<Event>, Error> {
        let available = if self.stage == Stage::Approved {
            self.refundable()
        } else {
            0
        };
        if !(1..=available).contains(&amount.minor) || amount.currency != self.price.currency {
            return Err(Error::NotRefundable { available });
        }
        Ok(self.give_back(payid, amount.minor, Purpose::Partial, reason))
    }

    /// Asks for so much money back, of the latest charge first: a gateway refunds a charge. There must be so much.
    pub(super) fn give_back(
        &self,
        payid: BookId,
        amount: i64,
        purpose: Purpose,
        reason: &str,
    ) -> Vec<Event> {
        let mut left = amount;
        let mut events = Vec::new();
        for charge in self.charges.values().rev() {
            let ChargeState::Approved(gateway_ref) = &charge.outcome else {
                continue;
            };
            let part = left.min(charge.amount.minor - self.refunds_of(gateway_ref));
            if part <= 0 {
                continue;
            }
            left -= part;
            let refund_no = self.next_refund_no() + u32::try_from(events.len()).unwrap_or(u32::MAX);
            events.push(self.refund_request(
                payid,
                refund_no,
                self.price.with_minor(part),
                purpose,
                gateway_ref.clone(),
                reason,
            ));
        }
        events
    }

    pub(super) fn refunded_by_gateway(
        &self,
        payid: BookId,
        refund_no: u32,
        refund_ref: String,
    ) -> Result<Vec<Event>, Error> {
        let refund = self.refund_or_error(refund_no)?;
        if refund.done {
            return Ok(vec![]);
        }
        let amount = refund.amount;
        let part = Event::PartiallyRefunded {
            payid,
            refund_no,
            refund: amount,
            refund_ref: refund_ref.clone(),
        };
        Ok(match refund.purpose {
            Purpose::Surplus => vec![Event::SurplusRefunded {
                payid,
                refund_no,
                refund: amount,
                refund_ref,
            }],
            Purpose::Partial => vec![part, self.claw_back(payid, amount.minor)],
            Purpose::Cancellation if self.is_last_of_the_cancellation(refund_no) => vec![
                self.cancelled(payid, amount.minor, false),
                self.claw_back(payid, amount.minor),
            ],
            Purpose::Cancellation => vec![part, self.claw_back(payid, amount.minor)],
        })
    }

    fn is_last_of_the_cancellation(&self, refund_no: u32) -> bool {
        let open = |(no, refund): (&u32, &Refund)| {
            *no != refund_no && refund.purpose == Purpose::Cancellation && !refund.done
        };
        !self.refunds.iter().any(open)
    }

    pub(super) fn refund_failed(
        &self,
        payid: BookId,
        refund_no: u32,
        attempt: u32,
        code: String,
    ) -> Result<Vec<Event>, Error> {
        let refund = self.refund_or_error(refund_no)?;
        let failed = Event::RefundFailed {
            payid,
            refund_no,
            attempt,
            code,
        };
        Ok(if refund.done { vec![] } else { vec![failed] })
    }

    /// The points that go with `refund_now`: cumulative, so that rounding never drifts.
    fn claw_back(&self, payid: BookId, refund_now: i64) -> Event {
        let refunded = self.wanted_refunds(true) + refund_now;
        let owed = proportion(self.points_earned, refunded, self.wanted_captured());
        Event::PointsClawedBack {
            payid,
            userid: self.userid,
            points: (owed - self.points_clawed_back).max(0),
        }
    }

    pub(super) fn return_points(&self, payid: BookId, points: i64) -> Option<Event> {
        (points > 0).then_some(Event::PointsReturned {
            payid,
            userid: self.userid,
            points,
        })
    }

    pub(super) fn cancelled(&self, payid: BookId, refund_now: i64, voided: bool) -> Event {
        Event::Cancelled {
            payid,
            bookid: payid,
            userid: self.userid,
            status: Status::CancelPay,
            spacename: self.spacename.clone(),
            refund: self.price.with_minor(refund_now),
            // A part that is still on its way back is not kept.
            fee: self.refundable(),
            voided,
        }
    }

    pub(super) fn refund_request(
        &self,
        payid: BookId,
        refund_no: u32,
        refund: Money,
        purpose: Purpose,
        gateway_ref: String,
        reason: &str,
    ) -> Event {
        Event::RefundRequested {
            payid,
            refund_no,
            refund,
            purpose,
            gateway_ref,
            idempotency_key: refund_key(payid, refund_no),
            reason: reason.to_owned(),
        }
    }

    pub(super) fn next_refund_no(&self) -> u32 {
        self.refunds.keys().next_back().map_or(1, |last| last + 1)
    }

    fn refund_or_error(&self, refund_no: u32) -> Result<&Refund, Error> {
        self.refunds.get(&refund_no).ok_or(Error::NoSuchNumber {
            what: "refund",
            number: refund_no,
        })
    }

    /// Captured for the booking: surplus is not.
    pub(super) fn wanted_captured(&self) -> i64 {
        let captured = |charge: &&super::Charge| matches!(charge.outcome, ChargeState::Approved(_));
        let captured = self.charges.values().filter(captured);
        captured.map(|charge| charge.amount.minor).sum()
    }

    /// What can still be given back: captured, less what is back or on its way.
    #[must_use]
    pub fn refundable(&self) -> i64 {
        self.wanted_captured() - self.wanted_refunds(false)
    }

    /// Refunds of wanted money; only those done, or those on their way too.
    fn wanted_refunds(&self, only_done: bool) -> i64 {
        self.refunds
            .values()
            .filter(|refund| refund.purpose != Purpose::Surplus && (refund.done || !only_done))
            .map(|refund| refund.amount.minor)
            .sum()
    }

    /// What of a charge is back or on its way.
    fn refunds_of(&self, gateway_ref: &str) -> i64 {
        let of_it = |refund: &&Refund| refund.gateway_ref == gateway_ref;
        let refunds = self.refunds.values().filter(of_it);
        refunds.map(|refund| refund.amount.minor).sum()
    }
}
