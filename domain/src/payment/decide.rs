//! What a payment decides about charges; what a move changes is in `payment/adjust.rs`, what it gives back in
//! `payment/refund.rs`.

use super::{
    ChargeState, Command, Error, Event, Extra, FIRST_CHARGE, NOT_CHARGED, POINTS_RATE, Payment,
    Points, Purpose, Stage, charge_key,
};
use crate::status::Status;
use crate::value::{BookId, Money, UserId};

impl Payment {
    /// Turns a command into events, or refuses. Pure.
    ///
    /// # Errors
    /// [`Error`] names the refusal; nothing happened.
    pub fn decide(&self, command: Command) -> Result<Vec<Event>, Error> {
        match command {
            Command::Request {
                bookid,
                userid,
                spacename,
                price,
                points,
            } => self.request(bookid, userid, spacename, price, points),
            Command::ChargeOvertime { amount } => Ok(self.charge_overtime(self.known()?, amount)),
            Command::ChargeOutstanding => Ok(self.charge_outstanding(self.known()?)),
            Command::Adjust(difference) => self.adjust(self.known()?, difference),
            Command::RecordApproval {
                charge_no,
                gateway_ref,
                captured,
            } => self.approve(self.known()?, charge_no, gateway_ref, captured),
            Command::RecordDecline {
                charge_no,
                code,
                message,
            } => self.decline(self.known()?, charge_no, code, message),
            Command::RecordUnknown {
                charge_no,
                attempt,
                reason,
            } => self.leave_open(self.known()?, charge_no, attempt, reason),
            Command::RecordNotCharged { charge_no } => {
                let message = "the gateway knows of no such charge".to_owned();
                self.decline(self.known()?, charge_no, NOT_CHARGED.to_owned(), message)
            }
            Command::Cancel {
                refund,
                percent,
                reason,
            } => Ok(self.cancel(self.known()?, refund, percent, &reason)),
            Command::RecordRefund {
                refund_no,
                refund_ref,
            } => self.refunded_by_gateway(self.known()?, refund_no, refund_ref),
            Command::RecordRefundFailure {
                refund_no,
                attempt,
                code,
            } => self.refund_failed(self.known()?, refund_no, attempt, code),
            Command::RefundPartially { amount, reason } => {
                self.refund_partially(self.known()?, amount, &reason)
            }
        }
    }

    /// The number of a payment that is there.
    fn known(&self) -> Result<BookId, Error> {
        self.payid.ok_or(Error::NoSuchPayment)
    }

    fn request(
        &self,
        bookid: BookId,
        userid: Option<UserId>,
        spacename: String,
        price: Money,
        points: Points,
    ) -> Result<Vec<Event>, Error> {
        if self.stage != Stage::None {
            return Err(Error::AlreadyRequested);
        }
        let Points { spent, rate } = points;
        if !(0..=price.minor).contains(&spent) {
            return Err(Error::PointsBeyondPrice {
                asked: spent,
                price: price.minor,
            });
        }
        if spent > 0 && userid.is_none() {
            return Err(Error::PointsOfNobody);
        }
        let mut events = vec![Event::PaymentRequested {
            payid: bookid,
            bookid,
            userid,
            spacename,
            price: price.with_minor(price.minor - spent),
            charge_no: FIRST_CHARGE,
            idempotency_key: charge_key(bookid, FIRST_CHARGE),
            points_rate: (rate != POINTS_RATE).then_some(rate),
        }];
        if spent > 0 {
            events.push(Event::PointsSpent {
                payid: bookid,
                userid,
                points: spent,
            });
        }
        Ok(events)
    }

    fn charge_overtime(&self, payid: BookId, amount: Money) -> Vec<Event> {
        let known = self
            .charges
            .values()
            .any(|charge| charge.extra == Some(Extra::Overtime));
        if self.stage != Stage::Approved || known || amount.minor <= 0 {
            return vec![];
        }
        vec![self.charge_more(payid, amount, Extra::Overtime)]
    }

    /// What was declined is asked for again, as one charge.
    fn charge_outstanding(&self, payid: BookId) -> Vec<Event> {
        let amount = self.price.with_minor(self.outstanding());
        if self.stage != Stage::Approved || amount.minor <= 0 || self.is_more_open() {
            return vec![];
        }
        vec![self.charge_more(payid, amount, Extra::Outstanding)]
    }

    /// Whether a charge beside the first one has no outcome yet.
    pub(super) fn is_more_open(&self) -> bool {
        let mut further = self.charges.range(FIRST_CHARGE + 1..);
        further.any(|(_, charge)| charge.outcome == ChargeState::Open)
    }

    pub(super) fn charge_more(&self, payid: BookId, price: Money, purpose: Extra) -> Event {
        let last = self.charges.keys().next_back();
        let charge_no = last.map_or(FIRST_CHARGE, |last| last + 1);
        Event::ChargeRequested {
            payid,
            charge_no,
            price,
            purpose,
            idempotency_key: charge_key(payid, charge_no),
        }
    }

    /// What a charge asks.
    fn asked(&self, charge_no: u32) -> Result<Money, Error> {
        let charge = self.charges.get(&charge_no);
        charge
            .map(|charge| charge.amount)
            .ok_or(Error::NoSuchNumber {
                what: "charge",
                number: charge_no,
            })
    }

