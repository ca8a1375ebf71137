//! Money that goes back: cancellations, parts, surplus, and the points that go with it.

use super::*;

#[test]
fn cancelling_a_paid_booking_asks_for_the_money_back() {
    TestFramework::<Payment>::with(())
        .given(paid())
        .when(cancel(PRICE))
        .then_expect_events(vec![cancellation_of(1, PRICE)]);
    let payment = fold(history(Stage::Refunding));
    let refund = payment.refund(1).unwrap();
    assert_eq!(refund.amount, PRICE);
    assert_eq!(refund.gateway_ref, "tx-1");
    assert_eq!((refund.reason.as_str(), refund.done), ("rain", false));
    assert_eq!(payment.refunded(), 0, "asked for is not given back");
}

#[test]
fn never_more_goes_back_than_was_captured() {
    TestFramework::<Payment>::with(())
        .given(paid())
        .when(cancel(won(10_001)))
        .then_expect_events(vec![cancellation_of(1, PRICE)]);
}

#[test]
fn a_cancellation_that_gives_nothing_back_keeps_all_of_it_and_the_points() {
    for refund in [won(0), won(-1)] {
        TestFramework::<Payment>::with(())
            .given(paid())
            .when(cancel(refund))
            .then_expect_events(vec![cancelled(won(0), 10_000)]);
    }
    assert_eq!(fold(paid_and([cancelled(won(0), 10_000)])).points(), 100);
}

#[test]
fn cancelling_what_was_free_is_done_at_once() {
    let free = vec![requested_at(won(0)), approved_of(won(0)), accrued(0)];
    TestFramework::<Payment>::with(())
        .given(free)
        .when(cancel(won(0)))
        .then_expect_events(vec![cancelled(won(0), 0)]);
}

#[test]
fn cancelling_what_was_declined_is_done_at_once() {
    TestFramework::<Payment>::with(())
        .given(history(Stage::Declined))
        .when(cancel(PRICE))
        .then_expect_events(vec![voided()]);
}

#[test]
fn cancelling_twice_is_one_refund() {
    for stage in [Stage::Refunding, Stage::Cancelled] {
        let answer = ask(history(stage), cancel(PRICE));
        assert_eq!(answer, Ok(vec![]), "in {stage:?}");
    }
}

#[test]
fn a_refund_undoes_the_payment_and_takes_its_points_back_in_one_append() {
    TestFramework::<Payment>::with(())
        .given(history(Stage::Refunding))
        .when(refund(1))
        .then_expect_events(vec![cancelled(PRICE, 0), clawed_back(100)]);
    let payment = fold(history(Stage::Cancelled));
    assert_eq!(payment.refunded(), 10_000);
    assert_eq!(payment.points(), 0);
}

#[test]
fn what_is_not_given_back_is_the_fee_and_keeps_its_points() {
    TestFramework::<Payment>::with(())
        .given(paid_and([cancellation_of(1, won(4_000))]))
        .when(refund(1))
        .then_expect_events(vec![cancelled(won(4_000), 6_000), clawed_back(40)]);
}

#[test]
fn the_same_refund_twice_is_one_refund() {
    let partial = paid_and([
        partial_of(1, won(3_000)),
        partially_refunded(1, won(3_000)),
        clawed_back(30),
    ]);
    let surplus = paid_and([
        duplicate_charge(),
        surplus_of(1, PRICE),
        surplus_refunded(1),
    ]);
    for given in [history(Stage::Cancelled), partial, surplus] {
        assert_eq!(ask(given.clone(), refund(1)), Ok(vec![]));
        assert_eq!(
            ask(given, refund_failure(1)),
            Ok(vec![]),
            "a failure after it"
        );
    }
}

#[test]
fn an_answer_belongs_to_a_refund_that_was_intended() {
    for command in [refund(2), refund_failure(2)] {
        let answer = ask(history(Stage::Refunding), command);
        let (what, number) = ("refund", 2);
        assert_eq!(answer, Err(Error::NoSuchNumber { what, number }));
    }
}

#[test]
fn a_refund_that_failed_is_noted_and_stays_owed() {
    let failed = Event::RefundFailed {
        payid: PAY,
        refund_no: 1,
        attempt: 2,
        code: "busy".to_owned(),
    };
    let mut given = history(Stage::Refunding);
    assert_eq!(
        ask(given.clone(), refund_failure(1)),
        Ok(vec![failed.clone()])
    );
    given.push(failed);
    let answer = ask(given, refund(1));
    assert_eq!(answer, Ok(vec![cancelled(PRICE, 0), clawed_back(100)]));
}

#[test]
fn a_manager_gives_part_of_it_back() {
    TestFramework::<Payment>::with(())
        .given(paid())
        .when(refund_partially(won(3_000)))
        .then_expect_events(vec![partial_of(1, won(3_000))]);
    TestFramework::<Payment>::with(())
        .given(paid_and([partial_of(1, won(3_000))]))
        .when(refund(1))
        .then_expect_events(vec![partially_refunded(1, won(3_000)), clawed_back(30)]);
}

