//! A gateway that keeps true books and answers as gateways do: late, twice, not at all, or with a second
//! capture that nobody asked for.
//!
//! The same key is the same charge or refund, however often it is sent. What it says travels to the payment
//! as a recording command; the world decides when it arrives.

use std::collections::BTreeSet;

use domain::Money;
use domain::payment::Command;

use crate::story::Charge;

/// Money that was captured, and how much of it is back.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) gateway_ref: String,
    pub(crate) amount: i64,
    pub(crate) refunded: i64,
}

/// What the gateway knows of the one charge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    NeverHeardOf,
    Hanging,
    Captured,
    Declined,
}

#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    price: Money,
    pub(crate) state: State,
    pub(crate) captures: Vec<Capture>,
    refund_keys: BTreeSet<String>,
}

impl Gateway {
    pub(crate) fn new(price: Money) -> Self {
        Self {
            price,
            state: State::default(),
            captures: vec![],
            refund_keys: BTreeSet::new(),
        }
    }

    /// Takes the charge, which comes out as `how` unless its key is known, and says what became of it.
    pub(crate) fn charge(&mut self, how: Charge) -> Option<Command> {
        if self.state == State::NeverHeardOf {
            match how {
                Charge::Captured => self.resolve(true),
                Charge::Declined => self.resolve(false),
                Charge::Hangs => self.state = State::Hanging,
                Charge::Unreachable => return None,
            }
        }
        self.look_up()
    }

    /// The charge comes out.
    pub(crate) fn resolve(&mut self, captured: bool) {
        if captured {
            self.state = State::Captured;
            self.capture();
        } else {
            self.state = State::Declined;
        }
    }

    /// Captures, whoever asked for it.
    pub(crate) fn capture(&mut self) {
        self.captures.push(Capture {
            gateway_ref: format!("tx-{}", self.captures.len() + 1),
            amount: self.price.minor,
            refunded: 0,
        });
    }

    /// What became of the charge; nothing when the gateway has never heard of it.
    pub(crate) fn look_up(&self) -> Option<Command> {
        match self.state {
            State::NeverHeardOf => None,
            State::Hanging => Some(Command::RecordUnknown {
                charge_no: 1,
                attempt: 1,
                reason: "it hangs".to_owned(),
            }),
            State::Captured => self.captures.first().map(|first| self.report(first)),
            State::Declined => Some(Command::RecordDecline {
                charge_no: 1,
                code: "card".to_owned(),
                message: "no funds".to_owned(),
            }),
        }
    }

    /// Says that this capture was made.
    pub(crate) fn report(&self, capture: &Capture) -> Command {
        Command::RecordApproval {
            charge_no: 1,
            gateway_ref: capture.gateway_ref.clone(),
            captured: self.price.with_minor(capture.amount),
        }
    }

    /// Gives money back, once for each key.
    pub(crate) fn refund(&mut self, key: &str, gateway_ref: &str, amount: i64) {
        if self.refund_keys.insert(key.to_owned()) {
            for capture in &mut self.captures {
                if capture.gateway_ref == gateway_ref {
                    capture.refunded += amount;
                }
            }
        }
    }

    pub(crate) fn captured(&self) -> i64 {
        self.captures.iter().map(|capture| capture.amount).sum()
    }

    pub(crate) fn refunded(&self) -> i64 {
        self.captures.iter().map(|capture| capture.refunded).sum()
    }
}