    fn while_open(&self, charge_no: u32, event: Event) -> Vec<Event> {
        if self.is_charge_open(charge_no) {
            vec![event]
        } else {
            vec![]
        }
    }

    fn approve(
        &self,
        payid: BookId,
        charge_no: u32,
        gateway_ref: String,
        captured: Money,
    ) -> Result<Vec<Event>, Error> {
        let asked = self.asked(charge_no)?;
        if gateway_ref.trim().is_empty() {
            return Err(Error::NoReference);
        }
        let further = charge_no != FIRST_CHARGE;
        if self.is_charge_open(charge_no) && !(further && self.is_unwanted(charge_no)) {
            if captured != asked {
                return Err(Error::AmountMismatch {
                    captured: captured.minor,
                    asked: asked.minor,
                });
            }
            if self.knows(&gateway_ref) {
                let reference = gateway_ref;
                return Err(Error::ReferenceTaken { reference });
            }
            return Ok(if further {
                self.approve_more(payid, charge_no, gateway_ref, captured)
            } else {
                self.approve_in_time(payid, gateway_ref, captured)
            });
        }
        Ok(self.approve_unwanted(payid, charge_no, gateway_ref, captured))
    }

    /// Whether money arrived under this reference before.
    fn knows(&self, gateway_ref: &str) -> bool {
        let charges = self.charges.values().map(|charge| &charge.outcome);
        let mut approved = charges.filter_map(|outcome| match outcome {
            ChargeState::Approved(reference) => Some(reference),
            _ => None,
        });
        approved.any(|reference| reference == gateway_ref) || self.surplus.contains_key(gateway_ref)
    }

    fn approve_in_time(&self, payid: BookId, gateway_ref: String, captured: Money) -> Vec<Event> {
        let mut events = vec![
            Event::Approved {
                payid,
                bookid: payid,
                userid: self.userid,
                status: Status::SuccessPay,
                spacename: self.spacename.clone(),
                captured,
                charge_no: FIRST_CHARGE,
                gateway_ref,
            },
            self.accrue(payid, captured.minor),
        ];
        if let Some(void) = &self.void {
            // The cancellation was waiting for this outcome.
            let mut approved = self.clone();
            for event in &events {
                approved.fold(event.clone());
            }
            // What is not confirmed yet is given back whole.
            events.extend(approved.cancel(payid, void.refund, 100, &void.reason));
        }
        events
    }

    fn approve_more(
        &self,
        payid: BookId,
        charge_no: u32,
        gateway_ref: String,
        captured: Money,
    ) -> Vec<Event> {
        vec![
            Event::ChargeApproved {
                payid,
                charge_no,
                captured,
                gateway_ref,
            },
            self.accrue(payid, captured.minor),
        ]
    }

    /// The points that go with money captured now: of all that was captured, less those earned before, so that several
    /// charges earn what one would.
    fn accrue(&self, payid: BookId, captured: i64) -> Event {
        let all = self.wanted_captured().saturating_add(captured);
        let points = self.points_rate.floor_of(all) - self.points_earned;
        Event::PointsAccrued {
            payid,
            userid: self.userid,
            points: points.max(0),
        }
    }

    /// Money that comes late, or a second time, is recorded and given back.
    fn approve_unwanted(
        &self,
        payid: BookId,
        charge_no: u32,
        gateway_ref: String,
        captured: Money,
    ) -> Vec<Event> {
        if self.knows(&gateway_ref) {
            return vec![];
        }
        let reason = "captured when it was no longer wanted";
        let give_back = self.refund_request(
            payid,
            self.next_refund_no(),
            captured,
            Purpose::Surplus,
            gateway_ref.clone(),
            reason,
        );
        let before = self.charges.get(&charge_no).map(|charge| &charge.outcome);
        let arrived = match before {
            Some(ChargeState::Approved(_)) => Event::DuplicateCharge {
                payid,
                charge_no,
                captured,
                gateway_ref,
            },
            _ => Event::LateApproval {
                payid,
                charge_no,
                captured,
                gateway_ref,
            },
        };
        vec![arrived, give_back]
    }

    fn leave_open(
        &self,
        payid: BookId,
        charge_no: u32,
        attempt: u32,
        reason: String,
    ) -> Result<Vec<Event>, Error> {
        self.asked(charge_no)?;
        let unknown = Event::PaymentOutcomeUnknown {
            payid,
            charge_no,
            attempt,
            reason,
        };
        Ok(self.while_open(charge_no, unknown))
    }

    fn decline(
        &self,
        payid: BookId,
        charge_no: u32,
        code: String,
        message: String,
    ) -> Result<Vec<Event>, Error> {
        self.asked(charge_no)?;
        if charge_no != FIRST_CHARGE {
            let declined = Event::ChargeDeclined {
                payid,
                charge_no,
                code,
                message,
            };
            return Ok(self.while_open(charge_no, declined));
        }
        let declined = Event::PaymentDeclined {
            payid,
            status: Status::PayFailed,
            charge_no,
            code,
            message,
        };
        let mut events = self.while_open(charge_no, declined);
        if !events.is_empty() {
            events.extend(self.return_points(payid, self.points_spent()));
            if self.void.is_some() {
                events.push(self.cancelled(payid, 0, true));
            }
        }
        Ok(events)
    }
}
