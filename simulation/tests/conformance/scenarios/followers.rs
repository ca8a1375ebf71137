//! Checkpoints: lease, epoch, fence, old position, parked keys.

use std::time::Duration;

use futures::join;
use journal::follow::{Checkpoints, LEASE_MS, Lease, Parked};

use crate::samples::{Compose, booked, command};
use crate::stage::Stage;

/// A little more than a lease.
const A_LEASE: Duration = Duration::from_millis(LEASE_MS + 1);

/// The lease, which must be free.
pub(super) async fn held(checkpoints: &impl Checkpoints) -> Lease {
    let lease = checkpoints.hold().await.unwrap();
    lease.expect("the lease is free")
}

/// Moves the checkpoint in a transaction of its own; whether it could.
pub(super) async fn moved(checkpoints: &impl Checkpoints, lease: Lease, to: i64) -> bool {
    let mut session = checkpoints.session().await.unwrap();
    let mut tx = checkpoints.begin(&mut session).await.unwrap();
    let moved = checkpoints.advance(&mut tx, lease, to).await.unwrap();
    checkpoints.commit(tx).await.unwrap();
    moved
}

pub async fn one_owner_at_a_time_and_a_higher_epoch_for_the_next(stage: &impl Stage) {
    let (one, other) = (stage.checkpoints("a"), stage.checkpoints("a"));
    let first = held(&one).await;
    assert_eq!(first.position, 0);
    assert_eq!(other.hold().await.unwrap(), None);
    assert!(moved(&one, first, 3).await);
    let position = 3;
    stage.pass(Duration::from_millis(LEASE_MS - 2_000)).await;
    assert!(one.renew(Lease { position, ..first }).await.unwrap());
    stage.pass(Duration::from_millis(LEASE_MS - 2_000)).await;
    assert_eq!(other.hold().await.unwrap(), None, "it was renewed");
    stage.pass(A_LEASE).await;
    let second = held(&other).await;
    assert_eq!((second.position, second.epoch), (3, first.epoch + 1));
    assert_eq!(one.hold().await.unwrap(), None);
    let independent = held(&stage.checkpoints("b")).await;
    assert_eq!((independent.position, independent.epoch), (0, 1));
}

pub async fn who_slept_through_its_lease_moves_nothing(stage: &impl Stage) {
    let (sleeper, other) = (stage.checkpoints("a"), stage.checkpoints("a"));
    let old = held(&sleeper).await;
    stage.pass(A_LEASE).await;
    let new = held(&other).await;
    assert!(!moved(&sleeper, old, 5).await);
    assert!(!sleeper.renew(old).await.unwrap());
    sleeper.release(old).await.unwrap();
    assert_eq!(
        sleeper.hold().await.unwrap(),
        None,
        "what is another's is not given back"
    );
    let forged = Lease {
        epoch: new.epoch,
        ..old
    };
    assert!(
        !moved(&sleeper, forged, 5).await,
        "the epoch alone does not do"
    );
    assert!(moved(&other, new, 2).await);
}

pub async fn a_checkpoint_moves_from_where_it_was(stage: &impl Stage) {
    let checkpoints = stage.checkpoints("a");
    let lease = held(&checkpoints).await;
    assert!(moved(&checkpoints, lease, 4).await);
    assert!(!moved(&checkpoints, lease, 4).await, "the same batch again");
    assert!(!checkpoints.renew(lease).await.unwrap());
    let position = 4;
    assert!(moved(&checkpoints, Lease { position, ..lease }, 6).await);
    let again = held(&checkpoints).await;
    assert_eq!((again.position, again.epoch), (6, lease.epoch + 1));
    let older = Lease {
        epoch: lease.epoch,
        ..again
    };
    assert!(
        !moved(&checkpoints, older, 9).await,
        "an owner that took its lease again"
    );
}

pub async fn what_is_not_committed_never_was(stage: &impl Stage) {
    stage.stored(booked(1, 7)).await;
    let checkpoints = stage.checkpoints("a");
    let lease = held(&checkpoints).await;
    {
        let mut session = checkpoints.session().await.unwrap();
        let mut tx = checkpoints.begin(&mut session).await.unwrap();
        assert!(checkpoints.advance(&mut tx, lease, 1).await.unwrap());
        checkpoints.park(&mut tx, &[parked(1)]).await.unwrap();
    }
    assert!(checkpoints.parked_keys().await.unwrap().is_empty());
    assert!(
        moved(&checkpoints, lease, 1).await,
        "it still stands where it stood"
    );
}

pub async fn a_lease_that_is_given_back_is_free(stage: &impl Stage) {
    let (one, other) = (stage.checkpoints("a"), stage.checkpoints("a"));
    let lease = held(&one).await;
    one.release(lease).await.unwrap();
    assert!(
        !moved(&one, lease, 1).await,
        "who gave it back does not move it"
    );
    let next = held(&other).await;
    assert_eq!(next.epoch, lease.epoch + 1);
}

