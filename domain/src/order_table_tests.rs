//! The saga's table, one test for each row.

use super::*;

#[test]
fn a_booking_waits_for_its_payment() {
    given([]).when(booked()).then(Stage::AwaitingPayment, []);
}

#[test]
fn an_intended_charge_is_seen_to_when_the_customers_own_call_must_have_ended() {
    given([booked()])
        .when(requested())
        .then(Stage::AwaitingPayment, [charge(Due::AfterInlineCall)]);
}

#[test]
fn a_charge_that_was_certainly_not_sent_is_due_at_once() {
    given(placed())
        .when(deferred(false))
        .then(Stage::AwaitingPayment, [charge(Due::Now)]);
}

#[test]
fn a_charge_that_may_have_been_sent_keeps_its_time() {
    given(placed())
        .when(deferred(true))
        .then(Stage::AwaitingPayment, []);
}

#[test]
fn a_deferral_that_comes_after_the_outcome_charges_nothing() {
    given(placed_and([approved()]))
        .when(deferred(false))
        .then(Stage::AwaitingRegistration, []);
}

#[test]
fn what_is_paid_is_registered() {
    given(placed())
        .when(approved())
        .then(Stage::AwaitingRegistration, [charge_settled(), register()]);
}

#[test]
fn what_is_declined_is_rejected() {
    given(placed()).when(declined()).then(
        Stage::AwaitingPayment,
        [charge_settled(), reject("no funds")],
    );
    given(placed_and([declined()]))
        .when(book_rejected())
        .then(Stage::Failed, []);
}

#[test]
fn an_unknown_outcome_is_neither_paid_nor_declined() {
    let unknown = Event::Payment(payment::Event::PaymentOutcomeUnknown {
        payid: BOOK,
        charge_no: 1,
        attempt: 1,
        reason: "timeout".to_owned(),
    });
    given(placed())
        .when(unknown)
        .then(Stage::AwaitingPayment, []);
}

#[test]
fn what_is_registered_is_confirmed() {
    given(placed_and([approved()]))
        .when(registered())
        .then(Stage::Fulfilling, [confirm()]);
    given(placed_and([approved(), registered()]))
        .when(book_confirmed())
        .then(Stage::Fulfilling, []);
}

#[test]
fn what_cannot_be_registered_is_paid_back_in_full_and_rejected() {
    given(placed_and([approved()]))
        .when(registration_refused())
        .then(
            Stage::AwaitingRegistration,
            [
                cancel_payment(PRICE, "the registration was refused"),
                reject("closed for repairs"),
            ],
        );
    given(placed_and([
        approved(),
        registration_refused(),
        book_rejected(),
    ]))
    .when(payment_cancelled())
    .then(Stage::Failed, []);
}

#[test]
fn preparation_and_use_are_watched() {
    for event in [
        space::Event::PreparationStarted {
            spaceid: BOOK,
            status: Status::Preparing,
            by: "Kim".to_owned(),
        },
        space::Event::Prepared {
            spaceid: BOOK,
            status: Status::Ready,
            by: "Kim".to_owned(),
        },
    ] {
        given(standing())
            .when(Event::Space(event))
            .then(Stage::Fulfilling, []);
    }
    given(standing())
        .when(handed_over())
        .then(Stage::Fulfilling, []);
    given(standing_and([handed_over()]))
        .when(checked_in())
        .then(Stage::Fulfilling, []);
}

#[test]
fn a_rental_that_is_over_closes_the_booking() {
    given(standing_and([handed_over(), checked_in()]))
        .when(checked_out())
        .then(Stage::Fulfilling, [close(book::Outcome::Completed)]);
    given(standing())
        .when(no_show())
        .then(Stage::Fulfilling, [close(book::Outcome::NoShow)]);
    given(standing_and([no_show()]))
        .when(book_closed())
        .then(Stage::Done, []);
}

#[test]
fn a_cancellation_undoes_the_payment_by_the_quote_of_the_moment_whatever_stands() {
    for seen in [
        placed(),
        placed_and([deferred(true)]),
        placed_and([approved()]),
        standing(),
    ] {
        given(seen).when(book_cancelled()).then(
            Stage::Refunding,
            [cancel_payment(QUOTE, "the booking was cancelled")],
        );
    }
}

#[test]
fn every_refund_that_was_intended_is_made_whatever_it_is_for() {
    for purpose in [Purpose::Cancellation, Purpose::Partial, Purpose::Surplus] {
        given(standing())
            .when(refund_requested(3, purpose))
            .then(Stage::Fulfilling, [Intent::Refund { refund_no: 3 }]);
    }
}

#[test]
fn a_refund_that_failed_is_left_to_its_retries() {
    let failed = Event::Payment(payment::Event::RefundFailed {
        payid: BOOK,
        refund_no: 1,
        attempt: 1,
        code: "busy".to_owned(),
    });
    given(standing_and([book_cancelled()]))
        .when(failed)
        .then(Stage::Refunding, []);
}

#[test]
fn once_the_money_is_undone_the_registration_is() {
    given(standing_and([book_cancelled()]))
        .when(payment_cancelled())
        .then(Stage::Releasing, [cancel_registration()]);
}

#[test]
fn once_the_money_is_undone_a_booking_that_was_never_registered_is_closed() {
    given(placed_and([book_cancelled()]))
        .when(payment_cancelled())
        .then(Stage::Releasing, [close_cancelled()]);
}

#[test]
fn once_the_registration_is_undone_the_booking_is_closed() {
    let seen = standing_and([book_cancelled(), payment_cancelled()]);
    given(seen.clone())
        .when(registration_cancelled())
        .then(Stage::Releasing, [close_cancelled()]);
    given(seen.into_iter().chain([registration_cancelled()]))
        .when(book_closed())
        .then(Stage::Done, []);
}

#[test]
fn money_that_came_late_asks_for_its_own_refund_and_registers_nothing() {
    let seen = placed_and([declined(), book_rejected()]);
    given(seen.clone())
        .when(late_approval())
        .then(Stage::Failed, []);
    given(seen.into_iter().chain([late_approval()]))
        .when(refund_requested(1, Purpose::Surplus))
        .then(Stage::Failed, [Intent::Refund { refund_no: 1 }]);
}

#[test]
fn a_booking_that_ran_out_is_undone_in_full() {
    given(placed_and([deferred(true)]))
        .when(book_expired())
        .then(
            Stage::Refunding,
            [cancel_payment(PRICE, "the booking expired")],
        );
}

#[test]
fn a_booking_that_ran_out_is_over_when_everything_is_undone_and_needs_no_closing() {
    given(placed_and([book_expired(), declined()]))
        .when(payment_cancelled())
        .then(Stage::Done, []);
    given(placed_and([
        approved(),
        book_expired(),
        registered(),
        payment_cancelled(),
    ]))
    .when(registration_cancelled())
    .then(Stage::Done, []);
}
