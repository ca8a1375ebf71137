//! One booking and everyone who has to do with it: its streams, the saga with its outbox and its jobs, the
//! gateway, and the answers that travel from it.
//!
//! Nothing here decides. People's commands may be refused; of the saga's only the one that comes too late
//! for the hand-over may.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::order::{Intent, Order};
use domain::payment::{Points, refund_key};
use domain::terms::Slot;
use domain::{Command, Money, Refusal, UserId, book, payment, space};
use jiff::{SignedDuration, Timestamp};
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;

use crate::gateway::{Capture, Gateway, State};
use crate::story::{
    Charge, Fulfil, Lane, Outside, People, Refund, Saga, Step, Story, first_slot, scheduled,
};
use crate::streams::{BOOK, Streams};

/// Rounds that the world may need until nothing is left to do.
const ROUNDS_MAX: usize = 50;

/// What the saga writes with its checkpoint.
#[derive(Clone, Default)]
struct Kept {
    order: Order,
    seen: usize,
    outbox: VecDeque<Intent>,
}

pub(crate) struct World {
    price: Money,
    is_timed: bool,
    slow: Option<Lane>,
    refused: bool,
    hanging_is_captured: bool,
    pub(crate) streams: Streams,
    pub(crate) order: Order,
    pub(crate) gateway: Gateway,
    /// Which charge was sent, and how long the log was then.
    pub(crate) charges_sent: Vec<(u32, usize)>,
    charges_due: BTreeSet<u32>,
    refunds_due: BTreeSet<u32>,
    seen: usize,
    outbox: VecDeque<Intent>,
    sent: Vec<Command>,
    kept: Kept,
    answers: Vec<payment::Command>,
}

fn pick<'a, T>(index: &Index, of: &'a [T]) -> Option<&'a T> {
    (!of.is_empty()).then(|| index.get(of))
}

impl World {
    /// A booking that was just placed, with its payment requested in the same commit.
    pub(crate) fn new(story: &Story) -> Result<Self, TestCaseError> {
        let price = story.price;
        let mut world = Self {
            price,
            is_timed: story.is_timed,
            slow: story.slow,
            refused: story.refused,
            hanging_is_captured: story.hanging_is_captured,
            streams: Streams::default(),
            order: Order::default(),
            gateway: Gateway::default(),
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
            scheduled: story.is_timed.then(|| Box::new(scheduled(price))),
        };
        let request = payment::Command::Request {
            bookid: BOOK,
            userid,
            spacename,
            price,
            points: Points {
                spent: price.minor * i64::from(story.points_percent) / 100,
                ..Points::default()
            },
        };
        let both = vec![Command::Book(BOOK, place), Command::Payment(BOOK, request)];
        world.streams.execute(both).unwrap();
        Ok(world)
    }

    /// Takes one step; whether any event came of it.
    pub(crate) fn take(&mut self, step: &Step) -> Result<bool, TestCaseError> {
        let before = self.streams.log.len();
        match step {
            Step::People(step) => self.people_ask(step)?,
            Step::Outside(step) => self.outside_goes_on(step)?,
            Step::Saga(step) => self.saga_goes_on(step)?,
        }
        Ok(self.streams.log.len() > before)
    }

    fn people_ask(&mut self, step: &People) -> Result<(), TestCaseError> {
        match step {
            &People::Cancel { hours_before } => {
                let at = self.hours_before_start(hours_before);
                self.may_all(Command::cancel_booking(BOOK, None, at));
            }
            &People::Move { hours, percent } => self.move_booking(hours, percent),
            People::PayOutstanding => {
                let again = payment::Command::ChargeOutstanding;
                self.must(Command::Payment(BOOK, again))?;
            }
            People::RefundPart { percent } => {
                let amount = self.price.minor * i64::from(*percent) / 100;
                let part = payment::Command::RefundPartially {
                    amount: self.price.with_minor(amount),
                    reason: "broken heater".to_owned(),
                };
                self.may(Command::Payment(BOOK, part));
            }
            People::Fulfil(step) => self.may(Command::Space(BOOK, step.command(self.slot()))),
            People::FulfilNext => {
                let next = Fulfil::after(self.streams.live.space.stage);
                self.may(Command::Space(BOOK, next.command(self.slot())));
            }
            People::Expire => self.may(Command::Book(BOOK, book::Command::Expire)),
            &People::Defer { sent } => {
                let reason = "timeout".to_owned();
                let defer = book::Command::DeferPayment { reason, sent };
                self.must(Command::Book(BOOK, defer))?;
            }
        }
        Ok(())
    }

