//! Bugs that can be switched on, to see that the simulation finds them.
//!
//! None stands in the code that is shipped. Each is made where the simulation stands for the outside: in what the
//! database in memory does for a statement, in the gateway's door, in a machine's clock or timers, in the order in
//! which a customer's request does two things.

macro_rules! bugs {
    ($($bug:ident: $says:literal)+) => {
        /// A bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutation {
            $(#[doc = $says] $bug,)+
        }

        impl Mutation {
            /// All there are.
            pub const EVERY: &[Self] = &[$(Self::$bug),+];

            /// What is wrong.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self {
                    $(Self::$bug => $says,)+
                }
            }
        }
    };
}

bugs! {
    PredecessorUnchecked: "an event is stored though the one before it is missing"
    HalfWonKept: "a command that won only part keeps that part"
    KnownCommandForgotten: "a command that was stored before is stored again"
    TwinKept: "two commands with one id, sent at once, are both stored"
    LoserRecorded: "the id of a command that stored nothing is recorded"
    ClaimsOverlap: "claims are not held against each other"
    ClaimOfLoserKept: "the claim of a command that lost its stream is kept"
    SlotNotGivenBack: "a booking that is over keeps its slot"
    LoserReleases: "the slot of a booking is free though its cancellation lost"
    OwnSlotInTheWay: "a booking that moves stands in its own way"
    UnitNotNamed: "the unit that was won is not written into the events"
    CancelledWithoutStop: "a cancellation does not stop the hand-over"
    PointsNotHeld: "two may spend a user's points at once"
    PointsNotCounted: "points are spent that are not there"
    NumbersDrawnAgain: "positions of rolled back transactions are given out again"
    CommitNotDurable: "a crash of the database takes the last commit along"
    HoleTakenForDead: "a hole is passed over"
    HoleDeadByTime: "a hole is dead when it was waited for long enough"
    XOfAnEarlierTransaction: "X is drawn by a transaction that began before the hole was seen"
    VerdictOfAnotherSnapshot: "rows and verdict come from two snapshots"
    VerdictWithoutProof: "X proves a hole dead as soon as it is drawn"
    DeadSpanTooWide: "one position more than was proved is noted as dead"
    DeliveredByTransaction: "events are delivered in the order of transaction ids"
    NoFence: "owner, epoch and old position are not checked when a checkpoint moves"
    FenceLookedAtNotHeld: "the fence is looked at, and not held until the commit"
    CheckpointBeforeEffect: "the checkpoint is committed before what it stands for"
    EffectBeforeCheckpoint: "rows are committed before their checkpoint"
    LeaseNeverEnds: "nobody takes over from a dead follower"
    CutKeepsRows: "a cut leaves the slices whose numbers there are before and after"
    ClaimOfAnotherCut: "a slice is given to who knows it of another cut"
    ParkedKeyForgotten: "what stands behind a parked event is taken"
    ParkedOnceMore: "an event that is taken out of the parked ones stays there"
    JobsOutsideCheckpoint: "jobs are written apart from the checkpoint, after it"
    JobFenceOpen: "who lost a job can still end it"
    JobForgotWhatItKnew: "a job that is scheduled again does not learn what is new"
    TryNotNoted: "that the gateway is about to be called is not written down"
    HoldNotKnown: "a worker does not know until when the slot is kept"
    JobClaimNeverEnds: "nobody takes over the job of a dead worker"
    UnknownIsDeclined: "an unknown outcome is taken for a decline"
    UnknownIsNotSent: "an unknown outcome is taken for a charge that was not sent"
    NewKeyEachTry: "a charge that is sent again gets a new key"
    NewRefundKeyEachTry: "a refund that is sent again gets a new key"
    KeySentAfterRetention: "a key is sent again when the gateway has forgotten it"
    RefundKeySentAfterRetention: "that a refund was sent is not written down, and its key is sent again when the gateway has forgotten it"
    NotFoundBelievedAtOnce: "a charge that the gateway does not know yet counts as not made"
    ChargedBeforeIntent: "money moves before its intent is stored"
    DeferredAsUnsent: "a charge whose outcome is open is handed over as never sent"
    LeftToNobody: "what is left to people counts as done"
    LateCallNotAsked: "what a process took that slept across its call is not asked for"
    OnlyWakeUps: "followers wait to be woken and do not look by themselves"
}

impl Mutation {
    /// Those that no schedule can show the harm of: the code around the database never asks for what the guard refuses,
    /// or the outcome is in the journal before the job's row counts, or it only takes longer, or people are refused who
    /// need not be, or two would have to spend one customer's last points in one moment. The conformance suite asks for
    /// what they refuse by hand.
    pub const BEHIND_OTHERS: &[Self] = &[
        Self::PredecessorUnchecked,
        Self::ClaimOfLoserKept,
        Self::OwnSlotInTheWay,
        Self::PointsNotHeld,
        Self::JobFenceOpen,
        Self::JobForgotWhatItKnew,
    ];

    /// Those that take hundreds of schedules, or thousands: for optimised code.
    pub const RARE: &[Self] = &[
        Self::FenceLookedAtNotHeld,
        Self::DeferredAsUnsent,
        Self::LoserReleases,
        Self::CutKeepsRows,
        Self::LateCallNotAsked,
    ];

    /// Those that schedules must find.
    pub const ALL: &[Self] = &[
        Self::CancelledWithoutStop,
        Self::HalfWonKept,
        Self::KnownCommandForgotten,
        Self::TwinKept,
        Self::LoserRecorded,
        Self::ClaimsOverlap,
        Self::SlotNotGivenBack,
        Self::UnitNotNamed,
        Self::LoserReleases,
        Self::PointsNotCounted,
        Self::NumbersDrawnAgain,
        Self::CommitNotDurable,
        Self::HoleTakenForDead,
        Self::HoleDeadByTime,
        Self::XOfAnEarlierTransaction,
        Self::VerdictOfAnotherSnapshot,
        Self::VerdictWithoutProof,
        Self::DeadSpanTooWide,
        Self::DeliveredByTransaction,
        Self::NoFence,
        Self::FenceLookedAtNotHeld,
        Self::CheckpointBeforeEffect,
        Self::EffectBeforeCheckpoint,
        Self::LeaseNeverEnds,
        Self::CutKeepsRows,
        Self::ClaimOfAnotherCut,
        Self::ParkedKeyForgotten,
        Self::ParkedOnceMore,
        Self::JobsOutsideCheckpoint,
        Self::TryNotNoted,
        Self::HoldNotKnown,
        Self::JobClaimNeverEnds,
        Self::UnknownIsDeclined,
        Self::UnknownIsNotSent,
        Self::NewKeyEachTry,
        Self::NewRefundKeyEachTry,
        Self::KeySentAfterRetention,
        Self::RefundKeySentAfterRetention,
        Self::NotFoundBelievedAtOnce,
        Self::ChargedBeforeIntent,
        Self::DeferredAsUnsent,
        Self::LeftToNobody,
        Self::LateCallNotAsked,
        Self::OnlyWakeUps,
    ];
}
