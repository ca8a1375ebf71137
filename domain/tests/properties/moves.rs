//! A booking that moves to dearer and cheaper times, while people give parts of the money back: what it owes.

use cqrs_es::Aggregate;
use domain::book::{self, Book, Scheduled};
use domain::payment::{self, Payment, Points, Stage};
use domain::space::Method;
use domain::terms::{Policy, Slot, Terms, Tier};
use domain::{BookId, Money, UserId};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};

const BOOK: BookId = BookId(7);
const NOW: Timestamp = Timestamp::constant(1_800_000_000, 0);
const PRICE: Money = Money::krw(10_000);

/// More charges than a story can ask for.
const CHARGES_MAX: u32 = 20;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// To a time so many hours ahead that costs so much.
    Move { hours: i64, price: i64 },
    /// People give so many percent of what is there back.
    GiveBack { percent: i64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..=100_i64, 0..=30_000_i64).prop_map(|(hours, price)| Step::Move { hours, price }),
        1 => (1..=100_i64).prop_map(|percent| Step::GiveBack { percent }),
    ]
}

fn scheduled() -> Scheduled {
    let tier = |hours_before, refund_percent| Tier {
        hours_before,
        refund_percent,
    };
    Scheduled {
        slot: at(100),
        terms: Terms {
            venue_version: 1,
            timezone: "Asia/Seoul".to_owned(),
            policy: Policy {
                grace_minutes: 0,
                tiers: vec![tier(60, 100), tier(30, 50)],
            },
            buffer_before_minutes: 0,
            buffer_after_minutes: 0,
            hold_minutes: 10,
            no_show_grace_minutes: 15,
            overtime_per_hour: PRICE,
            hand_over: Method::Code,
        },
        booked_at: NOW,
    }
}

fn at(hours: i64) -> Slot {
    let start = NOW + SignedDuration::from_hours(hours);
    Slot::new(start, start + SignedDuration::from_hours(1))
}

struct Order {
    book: Book,
    payment: Payment,
}

impl Order {
    /// Confirmed and paid, partly with points.
    fn new(points: i64) -> Self {
        let mut order = Self {
            book: Book::default(),
            payment: Payment::default(),
        };
        order.book(book::Command::Place {
            bookid: BOOK,
            userid: Some(UserId(1)),
            spacename: "numberone".to_owned(),
            price: PRICE,
            scheduled: Some(Box::new(scheduled())),
        });
        order.pay(payment::Command::Request {
            bookid: BOOK,
            userid: Some(UserId(1)),
            spacename: "numberone".to_owned(),
            price: PRICE,
            points: Points {
                spent: points,
                ..Points::default()
            },
        });
        order.charge();
        order.book(book::Command::Confirm);
        order
    }

    fn book(&mut self, command: book::Command) {
        for event in self.book.decide(command).unwrap() {
            self.book.apply(event);
        }
    }

    fn pay(&mut self, command: payment::Command) {
        for event in self.payment.decide(command).unwrap() {
            self.payment.apply(event);
        }
    }

    /// The gateway approves what was asked last.
    fn charge(&mut self) {
        let open = (1..=CHARGES_MAX).find(|no| self.payment.is_charge_open(*no));
        let amount = open.and_then(|no| Some(self.payment.charge(no)?.amount));
        if let (Some(charge_no), Some(captured)) = (open, amount) {
            self.pay(payment::Command::RecordApproval {
                charge_no,
                gateway_ref: format!("tx-{charge_no}"),
                captured,
            });
        }
    }

    fn give_back(&mut self, amount: i64) {
        if amount > 0 {
            self.pay(payment::Command::RefundPartially {
                amount: PRICE.with_minor(amount),
                reason: "broken heater".to_owned(),
            });
        }
    }

    fn move_to(&mut self, slot: Slot, price: Money) {
        let difference = self.book.difference(price, NOW);
        let asked = book::Command::Reschedule {
            slot,
            difference,
            at: NOW,
        };
        let Ok(events) = self.book.decide(asked) else {
            return;
        };
        for event in events {
            self.book.apply(event);
        }
        self.pay(payment::Command::Adjust(difference));
        self.charge();
    }
}

/// A dearer time asks for what is beyond the old price and what was paid beyond that, and for nothing that people gave
/// back of the old price; a cheaper one gives back the difference at the most.
fn play(points: i64, steps: Vec<Step>) -> TestCaseResult {
    let mut order = Order::new(points);
    for step in steps {
        let (paid, price) = (order.payment.paid(), order.book.price().minor);
        match step {
            Step::GiveBack { percent } => {
                let amount = order.payment.refundable() * percent / 100;
                order.give_back(amount);
                prop_assert_eq!(order.payment.paid(), paid - amount);
            }
            Step::Move { hours, price: to } => {
                order.move_to(at(hours), PRICE.with_minor(to));
                let (paid_now, price_now) = (order.payment.paid(), order.book.price().minor);
                if price_now >= price {
                    let asked = (price_now - paid.max(price)).max(0);
                    prop_assert_eq!(paid_now - paid, asked);
                } else {
                    prop_assert!((0..=price - price_now).contains(&(paid - paid_now)));
                }
            }
        }
        prop_assert_eq!(order.payment.stage, Stage::Approved);
    }
    Ok(())
}

#[test]
fn who_moves_pays_the_new_time_and_nothing_twice() {
    let steps = prop::collection::vec(any_step(), 0..=12);
    TestRunner::new(crate::config())
        .run(&(0..=10_000_i64, steps), |(points, steps)| {
            play(points, steps)
        })
        .unwrap();
}
