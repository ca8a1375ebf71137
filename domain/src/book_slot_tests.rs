//! A booking with a time: what it freezes, what a cancellation gives back, and what a move keeps.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::payment::Difference;
use crate::space::Method;
use crate::terms::{Policy, Slot, Terms, Tier};

const BOOK: BookId = BookId(7);
const PRICE: Money = Money::krw(20_000);
const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn slot() -> Slot {
    Slot {
        unit: Some(4),
        ..Slot::new(START, START + hours(2))
    }
}

fn next_day() -> Slot {
    Slot::new(START + hours(24), START + hours(26))
}

fn scheduled() -> Scheduled {
    let tier = |hours_before, refund_percent| Tier {
        hours_before,
        refund_percent,
    };
    Scheduled {
        slot: slot(),
        terms: Terms {
            venue_version: 1,
            timezone: "Asia/Seoul".to_owned(),
            policy: Policy {
                grace_minutes: 60,
                tiers: vec![tier(48, 100), tier(24, 50)],
            },
            buffer_before_minutes: 15,
            buffer_after_minutes: 30,
            hold_minutes: 10,
            no_show_grace_minutes: 15,
            overtime_per_hour: PRICE,
            hand_over: Method::Code,
        },
        booked_at: START - hours(240),
    }
}

fn folded(commands: impl IntoIterator<Item = Command>) -> Book {
    let mut book = Book::default();
    for command in commands {
        for event in book.decide(command).unwrap() {
            book.apply(event);
        }
    }
    book
}

fn place() -> Command {
    Command::Place {
        bookid: BOOK,
        userid: Some(UserId(1)),
        spacename: "numberone".to_owned(),
        price: PRICE,
        scheduled: Some(Box::new(scheduled())),
    }
}

fn confirmed() -> Book {
    folded([place(), Command::Confirm])
}

fn cancel_at(book: &Book, at: Timestamp) -> Result<Vec<Event>, Error> {
    book.decide(Command::Cancel { reason: None, at })
}

fn move_at(book: &Book, slot: Slot, price: Money, at: Timestamp) -> Result<Vec<Event>, Error> {
    let difference = book.difference(price, at);
    book.decide(Command::Reschedule {
        slot,
        difference,
        at,
    })
}

#[test]
fn what_was_agreed_stays_with_the_booking() {
    let book = confirmed();
    assert_eq!(book.scheduled(), Some(&scheduled()));
    let (from, to) = scheduled().terms.occupied(&slot());
    assert_eq!(START.duration_since(from).as_mins(), 15);
    assert_eq!(to.duration_since(slot().end).as_mins(), 30);
}

