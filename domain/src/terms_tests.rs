//! Terms: what is given back when, and what is taken of a unit.

use super::*;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn hours_before_start(hours: i64) -> Timestamp {
    START - SignedDuration::from_hours(hours)
}

/// Everything two days before, half of it one day before, and everything for an hour after booking.
fn policy() -> Policy {
    let tier = |hours_before, refund_percent| Tier {
        hours_before,
        refund_percent,
    };
    Policy {
        grace_minutes: 60,
        tiers: vec![tier(48, 100), tier(24, 50)],
    }
}

fn percent(booked_at: Timestamp, at: Timestamp) -> (u8, Option<Timestamp>) {
    policy().refund_percent(booked_at, START, at)
}

#[test]
fn a_tier_holds_up_to_its_hour_and_the_next_one_from_then_on() {
    let long_ago = hours_before_start(1_000);
    let second = SignedDuration::from_secs(1);
    for (at, expected, until) in [
        (hours_before_start(72), 100, Some(48)),
        (hours_before_start(48), 100, Some(48)),
        (hours_before_start(48) + second, 50, Some(24)),
        (hours_before_start(24), 50, Some(24)),
        (hours_before_start(24) + second, 0, None),
        (hours_before_start(0), 0, None),
    ] {
        let until = until.map(hours_before_start);
        assert_eq!(percent(long_ago, at), (expected, until), "at {at}");
    }
}

#[test]
fn the_grace_gives_all_back_only_while_the_start_is_further_away_than_the_earliest_tier() {
    let minutes = |n| SignedDuration::from_mins(n);
    // Booked 48 and a half hours ahead: after half an hour the grace is worth nothing.
    let booked_at = hours_before_start(48) - minutes(30);
    assert_eq!(percent(booked_at, booked_at).0, 100);
    assert_eq!(percent(booked_at, booked_at + minutes(31)).0, 50);
    // Booked on the day before: no grace at all.
    let late = hours_before_start(30);
    assert_eq!(percent(late, late).0, 50);
}

#[test]
fn a_policy_of_less_than_all_has_its_grace_too() {
    let mut strict = policy();
    strict.tiers = vec![Tier {
        hours_before: 24,
        refund_percent: 30,
    }];
    let booked_at = hours_before_start(100);
    let grace_ends = booked_at + SignedDuration::from_mins(60);
    let quote = |at| strict.refund_percent(booked_at, START, at);
    assert_eq!(quote(booked_at), (100, Some(grace_ends)));
    assert_eq!(quote(grace_ends), (30, Some(hours_before_start(24))));
    strict.tiers.clear();
    assert_eq!(
        strict.refund_percent(booked_at, START, booked_at),
        (100, Some(grace_ends))
    );
    assert_eq!(
        strict.refund_percent(booked_at, START, grace_ends),
        (0, None)
    );
}

#[test]
fn parts_of_a_price_are_rounded_half_up_in_its_smallest_unit() {
    assert_eq!(percent_of(Money::krw(9_999), 50), Money::krw(5_000));
    assert_eq!(percent_of(Money::krw(1), 49), Money::krw(0));
    assert_eq!(overtime(Money::krw(12_000), 1), Money::krw(200));
    assert_eq!(overtime(Money::krw(10_000), 7), Money::krw(1_167));
    assert_eq!(overtime(Money::krw(10_000), 0), Money::krw(0));
    // Nobody is charged for a year by mistake: no more than the dearest booking.
    let most = Money::krw(PRICE_MAX);
    assert_eq!(overtime(Money::krw(1_000_000_000), u32::MAX), most);
    assert_eq!(overtime(Money::krw(i64::MAX), 1), most);
}

#[test]
fn an_end_of_time_is_no_overflow() {
    assert_eq!(later(Timestamp::MAX, u32::MAX), Timestamp::MAX);
    assert_eq!(earlier(Timestamp::MIN, u32::MAX), Timestamp::MIN);
    let slot = Slot::new(Timestamp::MIN, Timestamp::MAX);
    assert_eq!(slot.overtime_minutes(Timestamp::MAX), 0);
    assert!(Slot::new(Timestamp::MIN, Timestamp::MIN).overtime_minutes(Timestamp::MAX) > 0);
}
