//! The promises: what holds after every step, and where a booking stands when everything has come to rest.
//!
//! They are read from the log of events and from the gateway's books; the aggregates are only asked whether
//! they agree.

use std::collections::BTreeMap;

use domain::Event;
use domain::book::{Event as BookEvent, Outcome, Stage as BookStage};
use domain::order::Stage as OrderStage;
use domain::payment::{Event as E, Purpose};
use domain::space::Stage as SpaceStage;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::account::Account;
use crate::streams::event_type;
use crate::world::World;

/// Events that happen to a booking at most once, whatever is sent twice.
const ONCE: [&str; 13] = [
    "FulfilmentStopped",
    "PointsSpent",
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
    Account::of(world.streams.log.iter().filter_map(|event| match event {
        Event::Payment(event) => Some(event),
        Event::Book(_) | Event::Space(_) => None,
    }))
}

/// Where in the log each event type stands.
struct Places(BTreeMap<String, Vec<usize>>);

impl Places {
    fn of(world: &World) -> Self {
        let mut places = BTreeMap::<String, Vec<usize>>::new();
        for (place, event) in world.streams.log.iter().enumerate() {
            places.entry(event_type(event)).or_default().push(place);
        }
        Self(places)
    }

    fn first(&self, event_type: &str) -> Option<usize> {
        self.0
            .get(event_type)
            .and_then(|places| places.first().copied())
    }

    fn has(&self, event_type: &str) -> bool {
        self.0.contains_key(event_type)
    }
}

/// What holds after every step.
pub(crate) fn always(world: &World) -> TestCaseResult {
    let (folded, live) = (&world.streams.folded, &world.streams.live);
    prop_assert_eq!(folded, live, "the log is the truth");
    account(world).balances(&live.payment)?;
    let places = Places::of(world);
    for (name, at) in &places.0 {
        let once = ONCE.contains(&name.as_str());
        prop_assert!(!once || at.len() == 1, "{name} happened twice");
    }
    causes_come_first(&places)?;
    an_end_is_the_end(world)?;
    let void = places.first("VoidRequested").unwrap_or(usize::MAX);
    let charged_after = world
        .charges_sent
        .iter()
        .any(|(no, at)| *no == 1 && *at > void);
    prop_assert!(!charged_after, "charged although the booking was cancelled");
    for capture in &world.gateway.captures {
        prop_assert!(capture.refunded <= capture.amount.minor, "{capture:?}");
    }
    let handed_over = places.has("HandedOver") || places.has("NoShowMarked");
    let both = places.has("Bookcancelled") && handed_over;
    prop_assert!(
        !both,
        "cancelled, and the customer has the space or did not come"
    );
    Ok(())
}

fn causes_come_first(places: &Places) -> TestCaseResult {
    // An expired hold is undone like a cancelled booking.
    let undoing = if places.has("BookExpired") {
        "BookExpired"
    } else {
        "Bookcancelled"
    };
    for (cause, effect) in [
        ("Approved", "Registered"),
        ("Registered", "BookConfirmed"),
        ("Prepared", "HandedOver"),
        (undoing, "Registercancelled"),
        ("Cancelled", "Registercancelled"),
    ] {
        if let Some(effect_at) = places.first(effect) {
            let in_time = places.first(cause).is_some_and(|at| at < effect_at);
            prop_assert!(in_time, "{effect} without {cause}");
        }
    }
    Ok(())
}

fn an_end_is_the_end(world: &World) -> TestCaseResult {
    let mut over = false;
    for event in &world.streams.log {
        if let Event::Book(event) = event {
            prop_assert!(!over, "{event:?} after the end in {:#?}", world.streams.log);
            over = matches!(
                event,
                BookEvent::BookClosed { .. }
                    | BookEvent::BookRejected { .. }
                    | BookEvent::BookExpired { .. }
            );
        }
    }
    Ok(())
}

/// Where everything stands when nothing is under way any more.
pub(crate) fn at_rest(world: &World) -> TestCaseResult {
    let (account, places, aggregates) = (account(world), Places::of(world), &world.streams.live);
    account.is_settled()?;
    let payment = &aggregates.payment;
    let open = (1..10).find(|no| payment.is_charge_open(*no));
    prop_assert_eq!(open, None, "the outcome of a charge stayed open");
    prop_assert_eq!(world.gateway.captured(), aggregates.payment.captured());
    prop_assert_eq!(world.gateway.refunded(), aggregates.payment.refunded());
    match aggregates.book.stage {
        BookStage::Confirmed => {
            prop_assert!(account.fee.is_none(), "confirmed and paid back");
            prop_assert_eq!(world.order.stage, OrderStage::Fulfilling);
            prop_assert!(places.has("Registered") && !places.has("Registercancelled"));
            prop_assert!(!places.has("CheckedOut") && !places.has("NoShowMarked"));
        }
        BookStage::Rejected => {
            account.is_undone()?;
            prop_assert_eq!(world.order.stage, OrderStage::Failed);
            prop_assert!(places.has("PaymentDeclined") || places.has("RegistrationRefused"));
        }
        BookStage::Expired => {
            account.is_undone()?;
            prop_assert_eq!(world.order.stage, OrderStage::Done);
            nothing_is_registered(world, &places)?;
        }
        BookStage::Closed => closed(world, &account, &places)?,
        stage => {
            let log = &world.streams.log;
            prop_assert!(false, "{stage:?} is no place to stay: {log:#?}");
        }
    }
    if places.has("Bookcancelled") {
        prop_assert_eq!(aggregates.book.stage, BookStage::Closed);
        undone_by_the_policy(world, &account, &places)?;
        nothing_is_registered(world, &places)?;
    }
    if places.has("PaymentDeclined") {
        let ends = [BookStage::Rejected, BookStage::Expired, BookStage::Closed];
        prop_assert!(ends.contains(&aggregates.book.stage));
        prop_assert!(matches!(
            aggregates.space.stage,
            SpaceStage::None | SpaceStage::Stopped
        ));
    }
    Ok(())
}

