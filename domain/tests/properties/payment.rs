//! A payment alone, asked for anything in any order: also for what no saga would ask, such as a
//! cancellation that keeps a fee.

use cqrs_es::Aggregate;
use domain::payment::{Command, Difference, Event, Payment, Points, Stage};
use domain::{BookId, Money, UserId};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestRunner};

use crate::account::Account;
use crate::story::any_price;

const PAY: BookId = BookId(7);

/// More refunds than a story can ask for.
const REFUNDS_MAX: u32 = 100;

/// A command, with amounts in percent of the price.
#[derive(Clone, Copy, Debug)]
enum Ask {
    Approve { charge_no: u32, gateway_ref: u8 },
    Decline { charge_no: u32 },
    Unknown { charge_no: u32 },
    NotCharged { charge_no: u32 },
    Overtime { percent: u8 },
    Outstanding,
    Adjust { from: u8, to: u8, back: u8 },
    Cancel { percent: u8 },
    RefundPart { percent: u8 },
    Refund { refund_no: u32 },
    RefundFails { refund_no: u32 },
}

fn any_ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        6 => (1..=4_u32, 1..=3_u8).prop_map(|(charge_no, gateway_ref)| Ask::Approve { charge_no, gateway_ref }),
        1 => (1..=4_u32).prop_map(|charge_no| Ask::Decline { charge_no }),
        1 => (1..=4_u32).prop_map(|charge_no| Ask::Unknown { charge_no }),
        1 => (1..=4_u32).prop_map(|charge_no| Ask::NotCharged { charge_no }),
        1 => (0..=120_u8).prop_map(|percent| Ask::Overtime { percent }),
        1 => Just(Ask::Outstanding),
        2 => (0..=200_u8, 0..=200_u8, 0..=100_u8).prop_map(|(from, to, back)| Ask::Adjust { from, to, back }),
        2 => (0..=120_u8).prop_map(|percent| Ask::Cancel { percent }),
        3 => (0..=120_u8).prop_map(|percent| Ask::RefundPart { percent }),
        4 => (0..=5_u32).prop_map(|refund_no| Ask::Refund { refund_no }),
        1 => (0..=5_u32).prop_map(|refund_no| Ask::RefundFails { refund_no }),
    ]
}

fn command(ask: Ask, price: Money, payment: &Payment) -> Command {
    let asked = |no| payment.charge(no).map_or(price, |charge| charge.amount);
    let part = |percent: u8| price.with_minor(price.minor * i64::from(percent) / 100);
    match ask {
        Ask::Approve {
            charge_no,
            gateway_ref,
        } => Command::RecordApproval {
            charge_no,
            gateway_ref: format!("tx-{charge_no}-{gateway_ref}"),
            captured: asked(charge_no),
        },
        Ask::Decline { charge_no } => Command::RecordDecline {
            charge_no,
            code: "card".to_owned(),
            message: "no funds".to_owned(),
        },
        Ask::Unknown { charge_no } => Command::RecordUnknown {
            charge_no,
            attempt: 1,
            reason: "timeout".to_owned(),
        },
        Ask::NotCharged { charge_no } => Command::RecordNotCharged { charge_no },
        Ask::Overtime { percent } => Command::ChargeOvertime {
            amount: part(percent),
        },
        Ask::Outstanding => Command::ChargeOutstanding,
        Ask::Adjust { from, to, back } => Command::Adjust(Difference {
            from: part(from),
            kept: part(back).minor,
            to: part(to),
            refund_percent: back,
        }),
        Ask::Cancel { percent } => Command::Cancel {
            refund: part(percent),
            percent: percent.min(100),
            reason: "rain".to_owned(),
        },
        Ask::RefundPart { percent } => Command::RefundPartially {
            amount: part(percent),
            reason: "broken heater".to_owned(),
        },
        Ask::Refund { refund_no } => Command::RecordRefund {
            refund_no,
            refund_ref: format!("re-{refund_no}"),
        },
        Ask::RefundFails { refund_no } => Command::RecordRefundFailure {
            refund_no,
            attempt: 1,
            code: "busy".to_owned(),
        },
    }
}

/// Asks, and when something happened, checks the books.
fn ask(payment: &mut Payment, log: &mut Vec<Event>, command: Command) -> TestCaseResult {
    let Ok(events) = payment.decide(command) else {
        return Ok(());
    };
    for event in &events {
        payment.apply(event.clone());
    }
    log.extend(events);
    Account::of(&*log).balances(payment)
}

fn play(price: Money, points_percent: i64, asks: Vec<Ask>) -> TestCaseResult {
    let (mut payment, mut log) = (Payment::default(), vec![]);
    let request = Command::Request {
        bookid: PAY,
        userid: Some(UserId(1)),
        spacename: "numberone".to_owned(),
        price,
        points: Points {
            spent: price.minor * points_percent / 100,
            ..Points::default()
        },
    };
    ask(&mut payment, &mut log, request)?;
    for one in asks {
        let command = command(one, price, &payment);
        ask(&mut payment, &mut log, command)?;
    }
    for refund_no in 1..=REFUNDS_MAX {
        let command = command(Ask::Refund { refund_no }, price, &payment);
        ask(&mut payment, &mut log, command)?;
    }
    let account = Account::of(&log);
    account.is_settled()?;
    prop_assert_eq!(account.fee.is_some(), payment.stage == Stage::Cancelled);
    if account.captured == account.refunded {
        account.money_is_undone()?;
    }
    Ok(())
}

#[test]
fn the_books_of_a_payment_balance_whatever_it_is_asked() {
    let asks = prop::collection::vec(any_ask(), 0..=30);
    TestRunner::new(crate::config())
        .run(
            &(any_price(), 0..=100_i64, asks),
            |(price, points, asks)| play(price, points, asks),
        )
        .unwrap();
}
