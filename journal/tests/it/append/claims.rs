//! Slots: two bookings never overlap on one unit, and a command that lost leaves no claim.

use journal::append::Outcome;

use crate::force::until_blocked;
use crate::samples::{Compose, booked};
use crate::sql;
use crate::stage::{Stage, append_one};

const CLAIMS: &str = "select bookid from slot_claims order by 1";

#[tokio::test]
async fn a_taken_slot_is_taken_and_an_adjacent_one_is_free() {
    let mut stage = Stage::open().await;
    let first = booked(1, 1).claiming(1, 5, 10, 12);
    assert!(matches!(stage.append(first).await, Ok(Outcome::Stored(_))));
    for (command, from, to) in [(2, 11, 13), (3, 9, 11), (4, 10, 12), (5, 9, 13)] {
        let key = i64::try_from(command).unwrap();
        let overlapping = booked(command, key).claiming(key, 5, from, to);
        assert_eq!(stage.append(overlapping).await.unwrap(), Outcome::Taken);
    }
    assert_eq!((stage.events().await, stage.commands().await), (1, 1));
    let free = [
        booked(6, 6).claiming(6, 5, 12, 13),
        booked(7, 7).claiming(7, 5, 8, 10),
        booked(8, 8).claiming(8, 6, 10, 12),
    ];
    for command in free {
        assert!(matches!(
            stage.append(command).await,
            Ok(Outcome::Stored(_))
        ));
    }
    assert_eq!(sql::numbers(&mut stage.owner, CLAIMS).await, [1, 6, 7, 8]);
}

#[tokio::test]
async fn of_two_claims_in_one_group_the_earlier_slot_wins_and_nobody_else_suffers() {
    let mut stage = Stage::open().await;
    let group = vec![
        booked(1, 1).claiming(1, 5, 11, 13),
        booked(2, 2).claiming(2, 5, 10, 12),
        booked(3, 3).claiming(3, 5, 13, 14),
        booked(4, 4).claiming(4, 5, 10, 12),
    ];
    let outcomes = stage.journal.append(group).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes[0], Outcome::Taken);
    assert!(matches!(outcomes[1], Outcome::Stored(_)));
    assert!(matches!(outcomes[2], Outcome::Stored(_)));
    assert_eq!(
        outcomes[3],
        Outcome::Taken,
        "of equal slots, the first command's"
    );
    assert_eq!(sql::numbers(&mut stage.owner, CLAIMS).await, [2, 3]);
    let transactions = stage.number("select count(distinct tx) from events").await;
    assert_eq!(transactions, 1, "the group was not taken apart");
}

/// Two taken commands between two that are stored; the positions of these.
async fn around_losers(stage: &mut Stage) -> Vec<i64> {
    stage
        .append(booked(1, 1).claiming(1, 5, 10, 12))
        .await
        .unwrap();
    for command in [2, 3] {
        let late = booked(command, 2).claiming(2, 5, 10, 12);
        assert_eq!(stage.append(late).await.unwrap(), Outcome::Taken);
    }
    stage.append(booked(4, 4)).await.unwrap();
    let positions = "select position from events order by 1";
    sql::numbers(&mut stage.owner, positions).await
}

#[tokio::test]
async fn who_lost_a_slot_draws_no_positions() {
    let mut stage = Stage::open().await;
    assert_eq!(around_losers(&mut stage).await, [1, 2]);

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "loser").await;
    assert_eq!(
        around_losers(&mut harmed).await,
        [1, 4],
        "the harm: a hole for every loser, for readers to wait at"
    );
}

#[tokio::test]
async fn the_claims_of_a_lost_command_do_not_stay() {
    let mut stage = Stage::open().await;
    stage.append(booked(1, 7)).await.unwrap();
    let late = booked(2, 7).claiming(7, 5, 10, 12);
    assert_eq!(stage.append(late).await.unwrap(), Outcome::Conflict);
    let one_of_two = booked(3, 8).claiming(8, 5, 10, 12).claiming(8, 5, 11, 16);
    assert_eq!(stage.append(one_of_two).await.unwrap(), Outcome::Taken);
    let nowhere = booked(4, 8).claiming_one_of(8, &[], 10, 12);
    assert_eq!(stage.append(nowhere).await.unwrap(), Outcome::Taken);
    assert!(sql::numbers(&mut stage.owner, CLAIMS).await.is_empty());
    let free = booked(5, 9).claiming(9, 5, 10, 12);
    assert!(matches!(stage.append(free).await, Ok(Outcome::Stored(_))));
}

/// A booking that was decided on an old version and wants a slot that is taken.
async fn late_and_taken(stage: &mut Stage) -> Outcome {
    stage
        .append(booked(1, 1).claiming(1, 5, 10, 12))
        .await
        .unwrap();
    stage.append(booked(2, 2)).await.unwrap();
    let late = booked(3, 2).claiming(2, 5, 11, 13);
    stage.append(late).await.unwrap()
}

#[tokio::test]
async fn who_lost_a_slot_on_an_old_version_decides_again() {
    let mut stage = Stage::open().await;
    assert_eq!(late_and_taken(&mut stage).await, Outcome::Conflict);

    let mut harmed = Stage::open().await;
    harmed.without_guard("journal_append", "stale loser").await;
    assert_eq!(
        late_and_taken(&mut harmed).await,
        Outcome::Taken,
        "the harm: refused for what it may not want any more"
    );
}

#[tokio::test]
async fn a_claim_waits_for_an_open_one_and_gets_the_slot_when_that_rolls_back() {
    let mut stage = Stage::open().await;
    let mut foreign = stage.session().await;
    let claim = "begin; insert into slot_claims values (1, 5, '[2026-11-01,2027-01-01)')";
    sql::run(&mut foreign, claim).await;
    let rolls_back = async {
        until_blocked(&mut stage.owner, 1).await;
        sql::run(&mut foreign, "rollback").await;
    };
    let claim = append_one(&stage.journal, booked(2, 2).claiming(2, 5, 10, 12));
    let (outcome, ()) = tokio::join!(claim, rolls_back);
    assert!(matches!(outcome, Ok(Outcome::Stored(_))), "{outcome:?}");
}
