//! The races: what is seen in another order than the happy one, or seen again.

use super::*;

#[test]
fn cancelled_before_it_is_approved_is_never_registered() {
    given(placed_and([book_cancelled()])).when(approved()).then(
        Stage::Refunding,
        [
            charge_settled(),
            cancel_payment(PRICE, "the booking was cancelled"),
        ],
    );
}

#[test]
fn cancelled_while_a_call_was_deferred_sends_no_charge() {
    given(placed_and([book_cancelled()]))
        .when(deferred(false))
        .then(Stage::Refunding, []);
}

#[test]
fn a_charge_that_is_not_wanted_any_more_is_looked_at_again() {
    let void = Event::Payment(payment::Event::VoidRequested {
        payid: BOOK,
        refund: PRICE,
        reason: "the booking was cancelled".to_owned(),
    });
    given(placed_and([book_cancelled()]))
        .when(void)
        .then(Stage::Refunding, [Intent::ChargeUnwanted { charge_no: 1 }]);
}

#[test]
fn cancelled_between_approved_and_registered_waits_for_the_money() {
    let seen = placed_and([approved(), book_cancelled()]);
    given(seen.clone())
        .when(registered())
        .then(Stage::Refunding, []);
    given(seen.into_iter().chain([registered()]))
        .when(payment_cancelled())
        .then(Stage::Releasing, [cancel_registration()]);
}

#[test]
fn money_undone_before_the_registration_is_seen_waits_for_the_registration() {
    let seen = placed_and([approved(), book_cancelled()]);
    given(seen.clone())
        .when(payment_cancelled())
        .then(Stage::Releasing, []);
    given(seen.into_iter().chain([payment_cancelled()]))
        .when(registered())
        .then(Stage::Releasing, [cancel_registration()]);
}

#[test]
fn a_registration_refused_while_the_money_is_undone_leaves_nothing_to_release() {
    let seen = placed_and([approved(), book_cancelled()]);
    given(seen.clone())
        .when(registration_refused())
        .then(Stage::Refunding, []);
    given(seen.into_iter().chain([registration_refused()]))
        .when(payment_cancelled())
        .then(Stage::Releasing, [close_cancelled()]);
}

#[test]
fn a_registration_refused_after_the_money_was_undone_closes_the_booking() {
    given(placed_and([
        approved(),
        book_cancelled(),
        payment_cancelled(),
    ]))
    .when(registration_refused())
    .then(Stage::Releasing, [close_cancelled()]);
}

#[test]
fn a_refused_registration_of_a_free_booking_that_is_cancelled_meanwhile_is_closed() {
    // Nothing to give back: the payment is undone before the cancellation is seen.
    given(placed_and([
        approved(),
        registration_refused(),
        payment_cancelled(),
    ]))
    .when(book_cancelled())
    .then(Stage::Releasing, [close_cancelled()]);
}

#[test]
fn declined_while_the_cancellation_is_under_way_ends_as_a_cancellation() {
    // The booking absorbs the rejection: it is being cancelled.
    given(placed_and([book_cancelled()]))
        .when(declined())
        .then(Stage::Refunding, [charge_settled(), reject("no funds")]);
    given(placed_and([book_cancelled(), declined()]))
        .when(payment_cancelled())
        .then(Stage::Releasing, [close_cancelled()]);
}

#[test]
fn cancelled_while_the_rejection_is_on_its_way_ends_as_a_cancellation() {
    given(placed_and([declined()])).when(book_cancelled()).then(
        Stage::Refunding,
        [cancel_payment(QUOTE, "the booking was cancelled")],
    );
}

#[test]
fn a_late_approval_does_not_disturb_the_cancellation() {
    given(placed_and([
        book_cancelled(),
        declined(),
        payment_cancelled(),
    ]))
    .when(late_approval())
    .then(Stage::Releasing, []);
}

#[test]
fn run_out_while_the_registration_was_on_its_way_undoes_the_registration() {
    let seen = placed_and([approved(), book_expired(), payment_cancelled()]);
    given(seen.clone())
        .when(registered())
        .then(Stage::Releasing, [cancel_registration()]);
    given(seen)
        .when(registration_refused())
        .then(Stage::Done, []);
}

#[test]
fn handed_over_before_the_cancellation_got_there_closes_without_undoing_the_registration() {
    for kept in [
        vec![handed_over()],
        vec![handed_over(), checked_in()],
        vec![handed_over(), checked_in(), checked_out()],
        vec![no_show()],
    ] {
        // Seen before the cancellation, and while the money is undone.
        for (before, after) in [(kept.clone(), vec![]), (vec![], kept.clone())] {
            let seen = standing_and(before).into_iter();
            given(seen.chain([book_cancelled()]).chain(after))
                .when(payment_cancelled())
                .then(Stage::Releasing, [close_cancelled()]);
        }
    }
}

#[test]
fn handed_over_just_before_the_registration_could_be_undone_closes_all_the_same() {
    // The registration refused to be undone, so that nothing else would close the booking.
    for event in [handed_over(), no_show()] {
        given(standing_and([book_cancelled(), payment_cancelled()]))
            .when(event)
            .then(Stage::Releasing, [close_cancelled()]);
    }
}

#[test]
fn used_or_not_a_cancelled_booking_is_not_closed_before_its_money_is_back() {
    for event in [checked_out(), no_show()] {
        given(standing_and([book_cancelled()]))
            .when(event)
            .then(Stage::Refunding, []);
    }
}

#[test]
fn an_approval_seen_twice_registers_once() {
    given(placed_and([approved()]))
        .when(approved())
        .then(Stage::AwaitingRegistration, [charge_settled()]);
    given(standing())
        .when(approved())
        .then(Stage::Fulfilling, [charge_settled()]);
}

#[test]
fn a_registration_seen_twice_is_confirmed_once() {
    given(placed_and([approved(), registered()]))
        .when(registered())
        .then(Stage::Fulfilling, []);
}

#[test]
fn a_cancellation_seen_twice_is_one_cancellation() {
    let seen = standing_and([book_cancelled()]);
    given(seen.clone())
        .when(book_cancelled())
        .then(Stage::Refunding, []);
    given(seen.into_iter().chain([payment_cancelled()]))
        .when(payment_cancelled())
        .then(Stage::Releasing, []);
}

#[test]
fn whatever_is_seen_again_an_order_never_goes_back() {
    let cancelled = standing_and([
        book_cancelled(),
        payment_cancelled(),
        registration_cancelled(),
        book_closed(),
    ]);
    let completed = standing_and([handed_over(), checked_in(), checked_out(), book_closed()]);
    let rejected = placed_and([approved(), registration_refused(), book_rejected()]);
    let expired = placed_and([book_expired(), declined(), payment_cancelled()]);
    for story in [cancelled, completed, rejected, expired] {
        for so_far in 1..=story.len() {
            let before = given(story[..so_far].to_vec()).0;
            for again in &story[..so_far] {
                let mut after = before.clone();
                after.react(BOOK, again);
                assert_eq!(after, before, "{again:?} again after {so_far} of {story:?}");
            }
        }
    }
}

#[test]
fn a_first_charge_is_told_from_others_by_its_key() {
    for bookid in [1, 11, 101] {
        for charge_no in [1, 2, 11, 21] {
            let key = payment::charge_key(BookId(bookid), charge_no);
            assert_eq!(
                key.ends_with(crate::order::FIRST_CHARGE_ENDS),
                charge_no == 1
            );
        }
    }
}
