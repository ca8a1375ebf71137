//! Bookings, played through the real aggregates.

use domain::book::{self, Outcome};
use domain::payment::{self, charge_key};
use domain::space::{self, Method};
use domain::{BookId, Command, Money, UserId};
use journal::{CommandError, Done};

use crate::world::World;

/// What every booking of these tests costs.
pub(crate) const PRICE: Money = Money::krw(10_000);

/// A step of a booking's story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Place,
    Defer,
    Approve,
    Decline,
    Unknown,
    NotCharged,
    Register,
    Stop,
    Confirm,
    Reject,
    Prepare,
    Ready,
    HandOver,
    CheckIn,
    CheckOut,
    NoShow,
    Cancel,
    Expire,
    CancelPayment,
    RefundPart,
    RefundFails(u32),
    Refunded(u32),
    ChargeAgain,
    CancelRegistration,
    CloseCancelled,
    CloseCompleted,
}

/// Everything that can happen, for stories that chance writes.
pub(crate) const STEPS: [Step; 28] = [
    Step::Place,
    Step::Defer,
    Step::Approve,
    Step::Decline,
    Step::Unknown,
    Step::NotCharged,
    Step::Register,
    Step::Stop,
    Step::Confirm,
    Step::Reject,
    Step::Prepare,
    Step::Ready,
    Step::HandOver,
    Step::CheckIn,
    Step::CheckOut,
    Step::NoShow,
    Step::Cancel,
    Step::Expire,
    Step::CancelPayment,
    Step::RefundPart,
    Step::RefundFails(1),
    Step::RefundFails(2),
    Step::Refunded(1),
    Step::Refunded(2),
    Step::ChargeAgain,
    Step::CancelRegistration,
    Step::CloseCancelled,
    Step::CloseCompleted,
];

/// From the booking to the hand-over, as the saga would take it.
pub(crate) const REGISTERED: [Step; 4] =
    [Step::Place, Step::Approve, Step::Register, Step::Confirm];

/// A cancellation of a registered booking, to its end.
pub(crate) const CANCELLED: [Step; 5] = [
    Step::Cancel,
    Step::CancelPayment,
    Step::Refunded(1),
    Step::CancelRegistration,
    Step::CloseCancelled,
];

/// Plays steps of booking `id`, which user 1 makes for `numberone`; each must store something.
pub(crate) async fn play(world: &World, id: i64, steps: &[Step]) {
    for step in steps {
        let done = ask(world, id, *step).await;
        let done = done.unwrap_or_else(|error| panic!("{step:?} of {id}: {error}"));
        assert!(
            matches!(done, Done::Stored(_)),
            "{step:?} of {id} did nothing: {done:?}"
        );
    }
}

/// Asks for one step.
pub(crate) async fn ask(world: &World, id: i64, step: Step) -> Result<Done, CommandError> {
    world.ask(commands(id, UserId(1), "numberone", step)).await
}

/// Books `spacename` for `user`.
pub(crate) async fn place(world: &World, id: i64, user: i64, spacename: &str) {
    let place = commands(id, UserId(user), spacename, Step::Place);
    world.ask(place).await.unwrap();
}

fn commands(id: i64, user: UserId, spacename: &str, step: Step) -> Vec<Command> {
    let bookid = BookId(id);
    match step {
        // A registration that comes behind it is refused.
        Step::Stop => Command::cancel_booking(bookid, None, jiff::Timestamp::UNIX_EPOCH),
        Step::Place => {
            let (userid, price) = (Some(user), PRICE);
            let place = book::Command::Place {
                bookid,
                userid,
                spacename: spacename.into(),
                price,
                scheduled: None,
            };
            let request = payment::Command::Request {
                bookid,
                userid,
                spacename: spacename.into(),
                price,
                points: domain::payment::Points::default(),
            };
            vec![
                Command::Book(bookid, place),
                Command::Payment(bookid, request),
            ]
        }
        step => vec![
            of_book(step)
                .map(|command| Command::Book(bookid, command))
                .or_else(|| of_payment(bookid, step).map(|c| Command::Payment(bookid, c)))
                .or_else(|| {
                    of_space(bookid, user, spacename, step).map(|c| Command::Space(bookid, c))
                })
                .unwrap(),
        ],
    }
}

fn of_book(step: Step) -> Option<book::Command> {
    let reason = || "because".to_owned();
    Some(match step {
        Step::Defer => book::Command::DeferPayment {
            reason: reason(),
            sent: true,
        },
        Step::Confirm => book::Command::Confirm,
        Step::Reject => book::Command::Reject { reason: reason() },
        Step::Cancel => book::Command::Cancel {
            reason: Some(reason()),
            at: jiff::Timestamp::UNIX_EPOCH,
        },
        Step::Expire => book::Command::Expire,
        Step::CloseCancelled => book::Command::Close {
            outcome: Outcome::Cancelled,
        },
        Step::CloseCompleted => book::Command::Close {
            outcome: Outcome::Completed,
        },
        _ => return None,
    })
}

fn of_payment(bookid: BookId, step: Step) -> Option<payment::Command> {
    let charge_no = 1;
    Some(match step {
        Step::Approve => payment::Command::RecordApproval {
            charge_no,
            gateway_ref: charge_key(bookid, charge_no),
            captured: PRICE,
        },
        Step::ChargeAgain => payment::Command::RecordApproval {
            charge_no,
            gateway_ref: "another".into(),
            captured: PRICE,
        },
        Step::Decline => payment::Command::RecordDecline {
            charge_no,
            code: "no-money".into(),
            message: "the card is empty".into(),
        },
        Step::Unknown => payment::Command::RecordUnknown {
            charge_no,
            attempt: 1,
            reason: "no answer".into(),
        },
        Step::NotCharged => payment::Command::RecordNotCharged { charge_no },
        Step::CancelPayment => payment::Command::Cancel {
            refund: PRICE,
            percent: 100,
            reason: "the booking was cancelled".into(),
        },
        Step::RefundPart => payment::Command::RefundPartially {
            amount: PRICE.with_minor(3_000),
            reason: "it was cold".into(),
        },
        Step::RefundFails(refund_no) => payment::Command::RecordRefundFailure {
            refund_no,
            attempt: 1,
            code: "busy".into(),
        },
        Step::Refunded(refund_no) => payment::Command::RecordRefund {
            refund_no,
            refund_ref: format!("refund-{refund_no}"),
        },
        _ => return None,
    })
}

fn of_space(bookid: BookId, user: UserId, spacename: &str, step: Step) -> Option<space::Command> {
    let by = || "kim".to_owned();
    Some(match step {
        Step::Register => space::Command::Register {
            bookid,
            approved_payid: bookid,
            userid: Some(user),
            spacename: spacename.into(),
            no_show_grace_minutes: None,
            slot: None,
        },
        Step::Prepare => space::Command::StartPreparation { by: by() },
        Step::Ready => space::Command::CompletePreparation { by: by() },
        Step::HandOver => space::Command::HandOver {
            method: Method::Key,
            by: by(),
        },
        Step::CheckIn => space::Command::CheckIn { by: None },
        Step::CheckOut => space::Command::CheckOut {
            at: jiff::Timestamp::UNIX_EPOCH,
            by: None,
        },
        Step::NoShow => space::Command::MarkNoShow {
            at: jiff::Timestamp::UNIX_EPOCH,
            by: None,
        },
        Step::CancelRegistration => space::Command::Cancel {
            reason: "the booking was cancelled".into(),
        },
        _ => return None,
    })
}
