//! What a payment decides.

use super::{
    Command, Error, Event, POINTS_RATE, Payment, Purpose, Refund, Stage, charge_key, refund_key,
};
use crate::status::Status;
use crate::value::{BookId, Money, UserId, proportion};

impl Payment {
    /// Turns a command into events, or refuses. Pure.
    ///
    /// # Errors
    /// [`Error`] names the refusal; nothing happened.
    pub fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        if let Command::Request {
            bookid,
            userid,
            spacename,
            price,
        } = command
        {
            return self.request(bookid, userid, spacename, price);
        }
        let payid = self.payid.ok_or(Error::NoSuchPayment)?;
        match command {
            Command::Request { .. } => Err(Error::AlreadyRequested),
            Command::RecordApproval {
                charge_no,
                gateway_ref,
                captured,
            } => {
                self.charge(charge_no)?;
                self.approve(payid, charge_no, gateway_ref, captured)
            }
            Command::RecordDecline {
                charge_no,
                code,
                message,
            } => {
                self.charge(charge_no)?;
                Ok(self.decline(payid, charge_no, code, message))
            }
            Command::RecordUnknown {
                charge_no,
                attempt,
                reason,
            } => {
                self.charge(charge_no)?;
                Ok(self.while_open(Event::PaymentOutcomeUnknown {
                    payid,
                    charge_no,
                    attempt,
                    reason,
                }))
            }
            Command::RecordNotCharged { charge_no } => {
                self.charge(charge_no)?;
                let message = "the gateway knows of no such charge".to_owned();
                Ok(self.decline(payid, charge_no, "not-charged".to_owned(), message))
            }
            Command::Cancel { refund, reason } => Ok(self.cancel(payid, refund, reason)),
            Command::RecordRefund {
                refund_no,
                refund_ref,
            } => self.refunded_by_gateway(payid, refund_no, refund_ref),
            Command::RecordRefundFailure {
                refund_no,
                attempt,
                code,
            } => {
                let refund = self.refund_or_error(refund_no)?;
                let failed = Event::RefundFailed {
                    payid,
                    refund_no,
                    attempt,
                    code,
                };
                Ok(if refund.done { vec![] } else { vec![failed] })
            }
            Command::RefundPartially { amount, reason } => {
                self.refund_partially(payid, amount, reason)
            }
        }
    }

    fn request(
        &self,
        bookid: BookId,
        userid: Option<UserId>,
        spacename: String,
        price: Money,
    ) -> Result<Vec<Event>, Error> {
        if self.stage != Stage::None {
            return Err(Error::AlreadyRequested);
        }
        let charge_no = 1;
        Ok(vec![Event::PaymentRequested {
            payid: bookid,
            bookid,
            userid,
            spacename,
            price,
            charge_no,
            idempotency_key: charge_key(bookid, charge_no),
        }])
    }

    fn charge(&self, charge_no: u32) -> Result<(), Error> {
        if (1..=self.charge_no).contains(&charge_no) {
            Ok(())
        } else {
            Err(Error::NoSuchNumber {
                what: "charge",
                number: charge_no,
            })
        }
    }

    fn while_open(&self, event: Event) -> Vec<Event> {
        if self.is_open() { vec![event] } else { vec![] }
    }

    fn approve(
        &self,
        payid: BookId,
        charge_no: u32,
        gateway_ref: String,
        captured: Money,
    ) -> Result<Vec<Event>, Error> {
        if self.is_open() {
            if captured != self.price {
                return Err(Error::AmountMismatch {
                    captured: captured.minor,
                    asked: self.price.minor,
                });
            }
            return Ok(self.approve_in_time(payid, charge_no, &gateway_ref));
        }
        let known = self.gateway_ref.as_ref() == Some(&gateway_ref)
            || self.surplus.contains_key(&gateway_ref);
        if known {
            return Ok(vec![]);
        }
        let give_back = self.refund_request(
            payid,
            captured,
            Purpose::Surplus,
            gateway_ref.clone(),
            "captured when it was no longer wanted".to_owned(),
        );
        let arrived = if self.gateway_ref.is_some() {
            Event::DuplicateCharge {
                payid,
                charge_no,
                captured,
                gateway_ref,
            }
        } else {
            Event::LateApproval {
                payid,
                charge_no,
                captured,
                gateway_ref,
            }
        };
        Ok(vec![arrived, give_back])
    }

    fn approve_in_time(&self, payid: BookId, charge_no: u32, gateway_ref: &str) -> Vec<Event> {
        let mut events = vec![
            Event::Approved {
                payid,
                bookid: payid,
                userid: self.userid,
                status: Status::SuccessPay,
                spacename: self.spacename.clone(),
                captured: self.price,
                charge_no,
                gateway_ref: gateway_ref.to_owned(),
            },
            Event::PointsAccrued {
                payid,
                userid: self.userid,
                points: POINTS_RATE.floor_of(self.price.minor),
            },
        ];
        if let Some(void) = &self.void {
            // The cancellation was waiting for this outcome.
            let mut approved = self.clone();
            for event in &events {
                approved.fold(event.clone());
            }
            events.extend(approved.cancel(payid, void.refund, void.reason.clone()));
        }
        events
    }

    fn decline(&self, payid: BookId, charge_no: u32, code: String, message: String) -> Vec<Event> {
        let mut events = self.while_open(Event::PaymentDeclined {
            payid,
            status: Status::PayFailed,
            charge_no,
            code,
            message,
        });
        if !events.is_empty() && self.void.is_some() {
            events.push(self.cancelled(payid, 0, true));
        }
        events
    }

    fn cancel(&self, payid: BookId, refund: Money, reason: String) -> Vec<Event> {
        match self.stage {
            Stage::None | Stage::Refunding | Stage::Cancelled => vec![],
            Stage::Requested | Stage::Unknown if self.void.is_some() => vec![],
            Stage::Requested | Stage::Unknown => vec![Event::VoidRequested {
                payid,
                refund,
                reason,
            }],
            Stage::Declined => vec![self.cancelled(payid, 0, true)],
            Stage::Approved => {
                let amount = refund.minor.clamp(0, self.refundable());
                match &self.gateway_ref {
                    Some(gateway_ref) if amount > 0 => vec![self.refund_request(
                        payid,
                        self.price.with_minor(amount),
                        Purpose::Cancellation,
                        gateway_ref.clone(),
                        reason,
                    )],
                    // Nothing to give back: the policy keeps it all, or it was given back before.
                    _ => vec![self.cancelled(payid, 0, false)],
                }
            }
        }
    }

    fn refund_partially(
        &self,
        payid: BookId,
        amount: Money,
        reason: String,
    ) -> Result<Vec<Event>, Error> {
        let available = if self.stage == Stage::Approved {
            self.refundable()
        } else {
            0
        };
        match &self.gateway_ref {
            Some(gateway_ref)
                if (1..=available).contains(&amount.minor)
                    && amount.currency == self.price.currency =>
            {
                let gateway_ref = gateway_ref.clone();
                Ok(vec![self.refund_request(
                    payid,
                    amount,
                    Purpose::Partial,
                    gateway_ref,
                    reason,
                )])
            }
            _ => Err(Error::NotRefundable { available }),
        }
    }

    fn refunded_by_gateway(
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
        Ok(match refund.purpose {
            Purpose::Surplus => {
                vec![Event::SurplusRefunded {
                    payid,
                    refund_no,
                    refund: amount,
                    refund_ref,
                }]
            }
            Purpose::Partial => vec![
                Event::PartiallyRefunded {
                    payid,
                    refund_no,
                    refund: amount,
                    refund_ref,
                },
                self.claw_back(payid, amount.minor),
            ],
            Purpose::Cancellation => {
                vec![
                    self.cancelled(payid, amount.minor, false),
                    self.claw_back(payid, amount.minor),
                ]
            }
        })
    }

    /// The points that go with `refund_now`: cumulative, so that rounding never drifts.
    fn claw_back(&self, payid: BookId, refund_now: i64) -> Event {
        let refunded = self.wanted_refunds(true) + refund_now;
        let owed = proportion(self.points_earned, refunded, self.captured);
        Event::PointsClawedBack {
            payid,
            userid: self.userid,
            points: (owed - self.points_clawed_back).max(0),
        }
    }

    fn cancelled(&self, payid: BookId, refund_now: i64, voided: bool) -> Event {
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

    fn refund_request(
        &self,
        payid: BookId,
        refund: Money,
        purpose: Purpose,
        gateway_ref: String,
        reason: String,
    ) -> Event {
        let refund_no = self.refunds.keys().next_back().map_or(1, |last| last + 1);
        Event::RefundRequested {
            payid,
            refund_no,
            refund,
            purpose,
            gateway_ref,
            idempotency_key: refund_key(payid, refund_no),
            reason,
        }
    }

    fn refund_or_error(&self, refund_no: u32) -> Result<&Refund, Error> {
        self.refunds.get(&refund_no).ok_or(Error::NoSuchNumber {
            what: "refund",
            number: refund_no,
        })
    }

    /// What can still be given back: captured, less what is back or on its way.
    fn refundable(&self) -> i64 {
        self.captured - self.wanted_refunds(false)
    }

    /// Refunds of wanted money; only those done, or those on their way too.
    fn wanted_refunds(&self, only_done: bool) -> i64 {
        self.refunds
            .values()
            .filter(|r| r.purpose != Purpose::Surplus && (r.done || !only_done))
            .map(|r| r.amount.minor)
            .sum()
    }
}