pub async fn a_claim_waits_for_the_batch_that_is_being_written(stage: &impl Stage) {
    let (writes, claims) = (stage.checkpoints("a"), stage.checkpoints("a"));
    let lease = held(&writes).await;
    stage.pass(A_LEASE).await;
    let mut session = writes.session().await.unwrap();
    let mut tx = writes.begin(&mut session).await.unwrap();
    assert!(writes.advance(&mut tx, lease, 1).await.unwrap());
    let commits = async {
        stage.until_waiting(1).await;
        writes.commit(tx).await.unwrap();
    };
    let (claimed, ()) = join!(claims.hold(), commits);
    assert_eq!(claimed.unwrap(), None, "the batch renewed the lease");
}

pub async fn an_idle_transaction_is_ended_before_its_lease_is_of_use(stage: &impl Stage) {
    let (idles, other) = (stage.checkpoints("a"), stage.checkpoints("a"));
    let lease = held(&idles).await;
    let mut session = idles.session().await.unwrap();
    let mut tx = idles.begin(&mut session).await.unwrap();
    assert!(idles.advance(&mut tx, lease, 1).await.unwrap());
    // Nothing more is heard of it; its lease is over soon, and the row is locked.
    let mut took_over = None;
    stage
        .until("somebody else takes over", async || {
            took_over = other.hold().await.unwrap_or(None);
            took_over.is_some()
        })
        .await;
    assert_eq!(took_over.map(|lease| lease.position), Some(0));
    assert!(idles.commit(tx).await.is_err(), "it was ended");
}

pub(super) fn parked(position: i64) -> Parked {
    Parked {
        position,
        key: "7".to_owned(),
        event_type: "Booked".to_owned(),
        unread: false,
        reason: (position == 1).then(|| "it makes no sense".to_owned()),
    }
}

pub async fn what_is_parked_is_there_until_it_is_taken(stage: &impl Stage) {
    stage.stored(command(1).to("Book", 7, 0, 3)).await;
    let checkpoints = stage.checkpoints("a");
    let lease = held(&checkpoints).await;
    let mut session = checkpoints.session().await.unwrap();
    let mut tx = checkpoints.begin(&mut session).await.unwrap();
    assert!(checkpoints.advance(&mut tx, lease, 3).await.unwrap());
    checkpoints
        .park(&mut tx, &[parked(3), parked(1), parked(2)])
        .await
        .unwrap();
    checkpoints.commit(tx).await.unwrap();
    drop(session);

    assert_eq!(checkpoints.parked_keys().await.unwrap(), ["7"]);
    assert_eq!(checkpoints.parked_positions("7", 2).await.unwrap(), [1, 2]);
    assert!(
        checkpoints
            .parked_positions("8", 9)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        stage
            .checkpoints("b")
            .parked_keys()
            .await
            .unwrap()
            .is_empty()
    );

    let lease = held(&checkpoints).await;
    let mut session = checkpoints.session().await.unwrap();
    let mut tx = checkpoints.begin(&mut session).await.unwrap();
    assert!(checkpoints.advance(&mut tx, lease, 3).await.unwrap());
    assert!(checkpoints.unpark(&mut tx, &[1, 2]).await.unwrap());
    assert_eq!(checkpoints.tried(&mut tx, "7", false).await.unwrap(), 1);
    checkpoints.commit(tx).await.unwrap();
    drop(session);

    assert_eq!(checkpoints.parked_positions("7", 9).await.unwrap(), [3]);
    let mut session = checkpoints.session().await.unwrap();
    let mut tx = checkpoints.begin(&mut session).await.unwrap();
    assert!(
        !checkpoints.unpark(&mut tx, &[2, 3]).await.unwrap(),
        "2 is there no more"
    );
    drop(tx);
    assert_eq!(checkpoints.parked_positions("7", 9).await.unwrap(), [3]);
}

pub async fn a_key_that_people_ask_for_is_told(stage: &impl Stage) {
    stage.stored(booked(1, 7)).await;
    let checkpoints = stage.checkpoints("a");
    let lease = held(&checkpoints).await;
    let mut session = checkpoints.session().await.unwrap();
    let mut tx = checkpoints.begin(&mut session).await.unwrap();
    assert!(checkpoints.advance(&mut tx, lease, 1).await.unwrap());
    checkpoints.park(&mut tx, &[parked(1)]).await.unwrap();
    checkpoints.commit(tx).await.unwrap();
    drop(session);
    assert_eq!(checkpoints.asked_for().await.unwrap(), None);
    stage.retry("a", "7").await;
    assert_eq!(checkpoints.asked_for().await.unwrap().as_deref(), Some("7"));
    assert_eq!(stage.checkpoints("b").asked_for().await.unwrap(), None);
    let mut session = checkpoints.session().await.unwrap();
    let mut tx = checkpoints.begin(&mut session).await.unwrap();
    let position = 1;
    assert!(
        checkpoints
            .advance(&mut tx, Lease { position, ..lease }, 1)
            .await
            .unwrap()
    );
    assert_eq!(
        checkpoints.tried(&mut tx, "7", true).await.unwrap(),
        1,
        "it is stuck again"
    );
    checkpoints.commit(tx).await.unwrap();
    drop(session);
    assert_eq!(
        checkpoints.asked_for().await.unwrap(),
        None,
        "asked once, tried once"
    );
    assert_eq!(checkpoints.parked_keys().await.unwrap(), ["7"]);
}
