//! One booking and everyone who has to do with it: its streams, the saga with its outbox and its jobs, the
//! gateway, and the answers that travel from it.
//!
//! Nothing here decides. People's commands may be refused; of the saga's only the one that comes too late
//! for the hand-over may.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::order::{Intent, Order};
use domain::payment::refund_key;
use domain::{Command, Money, Refusal, UserId, book, payment, space};
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;

use crate::gateway::{Gateway, State};
use crate::story::{Charge, Fulfil, Lane, Outside, People, Refund, Saga, Step, Story};
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
    slow: Option<Lane>,
    refused: bool,
    hanging_is_captured: bool,
    pub(crate) streams: Streams,
    pub(crate) order: Order,
    pub(crate) gateway: Gateway,
    /// How long the log was whenever a charge was sent.
    pub(crate) charges_sent: Vec<usize>,
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
            slow: story.slow,
            refused: story.refused,
            hanging_is_captured: story.hanging_is_captured,
            streams: Streams::default(),
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
            scheduled: None,
        };
        let request = payment::Command::Request {
            bookid: BOOK,
            userid,
            spacename,
            price,
            points: domain::payment::Points::default(),
        };
        world.must(Command::Book(BOOK, place))?;
        world.must(Command::Payment(BOOK, request))?;
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
            People::Cancel => {
                let cancel = book::Command::Cancel {
                    reason: None,
                    at: jiff::Timestamp::UNIX_EPOCH,
                };
                self.may(Command::Book(BOOK, cancel));
            }
            People::RefundPart { percent } => {
                let amount = self.price.minor * i64::from(*percent) / 100;
                let part = payment::Command::RefundPartially {
                    amount: self.price.with_minor(amount),
                    reason: "broken heater".to_owned(),
                };
                self.may(Command::Payment(BOOK, part));
            }
            People::Fulfil(step) => self.may(Command::Space(BOOK, step.command())),
            People::FulfilNext => {
                let next = Fulfil::after(self.streams.live.space.stage);
                self.may(Command::Space(BOOK, next.command()));
            }
            &People::Expire { attempt_in_flight } => {
                let expire = book::Command::Expire { attempt_in_flight };
                self.may(Command::Book(BOOK, expire));
            }
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
            Outside::Send(how) => self.send_charge(*how),
            Outside::Resolve { captured } => {
                if self.gateway.state == State::Hanging {
                    self.gateway.resolve(*captured);
                }
            }
            Outside::CaptureTwice => {
                if self.gateway.state == State::Captured {
                    self.gateway.capture();
                }
            }
            Outside::LookUp { deny } => self.look_up(*deny),
            Outside::Report(which) => {
                if let Some(capture) = pick(which, &self.gateway.captures) {
                    self.answers.push(self.gateway.report(capture));
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
            if self.gateway.state == State::Hanging {
                self.gateway.resolve(self.hanging_is_captured);
            }
            // The reconciliation reports whatever the gateway's books show.
            let captures = self.gateway.captures.iter();
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
        let _refused = self.streams.execute(command);
    }

    /// What machines ask is carried out or absorbed, never refused.
    fn must(&mut self, command: Command) -> Result<(), TestCaseError> {
        match self.streams.execute(command) {
            Ok(()) | Err(Refusal::Space(space::Error::AlreadyHandedOver)) => Ok(()),
            Err(refusal) => Err(TestCaseError::fail(format!(
                "a machine was refused: {refusal}"
            ))),
        }
    }

    /// Whoever sends a charge asks the payment first whether it may.
    fn send_charge(&mut self, how: Charge) {
        let payment = &self.streams.live.payment;
        if payment.is_open() && !payment.is_void_requested() {
            self.charges_sent.push(self.streams.log.len());
            self.answers.extend(self.gateway.charge(how));
        }
    }

    /// Asks what became of the charge. What is not wanted any more and was never heard of, or is denied, is
    /// taken for never charged.
    fn look_up(&mut self, deny: bool) {
        let void = self.streams.live.payment.is_void_requested();
        let unheard = self.gateway.state == State::NeverHeardOf && void;
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
            // Nothing here has a time.
            Some(Intent::NoShowTimer { .. }) => {}
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
                let command = match command {
                    Command::Space(bookid, space::Command::Register { .. }) if self.refused => {
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
