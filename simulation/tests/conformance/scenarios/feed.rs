//! Reading everything, in order, over holes.

use std::collections::BTreeMap;

use futures::future::join_all;
use futures::join;
use journal::append::Outcome;
use journal::feed::{Feed, Item, Page, Proof, Span};

use super::versions;
use crate::samples::{Compose, booked, command, id};
use crate::stage::Stage;

/// As much as there is.
const ALL: i64 = 1_000;

fn positions(page: &Page) -> Vec<i64> {
    page.items.iter().map(Item::position).collect()
}

/// What a reader who begins at the beginning gets in one read.
async fn read(stage: &impl Stage) -> (Vec<i64>, Option<Span>) {
    let page = Feed::new(stage.journal(), "reader")
        .read(0, ALL)
        .await
        .unwrap();
    (positions(&page), page.hole)
}

fn span(first: i64, last: i64) -> Option<Span> {
    Some(Span { first, last })
}

/// Reads until nothing stands behind; every event: its booking and place in the stream, in order of delivery.
async fn read_to_the_end(stage: &impl Stage) -> Vec<(String, i64)> {
    let mut feed = Feed::new(stage.journal(), "reader");
    let (mut after, mut all) = (0, vec![]);
    for _ in 0..1_000 {
        let page = feed.read(after, 7).await.unwrap();
        for item in &page.items {
            assert!(
                item.position() > after,
                "{} comes after {after}",
                item.position()
            );
            after = item.position();
            let Item::Events { events, .. } = item else {
                panic!("{item:?}")
            };
            all.extend(
                events
                    .iter()
                    .map(|event| (event.key().to_owned(), event.sequence)),
            );
        }
        if page.hole.is_none() && page.items.is_empty() {
            return all;
        }
    }
    panic!("it never comes to an end");
}

pub async fn everything_comes_in_order(stage: &impl Stage) {
    let journals: Vec<_> = (0..6).map(|_| stage.journal()).collect();
    let writers = (1_i64..).zip(&journals).map(async |(key, journal)| {
        for after in 0..8 {
            let number = u128::try_from(key * 100 + after).unwrap();
            let command = command(number).to("Book", key, after, 1);
            let outcome = journal.append(vec![command]).await.remove(0).unwrap();
            assert!(matches!(outcome, Outcome::Stored(_)), "{outcome:?}");
        }
    });
    join_all(writers).await;
    let mut by_stream: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (key, sequence) in read_to_the_end(stage).await {
        by_stream.entry(key).or_default().push(sequence);
    }
    assert_eq!(by_stream.len(), 6);
    for (key, sequences) in by_stream {
        assert_eq!(sequences, Vec::from_iter(1..=8), "booking {key}");
    }
}

pub async fn a_late_commit_is_waited_for_and_delivered(stage: &impl Stage) {
    let store = stage.store();
    stage.hold_still(id(1)).await;
    let late = [command(1).to("Book", 1, 0, 2)];
    let meanwhile = async {
        stage.until_waiting(1).await;
        stage.stored(booked(2, 2)).await;
        let mut feed = Feed::new(stage.journal(), "reader");
        for _ in 0..4 {
            let page = feed.read(0, ALL).await.unwrap();
            assert_eq!((positions(&page), page.hole), (vec![], span(1, 2)));
        }
        stage.let_go(id(1)).await;
        feed
    };
    let (late, mut feed) = join!(store.append(&late), meanwhile);
    late.unwrap();
    assert_eq!(positions(&feed.read(0, ALL).await.unwrap()), [1, 2, 3]);
}

pub async fn a_rolled_back_one_is_proved_dead(stage: &impl Stage) {
    stage.stored(booked(1, 1)).await;
    stage.rolled_back(command(2).to("Book", 2, 0, 3)).await;
    let position = stage.stored(booked(3, 3)).await;
    assert_eq!(position, 5);
    let mut feed = Feed::new(stage.journal(), "reader");
    let page = feed.read(0, ALL).await.unwrap();
    assert_eq!(
        (positions(&page), page.hole),
        (vec![1], span(2, 4)),
        "what is there goes out"
    );
    let page = feed.read(1, ALL).await.unwrap();
    assert_eq!((positions(&page), page.hole), (vec![5], None));
}

