//! One booking and everyone who has to do with it: three aggregates, the saga with its outbox and its jobs,
//! the gateway, and the answers that travel from it.
//!
//! Nothing here decides. People's commands may be refused; of the saga's only the one that comes too late
//! for the hand-over may.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use cqrs_es::event_sink::EventSink;
use cqrs_es::persist::SerializedEvent;
use cqrs_es::{Aggregate, DomainEvent};
use domain::book::{self, Book};
use domain::order::{Intent, Order};
use domain::payment::{self, Payment, refund_key};
use domain::space::{self, Space};
use domain::{BookId, Command, Event, Money, Refusal, UserId, version};
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;

use crate::gateway::{Gateway, State};
use crate::story::{Charge, Fulfil, Refund, Step};

pub(crate) const BOOK: BookId = BookId(7);

/// Rounds that the world may need until nothing is left to do.
const ROUNDS_MAX: usize = 50;

/// What the saga writes with its checkpoint.
#[derive(Clone, Default)]
struct Kept {
    order: Order,
    seen: usize,
    outbox: VecDeque<Intent>,
}

/// The three aggregates of a booking.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Aggregates {
    pub(crate) book: Book,
    pub(crate) payment: Payment,
    pub(crate) space: Space,
}

pub(crate) struct World {
    price: Money,
    /// As handling left them.
    pub(crate) live: Aggregates,
    /// As the log folds, each event read back from its JSON.
    pub(crate) folded: Aggregates,
    /// Everything that happened, in the order of its positions.
    pub(crate) log: Vec<Event>,
    pub(crate) order: Order,
    pub(crate) gateway: Gateway,
    /// How long the log was whenever a charge was sent.
    pub(crate) charges_sent: Vec<usize>,
    pub(crate) charges_due: BTreeSet<u32>,
    pub(crate) refunds_due: BTreeSet<u32>,
    seen: usize,
    outbox: VecDeque<Intent>,
    sent: Vec<Command>,
    kept: Kept,
    answers: Vec<payment::Command>,
}

pub(crate) fn event_type(event: &Event) -> String {
    match event {
        Event::Book(event) => event.event_type(),
        Event::Payment(event) => event.event_type(),
        Event::Space(event) => event.event_type(),
    }
}

/// As the journal keeps it.
fn stored(event: &Event) -> SerializedEvent {
    let aggregate_type = match event {
        Event::Book(_) => Book::TYPE,
        Event::Payment(_) => Payment::TYPE,
        Event::Space(_) => Space::TYPE,
    };
    SerializedEvent::new(
        BOOK.to_string(),
        1,
        aggregate_type.to_owned(),
        event_type(event),
        version::CURRENT.to_owned(),
        serde_json::to_value(event).unwrap(),
        serde_json::Value::Null,
    )
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

fn pick<'a, T>(index: &Index, of: &'a [T]) -> Option<&'a T> {
    (!of.is_empty()).then(|| index.get(of))
}

impl World {
    /// A booking that was just placed, with its payment requested in the same commit.
    pub(crate) fn new(price: Money) -> Result<Self, TestCaseError> {
        let mut world = Self {
            price,
            live: Aggregates::default(),
            folded: Aggregates::default(),
            log: vec![],
            order: Order::default(),
            gateway: Gateway::new(price),
            charges_sent: vec![],
            charges_due: BTreeSet::new(),
            refunds_due: BTreeSet::new(),
            seen: 0,
            outbox: VecDeque::new(),
            sent: vec![],
            kept: Kept::default(),
            answers: vec![],
        };
        let (userid, spacename) = (Some(UserId(1)), "numberone".to_owned());
        let place = book::Command::Place {
            bookid: BOOK,
            userid,
            spacename: spacename.clone(),
            price,
        };
        let request = payment::Command::Request {
            bookid: BOOK,
            userid,
            spacename,
            price,
        };
        world.must(Command::Book(BOOK, place))?;
        world.must(Command::Payment(BOOK, request))?;
        Ok(world)
    }

