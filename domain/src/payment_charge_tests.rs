//! Money that comes: the intent, its outcome, the cancellation that finds the outcome open, and money that
//! arrives late or twice.

use super::*;

#[test]
fn the_intent_to_charge_carries_the_key_under_which_the_gateway_will_know_it() {
    TestFramework::<Payment>::with(())
        .given_no_previous_events()
        .when(request())
        .then_expect_events(vec![requested()]);
    let payment = fold(vec![requested()]);
    assert!(payment.is_open());
    assert_eq!(payment.charge_no(), 1);
    assert_eq!(payment.price(), PRICE);
    assert_eq!(payment.spacename(), "numberone");
    assert_eq!(payment.userid(), CUSTOMER);
}

#[test]
fn a_booking_has_one_payment() {
    for stage in STAGES {
        let answer = ask(history(stage), request());
        assert_eq!(answer, Err(Error::AlreadyRequested), "in {stage:?}");
    }
}

#[test]
fn an_outcome_belongs_to_a_charge_that_was_intended() {
    for number in [0, 2] {
        for command in [
            approval_of(number, "tx-1", PRICE),
            decline(number),
            not_known(number, 1),
            Command::RecordNotCharged { charge_no: number },
        ] {
            let answer = ask(vec![requested()], command.clone());
            let what = "charge";
            assert_eq!(
                answer,
                Err(Error::NoSuchNumber { what, number }),
                "{command:?}"
            );
        }
    }
}

#[test]
fn an_approval_captures_the_price_and_earns_points_in_one_append() {
    for open in [Stage::Requested, Stage::Unknown] {
        let answer = ask(history(open), approval("tx-1"));
        assert_eq!(answer, Ok(vec![approved(), accrued(100)]), "in {open:?}");
    }
    let payment = fold(paid());
    assert_eq!(payment.captured(), 10_000);
    assert_eq!(payment.points(), 100);
    assert_eq!(payment.gateway_ref(), Some("tx-1"));
    assert!(!payment.is_open());
}

#[test]
fn points_are_one_percent_rounded_down() {
    for (price, points) in [(0, 0), (99, 0), (100, 1), (10_099, 100)] {
        TestFramework::<Payment>::with(())
            .given(vec![requested_at(won(price))])
            .when(approval_of(1, "tx-1", won(price)))
            .then_expect_events(vec![approved_of(won(price)), accrued(points)]);
    }
}

#[test]
fn an_approval_of_another_amount_or_currency_is_for_people_to_look_at() {
    let dollars = Money {
        minor: 10_000,
        currency: Currency::USD,
    };
    for open in [Stage::Requested, Stage::Unknown] {
        for captured in [won(9_999), won(10_001), dollars] {
            let answer = ask(history(open), approval_of(1, "tx-1", captured));
            let expected = Error::AmountMismatch {
                captured: captured.minor,
                asked: 10_000,
            };
            assert_eq!(answer, Err(expected), "{captured:?} in {open:?}");
        }
    }
}

#[test]
fn the_same_approval_twice_is_one_approval() {
    for stage in [Stage::Approved, Stage::Refunding, Stage::Cancelled] {
        let answer = ask(history(stage), approval("tx-1"));
        assert_eq!(answer, Ok(vec![]), "in {stage:?}");
    }
}

#[test]
fn a_second_charge_is_recorded_and_given_back() {
    for (stage, next_refund) in [
        (Stage::Approved, 1),
        (Stage::Refunding, 2),
        (Stage::Cancelled, 2),
    ] {
        let answer = ask(history(stage), approval("tx-2"));
        let expected = vec![duplicate_charge(), surplus_of(next_refund, PRICE)];
        assert_eq!(answer, Ok(expected), "in {stage:?}");
    }
}

#[test]
fn a_second_charge_is_given_back_once_however_often_it_is_reported() {
    TestFramework::<Payment>::with(())
        .given(paid_and([duplicate_charge(), surplus_of(1, PRICE)]))
        .when(approval("tx-2"))
        .then_expect_events(vec![]);
}

#[test]
fn a_second_charge_is_held_but_earns_nothing() {
    let payment = fold(paid_and([duplicate_charge(), surplus_of(1, PRICE)]));
    assert_eq!(payment.captured(), 20_000);
    assert_eq!(payment.points(), 100);
    assert_eq!(payment.stage, Stage::Approved);
}