pub async fn an_id_proves_nothing_of_holes_that_came_after_it(stage: &impl Stage) {
    let store = stage.store();
    let early = store.draw_x().await.unwrap();
    let proves = async |x: &str| {
        let (x, ceiling) = (x.to_owned(), i64::MAX);
        store
            .look(0, ALL, Some(&Proof { x, ceiling }))
            .await
            .unwrap()
            .proved
    };
    stage.hold_still(id(1)).await;
    let living = [booked(1, 1)];
    let meanwhile = async {
        stage.until_waiting(1).await;
        stage.stored(booked(2, 2)).await;
        let fresh = store.draw_x().await.unwrap();
        assert!(
            proves(&early).await,
            "an id from before the hole says dead of one that lives"
        );
        assert!(!proves(&fresh).await);
        stage.cancel(id(1)).await;
        fresh
    };
    let (living, fresh) = join!(store.append(&living), meanwhile);
    assert!(living.is_err());
    assert!(proves(&fresh).await);
    assert!(
        !store.look(0, ALL, None).await.unwrap().proved,
        "without an id nothing is proved"
    );
    assert!(
        !store
            .look(
                2,
                ALL,
                Some(&Proof {
                    x: fresh,
                    ceiling: 9
                })
            )
            .await
            .unwrap()
            .proved
    );
}

/// A reader's id is of use up to the highest row that it had seen.
pub async fn one_id_serves_every_hole(stage: &impl Stage) {
    for round in 0..5 {
        stage.rolled_back(booked(round * 2 + 1, 100)).await;
        stage
            .stored(booked(round * 2 + 2, i64::try_from(round).unwrap()))
            .await;
    }
    assert_eq!(
        read(stage).await,
        (vec![2, 4, 6, 8, 10], None),
        "one read: one id"
    );
}

pub async fn what_one_reader_proved_serves_all(stage: &impl Stage) {
    stage.rolled_back(booked(1, 1)).await;
    stage.stored(booked(2, 2)).await;
    assert_eq!(read(stage).await, (vec![2], None));
    let elsewhere = stage.begin_elsewhere().await;
    let first_look = stage.store().look(0, ALL, None).await.unwrap();
    assert!(first_look.rows[0].hole_is_dead);
    assert_eq!(
        read(stage).await,
        (vec![2], None),
        "no proof is needed any more"
    );
    drop(elsewhere);
}

pub async fn a_storm_of_rollbacks_loses_nothing(stage: &impl Stage) {
    const MANY: u128 = 8;
    for round in 0..4_u128 {
        let numbers: Vec<u128> = (round * MANY + 1..=(round + 1) * MANY).collect();
        for number in &numbers {
            stage.hold_still(id(*number)).await;
        }
        let stores: Vec<_> = numbers.iter().map(|_| stage.store()).collect();
        let groups: Vec<_> = numbers
            .iter()
            .map(|number| [command(*number).to("Book", i64::try_from(*number).unwrap(), 0, 2)])
            .collect();
        let sent = join_all(
            stores
                .iter()
                .zip(&groups)
                .map(|(store, group)| store.append(group)),
        );
        let ends = async {
            stage.until_waiting(numbers.len()).await;
            for number in numbers.iter().rev() {
                if number % 3 == 0 {
                    stage.let_go(id(*number)).await;
                } else {
                    stage.cancel(id(*number)).await;
                }
            }
        };
        let (outcomes, ()) = join!(sent, ends);
        for (number, outcome) in numbers.iter().zip(outcomes) {
            assert_eq!(outcome.is_ok(), number % 3 == 0, "{number}: {outcome:?}");
        }
    }
    let mut delivered = read_to_the_end(stage).await;
    delivered.sort();
    let stored = (1..=4 * MANY).filter(|number| number % 3 == 0);
    let mut stored: Vec<_> = stored
        .flat_map(|number| [(number.to_string(), 1), (number.to_string(), 2)])
        .collect();
    stored.sort();
    assert_eq!(delivered, stored);
}

/// A hole is seen, and seen again, and then it is proved.
const LOOKS_MAX: usize = 3;

