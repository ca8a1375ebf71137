//! Commands, events and ids as tests need them.

use domain::{BookId, Command, Event, Money, book, payment, space};
use jiff::Timestamp;
use journal::append::{Append, Claim, Spend, StoredEvent, StreamAppend};
use journal::{Actor, Metadata, Request, StreamId, Trace};
use serde_json::Value;
use uuid::Uuid;

/// A command id.
pub(crate) const fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn trace() -> Trace {
    Trace {
        correlation_id: "journey".to_owned(),
        causation_id: None,
        traceparent: None,
        actor: Actor::Customer,
        actor_id: Some("7".to_owned()),
    }
}

pub(crate) fn metadata() -> Metadata {
    Metadata::new(&trace(), hour(0))
}

/// So many hours after a fixed moment.
pub(crate) fn hour(hours: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + hours * 3_600).unwrap()
}

/// An event that any code can read: the first one of its aggregate.
pub(crate) fn event(aggregate_type: &str, key: i64) -> StoredEvent {
    let events: Vec<Event> = match (aggregate_type, place(key), request_payment(key)) {
        ("Book", Command::Book(_, command), _) => {
            let events = book::Book::default().decide(command).unwrap();
            events.into_iter().map(Event::Book).collect()
        }
        ("Payment", _, Command::Payment(_, command)) => {
            let events = payment::Payment::default().decide(command).unwrap();
            events.into_iter().map(Event::Payment).collect()
        }
        _ => panic!("no sample of {aggregate_type}"),
    };
    StoredEvent::of(&events[0], &domain::version::TODAY).unwrap()
}

/// A command of the journal that writes nothing yet; [`Compose`] adds what it writes.
pub(crate) fn append(command: u128) -> Append {
    Append {
        command_id: id(command),
        metadata: metadata(),
        streams: vec![],
        claims: vec![],
        release: vec![],
        spend: None,
    }
}

/// Adds to a command.
pub(crate) trait Compose {
    /// `count` events for the stream of a booking, decided on version `after`.
    fn to(self, aggregate_type: &str, key: i64, after: i64, count: usize) -> Self;
    /// One event for a stream, whatever it says.
    fn saying(self, aggregate_type: &str, key: i64, after: i64, name: &str, payload: Value)
    -> Self;
    /// A claim of a unit, from one hour up to another.
    fn claiming(self, bookid: i64, unit: i64, from: i64, to: i64) -> Self
    where
        Self: Sized,
    {
        self.claiming_one_of(bookid, &[unit], from, to)
    }
    /// A claim of one of these units.
    fn claiming_one_of(self, bookid: i64, units: &[i64], from: i64, to: i64) -> Self;
    /// What a booking has is free when the command is stored.
    fn releasing(self, bookid: i64) -> Self;
    /// So many points of a user must be there.
    fn spending(self, userid: i64, points: i64) -> Self;
}

impl Compose for Append {
    fn to(mut self, aggregate_type: &str, key: i64, after: i64, count: usize) -> Self {
        self.streams.push(StreamAppend {
            stream: StreamId::new(aggregate_type, &key),
            expected_version: after,
            events: vec![event(aggregate_type, key); count],
        });
        self
    }

    fn saying(
        mut self,
        aggregate_type: &str,
        key: i64,
        after: i64,
        name: &str,
        payload: Value,
    ) -> Self {
        self.streams.push(StreamAppend {
            stream: StreamId::new(aggregate_type, &key),
            expected_version: after,
            events: vec![StoredEvent {
                event_type: name.to_owned(),
                event_version: "1".to_owned(),
                payload,
            }],
        });
        self
    }

    fn claiming_one_of(mut self, bookid: i64, units: &[i64], from: i64, to: i64) -> Self {
        self.claims.push(Claim {
            bookid,
            units: units.to_vec(),
            start: hour(from),
            end: hour(to),
        });
        self
    }

    fn releasing(mut self, bookid: i64) -> Self {
        self.release.push(bookid);
        self
    }

    fn spending(mut self, userid: i64, points: i64) -> Self {
        self.spend = Some(Spend { userid, points });
        self
    }
}

/// A command that books the first event of booking `key`.
pub(crate) fn booked(command: u128, key: i64) -> Append {
    append(command).to("Book", key, 0, 1)
}

/// Bookings 1 to `count`, each by the command of the same number.
pub(crate) fn bookings(count: u32) -> Vec<Append> {
    (1..=count).map(|n| booked(n.into(), n.into())).collect()
}

/// Place booking `key`.
pub(crate) fn place(key: i64) -> Command {
    let command = book::Command::Place {
        bookid: BookId(key),
        userid: Some(domain::UserId(7)),
        spacename: format!("room {key}"),
        price: Money::krw(10_000),
        scheduled: None,
    };
    Command::Book(BookId(key), command)
}

/// Intend to charge booking `key`.
pub(crate) fn request_payment(key: i64) -> Command {
    let command = payment::Command::Request {
        bookid: BookId(key),
        userid: Some(domain::UserId(7)),
        spacename: format!("room {key}"),
        price: Money::krw(10_000),
        points: domain::payment::Points::default(),
    };
    Command::Payment(BookId(key), command)
}

/// Register the space of booking `key`.
pub(crate) fn register(key: i64) -> Command {
    let command = space::Command::Register {
        bookid: BookId(key),
        approved_payid: BookId(key),
        userid: Some(domain::UserId(7)),
        spacename: format!("room {key}"),
        no_show_grace_minutes: None,
        slot: None,
    };
    Command::Space(BookId(key), command)
}

/// Cancel booking `key`.
pub(crate) fn cancel(key: i64) -> Command {
    Command::Book(
        BookId(key),
        book::Command::Cancel {
            reason: None,
            at: jiff::Timestamp::UNIX_EPOCH,
        },
    )
}

/// Say that the payment of booking `key` takes its time: an event each time, while nothing else happens.
pub(crate) fn defer(key: i64) -> Command {
    let command = book::Command::DeferPayment {
        reason: "slow".to_owned(),
        sent: false,
    };
    Command::Book(BookId(key), command)
}

/// A request of these commands, together.
pub(crate) fn request(command: u128, commands: Vec<Command>) -> Request {
    Request {
        command_id: id(command),
        trace: trace(),
        commands,
        claims: vec![],
    }
}
