//! Commands, as scenarios need them.

use domain::{BookId, Event, Money, UserId, book, payment, version};
use jiff::Timestamp;
use journal::append::{Append, Claim, Spend, StoredEvent, StreamAppend};
use journal::{Actor, Metadata, StreamId, Trace};
use serde_json::{Value, json};
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
        release: vec![],
        spend: None,
    }
}

/// Adds to a command.
pub trait Compose {
    /// `count` events for a stream of this booking, decided on version `after`.
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
        let (start, end) = (hour(from), hour(to));
        self.claims.push(Claim {
            bookid,
            units: units.to_vec(),
            start,
            end,
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

/// The command that stores the first event of booking `key`.
pub fn booked(number: u128, key: i64) -> Append {
    command(number).to("Book", key, 0, 1)
}

/// Booking `key` placed, with an event that names a slot without a unit, and a claim of one of these for it.
pub fn booked_in(number: u128, key: i64, units: &[i64], from: i64, to: i64) -> Append {
    let slot = json!({"slot": {"unit": null, "hours": [from, to]}});
    command(number)
        .saying("Book", key, 0, "Booked", slot)
        .claiming_one_of(key, units, from, to)
}

/// Booking `key`, which stands at version 1, gives up what it has.
pub fn given_up(number: u128, key: i64) -> Append {
    command(number).to("Book", key, 1, 1).releasing(key)
}

/// The same, for one of these units at another time.
pub fn moved(number: u128, key: i64, units: &[i64], from: i64, to: i64) -> Append {
    given_up(number, key).claiming_one_of(key, units, from, to)
}

/// An event about a user's points, in a payment that has no other.
pub fn points(number: u128, key: i64, name: &str, userid: i64, points: i64) -> Append {
    let payload = json!({"payid": key, "userid": userid, "points": points});
    command(number).saying("Payment", key, 0, name, payload)
}

/// A payment that spends points.
pub fn spent(number: u128, key: i64, userid: i64, count: i64) -> Append {
    points(number, key, "PointsSpent", userid, count).spending(userid, count)
}