pub async fn numbers_that_losers_drew_are_passed(stage: &impl Stage) {
    stage.stored(booked(1, 1)).await;
    for number in 2..=9 {
        let outcome = stage.append(booked(number, 1)).await.unwrap();
        assert_eq!(outcome, Outcome::Conflict);
    }
    let last = stage.stored(booked(10, 2)).await;
    let mut feed = Feed::new(stage.journal(), "reader");
    assert_eq!(positions(&feed.read(0, ALL).await.unwrap())[0], 1);
    // Their numbers may have to be proved dead first.
    let mut delivered = vec![];
    for _ in 0..LOOKS_MAX {
        delivered = positions(&feed.read(1, ALL).await.unwrap());
        if !delivered.is_empty() {
            break;
        }
    }
    assert_eq!(delivered, [last]);
    assert_eq!(read_to_the_end(stage).await.len(), 2);
}

pub async fn a_transaction_that_was_terminated_is_dead(stage: &impl Stage) {
    let store = stage.store();
    stage.hold_still(id(1)).await;
    let group = [booked(1, 1)];
    let meanwhile = async {
        stage.until_waiting(1).await;
        stage.stored(booked(2, 2)).await;
        assert_eq!(read(stage).await, (vec![], span(1, 1)));
        stage.terminate().await;
    };
    let (ended, ()) = join!(store.append(&group), meanwhile);
    let error = ended.unwrap_err();
    assert!(
        matches!(&error, journal::store::NotAppended::Store(error) if error.is_transient()),
        "{error}"
    );
    stage.let_go(id(1)).await;
    assert_eq!(read(stage).await, (vec![2], None));
    stage.stored(booked(1, 1)).await;
    assert_eq!(versions(stage, &[("Book", 1)]).await, [1]);
}

pub async fn a_long_transaction_elsewhere_holds_only_proofs(stage: &impl Stage) {
    let elsewhere = stage.begin_elsewhere().await;
    stage.stored(booked(1, 1)).await;
    assert_eq!(
        read(stage).await,
        (vec![1], None),
        "without a hole nothing is to be proved"
    );
    stage.rolled_back(booked(2, 2)).await;
    stage.stored(booked(3, 3)).await;
    let mut feed = Feed::new(stage.journal(), "reader");
    assert_eq!(positions(&feed.read(0, ALL).await.unwrap()), [1]);
    for _ in 0..3 {
        let page = feed.read(1, ALL).await.unwrap();
        assert_eq!((positions(&page), page.hole), (vec![], span(2, 2)));
    }
    drop(elsewhere);
    stage
        .until("the hole is dead", async || {
            positions(&feed.read(1, ALL).await.unwrap()) == [3]
        })
        .await;
}

pub async fn what_a_crash_skipped_is_passed_and_what_was_committed_stays(stage: &mut impl Stage) {
    stage.stored(booked(1, 1).claiming(1, 1, 0, 2)).await;
    stage.crash().await;
    let again = stage.append(booked(1, 1)).await;
    assert!(
        matches!(&again, Ok(Outcome::Already(answer)) if answer.position == 1),
        "{again:?}"
    );
    let over = booked(2, 2).claiming(2, 1, 1, 3);
    assert_eq!(stage.append(over).await.unwrap(), Outcome::Taken);
    let next = stage.stored(booked(3, 3)).await;
    assert!(next <= 36, "so far a sequence jumps: {next}");
    let delivered = read_to_the_end(stage).await;
    assert_eq!(delivered, [("1".to_owned(), 1), ("3".to_owned(), 1)]);
}

pub async fn what_was_under_way_in_a_crash_never_was(stage: &mut impl Stage) {
    let store = stage.store();
    stage.hold_still(id(1)).await;
    let group = [booked(1, 1).claiming(1, 1, 0, 2)];
    let crashes = async {
        stage.until_waiting(1).await;
        stage.stored(booked(2, 2)).await;
        stage.crash().await;
    };
    let (ended, ()) = join!(store.append(&group), crashes);
    assert!(ended.is_err(), "{ended:?}");
    assert_eq!(versions(stage, &[("Book", 1), ("Book", 2)]).await, [0, 1]);
    assert_eq!(read_to_the_end(stage).await, [("2".to_owned(), 1)]);
    stage.stored(booked(3, 3).claiming(3, 1, 0, 2)).await;
    let [group] = group;
    assert_eq!(stage.append(group).await.unwrap(), Outcome::Taken);
    stage.stored(booked(1, 1)).await;
}
