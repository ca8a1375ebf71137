//! Followers that are cut into slices: who holds which, and what a cut does to those who did.

use futures::join;
use journal::follow::{Checkpoints, Lease, Slice};

use super::followers::{held, moved, parked};
use crate::samples::booked;
use crate::stage::Stage;

/// One slice of so many.
fn slice(number: i32, of: i32) -> Slice {
    let mut slices = Slice::each_of(of);
    slices.find(|slice| slice.number() == number).unwrap()
}

pub async fn a_slice_is_held_of_the_cut_that_there_is(stage: &impl Stage) {
    let whole = stage.checkpoints("a");
    let lease = held(&whole).await;
    assert!(moved(&whole, lease, 3).await);
    stage.cut("a", 2).await;
    let position = 3;
    assert!(!moved(&whole, Lease { position, ..lease }, 4).await);
    assert_eq!(whole.hold().await.unwrap(), None);

    let (one, two) = (stage.slice("a", slice(1, 2)), stage.slice("a", slice(2, 2)));
    let (first, second) = (held(&one).await, held(&two).await);
    assert_eq!((first.position, second.position), (3, 3));
    assert!(first.epoch > lease.epoch && second.epoch > lease.epoch);
    assert!(moved(&one, first, 5).await);
    let of_three = stage.slice("a", slice(1, 3));
    assert_eq!(of_three.hold().await.unwrap(), None);

    stage.cut("a", 3).await;
    let position = 5;
    assert!(!moved(&one, Lease { position, ..first }, 6).await);
    assert!(!two.renew(second).await.unwrap());
    assert_eq!(one.hold().await.unwrap(), None);
    let third = held(&of_three).await;
    assert_eq!(third.position, 3, "the lowest of those that were");

    // The same keys again, and another lease.
    stage.cut("a", 2).await;
    let position = 3;
    assert!(!moved(&one, Lease { position, ..first }, 6).await);
    let again = held(&one).await;
    assert_eq!(again.position, 3);
    assert!(!moved(&one, Lease { position, ..first }, 6).await);
    assert!(moved(&one, again, 6).await);
    let independent = held(&stage.checkpoints("b")).await;
    assert_eq!(independent.position, 0);
}

pub async fn a_cut_waits_for_the_batch_that_is_being_written(stage: &impl Stage) {
    let writes = stage.checkpoints("a");
    let lease = held(&writes).await;
    let mut session = writes.session().await.unwrap();
    let mut tx = writes.begin(&mut session).await.unwrap();
    assert!(writes.advance(&mut tx, lease, 1).await.unwrap());
    let commits = async {
        stage.until_waiting(1).await;
        writes.commit(tx).await.unwrap();
    };
    join!(stage.cut("a", 2), commits);
    assert_eq!(held(&stage.slice("a", slice(2, 2))).await.position, 1);
}

pub async fn what_is_parked_is_known_to_the_slice_that_has_its_key(stage: &impl Stage) {
    stage.stored(booked(1, 7)).await;
    let whole = stage.checkpoints("a");
    let lease = held(&whole).await;
    let mut session = whole.session().await.unwrap();
    let mut tx = whole.begin(&mut session).await.unwrap();
    assert!(whole.advance(&mut tx, lease, 1).await.unwrap());
    whole.park(&mut tx, &[parked(1)]).await.unwrap();
    whole.commit(tx).await.unwrap();
    drop(session);
    stage.cut("a", 3).await;
    stage.retry("a", "7").await;
    for slice in Slice::each_of(3) {
        let checkpoints = stage.slice("a", slice);
        let has_it = slice.holds("7");
        let keys = checkpoints.parked_keys().await.unwrap();
        assert_eq!(keys.len(), usize::from(has_it));
        let asked_for = checkpoints.asked_for().await.unwrap();
        assert_eq!(asked_for.is_some(), has_it);
        let dealt_with = checkpoints.dealt_with(0).await.unwrap();
        assert_eq!(dealt_with.len(), usize::from(has_it));
        assert!(checkpoints.dealt_with(1).await.unwrap().is_empty());
    }
}
