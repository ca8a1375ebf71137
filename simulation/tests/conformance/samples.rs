//! Commands, as scenarios need them.

use domain::{BookId, Event, Money, UserId, book, payment, version};
use jiff::Timestamp;
use journal::append::{Append, Claim, StoredEvent, StreamAppend};
use journal::{Actor, Metadata, StreamId, Trace};
use uuid::Uuid;

/// A command id.
pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// So many hours after a fixed moment.
pub fn hour(hours: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + hours * 3_600).unwrap()
}

/// The first event of a stream; any code can read it.
fn event(aggregate_type: &str, key: i64) -> StoredEvent {
    let (bookid, userid) = (BookId(key), Some(UserId(7)));
    let (spacename, price) = (format!("room {key}"), Money::krw(10_000));
    let event = match aggregate_type {
        "Book" => {
            let place = book::Command::Place {
                bookid,
                userid,
                spacename,
                price,
                scheduled: None,
            };
            Event::Book(book::Book::default().decide(place).unwrap().remove(0))
        }
        _ => {
            let request = payment::Command::Request {
                bookid,
                userid,
                spacename,
                price,
                points: domain::payment::Points::default(),
            };
            let decided = payment::Payment::default().decide(request);
            Event::Payment(decided.unwrap().remove(0))
        }
    };
    StoredEvent::of(&event, &version::TODAY).unwrap()
}

/// A command that writes nothing yet.
pub fn command(number: u128) -> Append {
    let trace = Trace {
        correlation_id: "journey".to_owned(),
        causation_id: None,
        traceparent: None,
        actor: Actor::Customer,
        actor_id: Some("7".to_owned()),
    };
    Append {
        command_id: id(number),
        metadata: Metadata::new(&trace, hour(0)),
        streams: vec![],
        claims: vec![],
    }
}

/// Adds to a command.
pub trait Compose {
    /// `count` events for a stream of this booking, decided on version `after`.
    fn to(self, aggregate_type: &str, key: i64, after: i64, count: usize) -> Self;
    /// A claim of a unit, from one hour up to another.
    fn claiming(self, bookid: i64, unit: i64, from: i64, to: i64) -> Self;
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

    fn claiming(mut self, bookid: i64, unit: i64, from: i64, to: i64) -> Self {
        let (start, end) = (hour(from), hour(to));
        self.claims.push(Claim {
            bookid,
            unit,
            start,
            end,
        });
        self
    }
}

/// The command that stores the first event of booking `key`.
pub fn booked(number: u128, key: i64) -> Append {
    command(number).to("Book", key, 0, 1)
}
