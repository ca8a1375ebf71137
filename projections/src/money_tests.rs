//! The two axes of money, held against the payment itself, over everything that can happen to one.

use cqrs_es::Aggregate as _;
use domain::payment::{Command, Difference, Payment, Points};
use domain::{BookId, Money, UserId};
use proptest::prelude::*;

use super::*;

pub(crate) const PRICE: Money = Money::krw(10_000);

/// What can happen to a payment; numbers may name what is not there.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    let number = || 1..4_u32;
    let amount = || (1..12_000_i64).prop_map(Money::krw);
    prop_oneof![
        (number(), 0..3_u8).prop_map(|(charge_no, other)| Command::RecordApproval {
            charge_no,
            gateway_ref: format!("charge-{charge_no}-{other}"),
            captured: PRICE,
        }),
        number().prop_map(|charge_no| Command::RecordDecline {
            charge_no,
            code: "no".into(),
            message: "no".into(),
        }),
        number().prop_map(|charge_no| Command::RecordUnknown {
            charge_no,
            attempt: 1,
            reason: "silence".into(),
        }),
        Just(Command::ChargeOvertime { amount: PRICE }),
        Just(Command::ChargeOutstanding),
        Just(to_cost(Money::krw(20_000))),
        amount().prop_map(to_cost),
        amount().prop_map(|refund| Command::Cancel {
            refund,
            percent: 100,
            reason: "rain".into(),
        }),
        Just(Command::Cancel {
            refund: Money::krw(0),
            percent: 0,
            reason: "late".into(),
        }),
        number().prop_map(|refund_no| Command::RecordRefund {
            refund_no,
            refund_ref: "r".into(),
        }),
        number().prop_map(|refund_no| Command::RecordRefundFailure {
            refund_no,
            attempt: 1,
            code: "busy".into(),
        }),
        amount().prop_map(|amount| Command::RefundPartially {
            amount,
            reason: "heater".into(),
        }),
    ]
}

fn to_cost(to: Money) -> Command {
    Command::Adjust(Difference {
        from: PRICE,
        kept: 0,
        to,
        refund_percent: 100,
    })
}

fn carry_out(payment: &mut Payment, standing: Standing, command: Command) -> Standing {
    let events = payment.decide(command).unwrap_or_default();
    events.into_iter().fold(standing, |standing, event| {
        payment.apply(event.clone());
        standing.after(&event).unwrap()
    })
}

/// What the payment itself says of where it is.
fn agrees(payment: &Payment, standing: &Standing) -> Result<(), TestCaseError> {
    prop_assert_eq!(standing.outstanding, payment.outstanding());
    prop_assert_eq!(standing.refunded, payment.refunded());
    prop_assert_eq!(standing.captured, payment.captured());
    prop_assert!(standing.refunded <= standing.captured);
    prop_assert_eq!(standing.payment, payment.money_status());
    prop_assert_eq!(standing.refund, payment.refund_status());
    let refunds = (1..).map_while(|number| payment.refund(number));
    let open = refunds.filter(|refund| !refund.done).count();
    prop_assert_eq!(standing.refunds_open, i64::try_from(open).unwrap());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn money_stands_as_the_payment_says(
        spent in prop_oneof![Just(0), 1..5_000_i64],
        approved in any::<bool>(),
        commands in proptest::collection::vec(command(), 0..24),
    ) {
        let (mut payment, mut standing) = (Payment::default(), Standing::default());
        let request = Command::Request {
            bookid: BookId(1),
            userid: Some(UserId(1)),
            spacename: "numberone".into(),
            price: PRICE,
            points: Points { spent, ..Points::default() },
        };
        standing = carry_out(&mut payment, standing, request);
        if approved {
            let approve = Command::RecordApproval {
                charge_no: 1,
                gateway_ref: "first".into(),
                captured: Money::krw(PRICE.minor - spent),
            };
            standing = carry_out(&mut payment, standing, approve);
        }
        for command in commands {
            // What a charge asked for is what is captured.
            let command = match command {
                Command::RecordApproval { charge_no, gateway_ref, captured } => {
                    let asked = payment.charge(charge_no).map_or(captured, |charge| charge.amount);
                    Command::RecordApproval { charge_no, gateway_ref, captured: asked }
                }
                other => other,
            };
            standing = carry_out(&mut payment, standing, command);
            agrees(&payment, &standing)?;
        }
    }
}
