//! Stories: the steps that a world can take, and how they are drawn.
//!
//! A step that makes no sense at its moment (an answer to deliver where there is none) is passed over, so
//! that any list of steps is a story and shrinking can leave out what does not matter.

use domain::Money;
use domain::book::Scheduled;
use domain::space::{Command, Method, Stage};
use domain::terms::{Policy, Slot, Terms, Tier};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;

/// The longest story, in steps before the world comes to rest.
const STEPS_MAX: usize = 60;

/// What happens to one booking, and what is so all the while.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) price: Money,
    /// Whether the booking has a time.
    pub(crate) is_timed: bool,
    /// How much of the price points pay, in percent.
    pub(crate) points_percent: u8,
    pub(crate) steps: Vec<Step>,
    /// Whose intents wait longest.
    pub(crate) slow: Option<Lane>,
    /// Whether the space cannot be registered.
    pub(crate) refused: bool,
    /// How a charge that hangs to the end comes out.
    pub(crate) hanging_is_captured: bool,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    People(People),
    Outside(Outside),
    Saga(Saga),
}

/// What people and timers ask; they may be refused.
#[derive(Clone, Debug)]
pub(crate) enum People {
    /// The customer cancels, so many hours before the start.
    Cancel { hours_before: i64 },
    /// The customer moves the booking by so many hours, and it costs so much of the first price.
    Move { hours: i64, percent: u8 },
    /// Somebody asks for what was declined.
    PayOutstanding,
    /// A manager gives a part of the price back.
    RefundPart { percent: u8 },
    /// Staff or customer do this with the registration.
    Fulfil(Fulfil),
    /// Staff or customer do what comes next.
    FulfilNext,
    /// The hold runs out.
    Expire,
    /// The customer is told to wait.
    Defer { sent: bool },
}

/// What happens between payment and gateway.
#[derive(Clone, Debug)]
pub(crate) enum Outside {
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
}

/// What happens to the saga.
#[derive(Clone, Debug)]
pub(crate) enum Saga {
    /// It sees the next event.
    See,
    /// It sees every event there is and carries out all its intents, but for those of the slow lane.
    CatchUp,
    /// It sees an event that it has seen before.
    SeeAgain(Index),
    /// The next intent of a lane is carried out.
    Run(Index),
    /// A command of it arrives a second time.
    RunAgain(Index),
    /// Its state is kept.
    Checkpoint,
    /// It starts again from what was kept.
    Crash,
}

/// Where an intent goes. Order is kept in a lane, not between lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    Book,
    Payment,
    Space,
    Jobs,
}

/// A step of a registration.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fulfil {
    Start,
    Complete,
    HandOver,
    CheckIn,
    CheckOut { minutes_late: i64 },
    NoShow,
}

impl Fulfil {
    /// What comes next when nothing goes wrong.
    pub(crate) fn after(stage: Stage) -> Self {
        match stage {
            Stage::Registered => Self::Start,
            Stage::Preparing => Self::Complete,
            Stage::Prepared => Self::HandOver,
            Stage::HandedOver => Self::CheckIn,
            _ => Self::CheckOut { minutes_late: 20 },
        }
    }

