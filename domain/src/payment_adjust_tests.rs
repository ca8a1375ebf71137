//! A booking that moves to a cheaper or dearer time: what goes back, what is kept, what is paid again.

use super::extra_tests::{
    adjust, adjust_by, after, approval, cancel, cancel_by, decline_of, refunds, request, returned,
};
use super::*;

/// What these commands gave back, in points and money together, when every refund has been made.
fn given_back(commands: impl IntoIterator<Item = Command>) -> i64 {
    let (mut payment, mut back) = (Payment::default(), 0);
    for command in commands {
        let mut events = payment.decide(command).unwrap();
        back += returned(&events);
        let asked = refunds(&events).len();
        for event in events.drain(..) {
            payment.apply(event);
        }
        for refund_no in (1..).skip(payment.refunds.len() - asked).take(asked) {
            let refund_ref = format!("re-{refund_no}");
            for event in payment
                .decide(Command::RecordRefund {
                    refund_no,
                    refund_ref,
                })
                .unwrap()
            {
                payment.apply(event);
            }
        }
    }
    let back = back + payment.refunded();
    assert_eq!(
        payment.paid() + back,
        payment.captured() + payment.points_spent
    );
    back
}

#[test]
fn who_did_not_pay_the_difference_keeps_paying_the_fee() {
    // Paid 10,000; moved to a time for 20,000, whose difference is declined, or not decided; cancelled at 50 %.
    let moved = [request(0), approval(1, 10_000), adjust(10_000, 20_000)];
    let declined = moved
        .iter()
        .cloned()
        .chain([decline_of(2), cancel_by(10_000, 50)]);
    assert_eq!(given_back(declined), 5_000);
    let open = moved.iter().cloned().chain([cancel_by(10_000, 50)]);
    assert_eq!(given_back(open), 5_000);
}

#[test]
fn a_cheaper_time_gives_back_the_part_that_the_policy_leaves() {
    let (_, moved) = after([
        request(0),
        approval(1, 10_000),
        adjust_by(10_000, 4_000, 50),
    ]);
    assert_eq!(refunds(&moved), [("tx-1".to_owned(), 3_000)]);
    let (_, moved) = after([request(0), approval(1, 10_000), adjust_by(10_000, 4_000, 0)]);
    assert!(moved.is_empty(), "{moved:?}");
}

#[test]
fn what_a_cheaper_time_kept_pays_for_a_dearer_one_unless_people_gave_it_back() {
    let back_to = |to: i64| {
        Command::Adjust(Difference {
            from: Money::krw(4_000),
            kept: 6_000,
            to: Money::krw(to),
            refund_percent: 0,
        })
    };
    let kept = [request(0), approval(1, 10_000), adjust_by(10_000, 4_000, 0)];
    let given = |amount: i64| Command::RefundPartially {
        amount: Money::krw(amount),
        reason: "rain".to_owned(),
    };
    for (back, to, asked) in [
        (0, 9_000, 0),
        (0, 11_000, 1_000),
        (1_000, 10_000, 1_000),
        (6_000, 10_000, 6_000),
        // What was given back of the price itself is not asked for again.
        (9_000, 10_000, 6_000),
    ] {
        let given = (back > 0).then(|| given(back));
        let story = kept.clone().into_iter().chain(given).chain([back_to(to)]);
        let price = |event: &Event| match event {
            Event::ChargeRequested { price, .. } => price.minor,
            _ => 0,
        };
        let charged: i64 = after(story).1.iter().map(price).sum();
        assert_eq!(charged, asked, "{back} given back, then moved to {to}");
    }
}

/// Whatever part of the price points paid, what was paid comes back, once.
#[test]
fn points_survive_a_move_to_a_cheaper_time() {
    for points in [0, 1, 3_333, 5_000, 8_000, 9_999, 10_000] {
        for cheaper in [0, 1, 1_000, 5_000, 9_999] {
            let story = [
                request(points),
                approval(1, 10_000 - points),
                adjust(10_000, cheaper),
                cancel(cheaper),
            ];
            let back = given_back(story);
            assert_eq!(back, 10_000, "{points} points, moved to {cheaper}");
        }
    }
}

#[test]
fn points_and_money_come_back_from_a_cheaper_time_as_they_paid() {
    let (payment, moved) = after([request(8_000), approval(1, 2_000), adjust(10_000, 5_000)]);
    assert_eq!(returned(&moved), 4_000);
    assert_eq!(refunds(&moved), [("tx-1".to_owned(), 1_000)]);
    assert_eq!(
        (payment.points_spent(), payment.refundable()),
        (4_000, 1_000)
    );
}
