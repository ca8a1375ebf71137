//! What a registration decides: given what happened, when this is asked, then that follows.
//!
//! [`history`] leads a registration into each of its stages; [`STEPS`] is the table of what staff, customer
//! and saga may ask in each of them.

use cqrs_es::test::TestFramework;
use jiff::Timestamp;

use super::{Aggregate, Command, Error, Event, Method, Space, Stage};
use crate::status::Status;
use crate::value::{BookId, UserId};

pub(super) const SPACE: BookId = BookId(7);
const CUSTOMER: Option<UserId> = Some(UserId(1));

const STAGES: [Stage; 11] = [
    Stage::None,
    Stage::Refused,
    Stage::Registered,
    Stage::Preparing,
    Stage::Prepared,
    Stage::HandedOver,
    Stage::CheckedIn,
    Stage::CheckedOut,
    Stage::NoShow,
    Stage::Stopped,
    Stage::Cancelled,
];

pub(super) const NOON: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn by() -> String {
    "Kim".to_owned()
}

pub(super) fn registered() -> Event {
    Event::Registered {
        spaceid: SPACE,
        payid: SPACE,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        status: Status::SuccessRegister,
        bookid: SPACE,
        no_show_grace_minutes: None,
        slot: None,
    }
}

fn refused() -> Event {
    Event::RegistrationRefused {
        spaceid: SPACE,
        bookid: SPACE,
        reason: "closed for repairs".to_owned(),
    }
}

/// The event that leads into `stage`, from a stage before it; nothing leads to [`Stage::None`].
pub(super) fn step_into(stage: Stage) -> Option<Event> {
    let spaceid = SPACE;
    Some(match stage {
        Stage::None => return None,
        Stage::Refused => refused(),
        Stage::Registered => registered(),
        Stage::Preparing => Event::PreparationStarted {
            spaceid,
            status: Status::Preparing,
            by: by(),
        },
        Stage::Prepared => Event::Prepared {
            spaceid,
            status: Status::Ready,
            by: by(),
        },
        Stage::HandedOver => Event::HandedOver {
            spaceid,
            status: Status::Delivered,
            method: Method::Code,
            by: by(),
        },
        Stage::CheckedIn => Event::CheckedIn {
            spaceid,
            status: Status::InUse,
            by: Some(by()),
        },
        Stage::CheckedOut => Event::CheckedOut {
            spaceid,
            status: Status::Completed,
            overtime_minutes: 0,
            by: Some(by()),
        },
        Stage::NoShow => Event::NoShowMarked {
            spaceid,
            status: Status::NoShow,
            by: Some(by()),
        },
        Stage::Stopped => stopped_when(Stage::Registered),
        Stage::Cancelled => cancelled_when(Stage::Registered),
    })
}

pub(super) fn stopped_when(stage: Stage) -> Event {
    Event::FulfilmentStopped {
        spaceid: SPACE,
        stage,
    }
}

pub(super) fn cancelled_when(stage: Stage) -> Event {
    Event::Registercancelled {
        spaceid: SPACE,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        status: Status::CancelRegister,
        bookid: SPACE,
        stage,
    }
}

/// What leads a registration into `stage`.
pub(super) fn history(stage: Stage) -> Vec<Event> {
    let path: &[Stage] = match stage {
        Stage::Preparing | Stage::NoShow | Stage::Stopped | Stage::Cancelled => {
            &[Stage::Registered]
        }
        Stage::Prepared => &[Stage::Registered, Stage::Preparing],
        Stage::HandedOver => &[Stage::Registered, Stage::Prepared],
        Stage::CheckedIn => &[Stage::Registered, Stage::Prepared, Stage::HandedOver],
        Stage::CheckedOut => &[
            Stage::Registered,
            Stage::Prepared,
            Stage::HandedOver,
            Stage::CheckedIn,
        ],
        Stage::None | Stage::Refused | Stage::Registered => &[],
    };
    path.iter()
        .chain([&stage])
        .copied()
        .filter_map(step_into)
        .collect()
}

/// What a registration in `stage` answers to `command`.
pub(super) fn ask(stage: Stage, command: Command) -> Result<Vec<Event>, Error> {
    TestFramework::<Space>::with(())
        .given(history(stage))
        .when(command)
        .inspect_result()
}

pub(super) fn register(approved_payid: BookId) -> Command {
    Command::Register {
        bookid: SPACE,
        approved_payid,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        no_show_grace_minutes: None,
        slot: None,
    }
}

pub(super) fn cancel() -> Command {
    Command::Cancel {
        reason: "the booking was cancelled".to_owned(),
    }
}

