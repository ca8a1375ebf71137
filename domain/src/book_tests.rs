//! What a booking decides: given what happened, when this is asked, then that follows.
//!
//! [`history`] leads a booking into each of its stages; the tables then ask the same of every stage.

use cqrs_es::test::TestFramework;

use super::{Aggregate, Book, Command, Error, Event, Outcome, Stage};
use crate::status::Status;
use crate::value::{BookId, Money, UserId};

const BOOK: BookId = BookId(7);
const CUSTOMER: Option<UserId> = Some(UserId(1));
const PRICE: Money = Money::krw(10_000);

const WAITING: [Stage; 2] = [Stage::Placed, Stage::Deferred];
const SETTLED: [Stage; 5] = [
    Stage::Confirmed,
    Stage::Cancelling,
    Stage::Rejected,
    Stage::Expired,
    Stage::Closed,
];

fn booked() -> Event {
    Event::Booked {
        bookid: BOOK,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        status: Status::Booking,
        price: PRICE,
        held_until: None,
        slot: None,
        terms: None,
    }
}

fn deferred(reason: &str, sent: bool) -> Event {
    Event::PaymentDeferred {
        bookid: BOOK,
        status: Status::Timeout,
        reason: reason.to_owned(),
        sent,
    }
}

fn confirmed() -> Event {
    Event::BookConfirmed {
        bookid: BOOK,
        status: Status::SuccessRegister,
    }
}

fn rejected() -> Event {
    Event::BookRejected {
        bookid: BOOK,
        status: Status::PayFailed,
        reason: "declined".to_owned(),
    }
}

fn expired() -> Event {
    Event::BookExpired {
        bookid: BOOK,
        status: Status::Expired,
    }
}

fn cancelled(reason: Option<&str>) -> Event {
    Event::Bookcancelled {
        bookid: BOOK,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        status: Status::CancelBooking,
        refund: PRICE,
        reason: reason.map(str::to_owned),
        refund_percent: None,
    }
}

fn closed(outcome: Outcome, status: Status) -> Event {
    Event::BookClosed {
        bookid: BOOK,
        status,
        outcome,
    }
}

/// What leads a booking into `stage`.
fn history(stage: Stage) -> Vec<Event> {
    match stage {
        Stage::None => vec![],
        Stage::Placed => vec![booked()],
        Stage::Deferred => vec![booked(), deferred("timeout", true)],
        Stage::Confirmed => vec![booked(), confirmed()],
        Stage::Cancelling => vec![booked(), cancelled(None)],
        Stage::Rejected => vec![booked(), rejected()],
        Stage::Expired => vec![booked(), expired()],
        Stage::Closed => vec![
            booked(),
            cancelled(None),
            closed(Outcome::Cancelled, Status::CancelRegister),
        ],
    }
}

fn fold(events: Vec<Event>) -> Book {
    events.into_iter().fold(Book::default(), |mut book, event| {
        book.apply(event);
        book
    })
}

/// What a booking in `stage` answers to `command`.
fn ask(stage: Stage, command: Command) -> Result<Vec<Event>, Error> {
    TestFramework::<Book>::with(())
        .given(history(stage))
        .when(command)
        .inspect_result()
}

fn place() -> Command {
    Command::Place {
        bookid: BOOK,
        userid: CUSTOMER,
        spacename: "numberone".to_owned(),
        price: PRICE,
        scheduled: None,
    }
}

fn defer(reason: &str, sent: bool) -> Command {
    Command::DeferPayment {
        reason: reason.to_owned(),
        sent,
    }
}

fn reject() -> Command {
    Command::Reject {
        reason: "declined".to_owned(),
    }
}