#[test]
fn a_part_is_more_than_nothing_and_at_most_what_is_left() {
    let dollars = Money {
        minor: 1,
        currency: Currency::USD,
    };
    let on_its_way = paid_and([partial_of(1, won(3_000))]);
    for (given, amount, available) in [
        (paid(), won(0), 10_000),
        (paid(), won(-1), 10_000),
        (paid(), won(10_001), 10_000),
        (paid(), dollars, 10_000),
        (on_its_way.clone(), won(7_001), 7_000),
    ] {
        let answer = ask(given, refund_partially(amount));
        assert_eq!(
            answer,
            Err(Error::NotRefundable { available }),
            "{amount:?}"
        );
    }
    let rest = ask(on_its_way, refund_partially(won(7_000)));
    assert_eq!(rest, Ok(vec![partial_of(2, won(7_000))]));
}

#[test]
fn a_part_comes_only_from_a_payment_that_stands() {
    let nothing = Err(Error::NotRefundable { available: 0 });
    for stage in STAGES.into_iter().filter(|stage| *stage != Stage::Approved) {
        let answer = ask(history(stage), refund_partially(won(1)));
        assert_eq!(answer, nothing, "in {stage:?}");
    }
    let mut with_a_fee = paid_and([cancellation_of(1, won(4_000))]);
    let answer = ask(with_a_fee.clone(), refund_partially(won(1)));
    assert_eq!(answer, nothing, "while the rest is to be kept");
    with_a_fee.extend([cancelled(won(4_000), 6_000), clawed_back(40)]);
    let answer = ask(with_a_fee, refund_partially(won(1)));
    assert_eq!(answer, nothing, "once the rest was kept");
}

#[test]
fn points_go_back_with_the_sum_of_the_refunds_so_that_rounding_never_drifts() {
    // 150 won earn one point; each third of them is worth a third of a point.
    let mut given = vec![requested_at(won(150)), approved_of(won(150)), accrued(1)];
    for (refund_no, points) in [(1, 0), (2, 1), (3, 0)] {
        given.push(partial_of(refund_no, won(50)));
        let expected = vec![partially_refunded(refund_no, won(50)), clawed_back(points)];
        assert_eq!(ask(given.clone(), refund(refund_no)), Ok(expected.clone()));
        given.extend(expected);
    }
    assert_eq!(fold(given).points(), 0);
}

#[test]
fn a_cancellation_after_a_part_gives_back_the_rest() {
    let given = paid_and([
        partial_of(1, won(3_000)),
        partially_refunded(1, won(3_000)),
        clawed_back(30),
    ]);
    let answer = ask(given.clone(), cancel(PRICE));
    assert_eq!(answer, Ok(vec![cancellation_of(2, won(7_000))]));
    TestFramework::<Payment>::with(())
        .given(given)
        .and(vec![cancellation_of(2, won(7_000))])
        .when(refund(2))
        .then_expect_events(vec![cancelled(won(7_000), 0), clawed_back(70)]);
}

#[test]
fn a_part_on_its_way_when_the_cancellation_comes_is_no_fee() {
    let given = paid_and([partial_of(1, won(3_000)), cancellation_of(2, won(7_000))]);
    let first = vec![cancelled(won(7_000), 0), clawed_back(70)];
    assert_eq!(ask(given.clone(), refund(2)), Ok(first.clone()));
    TestFramework::<Payment>::with(())
        .given(given)
        .and(first)
        .when(refund(1))
        .then_expect_events(vec![partially_refunded(1, won(3_000)), clawed_back(30)]);
}

#[test]
fn all_of_it_on_its_way_in_parts_leaves_a_cancellation_nothing_to_give_back_and_no_fee() {
    TestFramework::<Payment>::with(())
        .given(paid_and([partial_of(1, PRICE)]))
        .when(cancel(PRICE))
        .then_expect_events(vec![cancelled(won(0), 0)]);
}

#[test]
fn surplus_money_is_back_without_touching_points_or_payment() {
    let given = paid_and([duplicate_charge(), surplus_of(1, PRICE)]);
    TestFramework::<Payment>::with(())
        .given(given.clone())
        .when(refund(1))
        .then_expect_events(vec![surplus_refunded(1)]);
    let mut payment = fold(given);
    payment.fold(surplus_refunded(1));
    assert_eq!(payment.refunded(), 10_000);
    assert_eq!(payment.points(), 100);
    assert_eq!(payment.stage, Stage::Approved);
}

#[test]
fn surplus_on_its_way_leaves_the_wanted_money_to_the_cancellation() {
    let given = paid_and([
        duplicate_charge(),
        surplus_of(1, PRICE),
        cancellation_of(2, PRICE),
    ]);
    assert_eq!(
        ask(given[..5].to_vec(), cancel(PRICE)),
        Ok(vec![cancellation_of(2, PRICE)])
    );
    let answer = ask(given, refund(2));
    assert_eq!(answer, Ok(vec![cancelled(PRICE, 0), clawed_back(100)]));
}

fn surplus_refunded(refund_no: u32) -> Event {
    Event::SurplusRefunded {
        payid: PAY,
        refund_no,
        refund: PRICE,
        refund_ref: "re-1".to_owned(),
    }
}
