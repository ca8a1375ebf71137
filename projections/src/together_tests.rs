//! The fold of a booking's events, held against what its three streams say of themselves, over stories that chance
//! writes: the saga lags, people and the gateway do as they like.

use std::collections::VecDeque;

use cqrs_es::Aggregate;
use domain::book::{self, Book};
use domain::order::{Intent, Order};
use domain::payment::{self, Payment, PaymentStatus, Points};
use domain::space::{self, Method, Space};
use domain::{BookId, Command, Event, Money, Phase, Status, UserId};
use jiff::Timestamp;
use proptest::prelude::*;

use super::{after, rank};

const ID: BookId = BookId(7);
const PRICE: Money = Money::krw(10_000);
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// Something that happens to a booking.
#[derive(Clone, Debug)]
enum Step {
    /// The saga reads the next event.
    See,
    /// The saga's next command arrives.
    Run,
    /// Staff and customer go one step on.
    Fulfil,
    /// People, timers and the gateway; they may be refused.
    Ask(Vec<Command>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::See),
        6 => Just(Step::Run),
        3 => of_payment().prop_map(|it| Step::Ask(vec![Command::Payment(ID, it)])),
        4 => Just(Step::Fulfil),
        2 => of_space().prop_map(|it| Step::Ask(vec![Command::Space(ID, it)])),
        1 => Just(Step::Ask(Command::cancel_booking(ID, None, NOW))),
        1 => of_book().prop_map(|it| Step::Ask(vec![Command::Book(ID, it)])),
    ]
}

fn of_book() -> impl Strategy<Value = book::Command> {
    let (reason, sent) = ("late".to_owned(), true);
    prop_oneof![
        2 => Just(book::Command::DeferPayment { reason, sent }),
        1 => Just(book::Command::Expire),
    ]
}

fn of_payment() -> impl Strategy<Value = payment::Command> {
    use payment::Command as C;
    let number = || 1..4_u32;
    prop_oneof![
        6 => (number(), 0..2_u8).prop_map(|(charge_no, other)| C::RecordApproval {
            charge_no,
            gateway_ref: format!("charge-{charge_no}-{other}"),
            captured: PRICE,
        }),
        1 => number().prop_map(|charge_no| C::RecordNotCharged { charge_no }),
        1 => Just(C::RecordUnknown { charge_no: 1, attempt: 1, reason: "silence".into() }),
        1 => Just(C::RefundPartially { amount: Money::krw(3_000), reason: "heater".into() }),
        4 => number().prop_map(|refund_no| C::RecordRefund { refund_no, refund_ref: "r".into() }),
    ]
}

fn of_space() -> impl Strategy<Value = space::Command> {
    use space::Stage as S;
    let stages = [
        S::Registered,
        S::Preparing,
        S::Prepared,
        S::HandedOver,
        S::CheckedIn,
    ];
    let no_show = space::Command::MarkNoShow { at: NOW, by: None };
    let mut commands: Vec<_> = stages.map(fulfilling).into();
    commands.push(no_show);
    prop::sample::select(commands)
}

/// What comes next when nothing goes wrong.
fn fulfilling(stage: space::Stage) -> space::Command {
    use space::{Command as C, Stage as S};
    let by = "kim".to_owned();
    match stage {
        S::Registered => C::StartPreparation { by },
        S::Preparing => C::CompletePreparation { by },
        S::Prepared => C::HandOver {
            method: Method::Key,
            by,
        },
        S::HandedOver => C::CheckIn { by: None },
        _ => C::CheckOut { at: NOW, by: None },
    }
}

/// One booking: its streams, the row that is folded from their events, and the saga.
struct World {
    book: Book,
    payment: Payment,
    space: Space,
    phase: Phase,
    payment_status: Option<Status>,
    space_status: Option<Status>,
    log: Vec<Event>,
    order: Order,
    seen: usize,
    outbox: VecDeque<Command>,
}

