//! Points.

use futures::join;
use journal::append::Outcome;

use super::is_stored;
use crate::samples::{Compose, id, points, spent};
use crate::stage::Stage;

pub async fn more_than_there_are_are_not_spent(stage: &impl Stage) {
    let told = [
        ("PointsAccrued", 100),
        ("PointsClawedBack", 30),
        ("PointsSpent", 50),
        ("PointsReturned", 20),
    ];
    for (number, (name, count)) in (1..).zip(told) {
        let key = i64::try_from(number).unwrap();
        stage.stored(points(number, key, name, 7, count)).await;
    }
    stage.stored(points(5, 5, "PointsAccrued", 8, 1_000)).await;
    let too_many = stage.append(spent(6, 6, 7, 41)).await;
    assert_eq!(too_many.unwrap(), Outcome::NotCovered);
    stage.stored(spent(7, 7, 7, 30)).await;
    let too_many = stage.append(spent(8, 8, 7, 11)).await;
    assert_eq!(too_many.unwrap(), Outcome::NotCovered);
    stage.stored(spent(9, 9, 7, 10)).await;
    let of_nobody = stage.append(spent(10, 10, 9, 1)).await;
    assert_eq!(of_nobody.unwrap(), Outcome::NotCovered);
    stage.stored(spent(11, 11, 8, 1_000)).await;
}

/// Two spend all that a user has; the first has not committed.
async fn spend_at_once(stage: &impl Stage, first: u128, commits: bool) -> Outcome {
    let store = stage.store();
    let key = i64::try_from(first).unwrap();
    stage
        .stored(points(first, key, "PointsAccrued", key, 100))
        .await;
    stage.hold_still(id(first + 1)).await;
    let one = [spent(first + 1, key + 1, key, 100)];
    let other = spent(first + 2, key + 2, key, 100);
    let waits = async {
        stage.until_waiting(1).await;
        let ends = async {
            stage.until_waiting(2).await;
            if commits {
                stage.let_go(id(first + 1)).await;
            } else {
                stage.cancel(id(first + 1)).await;
            }
        };
        join!(stage.append(other), ends).0
    };
    let (one, other) = join!(store.append(&one), waits);
    assert_eq!(one.is_ok(), commits);
    other.unwrap()
}

pub async fn of_two_spenders_the_second_counts_what_the_first_left(stage: &impl Stage) {
    let second = spend_at_once(stage, 1, true).await;
    assert_eq!(second, Outcome::NotCovered);
    let second = spend_at_once(stage, 11, false).await;
    assert!(matches!(second, Outcome::Stored(_)), "{second:?}");
}

pub async fn what_is_not_committed_is_not_there(stage: &impl Stage) {
    let store = stage.store();
    stage.hold_still(id(1)).await;
    let accrues = [points(1, 1, "PointsAccrued", 7, 100)];
    let beside = async {
        stage.until_waiting(1).await;
        let early = stage.append(spent(2, 2, 7, 100)).await;
        stage.let_go(id(1)).await;
        early
    };
    let (accrued, early) = join!(store.append(&accrues), beside);
    assert!(accrued.is_ok());
    assert_eq!(early.unwrap(), Outcome::NotCovered, "and nobody waits");
    stage.stored(spent(2, 2, 7, 100)).await;
}

pub async fn a_user_spends_once_in_a_group(stage: &impl Stage) {
    use journal::store::NotAppended;
    stage.stored(points(1, 1, "PointsAccrued", 7, 100)).await;
    let both = vec![spent(2, 2, 7, 60), spent(3, 3, 7, 60), spent(4, 4, 7, 40)];
    let group = stage.store().append(&both).await;
    assert!(matches!(group, Err(NotAppended::Half { taken: false })));
    let outcomes = stage.journal().append(both).await;
    assert!(is_stored(&outcomes[0]) && is_stored(&outcomes[2]));
    assert!(matches!(outcomes[1], Ok(Outcome::NotCovered)));
}

pub async fn a_spender_that_is_sent_twice_at_once_spends_once(stage: &impl Stage) {
    let (store, journal) = (stage.store(), stage.journal());
    stage.stored(points(1, 1, "PointsAccrued", 7, 100)).await;
    stage.hold_still(id(2)).await;
    let one = [spent(2, 2, 7, 100)];
    let again = async {
        stage.until_waiting(1).await;
        let lets_go = async {
            stage.until_waiting(2).await;
            stage.let_go(id(2)).await;
        };
        join!(journal.append(vec![spent(2, 3, 7, 100)]), lets_go).0
    };
    let (one, again) = join!(store.append(&one), again);
    assert!(matches!(one.unwrap()[..], [Outcome::Stored(_)]));
    assert!(matches!(again[..], [Ok(Outcome::Already(_))]), "{again:?}");
}

pub async fn slot_and_points_are_won_together_or_not_at_all(stage: &impl Stage) {
    let poor = spent(1, 1, 7, 1).claiming(1, 1, 0, 2);
    assert_eq!(stage.append(poor).await.unwrap(), Outcome::NotCovered);
    stage.stored(points(2, 2, "PointsAccrued", 7, 5)).await;
    stage.stored(spent(3, 3, 7, 2).claiming(3, 1, 0, 2)).await;
    let late = spent(4, 4, 7, 3).claiming(4, 1, 1, 3);
    assert_eq!(stage.append(late).await.unwrap(), Outcome::Taken);
    stage.stored(spent(5, 5, 7, 3)).await;
}