/// One row of [`STEPS`].
struct Step {
    command: fn() -> Command,
    /// As the refusal names it.
    asked: &'static str,
    /// Where it is possible, and what it leads to.
    from: &'static [Stage],
    to: Stage,
}

const STEPS: [Step; 6] = [
    Step {
        command: || Command::StartPreparation { by: by() },
        asked: "prepared",
        from: &[Stage::Registered],
        to: Stage::Preparing,
    },
    Step {
        command: || Command::CompletePreparation { by: by() },
        asked: "made ready",
        from: &[Stage::Registered, Stage::Preparing],
        to: Stage::Prepared,
    },
    Step {
        command: || Command::HandOver {
            method: Method::Code,
            by: by(),
        },
        asked: "handed over",
        from: &[Stage::Prepared],
        to: Stage::HandedOver,
    },
    Step {
        command: || Command::CheckIn { by: Some(by()) },
        asked: "checked in",
        from: &[Stage::HandedOver],
        to: Stage::CheckedIn,
    },
    Step {
        command: || Command::CheckOut {
            at: NOON,
            by: Some(by()),
        },
        asked: "checked out",
        from: &[Stage::CheckedIn],
        to: Stage::CheckedOut,
    },
    Step {
        command: || Command::MarkNoShow {
            at: NOON,
            by: Some(by()),
        },
        asked: "marked as no-show",
        from: &[
            Stage::Registered,
            Stage::Preparing,
            Stage::Prepared,
            Stage::HandedOver,
        ],
        to: Stage::NoShow,
    },
];

#[test]
fn the_histories_lead_where_they_say() {
    for stage in STAGES {
        let mut space = Space::default();
        for event in history(stage) {
            space.apply(event);
        }
        assert_eq!(space.stage, stage);
    }
}

#[test]
fn a_space_is_registered_with_its_approved_payment_in_hand() {
    TestFramework::<Space>::with(())
        .given_no_previous_events()
        .when(register(SPACE))
        .then_expect_events(vec![registered()]);
}

#[test]
fn the_payment_of_another_booking_registers_nothing() {
    for stage in STAGES {
        let answer = ask(stage, register(BookId(8)));
        assert_eq!(answer, Err(Error::ForeignPayment), "in {stage:?}");
    }
}

#[test]
fn registering_twice_is_one_registration_even_after_it_was_undone() {
    for stage in STAGES.into_iter().filter(|stage| *stage != Stage::None) {
        assert_eq!(ask(stage, register(SPACE)), Ok(vec![]), "in {stage:?}");
    }
}

#[test]
fn every_step_is_taken_from_its_stages_absorbed_when_done_and_refused_elsewhere() {
    for step in STEPS {
        for stage in STAGES {
            let expected = if stage == Stage::None {
                Err(Error::NoSuchRegistration)
            } else if step.from.contains(&stage) {
                Ok(step_into(step.to).into_iter().collect())
            } else if stage == step.to {
                Ok(vec![])
            } else {
                Err(Error::IllegalTransition {
                    current: stage,
                    asked: step.asked,
                })
            };
            let answer = ask(stage, (step.command)());
            assert_eq!(answer, expected, "{} in {stage:?}", step.asked);
        }
    }
}

#[test]
fn a_refusal_says_where_the_registration_is() {
    TestFramework::<Space>::with(())
        .given(history(Stage::Registered))
        .when(Command::CheckIn { by: None })
        .then_expect_error_message("a space that is Registered cannot be checked in");
}

#[test]
fn a_cancellation_stops_preparation_and_says_how_far_it_had_come() {
    for stage in [Stage::Registered, Stage::Preparing, Stage::Prepared] {
        let answer = ask(stage, cancel());
        assert_eq!(answer, Ok(vec![cancelled_when(stage)]), "in {stage:?}");
    }
}

#[test]
fn a_cancellation_comes_too_late_once_the_customer_has_the_space() {
    for stage in [Stage::HandedOver, Stage::CheckedIn, Stage::CheckedOut] {
        let answer = ask(stage, cancel());
        assert_eq!(answer, Err(Error::AlreadyHandedOver), "in {stage:?}");
    }
}

#[test]
fn a_cancellation_finds_nothing_to_undo_where_nothing_stands() {
    for stage in [Stage::Refused, Stage::NoShow, Stage::Cancelled] {
        assert_eq!(ask(stage, cancel()), Ok(vec![]), "in {stage:?}");
    }
    assert_eq!(ask(Stage::None, cancel()), Err(Error::NoSuchRegistration));
}