    /// Takes one step; whether anything happened.
    pub(crate) fn take(&mut self, step: &Step) -> Result<bool, TestCaseError> {
        let before = self.log.len();
        match step {
            Step::Cancel => {
                self.people(Command::Book(BOOK, book::Command::Cancel { reason: None }))
            }
            Step::RefundPart { percent } => self.refund_part(*percent),
            Step::Fulfil(step) => self.people(Command::Space(BOOK, fulfilment(*step))),
            Step::FulfilNext => {
                let next = fulfilment(next_of(self.live.space.stage));
                self.people(Command::Space(BOOK, next));
            }
            Step::Expire { attempt_in_flight } => {
                let attempt_in_flight = *attempt_in_flight;
                let expire = book::Command::Expire { attempt_in_flight };
                self.people(Command::Book(BOOK, expire));
            }
            Step::Defer { sent } => {
                let (reason, sent) = ("timeout".to_owned(), *sent);
                let defer = book::Command::DeferPayment { reason, sent };
                self.must(Command::Book(BOOK, defer))?;
            }
            Step::Send(how) => self.send_charge(*how),
            Step::Resolve { captured } => {
                if self.gateway.state == State::Hanging {
                    self.gateway.resolve(*captured);
                }
            }
            Step::CaptureTwice => {
                if self.gateway.state == State::Captured {
                    self.gateway.capture();
                }
            }
            Step::LookUp { deny } => self.look_up(*deny),
            Step::Report(which) => {
                let captures: Vec<usize> = (0..self.gateway.captures.len()).collect();
                if let Some(capture) = pick(which, &captures) {
                    self.answers.push(self.gateway.report(*capture));
                }
            }
            Step::Refund { which, how } => {
                let due: Vec<u32> = self.refunds_due.iter().copied().collect();
                if let Some(refund_no) = pick(which, &due) {
                    self.send_refund(*refund_no, *how);
                }
            }
            Step::Deliver { which, again } => self.deliver(which, *again)?,
            Step::Lose(which) => {
                if !self.answers.is_empty() {
                    self.answers.remove(which.index(self.answers.len()));
                }
            }
            Step::See => self.see(),
            Step::CatchUp => self.catch_up()?,
            Step::SeeAgain(which) => {
                if let Some(event) = pick(which, &self.log[..self.seen]).cloned() {
                    self.outbox.extend(self.order.react(BOOK, &event));
                }
            }
            Step::Run { refuse } => self.run(*refuse)?,
            Step::RunAgain(which) => {
                if let Some(command) = pick(which, &self.sent).cloned() {
                    self.must(command)?;
                }
            }
            Step::Checkpoint => {
                self.kept = Kept {
                    order: self.order.clone(),
                    seen: self.seen,
                    outbox: self.outbox.clone(),
                };
            }
            Step::Crash => {
                let kept = self.kept.clone();
                (self.order, self.seen, self.outbox) = (kept.order, kept.seen, kept.outbox);
            }
        }
        Ok(self.log.len() > before)
    }

    /// Everything that is under way comes to its end, and nothing new begins.
    pub(crate) fn come_to_rest(&mut self, hanging_is_captured: bool) -> Result<(), TestCaseError> {
        for _ in 0..ROUNDS_MAX {
            let before = self.log.len();
            let idle = self.seen == before && self.outbox.is_empty();
            if self.gateway.state == State::Hanging {
                self.gateway.resolve(hanging_is_captured);
            }
            // The reconciliation reports whatever the gateway's books show.
            let captures = 0..self.gateway.captures.len();
            self.answers
                .extend(captures.map(|capture| self.gateway.report(capture)));
            for _ in self.charges_due.clone() {
                self.send_charge(Charge::Captured);
                self.look_up(false);
            }
            for refund_no in self.refunds_due.clone() {
                self.send_refund(refund_no, Refund::Done);
            }
            for answer in std::mem::take(&mut self.answers) {
                self.must(Command::Payment(BOOK, answer))?;
            }
            self.catch_up()?;
            if idle && self.log.len() == before {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("it never comes to rest"))
    }

    /// The saga sees the whole story once more, on top of what it knows.
    pub(crate) fn see_everything_again(&mut self) -> Result<(), TestCaseError> {
        for event in self.log.clone() {
            self.outbox.extend(self.order.react(BOOK, &event));
        }
        self.catch_up()
    }

    fn execute(&mut self, command: Command) -> Result<(), Refusal> {
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
            match version::decode(stored(&event)).unwrap() {
                Event::Book(event) => self.folded.book.apply(event),
                Event::Payment(event) => self.folded.payment.apply(event),
                Event::Space(event) => self.folded.space.apply(event),
            }
            self.log.push(event);
        }
    }

    /// People may ask for what is not possible.
    fn people(&mut self, command: Command) {
        let _refused = self.execute(command);
    }

    /// What machines ask is carried out or absorbed, never refused.
    fn must(&mut self, command: Command) -> Result<(), TestCaseError> {
        match self.execute(command.clone()) {
            Ok(()) | Err(Refusal::Space(space::Error::AlreadyHandedOver)) => Ok(()),
            Err(refusal) => Err(TestCaseError::fail(format!("{command:?}: {refusal}"))),
        }
    }

