//! The promises: what holds after every step, and where a booking stands when everything has come to rest.
//!
//! They are read from the log of events and from the gateway's books; the aggregates are only asked whether
//! they agree.

use cqrs_es::persist::SerializedEvent;
use cqrs_es::{Aggregate, DomainEvent};
use domain::book::{Book, Event as BookEvent, Outcome, Stage as BookStage};
use domain::order::Stage as OrderStage;
use domain::payment::{Event as PaymentEvent, Payment};
use domain::space::{Event as SpaceEvent, Space, Stage as SpaceStage};
use domain::{Event, version};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::account::Account;
use crate::world::{World, event_type};

/// Events that happen to a booking at most once, whatever is sent twice.
const ONCE: [&str; 11] = [
    "Booked",
    "BookConfirmed",
    "Bookcancelled",
    "BookClosed",
    "PaymentRequested",
    "Approved",
    "VoidRequested",
    "Cancelled",
    "Registered",
    "Registercancelled",
    "HandedOver",
];

fn account(world: &World) -> Account {
    Account::of(world.log.iter().filter_map(|event| match event {
        Event::Payment(event) => Some(event),
        Event::Book(_) | Event::Space(_) => None,
    }))
}

fn first(world: &World, name: &str) -> Option<usize> {
    world.log.iter().position(|event| event_type(event) == name)
}

fn happened(world: &World, name: &str) -> bool {
    first(world, name).is_some()
}

/// What holds after every step.
pub(crate) fn always(world: &World) -> TestCaseResult {
    account(world).balances(&world.payment)?;
    what_happens_once(world)?;
    order_of_events(world)?;
    the_gateway_is_asked_for_no_more_than_it_has(world)?;
    the_log_is_the_truth(world)
}

fn what_happens_once(world: &World) -> TestCaseResult {
    for name in ONCE {
        let times = world.log.iter().filter(|event| event_type(event) == name);
        prop_assert!(times.count() <= 1, "{name} twice in {:#?}", world.log);
    }
    Ok(())
}

fn order_of_events(world: &World) -> TestCaseResult {
    for (earlier, later) in [
        ("Approved", "Registered"),
        ("Registered", "BookConfirmed"),
        ("Prepared", "HandedOver"),
        ("Bookcancelled", "Registercancelled"),
    ] {
        // An expired hold is undone like a cancelled one.
        let earlier = match first(world, "BookExpired") {
            Some(_) if earlier == "Bookcancelled" => "BookExpired",
            _ => earlier,
        };
        if let Some(later_at) = first(world, later) {
            let earlier_at = first(world, earlier);
            prop_assert!(
                earlier_at.is_some_and(|at| at < later_at),
                "{later} without {earlier}"
            );
        }
    }
    if let Some(void) = first(world, "VoidRequested") {
        prop_assert!(
            world.charges_sent.iter().all(|at| *at <= void),
            "charged after the void"
        );
    }
    let over = ["BookClosed", "BookRejected", "BookExpired"];
    let last_of_book = world.log.iter().rev().find_map(|event| match event {
        Event::Book(event) => Some(event.event_type()),
        Event::Payment(_) | Event::Space(_) => None,
    });
    for end in over {
        if happened(world, end) {
            prop_assert_eq!(last_of_book.as_deref(), Some(end), "an end is the end");
        }
    }
    Ok(())
}

fn the_gateway_is_asked_for_no_more_than_it_has(world: &World) -> TestCaseResult {
    for capture in &world.gateway.captures {
        prop_assert!(capture.refunded <= capture.amount, "{capture:?}");
    }
    Ok(())
}

/// The state that handling left equals the fold of what is stored, as read back from JSON.
fn the_log_is_the_truth(world: &World) -> TestCaseResult {
    let (mut book, mut payment, mut space) =
        (Book::default(), Payment::default(), Space::default());
    for event in &world.log {
        let read =
            version::decode(stored(event)).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(&read, event);
        match read {
            Event::Book(event) => book.apply(event),
            Event::Payment(event) => payment.apply(event),
            Event::Space(event) => space.apply(event),
        }
    }
    prop_assert_eq!(&book, &world.book);
    prop_assert_eq!(&payment, &world.payment);
    prop_assert_eq!(&space, &world.space);
    Ok(())
}

