//! What the saga wants to happen next: commands, and jobs for what calls the outside or waits for time.

use jiff::Timestamp;

use crate::Command;

/// The kind of job that sees to a charge; open ones of first charges are the bookings that wait for money.
pub const CHARGE_JOB: &str = "charge";
/// How the keys of first charges end, and of no other jobs of that kind.
pub const FIRST_CHARGE_ENDS: &str = ":1";
/// The kind of job that marks a no-show when the time for it has come.
pub const NO_SHOW_JOB: &str = "no-show";
/// The kind of job that gives money back.
pub const REFUND_JOB: &str = "refund";

/// Something that must happen next.
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    /// Send this command.
    Command(Command),
    /// See to it that the charge gets an outcome.
    Charge {
        /// Which charge of the booking's payment.
        charge_no: u32,
        /// When the background takes over.
        due: Due,
        /// Until when the booking's slot is kept while nothing was sent.
        held_until: Option<Timestamp>,
    },
    /// At this time, see whether the customer came.
    NoShowTimer {
        /// For which slot: a booking that was moved has another one.
        start: Timestamp,
        /// When nobody waits for the customer any more.
        at: Timestamp,
    },
    /// The charge has its outcome: nobody needs to see to it any more.
    ChargeSettled {
        /// Which charge.
        charge_no: u32,
    },
    /// The charge is not wanted any more and has no outcome: its worker looks again, also where people were to.
    ChargeUnwanted {
        /// Which charge.
        charge_no: u32,
    },
    /// Give money back.
    Refund {
        /// Which refund of the booking's payment.
        refund_no: u32,
    },
}

/// When the background takes over a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At once: it is certain that nothing was sent.
    Now,
    /// When the customer's own call must have ended.
    AfterInlineCall,
}