    fn refund_part(&mut self, percent: u8) {
        let amount = self.price.minor * i64::from(percent) / 100;
        let part = payment::Command::RefundPartially {
            amount: self.price.with_minor(amount),
            reason: "broken heater".to_owned(),
        };
        self.people(Command::Payment(BOOK, part));
    }

    /// Whoever sends a charge asks the payment first whether it may.
    fn send_charge(&mut self, how: Charge) {
        if self.live.payment.is_open() && !self.live.payment.is_void_requested() {
            self.charges_sent.push(self.log.len());
            self.answers.extend(self.gateway.charge(how));
        }
    }

    /// Asks what became of the charge. What is not wanted any more and was never heard of, or is denied, is
    /// taken for never charged.
    fn look_up(&mut self, deny: bool) {
        let unheard =
            self.gateway.state == State::NeverHeardOf && self.live.payment.is_void_requested();
        let denied = self.gateway.state == State::Hanging && deny;
        if unheard || denied {
            let charge_no = 1;
            self.answers
                .push(payment::Command::RecordNotCharged { charge_no });
        } else {
            self.answers.extend(self.gateway.look_up());
        }
    }

    fn send_refund(&mut self, refund_no: u32, how: Refund) {
        let Some(refund) = self
            .live
            .payment
            .refund(refund_no)
            .filter(|refund| !refund.done)
        else {
            self.refunds_due.remove(&refund_no);
            return;
        };
        if !matches!(how, Refund::Failed) {
            let key = refund_key(BOOK, refund_no);
            self.gateway
                .refund(&key, &refund.gateway_ref, refund.amount.minor);
        }
        self.answers.extend(match how {
            Refund::DoneButUnanswered => None,
            Refund::Done => Some(payment::Command::RecordRefund {
                refund_no,
                refund_ref: "re-1".to_owned(),
            }),
            Refund::Failed => Some(payment::Command::RecordRefundFailure {
                refund_no,
                attempt: 1,
                code: "busy".to_owned(),
            }),
        });
    }

    fn deliver(&mut self, which: &Index, again: bool) -> Result<(), TestCaseError> {
        let Some(answer) = pick(which, &self.answers).cloned() else {
            return Ok(());
        };
        if !again {
            self.answers.remove(which.index(self.answers.len()));
        }
        self.must(Command::Payment(BOOK, answer))
    }

    /// The saga sees all there is and carries out all it wants.
    fn catch_up(&mut self) -> Result<(), TestCaseError> {
        while self.seen < self.log.len() || !self.outbox.is_empty() {
            self.see();
            self.run(false)?;
        }
        Ok(())
    }

    fn see(&mut self) {
        if let Some(event) = self.log.get(self.seen) {
            self.outbox.extend(self.order.react(BOOK, event));
            self.seen += 1;
        }
    }

    fn run(&mut self, refuse: bool) -> Result<(), TestCaseError> {
        match self.outbox.pop_front() {
            None => {}
            Some(Intent::Charge { charge_no, due: _ }) => {
                self.charges_due.insert(charge_no);
            }
            Some(Intent::ChargeSettled { charge_no }) => {
                self.charges_due.remove(&charge_no);
            }
            Some(Intent::Refund { refund_no }) => {
                self.refunds_due.insert(refund_no);
            }
            Some(Intent::Command(command)) => {
                let command = match command {
                    Command::Space(bookid, space::Command::Register { .. }) if refuse => {
                        let reason = "closed for repairs".to_owned();
                        Command::Space(bookid, space::Command::Refuse { bookid, reason })
                    }
                    command => command,
                };
                self.sent.push(command.clone());
                self.must(command)?;
            }
        }
        Ok(())
    }
}

/// What staff and customer do when nothing goes wrong.
fn next_of(stage: space::Stage) -> Fulfil {
    match stage {
        space::Stage::Registered => Fulfil::Start,
        space::Stage::Preparing => Fulfil::Complete,
        space::Stage::Prepared => Fulfil::HandOver,
        space::Stage::HandedOver => Fulfil::CheckIn,
        _ => Fulfil::CheckOut,
    }
}

fn fulfilment(step: Fulfil) -> space::Command {
    let by = "Kim".to_owned();
    match step {
        Fulfil::Start => space::Command::StartPreparation { by },
        Fulfil::Complete => space::Command::CompletePreparation { by },
        Fulfil::HandOver => space::Command::HandOver {
            method: space::Method::Key,
            by,
        },
        Fulfil::CheckIn => space::Command::CheckIn,
        Fulfil::CheckOut => space::Command::CheckOut {
            overtime_minutes: 0,
        },
        Fulfil::NoShow => space::Command::MarkNoShow,
    }
}
