//! The three streams of one booking: commands go in, the log grows, and every event is folded a second time
//! as it would be read back from the journal.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use domain::book::Book;
use domain::payment::Payment;
use domain::space::{self, Space};
use domain::version::{Payload, Reading, Stored, TODAY};
use domain::{BookId, Command, Event, Refusal};

pub(crate) const BOOK: BookId = BookId(7);

/// The three aggregates of a booking.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Aggregates {
    pub(crate) book: Book,
    pub(crate) payment: Payment,
    pub(crate) space: Space,
}

#[derive(Default)]
pub(crate) struct Streams {
    /// As handling left them.
    pub(crate) live: Aggregates,
    /// As the log folds, each event read back from its JSON.
    pub(crate) folded: Aggregates,
    /// Everything that happened, in the order of its positions.
    pub(crate) log: Vec<Event>,
}

impl Streams {
    /// Carries commands out: all of them, or none.
    pub(crate) fn execute(&mut self, commands: Vec<Command>) -> Result<(), Refusal> {
        let before = (self.live.clone(), self.folded.clone(), self.log.len());
        for command in commands {
            if let Err(refusal) = self.carry_out(command) {
                self.log.truncate(before.2);
                (self.live, self.folded) = (before.0, before.1);
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Refuses a registration that nobody has asked for yet, without a cancellation. No command does that today; the
    /// saga must be ready for the event.
    pub(crate) fn refuse_registration(&mut self) {
        if self.live.space.reached() != space::Stage::None {
            return;
        }
        let refused = space::Event::RegistrationRefused {
            spaceid: BOOK,
            bookid: BOOK,
            reason: "closed for repairs".to_owned(),
        };
        self.live.space.apply(refused.clone());
        self.append(vec![refused], Event::Space);
    }

    fn carry_out(&mut self, command: Command) -> Result<(), Refusal> {
        match command {
            Command::Book(_, command) => {
                let events = handle(&mut self.live.book, command)?;
                self.append(events, Event::Book);
            }
            Command::Payment(_, command) => {
                let events = handle(&mut self.live.payment, command)?;
                self.append(events, Event::Payment);
            }
            Command::Space(_, command) => {
                let events = handle(&mut self.live.space, command)?;
                self.append(events, Event::Space);
            }
        }
        Ok(())
    }

    fn append<E>(&mut self, events: Vec<E>, kind: fn(E) -> Event) {
        for event in events.into_iter().map(kind) {
            match read_back(&event) {
                Event::Book(event) => self.folded.book.apply(event),
                Event::Payment(event) => self.folded.payment.apply(event),
                Event::Space(event) => self.folded.space.apply(event),
            }
            self.log.push(event);
        }
    }
}

pub(crate) fn event_type(event: &Event) -> String {
    event.name().to_owned()
}

/// As it comes back from the journal.
fn read_back(event: &Event) -> Event {
    let (aggregate_type, event_type) = (event.aggregate_type(), event.name());
    let reading = TODAY.read(Stored {
        aggregate_type,
        event_type,
        event_version: TODAY.written(aggregate_type, event_type).unwrap(),
        payload: Payload::Text(&serde_json::to_string(event).unwrap()),
    });
    match reading.unwrap() {
        Reading::Today(event) => event,
        Reading::Upcast(events) => unreachable!("today is written: {events:?}"),
    }
}

/// Lets an aggregate handle a command. Deciding never waits, so that asking once is enough.
fn handle<A>(aggregate: &mut A, command: A::Command) -> Result<Vec<A::Event>, A::Error>
where
    A: Aggregate<Services = ()>,
{
    let handled = async {
        let sink = EventSink::default();
        aggregate.handle(command, &(), &sink).await?;
        Ok(sink.collect().await)
    };
    match pin!(handled).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("a decision waited for something"),
    }
}