fn cancel(reason: Option<&str>) -> Command {
    Command::Cancel {
        reason: reason.map(str::to_owned),
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn close(outcome: Outcome) -> Command {
    Command::Close { outcome }
}

/// The row of a step that happens while the booking waits for its payment, and is absorbed afterwards.
fn happens_only_while_waiting(command: &Command, event: &Event) {
    for stage in WAITING {
        let answer = ask(stage, command.clone());
        assert_eq!(answer, Ok(vec![event.clone()]), "{command:?} in {stage:?}");
    }
    for stage in SETTLED {
        let answer = ask(stage, command.clone());
        assert_eq!(answer, Ok(vec![]), "{command:?} in {stage:?}");
    }
}

#[test]
fn the_histories_lead_where_they_say() {
    for stage in [Stage::None].into_iter().chain(WAITING).chain(SETTLED) {
        assert_eq!(fold(history(stage)).stage, stage);
    }
}

#[test]
fn placing_takes_the_booking_at_the_price_of_the_moment() {
    TestFramework::<Book>::with(())
        .given_no_previous_events()
        .when(place())
        .then_expect_events(vec![booked()]);
    let book = fold(vec![booked()]);
    assert_eq!(book.price(), PRICE);
    assert_eq!(book.spacename(), "numberone");
    assert_eq!(book.userid(), CUSTOMER);
}

#[test]
fn nobody_in_particular_may_book() {
    let command = Command::Place {
        bookid: BOOK,
        userid: None,
        spacename: "numberone".to_owned(),
        price: PRICE,
        scheduled: None,
    };
    let answer = ask(Stage::None, command).unwrap();
    assert!(matches!(&answer[..], [Event::Booked { userid: None, .. }]));
}

#[test]
fn a_number_is_given_once() {
    for stage in WAITING.into_iter().chain(SETTLED) {
        assert_eq!(
            ask(stage, place()),
            Err(Error::AlreadyPlaced),
            "in {stage:?}"
        );
    }
}

#[test]
fn nothing_can_be_asked_of_a_booking_that_nobody_placed() {
    for command in [
        defer("timeout", true),
        Command::Confirm,
        reject(),
        Command::Expire,
        cancel(None),
        close(Outcome::Cancelled),
    ] {
        let answer = ask(Stage::None, command.clone());
        assert_eq!(answer, Err(Error::NoSuchBooking), "{command:?}");
    }
}

#[test]
fn a_payment_is_deferred_only_while_the_booking_waits() {
    for sent in [true, false] {
        happens_only_while_waiting(
            &defer("the breaker is open", sent),
            &deferred("the breaker is open", sent),
        );
    }
}

#[test]
fn a_booking_is_confirmed_only_while_it_waits() {
    happens_only_while_waiting(&Command::Confirm, &confirmed());
}

#[test]
fn a_booking_is_rejected_only_while_it_waits() {
    happens_only_while_waiting(&reject(), &rejected());
}

#[test]
fn a_hold_runs_out_only_while_the_booking_waits() {
    happens_only_while_waiting(&Command::Expire, &expired());
}

#[test]
fn cancelling_asks_for_the_whole_price_back() {
    for stage in [Stage::Placed, Stage::Deferred, Stage::Confirmed] {
        let answer = ask(stage, cancel(Some("rain")));
        assert_eq!(answer, Ok(vec![cancelled(Some("rain"))]), "in {stage:?}");
    }
}

#[test]
fn cancelling_twice_is_one_cancellation() {
    TestFramework::<Book>::with(())
        .given(history(Stage::Cancelling))
        .when(cancel(Some("rain again")))
        .then_expect_events(vec![]);
}

#[test]
fn what_is_over_cannot_be_cancelled() {
    for (stage, message) in [
        (
            Stage::Rejected,
            "a booking that is Rejected cannot be cancelled",
        ),
        (
            Stage::Expired,
            "a booking that is Expired cannot be cancelled",
        ),
        (
            Stage::Closed,
            "a booking that is Closed cannot be cancelled",
        ),
    ] {
        TestFramework::<Book>::with(())
            .given(history(stage))
            .when(cancel(None))
            .then_expect_error_message(message);
    }
}

#[test]
fn a_booking_closes_as_its_story_ended_and_is_absorbed_otherwise() {
    use Outcome::{Cancelled, Completed, NoShow};
    let closes = |stage, outcome| match (stage, outcome) {
        (Stage::Cancelling, Cancelled) => Some(Status::CancelRegister),
        (Stage::Confirmed, Completed) => Some(Status::Completed),
        (Stage::Confirmed, NoShow) => Some(Status::NoShow),
        _ => None,
    };
    for stage in WAITING.into_iter().chain(SETTLED) {
        for outcome in [Cancelled, Completed, NoShow] {
            let expected = closes(stage, outcome).map(|status| closed(outcome, status));
            assert_eq!(
                ask(stage, close(outcome)),
                Ok(expected.into_iter().collect()),
                "{outcome:?} in {stage:?}"
            );
        }
    }
}

#[test]
fn each_stage_has_the_status_string_that_the_seed_gave_it() {
    for (stage, status) in [
        (Stage::Placed, Status::Booking),
        (Stage::Deferred, Status::Timeout),
        (Stage::Confirmed, Status::SuccessRegister),
        (Stage::Cancelling, Status::CancelBooking),
        (Stage::Rejected, Status::PayFailed),
        (Stage::Expired, Status::Expired),
        (Stage::Closed, Status::CancelRegister),
    ] {
        assert_eq!(fold(history(stage)).status(), status, "in {stage:?}");
    }
    for (outcome, status) in [
        (Outcome::Completed, Status::Completed),
        (Outcome::NoShow, Status::NoShow),
    ] {
        let book = fold(vec![booked(), confirmed(), closed(outcome, status)]);
        assert_eq!(book.status(), status);
    }
}