    fn outside_goes_on(&mut self, step: &Outside) -> Result<(), TestCaseError> {
        match step {
            Outside::Send(how) => {
                for charge_no in self.charges_wanted() {
                    self.send_charge(charge_no, *how);
                }
            }
            Outside::Resolve { captured } => self.gateway.resolve(*captured),
            Outside::CaptureTwice => self.gateway.capture_twice(),
            Outside::LookUp { deny } => {
                for charge_no in self.charges_wanted() {
                    self.look_up(charge_no, *deny);
                }
            }
            Outside::Report(which) => {
                if let Some(capture) = pick(which, &self.gateway.captures) {
                    self.answers.push(capture.report());
                }
            }
            Outside::Refund { which, how } => {
                let due: Vec<u32> = self.refunds_due.iter().copied().collect();
                if let Some(refund_no) = pick(which, &due) {
                    self.send_refund(*refund_no, *how);
                }
            }
            Outside::Deliver { which, again } => {
                if let Some(answer) = pick(which, &self.answers).cloned() {
                    if !again {
                        self.answers.remove(which.index(self.answers.len()));
                    }
                    self.must(Command::Payment(BOOK, answer))?;
                }
            }
            Outside::Lose(which) => {
                if !self.answers.is_empty() {
                    self.answers.remove(which.index(self.answers.len()));
                }
            }
        }
        Ok(())
    }

    fn saga_goes_on(&mut self, step: &Saga) -> Result<(), TestCaseError> {
        match step {
            Saga::See => self.see(),
            Saga::CatchUp => self.catch_up(self.slow)?,
            Saga::SeeAgain(which) => {
                if let Some(event) = pick(which, &self.streams.log[..self.seen]) {
                    self.outbox.extend(self.order.react(BOOK, event));
                }
            }
            Saga::Run(which) => {
                if let Some((_, place)) = pick(which, &self.next_of_each_lane()).copied() {
                    self.run(place)?;
                }
            }
            Saga::RunAgain(which) => {
                if let Some(command) = pick(which, &self.sent).cloned() {
                    self.must(command)?;
                }
            }
            Saga::Checkpoint => {
                self.kept = Kept {
                    order: self.order.clone(),
                    seen: self.seen,
                    outbox: self.outbox.clone(),
                };
            }
            Saga::Crash => {
                let Kept {
                    order,
                    seen,
                    outbox,
                } = self.kept.clone();
                (self.order, self.seen, self.outbox) = (order, seen, outbox);
            }
        }
        Ok(())
    }

