//! What the days add up to, held against the payment itself, over everything that can happen to one.

use cqrs_es::Aggregate as _;
use domain::payment::{self, Command, Payment, Points};
use domain::{BookId, Status, UserId};
use jiff::{SignedDuration, Timestamp};
use journal::{Actor, Metadata, StreamId};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::money::tests::{PRICE, command};

/// How long after the one before each event happens: some are on another day.
const STEP: SignedDuration = SignedDuration::from_hours(7);

/// A booking's events, one after the other.
#[derive(Default)]
struct Story {
    payment: Payment,
    events: Vec<Recorded>,
}

impl Story {
    fn booked() -> Self {
        let mut story = Self::default();
        story.happens(Event::Book(book::Event::Booked {
            bookid: BookId(7),
            userid: Some(UserId(1)),
            spacename: "numberone".into(),
            status: Status::Booking,
            price: PRICE,
            held_until: None,
            slot: None,
            terms: None,
        }));
        story.pays(Command::Request {
            bookid: BookId(7),
            userid: Some(UserId(1)),
            spacename: "numberone".into(),
            price: PRICE,
            points: Points::default(),
        });
        story
    }

    /// Carries a command out; a refusal is part of life.
    fn pays(&mut self, command: Command) {
        for event in self.payment.decide(command).unwrap_or_default() {
            self.payment.apply(event.clone());
            self.happens(Event::Payment(event));
        }
    }

    fn happens(&mut self, event: Event) {
        let position = i64::try_from(self.events.len()).unwrap() + 1;
        let steps = i32::try_from(position).unwrap();
        let aggregate_type = match event {
            Event::Book(_) => "Book",
            Event::Payment(_) => "Payment",
            Event::Space(_) => "Space",
        };
        self.events.push(Recorded {
            position,
            part: 0,
            stream: StreamId::new(aggregate_type, "7"),
            sequence: position,
            event_id: Uuid::nil(),
            command_id: Uuid::nil(),
            event_type: event.name(),
            recorded_at: Timestamp::UNIX_EPOCH,
            metadata: Metadata {
                occurred_at: Timestamp::UNIX_EPOCH + STEP * steps,
                correlation_id: "a journey".into(),
                causation_id: None,
                traceparent: None,
                actor_type: Actor::System,
                actor_id: None,
            },
            event,
        });
    }

    /// What all its days brought.
    fn revenue(&self) -> i64 {
        let mut rows = Rows::new(&CALENDAR);
        for event in &self.events {
            fold(&mut rows, event).unwrap();
        }
        let keys = touched(&rows, &self.events);
        let days: std::collections::BTreeSet<_> = keys.into_iter().collect();
        let revenue = |key| rows.get::<DayRow>(key).unwrap().revenue_krw;
        days.iter().map(revenue).sum()
    }

    fn kept(&self) -> i64 {
        self.payment.captured() - self.payment.refunded()
    }
}

#[test]
fn what_is_asked_and_given_back_beside_the_price_is_in_it() {
    let mut story = Story::booked();
    let charged = |charge_no, captured| Command::RecordApproval {
        charge_no,
        gateway_ref: format!("charge-{charge_no}"),
        captured,
    };
    story.pays(charged(1, PRICE));
    story.pays(Command::Adjust(payment::Difference {
        from: PRICE,
        kept: 0,
        to: PRICE.with_minor(30_000),
        refund_percent: 100,
    }));
    story.pays(charged(2, PRICE.with_minor(20_000)));
    story.pays(Command::Cancel {
        refund: PRICE.with_minor(15_000),
        percent: 50,
        reason: "rain".into(),
    });
    for refund_no in 1..=2 {
        story.pays(Command::RecordRefund {
            refund_no,
            refund_ref: format!("refund-{refund_no}"),
        });
    }
    assert_eq!((story.kept(), story.revenue()), (15_000, 15_000));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_days_add_up_to_what_the_payment_holds(commands in proptest::collection::vec(command(), 0..24)) {
        let mut story = Story::booked();
        for command in commands {
            story.pays(command);
            prop_assert_eq!(story.revenue(), story.kept());
        }
    }
}
