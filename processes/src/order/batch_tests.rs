//! Folding a batch: ids that do not depend on when or how often, and nobody else's rows.

use domain::payment::Event as Paid;
use domain::space::Event as Registering;
use domain::status::Status;
use domain::{Event, Money, book};
use journal::transfer::Imported;
use journal::{Actor, Metadata, StreamId};

use super::*;

const PRICE: Money = Money::krw(10_000);

fn recorded(position: i64, event: Event) -> Recorded {
    let aggregate_type = match event {
        Event::Book(_) => "Book",
        Event::Payment(_) => "Payment",
        Event::Space(_) => "Space",
    };
    Recorded {
        position,
        part: 0,
        stream: StreamId::new(aggregate_type, "7"),
        sequence: position,
        event_id: Uuid::from_u128(u128::try_from(position).unwrap()),
        command_id: Uuid::nil(),
        event_type: event.name(),
        recorded_at: Timestamp::UNIX_EPOCH,
        metadata: Metadata {
            occurred_at: Timestamp::UNIX_EPOCH,
            correlation_id: "a journey".to_owned(),
            causation_id: None,
            traceparent: None,
            actor_type: Actor::Customer,
            actor_id: None,
        },
        event,
    }
}

/// A booking that is paid and whose registration is refused: two commands follow from the last event.
fn refused() -> Vec<Recorded> {
    let (bookid, spacename) = (BookId(7), || "numberone".to_owned());
    let booked = book::Event::Booked {
        bookid,
        userid: None,
        spacename: spacename(),
        status: Status::Booking,
        price: PRICE,
        held_until: None,
        slot: None,
        terms: None,
    };
    let approved = Paid::Approved {
        payid: bookid,
        bookid,
        userid: None,
        status: Status::SuccessPay,
        spacename: spacename(),
        captured: PRICE,
        charge_no: 1,
        gateway_ref: "a reference".to_owned(),
    };
    let refused = Registering::RegistrationRefused {
        spaceid: bookid,
        bookid,
        reason: "closed".to_owned(),
    };
    vec![
        recorded(1, Event::Book(booked)),
        recorded(2, Event::Payment(approved)),
        recorded(3, Event::Space(refused)),
    ]
}

/// Folds what happened here.
fn fold(orders: Orders, events: &[Recorded], now: Timestamp) -> Result<Plan, HandlerError> {
    fold_with(orders, events, &Past::default(), now)
}

fn fold_with(
    orders: Orders,
    events: &[Recorded],
    past: &Past,
    now: Timestamp,
) -> Result<Plan, HandlerError> {
    let settings = &PaymentSettings::default();
    let terms = Terms {
        past,
        settings,
        now,
    };
    Plan::fold(orders, events, &terms)
}

/// Which event each command follows from, and its id.
fn ids(orders: Orders, events: &[Recorded], now: Timestamp) -> Vec<(i64, Uuid)> {
    let mut plan = fold(orders, events, now).unwrap();
    let requests = plan.take_requests().into_iter();
    requests
        .map(|(cause, request)| (cause.position, request.command_id))
        .collect()
}

#[test]
fn the_same_event_and_step_give_the_same_id_whenever_they_are_folded() {
    let events = refused();
    let at_once = ids(Orders::new(), &events, Timestamp::UNIX_EPOCH);
    let causes: Vec<_> = at_once.iter().map(|(position, _)| *position).collect();
    assert_eq!(causes, [2, 3, 3]);
    let distinct: BTreeSet<_> = at_once.iter().map(|(_, id)| id).collect();
    assert_eq!(distinct.len(), 3);
    // Later, and in two batches.
    let plan = fold(Orders::new(), &events[..2], Timestamp::MAX);
    let later = ids(plan.unwrap().orders, &events[2..], Timestamp::MAX);
    assert_eq!(later, at_once[1..]);
}

#[test]
fn what_a_row_holds_is_not_folded_again() {
    let events = refused();
    let plan = fold(Orders::new(), &events, Timestamp::UNIX_EPOCH).unwrap();
    let orders = plan.orders.clone();
    let mut again = fold(orders.clone(), &events, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(again.orders, orders);
    assert_eq!(again.changed().count(), 0);
    assert_eq!(again.take_requests().len(), 0);
}

#[test]
fn a_stream_that_no_booking_has_is_poison() {
    let mut events = refused();
    events[1].stream.aggregate_id = "seven".to_owned();
    let folded = fold(Orders::new(), &events, Timestamp::UNIX_EPOCH);
    assert!(matches!(
        folded,
        Err(HandlerError::Poison { position: 2, .. })
    ));
}

/// Two events of one row: the parts of what was split since it was written.
fn of_one_row(first: Event, second: Event) -> Vec<Recorded> {
    let mut second = recorded(4, second);
    second.part = 1;
    vec![recorded(4, first), second]
}

#[test]
fn the_parts_of_a_row_are_one_cause_whose_steps_are_counted_on() {
    let bookid = BookId(7);
    let declined = Paid::PaymentDeclined {
        payid: bookid,
        status: Status::PayFailed,
        charge_no: 1,
        code: "declined".to_owned(),
        message: "no".to_owned(),
    };
    let cancelled = book::Event::Bookcancelled {
        bookid,
        userid: None,
        spacename: "numberone".to_owned(),
        status: Status::CancelBooking,
        refund: PRICE,
        reason: None,
        refund_percent: None,
    };
    let parts = of_one_row(Event::Payment(declined), Event::Book(cancelled));
    let mut plan = fold(Orders::new(), &parts, Timestamp::UNIX_EPOCH).unwrap();
    let ids: Vec<Uuid> = plan
        .take_requests()
        .iter()
        .map(|(_, request)| request.command_id)
        .collect();
    let id = |step| command_id(parts[0].event_id, step);
    // Step 0 is that the charge has its outcome.
    assert_eq!(ids, [id(1), id(2)]);
    assert_eq!(plan.settled(), [charge_key(bookid, 1)]);

    let seen = fold(plan.orders, &parts, Timestamp::UNIX_EPOCH)
        .unwrap()
        .take_requests();
    assert_eq!(
        seen.len(),
        0,
        "seen again, whole or in part, it moves nothing"
    );
}

#[test]
fn what_the_saga_of_an_imported_journal_had_acted_on_is_folded_and_not_sent() {
    let events = refused();
    let here = fold(Orders::new(), &events, Timestamp::UNIX_EPOCH).unwrap();
    for (acted_to, sent) in [(0, 3), (2, 2), (3, 0)] {
        let past = Past::new(
            vec![Imported {
                first: 1,
                last: 3,
                acted_to,
                payments_held: false,
            }],
            vec![],
        );
        let mut plan = fold_with(Orders::new(), &events, &past, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(plan.take_requests().len(), sent, "{acted_to}");
        assert_eq!(plan.orders, here.orders);
    }
}

#[test]
fn a_charge_that_people_had_in_hand_where_it_comes_from_is_left_to_them() {
    let void = recorded(
        1,
        Event::Payment(Paid::VoidRequested {
            payid: BookId(7),
            refund: PRICE,
            reason: "the booking was cancelled".to_owned(),
        }),
    );
    let events = [void];
    let here = fold(Orders::new(), &events, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(here.unwanted(), [charge_key(BookId(7), 1)]);
    for (acted_to, unwanted) in [(0, 1), (1, 0)] {
        let past = Past::new(
            vec![Imported {
                first: 1,
                last: 1,
                acted_to,
                payments_held: false,
            }],
            vec![],
        );
        let plan = fold_with(Orders::new(), &events, &past, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(plan.unwanted().len(), unwanted, "{acted_to}");
    }
}