impl World {
    fn new() -> Self {
        let (userid, spacename) = (Some(UserId(1)), "numberone".to_owned());
        let place = book::Command::Place {
            bookid: ID,
            userid,
            spacename: spacename.clone(),
            price: PRICE,
            scheduled: None,
        };
        let request = payment::Command::Request {
            bookid: ID,
            userid,
            spacename,
            price: PRICE,
            points: Points::default(),
        };
        let mut world = Self {
            book: Book::default(),
            payment: Payment::default(),
            space: Space::default(),
            phase: Phase::Placed,
            payment_status: None,
            space_status: None,
            log: vec![],
            order: Order::default(),
            seen: 0,
            outbox: VecDeque::new(),
        };
        world.ask(vec![
            Command::Book(ID, place),
            Command::Payment(ID, request),
        ]);
        world
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::See => self.see(),
            Step::Run => {
                let next = self.outbox.pop_front();
                self.ask(next.into_iter().collect());
            }
            Step::Fulfil => {
                let next = fulfilling(self.space.stage);
                self.ask(vec![Command::Space(ID, next)]);
            }
            Step::Ask(commands) => self.ask(commands),
        }
    }

    fn see(&mut self) {
        if let Some(event) = self.log.get(self.seen) {
            let intents = self.order.react(ID, event);
            self.outbox
                .extend(intents.into_iter().filter_map(|intent| match intent {
                    Intent::Command(command) => Some(command),
                    _ => None,
                }));
            self.seen += 1;
        }
    }

    /// All of them, or none where one is refused.
    fn ask(&mut self, commands: Vec<Command>) {
        let decided = commands.into_iter().map(|command| {
            Some(match command {
                Command::Book(_, it) => events(self.book.decide(it).ok()?, Event::Book),
                Command::Payment(_, it) => events(self.payment.decide(it).ok()?, Event::Payment),
                Command::Space(_, it) => events(self.space.decide(it).ok()?, Event::Space),
            })
        });
        let decided: Option<Vec<Vec<Event>>> = decided.collect();
        for event in decided.into_iter().flatten().flatten() {
            self.fold(event);
        }
    }

    fn fold(&mut self, event: Event) {
        let progress = after(self.phase, &event);
        self.phase = progress.phase;
        self.payment_status = progress.payment.or(self.payment_status);
        self.space_status = progress.space.or(self.space_status);
        match event.clone() {
            Event::Book(event) => self.book.apply(event),
            Event::Payment(event) => self.payment.apply(event),
            Event::Space(event) => self.space.apply(event),
        }
        self.log.push(event);
    }

    /// The phase that the three streams give together. That something is being undone is the booking's to say: while it
    /// does not, money that goes back and a registration that is refused or undone move nothing.
    fn together(&self) -> Phase {
        let (book, payment, space) = (self.book.phase(), self.payment.phase(), self.space.phase());
        let is_undone = |phase| rank(phase) >= rank(Phase::Cancelling);
        if is_undone(book) {
            let is_refunded = book == Phase::Cancelling && payment == Phase::Refunded;
            return if is_refunded { payment } else { book };
        }
        // How far it had come stays.
        let payment = match self.payment.money_status() {
            _ if !is_undone(payment) => payment,
            PaymentStatus::Declined => Phase::PaymentFailed,
            _ => Phase::Paid,
        };
        let furthest = [payment, space]
            .into_iter()
            .filter(|phase| !is_undone(*phase));
        let ahead = |most, phase| {
            if rank(phase) > rank(most) {
                phase
            } else {
                most
            }
        };
        let phase = furthest.fold(book, ahead);
        if rank(phase) == rank(Phase::Expired) {
            self.first_failure()
        } else {
            phase
        }
    }

    /// A hold that ran out and a charge that was declined are as far as each other: what was said first stays.
    fn first_failure(&self) -> Phase {
        let failure = |event: &Event| match event {
            Event::Book(book::Event::BookExpired { .. }) => Some(Phase::Expired),
            Event::Book(book::Event::BookRejected { .. })
            | Event::Payment(payment::Event::PaymentDeclined { .. }) => Some(Phase::PaymentFailed),
            _ => None,
        };
        self.log.iter().find_map(failure).unwrap()
    }

    fn agrees(&self) -> Result<(), TestCaseError> {
        let names: Vec<_> = self.log.iter().map(Event::name).collect();
        let told = names.join(", ");
        prop_assert_eq!(self.phase, self.together(), "{}", told);
        prop_assert_eq!(self.space_status, self.space.status(), "{}", told);
        // That the customer waits, and that the hold ran out, the booking says for its payment.
        let is_expired = self.book.stage == book::Stage::Expired;
        let by_the_booking = match self.payment_status {
            Some(Status::Timeout) => true,
            Some(Status::CancelPay) => is_expired,
            _ => false,
        };
        if !by_the_booking {
            prop_assert_eq!(self.payment_status, self.payment.status(), "{}", told);
        }
        Ok(())
    }
}

fn events<E>(events: Vec<E>, kind: fn(E) -> Event) -> Vec<Event> {
    events.into_iter().map(kind).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_of_any_story_says_what_the_streams_say(steps in prop::collection::vec(step(), 0..60)) {
        let mut world = World::new();
        world.agrees()?;
        for step in steps {
            world.take(step);
            world.agrees()?;
        }
    }
}

/// The stories are worth nothing if they never get anywhere.
#[test]
fn the_stories_meet_every_phase() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let stories = prop::collection::vec(step(), 0..60);
    let mut left: Vec<Phase> = Phase::ALL.to_vec();
    for _ in 0..500 {
        let mut world = World::new();
        for step in stories.new_tree(&mut runner).unwrap().current() {
            left.retain(|phase| *phase != world.phase);
            world.take(step);
        }
    }
    assert_eq!(left, []);
}