    /// What is asked, of a booking whose last slot is `slot`.
    pub(crate) fn command(self, slot: Slot) -> Command {
        let by = "Kim".to_owned();
        match self {
            Self::Start => Command::StartPreparation { by },
            Self::Complete => Command::CompletePreparation { by },
            Self::HandOver => Command::HandOver {
                method: Method::Key,
                by,
            },
            Self::CheckIn => Command::CheckIn { by: Some(by) },
            Self::CheckOut { minutes_late } => Command::CheckOut {
                at: slot.end + SignedDuration::from_mins(minutes_late),
                by: Some(by),
            },
            Self::NoShow => Command::MarkNoShow {
                at: slot.end,
                by: Some(by),
            },
        }
    }
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

/// The slot that a booking with a time has first.
pub(crate) fn first_slot() -> Slot {
    let noon = Timestamp::constant(1_800_000_000, 0);
    Slot::new(noon, noon + SignedDuration::from_hours(2))
}

/// What a booking with a time is agreed to: all of the price back two days before, half of it one day before.
pub(crate) fn scheduled(price: Money) -> Scheduled {
    let slot = first_slot();
    let tier = |hours_before, refund_percent| Tier {
        hours_before,
        refund_percent,
    };
    let policy = Policy {
        grace_minutes: 60,
        tiers: vec![tier(48, 100), tier(24, 50)],
    };
    Scheduled {
        slot,
        terms: Terms {
            venue_version: 1,
            timezone: "Asia/Seoul".to_owned(),
            policy,
            buffer_before_minutes: 0,
            buffer_after_minutes: 0,
            hold_minutes: 10,
            no_show_grace_minutes: 15,
            overtime_per_hour: price,
            hand_over: Method::Key,
        },
        booked_at: slot.start - SignedDuration::from_hours(24 * 30),
    }
}

pub(crate) fn any_price() -> impl Strategy<Value = Money> {
    let edges = prop::sample::select(vec![0, 1, 99, 150, 333, 10_000, 999_999_999_999]);
    prop_oneof![3 => edges, 1 => 0..1_000_000_i64].prop_map(Money::krw)
}

fn people() -> impl Strategy<Value = People> {
    use Fulfil::{CheckIn, CheckOut, Complete, HandOver, NoShow, Start};
    let out = CheckOut { minutes_late: -5 };
    let fulfil = prop::sample::select(vec![Start, Complete, HandOver, CheckIn, out, NoShow]);
    let hours_before = prop::sample::select(vec![72, 30, 12]);
    let hours = prop::sample::select(vec![-1, 1, 24]);
    prop_oneof![
        4 => hours_before.prop_map(|hours_before| People::Cancel { hours_before }),
        4 => (hours, 50..=200_u8).prop_map(|(hours, percent)| People::Move { hours, percent }),
        4 => Just(People::PayOutstanding),
        4 => (1..=100_u8).prop_map(|percent| People::RefundPart { percent }),
        4 => fulfil.prop_map(People::Fulfil),
        16 => Just(People::FulfilNext),
        1 => Just(People::Expire),
        4 => any::<bool>().prop_map(|sent| People::Defer { sent }),
    ]
}

fn outside() -> impl Strategy<Value = Outside> {
    use Charge::{Captured, Declined, Hangs, Unreachable};
    use Refund::{Done, DoneButUnanswered, Failed};
    let charge = vec![Captured, Captured, Captured, Declined, Hangs, Unreachable];
    let refund = prop::sample::select(vec![Done, Done, DoneButUnanswered, Failed]);
    let which = any::<Index>;
    prop_oneof![
        5 => prop::sample::select(charge).prop_map(Outside::Send),
        1 => any::<bool>().prop_map(|captured| Outside::Resolve { captured }),
        1 => Just(Outside::CaptureTwice),
        2 => any::<bool>().prop_map(|deny| Outside::LookUp { deny }),
        2 => which().prop_map(Outside::Report),
        3 => (which(), refund).prop_map(|(which, how)| Outside::Refund { which, how }),
        6 => (which(), any::<bool>()).prop_map(|(which, again)| Outside::Deliver { which, again }),
        1 => which().prop_map(Outside::Lose),
    ]
}

fn saga() -> impl Strategy<Value = Saga> {
    prop_oneof![
        8 => Just(Saga::See),
        4 => Just(Saga::CatchUp),
        2 => any::<Index>().prop_map(Saga::SeeAgain),
        8 => any::<Index>().prop_map(Saga::Run),
        1 => any::<Index>().prop_map(Saga::RunAgain),
        2 => Just(Saga::Checkpoint),
        1 => Just(Saga::Crash),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        15 => people().prop_map(Step::People),
        21 => outside().prop_map(Step::Outside),
        26 => saga().prop_map(Step::Saga),
    ]
}

/// Any story.
pub(crate) fn any_story() -> impl Strategy<Value = Story> {
    let lane = prop::sample::select(vec![Lane::Book, Lane::Payment, Lane::Space, Lane::Jobs]);
    let parts = (
        (
            any_price(),
            any::<bool>(),
            prop::sample::select(vec![0, 30, 100_u8]),
        ),
        prop::collection::vec(any_step(), 0..=STEPS_MAX),
        prop::option::weighted(0.7, lane),
        prop::bool::weighted(0.2),
        any::<bool>(),
    );
    parts.prop_map(|(terms, steps, slow, refused, hanging_is_captured)| {
        let (price, is_timed, points_percent) = terms;
        Story {
            price,
            is_timed,
            points_percent,
            steps,
            slow,
            refused,
            hanging_is_captured,
        }
    })
}