#[test]
fn a_slot_is_kept_for_a_while_from_the_booking_on() {
    let events = Book::default().decide(place()).unwrap();
    let [Event::Booked { held_until, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    let ten_minutes = SignedDuration::from_mins(10);
    assert_eq!(*held_until, Some(scheduled().booked_at + ten_minutes));
}

#[test]
fn a_cancellation_gives_back_what_its_tier_says() {
    for (before, percent, refund) in [(49, 100, 20_000), (47, 50, 10_000), (23, 0, 0)] {
        let events = cancel_at(&confirmed(), START - hours(before)).unwrap();
        assert!(
            matches!(events[..], [Event::Bookcancelled { refund: given, refund_percent, .. }]
                if given == Money::krw(refund) && refund_percent == Some(percent)),
            "{before} hours before: {events:?}"
        );
    }
}

#[test]
fn what_is_not_confirmed_yet_is_given_back_whole_at_any_time() {
    let events = cancel_at(&folded([place()]), START - hours(1)).unwrap();
    assert!(
        matches!(events[..], [Event::Bookcancelled { refund, .. }] if refund == PRICE),
        "{events:?}"
    );
}

#[test]
fn once_its_time_has_come_a_booking_is_neither_cancelled_nor_moved() {
    let book = confirmed();
    let started = Error::Started { start: START };
    assert_eq!(cancel_at(&book, START), Err(started.clone()));
    assert_eq!(move_at(&book, next_day(), PRICE, START), Err(started));
}

#[test]
fn a_move_changes_time_and_price_and_nothing_else() {
    let at = START - hours(72);
    let mut book = confirmed();
    let dearer = Money::krw(30_000);
    let events = move_at(&book, next_day(), dearer, at).unwrap();
    let moved = Event::Rescheduled {
        bookid: BOOK,
        status: Status::SuccessRegister,
        from: slot(),
        slot: next_day(),
        price: dearer,
        refund_percent_max: 100,
    };
    assert_eq!(events, std::slice::from_ref(&moved));
    book.apply(moved);
    assert_eq!((book.slot(), book.price()), (Some(next_day()), dearer));
    assert_eq!(book.stage, Stage::Confirmed);
    assert_eq!(move_at(&book, next_day(), dearer, at), Err(Error::SameTime));
}

#[test]
fn moving_a_booking_away_does_not_bring_back_what_waiting_cost() {
    let mut book = confirmed();
    let next_month = Slot::new(START + hours(720), START + hours(722));
    for event in move_at(&book, next_month, PRICE, START - hours(30)).unwrap() {
        book.apply(event);
    }
    let quote = book.refund_quote(START);
    assert_eq!((quote.percent, quote.refund), (50, Money::krw(10_000)));
    assert_eq!(quote.fee, Money::krw(10_000));
    // A second move takes nothing back either.
    for event in move_at(&book, next_day(), PRICE, START - hours(29)).unwrap() {
        book.apply(event);
    }
    assert_eq!(book.refund_quote(START - hours(72)).percent, 50);
}

#[test]
fn only_a_confirmed_booking_with_a_time_is_moved() {
    let at = START - hours(72);
    let waiting = move_at(&folded([place()]), next_day(), PRICE, at);
    assert!(matches!(waiting, Err(Error::IllegalTransition { .. })));
    let unscheduled = Command::Place {
        bookid: BOOK,
        userid: None,
        spacename: "numberone".to_owned(),
        price: PRICE,
        scheduled: None,
    };
    let book = folded([unscheduled, Command::Confirm]);
    assert_eq!(
        move_at(&book, next_day(), PRICE, at),
        Err(Error::Unscheduled)
    );
}

#[test]
fn a_difference_that_was_reckoned_from_what_is_not_so_any_more_changes_nothing() {
    let (book, at) = (confirmed(), START - hours(72));
    let right = book.difference(Money::krw(30_000), at);
    let from = Money::krw(19_000);
    for difference in [
        Difference { from, ..right },
        Difference {
            refund_percent: 50,
            ..right
        },
    ] {
        let moved = book.decide(Command::Reschedule {
            slot: next_day(),
            difference,
            at,
        });
        assert_eq!(moved, Err(Error::PriceChanged { current: PRICE }));
    }
}

#[test]
fn a_cheaper_time_gives_back_as_much_as_a_cancellation_would() {
    for (before, percent) in [(49, 100), (47, 50), (23, 0)] {
        let difference = confirmed().difference(Money::krw(1), START - hours(before));
        assert_eq!(difference.refund_percent, percent, "{before} hours before");
    }
}

#[test]
fn a_booking_is_not_moved_without_end() {
    let mut book = confirmed();
    for number in 0..MOVES_MAX {
        let to = if number.is_multiple_of(2) {
            next_day()
        } else {
            slot()
        };
        for event in move_at(&book, to, PRICE, START - hours(72)).unwrap() {
            book.apply(event);
        }
    }
    let once_more = move_at(&book, next_day(), PRICE, START - hours(72));
    assert_eq!(once_more, Err(Error::MovedTooOften));
}

#[test]
fn what_a_cheaper_time_kept_is_said_until_a_dearer_one_used_it() {
    let (mut book, at) = (confirmed(), START - hours(30));
    let kept = |book: &Book| book.difference(PRICE, at).kept;
    assert_eq!(kept(&book), 0);
    // Half of 12,000 is kept; of that a move to 11,000 uses 3,000, and one to 20,000 the rest.
    for (price, then) in [(8_000, 6_000), (11_000, 3_000), (20_000, 0)] {
        let to = if price == 11_000 { slot() } else { next_day() };
        for event in move_at(&book, to, Money::krw(price), at).unwrap() {
            book.apply(event);
        }
        assert_eq!(kept(&book), then, "moved to {price}");
    }
}

#[test]
fn a_quote_that_is_capped_holds_until_the_cap_is_undercut() {
    let mut book = confirmed();
    let next_month = Slot::new(START + hours(720), START + hours(722));
    for event in move_at(&book, next_month, PRICE, START - hours(30)).unwrap() {
        book.apply(event);
    }
    // 100 % until 48 hours before, of which 50 % are left; 50 % until 24 hours before.
    let quote = book.refund_quote(START);
    assert_eq!(
        (quote.percent, quote.until),
        (50, Some(next_month.start - hours(24)))
    );
    for event in move_at(&book, next_day(), PRICE, next_month.start - hours(1)).unwrap() {
        book.apply(event);
    }
    let quote = book.refund_quote(START - hours(72));
    assert_eq!((quote.percent, quote.until), (0, None));
}
