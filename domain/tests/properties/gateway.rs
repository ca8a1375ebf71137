//! A gateway that keeps true books and answers as gateways do: late, twice, not at all, or with a second
//! capture that nobody asked for.
//!
//! The same key is the same charge or refund, however often it is sent. What it says travels to the payment
//! as a recording command; the world decides when it arrives.

use std::collections::{BTreeMap, BTreeSet};

use domain::Money;
use domain::payment::Command;

use crate::story::Charge;

/// Money that was captured, and how much of it is back.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    charge_no: u32,
    pub(crate) gateway_ref: String,
    pub(crate) amount: Money,
    pub(crate) refunded: i64,
}

/// What the gateway knows of a charge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    NeverHeardOf,
    Hanging(Money),
    Captured(Money),
    Declined,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Gateway {
    charges: BTreeMap<u32, State>,
    pub(crate) captures: Vec<Capture>,
    refund_keys: BTreeSet<String>,
}

impl Gateway {
    pub(crate) fn state(&self, charge_no: u32) -> State {
        self.charges.get(&charge_no).copied().unwrap_or_default()
    }

    /// Takes a charge, which comes out as `how` unless its key is known, and says what became of it.
    pub(crate) fn charge(&mut self, charge_no: u32, amount: Money, how: Charge) -> Option<Command> {
        if self.state(charge_no) == State::NeverHeardOf {
            match how {
                Charge::Unreachable => return None,
                Charge::Captured => self.comes_out(charge_no, amount, true),
                Charge::Declined => self.comes_out(charge_no, amount, false),
                Charge::Hangs => {
                    self.charges.insert(charge_no, State::Hanging(amount));
                }
            }
        }
        self.look_up(charge_no)
    }

    /// Whatever hangs comes out.
    pub(crate) fn resolve(&mut self, captured: bool) {
        for (charge_no, state) in self.charges.clone() {
            if let State::Hanging(amount) = state {
                self.comes_out(charge_no, amount, captured);
            }
        }
    }

    fn comes_out(&mut self, charge_no: u32, amount: Money, captured: bool) {
        if captured {
            self.charges.insert(charge_no, State::Captured(amount));
            self.capture(charge_no, amount);
        } else {
            self.charges.insert(charge_no, State::Declined);
        }
    }

    /// Captures what it has captured before a second time.
    pub(crate) fn capture_twice(&mut self) {
        for (charge_no, state) in self.charges.clone() {
            if let State::Captured(amount) = state {
                self.capture(charge_no, amount);
            }
        }
    }

    fn capture(&mut self, charge_no: u32, amount: Money) {
        self.captures.push(Capture {
            charge_no,
            gateway_ref: format!("tx-{}", self.captures.len() + 1),
            amount,
            refunded: 0,
        });
    }

    /// What became of a charge; nothing when the gateway has never heard of it.
    pub(crate) fn look_up(&self, charge_no: u32) -> Option<Command> {
        match self.state(charge_no) {
            State::NeverHeardOf => None,
            State::Hanging(_) => Some(Command::RecordUnknown {
                charge_no,
                attempt: 1,
                reason: "it hangs".to_owned(),
            }),
            State::Captured(_) => {
                let mut captures = self.captures.iter();
                captures
                    .find(|capture| capture.charge_no == charge_no)
                    .map(Capture::report)
            }
            State::Declined => Some(Command::RecordDecline {
                charge_no,
                code: "card".to_owned(),
                message: "no funds".to_owned(),
            }),
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
        self.captures
            .iter()
            .map(|capture| capture.amount.minor)
            .sum()
    }

    pub(crate) fn refunded(&self) -> i64 {
        self.captures.iter().map(|capture| capture.refunded).sum()
    }
}

impl Capture {
    /// What the gateway says of it.
    pub(crate) fn report(&self) -> Command {
        Command::RecordApproval {
            charge_no: self.charge_no,
            gateway_ref: self.gateway_ref.clone(),
            captured: self.amount,
        }
    }
}