/// What was promised went back, in money and points: so many percent of what was paid and had not gone back before, and
/// no more than was said. Reckoned from the log alone.
fn undone_by_the_policy(world: &World, account: &Account, places: &Places) -> TestCaseResult {
    let promised = world.streams.log.iter().find_map(|event| match event {
        Event::Book(BookEvent::Bookcancelled {
            refund,
            refund_percent,
            ..
        }) => Some((refund.minor, refund_percent.unwrap_or(100))),
        _ => None,
    });
    if !places.has("Approved") {
        return account.is_undone();
    }
    let (most, percent) = promised.unwrap_or_default();
    let Undone { paid, back } = Undone::of(world);
    // Half a unit more is given back, half a unit less is not.
    let of_what_was_paid = (paid * i64::from(percent) * 2 + 100) / 200;
    prop_assert_eq!(back, of_what_was_paid.min(most), "{:?}", account);
    Ok(())
}

/// The undoing of a payment.
#[derive(Default)]
struct Undone {
    /// What had been paid by then, in money and points, and had not been given back or promised back.
    paid: i64,
    /// What it gave back of that.
    back: i64,
}

impl Undone {
    fn of(world: &World) -> Self {
        let (mut undone, mut is_cancelled) = (Self::default(), false);
        for event in &world.streams.log {
            match event {
                Event::Book(BookEvent::Bookcancelled { .. }) => is_cancelled = true,
                Event::Payment(event) => undone.count(event, is_cancelled),
                Event::Book(_) | Event::Space(_) => {}
            }
        }
        undone
    }

    fn count(&mut self, event: &E, is_cancelled: bool) {
        match event {
            E::Approved { captured, .. } | E::ChargeApproved { captured, .. } => {
                self.paid += captured.minor;
            }
            E::PointsSpent { points, .. } => self.paid += points,
            // Of a move: afterwards none comes any more.
            E::PointsReturned { points, .. } if !is_cancelled => self.paid -= points,
            E::PointsReturned { points, .. } => self.back += points,
            E::RefundRequested {
                purpose, refund, ..
            } => match purpose {
                Purpose::Partial => self.paid -= refund.minor,
                Purpose::Cancellation => self.back += refund.minor,
                Purpose::Surplus => {}
            },
            _ => {}
        }
    }
}

fn closed(world: &World, account: &Account, places: &Places) -> TestCaseResult {
    let aggregates = &world.streams.live;
    prop_assert_eq!(world.order.stage, OrderStage::Done);
    let outcome = world.streams.log.iter().find_map(|event| match event {
        Event::Book(BookEvent::BookClosed { outcome, .. }) => Some(*outcome),
        _ => None,
    });
    match outcome {
        Some(Outcome::Cancelled) => prop_assert!(places.has("Bookcancelled")),
        Some(Outcome::Completed) => {
            prop_assert_eq!(aggregates.space.stage, SpaceStage::CheckedOut);
        }
        Some(Outcome::NoShow) => {
            prop_assert_eq!(aggregates.space.stage, SpaceStage::NoShow);
        }
        None => prop_assert!(false, "closed without an event"),
    }
    if outcome != Some(Outcome::Cancelled) {
        prop_assert!(account.fee.is_none(), "used and paid back");
    }
    Ok(())
}

/// Undone, or never done, unless the customer had the space (or staff gave up waiting) first.
fn nothing_is_registered(world: &World, places: &Places) -> TestCaseResult {
    prop_assert!(places.has("Cancelled"), "the payment was not undone");
    if !places.has("HandedOver") && !places.has("NoShowMarked") {
        let undone = [
            SpaceStage::None,
            SpaceStage::Refused,
            SpaceStage::Stopped,
            SpaceStage::Cancelled,
        ];
        let stage = world.streams.live.space.stage;
        prop_assert!(undone.contains(&stage), "{stage:?}");
    }
    Ok(())
}