fn stored(event: &Event) -> SerializedEvent {
    let aggregate_type = match event {
        Event::Book(_) => Book::TYPE,
        Event::Payment(_) => Payment::TYPE,
        Event::Space(_) => Space::TYPE,
    };
    SerializedEvent::new(
        "7".to_owned(),
        1,
        aggregate_type.to_owned(),
        event_type(event),
        version::CURRENT.to_owned(),
        serde_json::to_value(event).unwrap(),
        serde_json::Value::Null,
    )
}

/// Where everything stands when nothing is under way any more.
pub(crate) fn at_rest(world: &World) -> TestCaseResult {
    let account = account(world);
    account.is_settled()?;
    prop_assert!(!world.payment.is_open(), "the outcome stayed open");
    prop_assert_eq!(world.gateway.captured(), world.payment.captured());
    prop_assert_eq!(world.gateway.refunded(), world.payment.refunded());
    match world.book.stage {
        BookStage::Confirmed => {
            prop_assert!(account.fee.is_none(), "confirmed and paid back");
            prop_assert_eq!(world.order.stage, OrderStage::Fulfilling);
        }
        BookStage::Rejected => {
            account.is_undone()?;
            prop_assert_eq!(world.order.stage, OrderStage::Failed);
            prop_assert!(
                happened(world, "PaymentDeclined") || happened(world, "RegistrationRefused")
            );
        }
        BookStage::Expired => {
            account.is_undone()?;
            prop_assert_eq!(world.order.stage, OrderStage::Done);
            nothing_is_registered(world)?;
        }
        BookStage::Closed => closed(world, &account)?,
        stage => prop_assert!(false, "{stage:?} is no place to stay: {:#?}", world.log),
    }
    if happened(world, "Bookcancelled") {
        prop_assert_eq!(world.book.stage, BookStage::Closed);
        account.is_undone()?;
        nothing_is_registered(world)?;
    }
    if happened(world, "PaymentDeclined") {
        let ends = [BookStage::Rejected, BookStage::Expired, BookStage::Closed];
        prop_assert!(ends.contains(&world.book.stage));
        prop_assert_eq!(world.space.stage, SpaceStage::None);
    }
    Ok(())
}

fn closed(world: &World, account: &Account) -> TestCaseResult {
    prop_assert_eq!(world.order.stage, OrderStage::Done);
    let outcome = world.log.iter().find_map(|event| match event {
        Event::Book(BookEvent::BookClosed { outcome, .. }) => Some(*outcome),
        _ => None,
    });
    match outcome {
        Some(Outcome::Cancelled) => prop_assert!(happened(world, "Bookcancelled")),
        Some(Outcome::Completed) => prop_assert_eq!(world.space.stage, SpaceStage::CheckedOut),
        Some(Outcome::NoShow) => prop_assert_eq!(world.space.stage, SpaceStage::NoShow),
        None => prop_assert!(false, "closed without an event"),
    }
    if outcome != Some(Outcome::Cancelled) {
        prop_assert!(account.fee.is_none(), "used and paid back");
    }
    Ok(())
}

/// Undone, or never done, unless the customer had the space (or staff gave up waiting) first.
fn nothing_is_registered(world: &World) -> TestCaseResult {
    let kept = world.log.iter().any(|event| {
        matches!(
            event,
            Event::Space(SpaceEvent::HandedOver { .. } | SpaceEvent::NoShowMarked { .. })
        )
    });
    if !kept {
        let undone = [SpaceStage::None, SpaceStage::Refused, SpaceStage::Cancelled];
        prop_assert!(
            undone.contains(&world.space.stage),
            "{:?}",
            world.space.stage
        );
    }
    let voided = |event: &Event| matches!(event, Event::Payment(PaymentEvent::Cancelled { .. }));
    prop_assert!(world.log.iter().any(voided), "the payment was not undone");
    Ok(())
}