#[test]
fn an_approval_after_the_decline_is_late_and_goes_back() {
    let mut given = history(Stage::Declined);
    let arrived = vec![late_approval("tx-2"), surplus_of(1, PRICE)];
    assert_eq!(ask(given.clone(), approval("tx-2")), Ok(arrived.clone()));
    given.extend(arrived);
    assert_eq!(ask(given.clone(), approval("tx-2")), Ok(vec![]));
    let payment = fold(given);
    assert_eq!(payment.stage, Stage::Declined);
    assert_eq!(payment.captured(), 10_000);
    assert_eq!(payment.points(), 0);
}

#[test]
fn an_approval_after_the_payment_was_voided_is_late_and_goes_back() {
    let given = vec![
        requested(),
        void_requested(PRICE),
        card_declined(),
        voided(),
    ];
    TestFramework::<Payment>::with(())
        .given(given)
        .when(approval("tx-2"))
        .then_expect_events(vec![late_approval("tx-2"), surplus_of(1, PRICE)]);
}

#[test]
fn each_late_approval_gets_a_refund_of_its_own() {
    let mut given = history(Stage::Declined);
    given.extend([late_approval("tx-2"), surplus_of(1, PRICE)]);
    let answer = ask(given, approval("tx-3")).unwrap();
    assert_eq!(answer[0], late_approval("tx-3"));
    assert!(matches!(
        &answer[1],
        Event::RefundRequested { refund_no: 2, gateway_ref, purpose: Purpose::Surplus, .. } if gateway_ref == "tx-3"
    ));
}

/// A report on the charge counts while its outcome is open, and is absorbed once that is known.
fn counts_only_while_open(command: &Command, event: &Event) {
    for stage in STAGES {
        let expected = match stage {
            Stage::Requested | Stage::Unknown => vec![event.clone()],
            _ => vec![],
        };
        let answer = ask(history(stage), command.clone());
        assert_eq!(answer, Ok(expected), "{command:?} in {stage:?}");
    }
}

#[test]
fn a_decline_counts_only_while_the_outcome_is_open() {
    counts_only_while_open(&decline(1), &card_declined());
}

#[test]
fn a_charge_that_never_happened_counts_as_declined() {
    let message = "the gateway knows of no such charge";
    counts_only_while_open(
        &Command::RecordNotCharged { charge_no: 1 },
        &declined("not-charged", message),
    );
}

#[test]
fn an_unknown_outcome_is_noted_only_while_it_is_open_and_decides_nothing() {
    counts_only_while_open(&not_known(1, 3), &unknown(3));
    let payment = fold(history(Stage::Unknown));
    assert!(payment.is_open());
    assert_eq!((payment.captured(), payment.points()), (0, 0));
}

#[test]
fn a_cancellation_that_finds_the_outcome_open_waits_for_it() {
    for open in [Stage::Requested, Stage::Unknown] {
        let mut given = history(open);
        assert_eq!(
            ask(given.clone(), cancel(PRICE)),
            Ok(vec![void_requested(PRICE)])
        );
        assert!(!fold(given.clone()).is_void_requested());
        given.push(void_requested(PRICE));
        assert!(fold(given.clone()).is_void_requested());
        assert!(fold(given.clone()).is_open());
        assert_eq!(ask(given, cancel(PRICE)), Ok(vec![]), "a second time");
    }
}

#[test]
fn what_turns_out_to_be_captured_after_the_cancellation_goes_back_at_once() {
    for (refund, last) in [
        (PRICE, cancellation_of(1, PRICE)),
        (won(4_000), cancellation_of(1, won(4_000))),
        (won(0), cancelled(won(0), 10_000)),
    ] {
        TestFramework::<Payment>::with(())
            .given(vec![requested(), unknown(1), void_requested(refund)])
            .when(approval("tx-1"))
            .then_expect_events(vec![approved(), accrued(100), last]);
    }
}

#[test]
fn what_turns_out_never_to_have_been_captured_ends_the_cancellation() {
    let message = "the gateway knows of no such charge";
    for (command, event) in [
        (decline(1), card_declined()),
        (
            Command::RecordNotCharged { charge_no: 1 },
            declined("not-charged", message),
        ),
    ] {
        TestFramework::<Payment>::with(())
            .given(vec![requested(), void_requested(PRICE)])
            .when(command)
            .then_expect_events(vec![event, voided()]);
    }
}