    /// Everything that is under way comes to its end, and nothing new begins.
    pub(crate) fn come_to_rest(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..ROUNDS_MAX {
            let before = self.streams.log.len();
            let idle = self.seen == before && self.outbox.is_empty();
            self.gateway.resolve(self.hanging_is_captured);
            // The reconciliation reports whatever the gateway's books show.
            let captures = self.gateway.captures.iter();
            self.answers.extend(captures.map(Capture::report));
            for charge_no in self.charges_due.clone() {
                self.send_charge(charge_no, Charge::Captured);
                self.look_up(charge_no, false);
            }
            for refund_no in self.refunds_due.clone() {
                self.send_refund(refund_no, Refund::Done);
            }
            for answer in std::mem::take(&mut self.answers) {
                self.must(Command::Payment(BOOK, answer))?;
            }
            self.catch_up(None)?;
            if idle && self.streams.log.len() == before {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("it never comes to rest"))
    }

    /// The saga sees the whole story once more, on top of what it knows.
    pub(crate) fn see_everything_again(&mut self) -> Result<(), TestCaseError> {
        for event in &self.streams.log {
            self.outbox.extend(self.order.react(BOOK, event));
        }
        self.catch_up(None)
    }

    /// People may ask for what is not possible.
    fn may(&mut self, command: Command) {
        self.may_all(vec![command]);
    }

    fn may_all(&mut self, commands: Vec<Command>) {
        let _refused = self.streams.execute(commands);
    }

    /// What machines ask is carried out or absorbed, never refused.
    fn must(&mut self, command: Command) -> Result<(), TestCaseError> {
        match self.streams.execute(vec![command]) {
            Ok(()) | Err(Refusal::Space(space::Error::AlreadyHandedOver)) => Ok(()),
            Err(refusal) => Err(TestCaseError::fail(format!(
                "a machine was refused: {refusal}"
            ))),
        }
    }

    /// The slot that the booking has by now; one without a time is treated as if it had the first.
    fn slot(&self) -> Slot {
        self.streams.live.book.slot().unwrap_or_else(first_slot)
    }

    fn hours_before_start(&self, hours: i64) -> Timestamp {
        self.slot().start - SignedDuration::from_hours(hours)
    }

    fn move_booking(&mut self, hours: i64, percent: u8) {
        if !self.is_timed {
            return;
        }
        let Slot { start, end, .. } = self.slot();
        let by = SignedDuration::from_hours(hours);
        let slot = Slot::new(start + by, end + by);
        let to = self
            .price
            .with_minor(self.price.minor * i64::from(percent) / 100);
        let at = self.hours_before_start(30);
        let difference = self.streams.live.book.difference(to, at);
        self.may_all(Command::reschedule(BOOK, slot, difference, at));
    }

    /// Every charge that was ever asked for.
    fn charges_wanted(&self) -> Vec<u32> {
        let payment = &self.streams.live.payment;
        (1..)
            .take_while(|no| payment.charge(*no).is_some())
            .collect()
    }

    /// Whoever sends a charge asks the payment first whether it may.
    fn send_charge(&mut self, charge_no: u32, how: Charge) {
        let payment = &self.streams.live.payment;
        let Some(charge) = payment.charge(charge_no) else {
            return;
        };
        if payment.is_charge_open(charge_no) && !payment.is_unwanted(charge_no) {
            self.charges_sent.push((charge_no, self.streams.log.len()));
            let answer = self.gateway.charge(charge_no, charge.amount, how);
            self.answers.extend(answer);
        }
    }

    /// Asks what became of a charge. What is not wanted any more and was never heard of, or is denied, is
    /// taken for never charged.
    fn look_up(&mut self, charge_no: u32, deny: bool) {
        let unwanted = self.streams.live.payment.is_unwanted(charge_no);
        let state = self.gateway.state(charge_no);
        let unheard = state == State::NeverHeardOf && unwanted;
        let denied = matches!(state, State::Hanging(_)) && deny;
        if unheard || denied {
            self.answers
                .push(payment::Command::RecordNotCharged { charge_no });
        } else {
            self.answers.extend(self.gateway.look_up(charge_no));
        }
    }

    fn send_refund(&mut self, refund_no: u32, how: Refund) {
        let refund = self.streams.live.payment.refund(refund_no);
        let Some(refund) = refund.filter(|refund| !refund.done) else {
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

    /// The saga sees all there is and carries out all it wants, but for what waits in the `slow` lane.
    fn catch_up(&mut self, slow: Option<Lane>) -> Result<(), TestCaseError> {
        loop {
            while self.seen < self.streams.log.len() {
                self.see();
            }
            let mut lanes = self.next_of_each_lane().into_iter();
            match lanes.find(|(lane, _)| Some(*lane) != slow) {
                Some((_, place)) => self.run(place)?,
                None => return Ok(()),
            }
        }
    }

    fn see(&mut self) {
        if let Some(event) = self.streams.log.get(self.seen) {
            self.outbox.extend(self.order.react(BOOK, event));
            self.seen += 1;
        }
    }

    /// Where in the outbox the next intent of each lane stands.
    fn next_of_each_lane(&self) -> Vec<(Lane, usize)> {
        let mut next = BTreeMap::new();
        for (place, intent) in self.outbox.iter().enumerate() {
            let lane = match intent {
                Intent::Command(Command::Book(..)) => Lane::Book,
                Intent::Command(Command::Payment(..)) => Lane::Payment,
                Intent::Command(Command::Space(..)) => Lane::Space,
                Intent::Charge { .. }
                | Intent::ChargeSettled { .. }
                | Intent::ChargeUnwanted { .. }
                | Intent::NoShowTimer { .. }
                | Intent::Refund { .. } => Lane::Jobs,
            };
            next.entry(lane).or_insert(place);
        }
        next.into_iter().collect()
    }

    fn run(&mut self, place: usize) -> Result<(), TestCaseError> {
        match self.outbox.remove(place) {
            None => {}
            // Nothing here has a time, and nothing is left to people.
            Some(Intent::NoShowTimer { .. } | Intent::ChargeUnwanted { .. }) => {}
            Some(Intent::Charge { charge_no, .. }) => {
                self.charges_due.insert(charge_no);
            }
            Some(Intent::ChargeSettled { charge_no }) => {
                self.charges_due.remove(&charge_no);
            }
            Some(Intent::Refund { refund_no }) => {
                self.refunds_due.insert(refund_no);
            }
            Some(Intent::Command(command)) => {
                self.sent.push(command.clone());
                let registers =
                    matches!(command, Command::Space(_, space::Command::Register { .. }));
                if registers && self.refused {
                    self.streams.refuse_registration();
                } else {
                    self.must(command)?;
                }
            }
        }
        Ok(())
    }
}
