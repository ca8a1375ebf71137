//! The breaker's table of states, step by step, and its window against a plain list of calls.

use proptest::prelude::{any, prop_assert_eq, proptest};

use super::*;

/// A moment, in milliseconds after some start.
fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
}

fn breaker() -> Breaker {
    Breaker::new(BreakerSettings::default())
}

/// One call that is over at once.
fn call(breaker: &mut Breaker, ms: i64, verdict: Verdict) {
    let ticket = breaker.admit(at(ms)).unwrap();
    breaker.end(ticket, verdict, at(ms));
}

/// Opened at `ms` by twenty failures.
fn opened(ms: i64) -> Breaker {
    let mut breaker = breaker();
    for _ in 0..20 {
        call(&mut breaker, ms, Verdict::Failed);
    }
    assert_eq!(breaker.position(), Position::Open);
    breaker
}

#[test]
fn it_opens_at_twenty_calls_of_which_half_failed() {
    for (failures, answers, opens) in [
        (19, 0, false),
        (20, 0, true),
        (10, 10, true),
        (9, 11, false),
        (49, 51, false),
    ] {
        let mut breaker = breaker();
        // Answers first: a share is not judged before it is whole.
        for _ in 0..answers {
            call(&mut breaker, 0, Verdict::Answered);
        }
        for _ in 0..failures {
            call(&mut breaker, 0, Verdict::Failed);
        }
        let expected = if opens {
            Position::Open
        } else {
            Position::Closed
        };
        assert_eq!(
            breaker.position(),
            expected,
            "{failures} of {}",
            failures + answers
        );
    }
}

#[test]
fn an_answer_can_be_the_twentieth_call() {
    let mut breaker = breaker();
    for _ in 0..19 {
        call(&mut breaker, 0, Verdict::Failed);
    }
    call(&mut breaker, 0, Verdict::Answered);
    assert_eq!(breaker.position(), Position::Open);
}

#[test]
fn calls_that_were_never_made_do_not_count() {
    let mut breaker = breaker();
    for _ in 0..19 {
        call(&mut breaker, 0, Verdict::Failed);
    }
    for _ in 0..100 {
        call(&mut breaker, 0, Verdict::Withdrawn);
    }
    assert_eq!(breaker.position(), Position::Closed);
}

#[test]
fn what_is_older_than_the_window_is_forgotten() {
    let mut breaker = breaker();
    for _ in 0..19 {
        call(&mut breaker, 0, Verdict::Failed);
    }
    call(&mut breaker, 10_000, Verdict::Failed);
    assert_eq!(breaker.position(), Position::Closed);
    for _ in 0..19 {
        call(&mut breaker, 19_999, Verdict::Failed);
    }
    assert_eq!(breaker.position(), Position::Open, "20 calls in 10 s");
}

#[test]
fn open_refuses_and_refusals_change_nothing() {
    let mut breaker = opened(0);
    for ms in [0, 1, 4_999] {
        assert!(!breaker.would_admit(at(ms)));
        assert_eq!(breaker.admit(at(ms)), None);
    }
    assert_eq!(breaker.position(), Position::Open);
    assert!(
        breaker.would_admit(at(5_000)),
        "refusals did not put it off"
    );
}

#[test]
fn half_open_has_exactly_one_probe() {
    let mut breaker = opened(0);
    assert_eq!(
        breaker.position(),
        Position::Open,
        "looking changes nothing"
    );
    let probe = breaker.admit(at(5_000)).unwrap();
    assert_eq!(breaker.position(), Position::HalfOpen);
    assert!(!breaker.would_admit(at(60_000)));
    assert_eq!(breaker.admit(at(60_000)), None);
    breaker.end(probe, Verdict::Answered, at(60_000));
    assert_eq!(breaker.position(), Position::Closed);
    // The failures of before are forgotten.
    call(&mut breaker, 60_000, Verdict::Failed);
    assert_eq!(breaker.position(), Position::Closed);
}

#[test]
fn a_failed_probe_opens_it_again_for_as_long() {
    let mut breaker = opened(0);
    let probe = breaker.admit(at(5_000)).unwrap();
    breaker.end(probe, Verdict::Failed, at(7_000));
    assert!(!breaker.would_admit(at(11_999)));
    assert!(breaker.would_admit(at(12_000)));
}

#[test]
fn a_probe_that_was_never_made_leaves_room_for_another() {
    let mut breaker = opened(0);
    let probe = breaker.admit(at(5_000)).unwrap();
    breaker.end(probe, Verdict::Withdrawn, at(5_000));
    assert_eq!(breaker.position(), Position::HalfOpen);
    assert!(breaker.admit(at(5_000)).is_some());
}

#[test]
fn a_call_of_an_earlier_period_says_nothing() {
    for verdict in [Verdict::Answered, Verdict::Failed, Verdict::Withdrawn] {
        let mut breaker = breaker();
        let late = breaker.admit(at(0)).unwrap();
        for _ in 0..20 {
            call(&mut breaker, 0, Verdict::Failed);
        }
        let probe = breaker.admit(at(5_000)).unwrap();
        breaker.end(late, verdict, at(5_001));
        assert_eq!(breaker.position(), Position::HalfOpen, "{verdict:?}");
        assert_eq!(breaker.admit(at(5_001)), None, "{verdict:?}");
        breaker.end(probe, Verdict::Answered, at(5_002));
        assert_eq!(breaker.position(), Position::Closed, "{verdict:?}");
    }
}

#[test]
fn a_clock_put_back_does_not_keep_it_open() {
    let breaker = opened(3_600_000);
    assert!(breaker.would_admit(at(0)));
}

#[test]
fn a_clock_put_back_does_not_blind_it() {
    let mut breaker = breaker();
    for second in 0..10 {
        call(&mut breaker, 3_600_000 + second * 1_000, Verdict::Answered);
    }
    for _ in 0..20 {
        call(&mut breaker, 0, Verdict::Failed);
    }
    assert_eq!(breaker.position(), Position::Open);
}

proptest! {
    /// Buckets against the plain list of all calls: open exactly when the list says so.
    #[test]
    fn the_window_is_the_list_of_its_calls(
        calls in proptest::collection::vec((0i64..700, any::<bool>()), 1..200),
    ) {
        let mut breaker = breaker();
        let (mut now, mut list) = (0, vec![]);
        for (pause, failed) in calls {
            now += pause;
            let verdict = if failed { Verdict::Failed } else { Verdict::Answered };
            call(&mut breaker, now, verdict);
            list.push((now / 1_000, failed));
            let seen = || list.iter().filter(|(second, _)| *second > now / 1_000 - 10);
            let (all, bad) = (seen().count(), seen().filter(|(_, failed)| *failed).count());
            let opens = all >= 20 && bad * 2 >= all;
            prop_assert_eq!(breaker.position() == Position::Open, opens);
            if opens {
                break;
            }
        }
    }
}
