//! Stories: the steps that a world can take, and how they are drawn.
//!
//! A step that makes no sense at its moment (an answer to deliver where there is none) is passed over, so
//! that any list of steps is a story and shrinking can leave out what does not matter.

use domain::Money;
use proptest::prelude::*;
use proptest::sample::Index;

/// The longest story, in steps before the world comes to rest.
const STEPS_MAX: usize = 60;

/// A price, what happens, and how a charge that hangs to the end comes out.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) price: Money,
    pub(crate) steps: Vec<Step>,
    pub(crate) hanging_is_captured: bool,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The customer cancels.
    Cancel,
    /// A manager gives a part of the price back.
    RefundPart { percent: u8 },
    /// Staff or customer do this with the registration.
    Fulfil(Fulfil),
    /// Staff or customer do what comes next.
    FulfilNext,
    /// The hold runs out, judged by a look that may be stale.
    Expire { attempt_in_flight: bool },
    /// The customer is told to wait.
    Defer { sent: bool },
    /// A charge is sent, if it may be.
    Send(Charge),
    /// The charge that hangs comes out.
    Resolve { captured: bool },
    /// The gateway captures a second time for the same key.
    CaptureTwice,
    /// The background asks what became of the charge; the gateway may deny one that hangs.
    LookUp { deny: bool },
    /// The gateway reports a capture, perhaps again.
    Report(Index),
    /// A refund that is due is sent.
    Refund { which: Index, how: Refund },
    /// An answer of the gateway is recorded, perhaps to come again.
    Deliver { which: Index, again: bool },
    /// An answer of the gateway gets lost.
    Lose(Index),
    /// The saga sees the next event.
    See,
    /// The saga sees every event there is and carries out all its intents.
    CatchUp,
    /// The saga sees an event that it has seen before.
    SeeAgain(Index),
    /// The next intent is carried out; a registration may be refused.
    Run { refuse: bool },
    /// A command of the saga arrives a second time.
    RunAgain(Index),
    /// The saga's state is kept.
    Checkpoint,
    /// The saga starts again from what was kept.
    Crash,
}

/// A step of a registration.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fulfil {
    Start,
    Complete,
    HandOver,
    CheckIn,
    CheckOut,
    NoShow,
}

/// What becomes of a charge that is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Charge {
    Captured,
    Declined,
    Hangs,
    Unreachable,
}

/// What becomes of a refund that is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refund {
    Done,
    DoneButUnanswered,
    Failed,
}

pub(crate) fn any_price() -> impl Strategy<Value = Money> {
    let edges = prop::sample::select(vec![0, 1, 99, 150, 333, 10_000, 999_999_999_999]);
    prop_oneof![3 => edges, 1 => 0..1_000_000_i64].prop_map(Money::krw)
}

fn any_fulfilment() -> impl Strategy<Value = Step> {
    use Fulfil::{CheckIn, CheckOut, Complete, HandOver, NoShow, Start};
    let steps = vec![Start, Complete, HandOver, CheckIn, CheckOut, NoShow];
    prop::sample::select(steps).prop_map(Step::Fulfil)
}

fn any_charge() -> impl Strategy<Value = Step> {
    use Charge::{Captured, Declined, Hangs, Unreachable};
    let outcomes = vec![Captured, Captured, Captured, Declined, Hangs, Unreachable];
    prop::sample::select(outcomes).prop_map(Step::Send)
}

fn any_refund() -> impl Strategy<Value = Step> {
    use Refund::{Done, DoneButUnanswered, Failed};
    let outcomes = prop::sample::select(vec![Done, Done, DoneButUnanswered, Failed]);
    (any::<Index>(), outcomes).prop_map(|(which, how)| Step::Refund { which, how })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => Just(Step::Cancel),
        2 => (1..=100_u8).prop_map(|percent| Step::RefundPart { percent }),
        1 => any_fulfilment(),
        8 => Just(Step::FulfilNext),
        1 => any::<bool>().prop_map(|attempt_in_flight| Step::Expire { attempt_in_flight }),
        2 => any::<bool>().prop_map(|sent| Step::Defer { sent }),
        5 => any_charge(),
        1 => any::<bool>().prop_map(|captured| Step::Resolve { captured }),
        1 => Just(Step::CaptureTwice),
        2 => any::<bool>().prop_map(|deny| Step::LookUp { deny }),
        2 => any::<Index>().prop_map(Step::Report),
        3 => any_refund(),
        6 => (any::<Index>(), any::<bool>()).prop_map(|(which, again)| Step::Deliver { which, again }),
        1 => any::<Index>().prop_map(Step::Lose),
        8 => Just(Step::See),
        4 => Just(Step::CatchUp),
        2 => any::<Index>().prop_map(Step::SeeAgain),
        8 => prop::bool::weighted(0.1).prop_map(|refuse| Step::Run { refuse }),
        1 => any::<Index>().prop_map(Step::RunAgain),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Crash),
    ]
}

/// Any story.
pub(crate) fn any_story() -> impl Strategy<Value = Story> {
    let steps = prop::collection::vec(any_step(), 0..=STEPS_MAX);
    (any_price(), steps, any::<bool>()).prop_map(|(price, steps, hanging_is_captured)| Story {
        price,
        steps,
        hanging_is_captured,
    })
}
