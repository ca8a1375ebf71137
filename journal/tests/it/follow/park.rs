//! Poison: what cannot be taken waits with everything of its booking behind it; the rest goes on.

use journal::follow::Step;

use super::clerk::{clerk, effects, end_the_lease, position, refusing, stage_with};
use crate::samples::{Compose, append};
use crate::sql;
use crate::stage::Stage;

/// The parked events: position, booking, and the reason if it is one's own.
async fn parked(stage: &mut Stage) -> Vec<String> {
    let parked = "select position || ' of ' || key || coalesce(': ' || reason, '') from parked order by position";
    sql::texts(&mut stage.owner, parked).await
}

/// Events of bookings 1, 2, 1, 3, 1, at positions 1 to 5.
async fn three_bookings() -> Stage {
    let stage = stage_with(2).await;
    for (command, key, after) in [(3, 1, 1), (4, 3, 0), (5, 1, 2)] {
        stage
            .append(append(command).to("Book", key, after, 1))
            .await
            .unwrap();
    }
    stage
}

#[tokio::test]
async fn poison_parks_its_booking_in_order_and_the_rest_goes_on() {
    let mut stage = three_bookings().await;
    let mut follower = clerk("a").written(refusing(&[3])).following(&stage.journal);
    assert_eq!(
        follower.step().await.unwrap(),
        Step::Advanced {
            events: 5,
            position: 5
        }
    );
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2", "a 4"]);
    assert_eq!(
        parked(&mut stage).await,
        ["3 of 1: it makes no sense", "5 of 1"]
    );

    stage.append(append(6).to("Book", 1, 3, 1)).await.unwrap();
    stage.append(append(7).to("Book", 2, 1, 1)).await.unwrap();
    assert_eq!(
        follower.step().await.unwrap(),
        Step::Advanced {
            events: 2,
            position: 7
        }
    );
    assert_eq!(effects(&mut stage).await, ["a 1", "a 2", "a 4", "a 7"]);
    let expected = ["3 of 1: it makes no sense", "5 of 1", "6 of 1"];
    assert_eq!(parked(&mut stage).await, expected);
}

#[tokio::test]
async fn a_successor_knows_what_is_parked() {
    let mut stage = three_bookings().await;
    let mut follower = clerk("a")
        .planning(refusing(&[1]))
        .following(&stage.journal);
    follower.step().await.unwrap();
    drop(follower);
    end_the_lease(&mut stage).await;
    stage
        .append(append(6).to("Payment", 1, 0, 1))
        .await
        .unwrap();
    let mut successor = clerk("b").following(&stage.journal);
    assert_eq!(
        successor.step().await.unwrap(),
        Step::Advanced {
            events: 1,
            position: 6
        }
    );
    assert_eq!(effects(&mut stage).await, ["a 2", "a 4"]);
    let expected = ["1 of 1: it makes no sense", "3 of 1", "5 of 1", "6 of 1"];
    assert_eq!(parked(&mut stage).await, expected);
}

#[tokio::test]
async fn two_poisons_in_one_batch_park_two_bookings() {
    let mut stage = three_bookings().await;
    let mut follower = clerk("a")
        .planning(refusing(&[4]))
        .written(refusing(&[1]))
        .following(&stage.journal);
    assert_eq!(
        follower.step().await.unwrap(),
        Step::Advanced {
            events: 5,
            position: 5
        }
    );
    assert_eq!(effects(&mut stage).await, ["a 2"]);
    let expected = [
        "1 of 1: it makes no sense",
        "3 of 1",
        "4 of 3: it makes no sense",
        "5 of 1",
    ];
    assert_eq!(parked(&mut stage).await, expected);
}

#[tokio::test]
async fn an_event_that_cannot_be_read_parks_its_booking() {
    let mut stage = stage_with(1).await;
    let unreadable = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                      values ('Book', '1', 2, 'Rebooked', '9', '{}', '{\"occurred_at\": \"2026-11-22T08:40:01Z\", \"actor_type\": \"system\"}')";
    sql::run(&mut stage.owner, unreadable).await;
    stage
        .append(append(3).to("Payment", 1, 0, 1))
        .await
        .unwrap();
    stage.append(append(4).to("Book", 2, 0, 1)).await.unwrap();
    let mut follower = clerk("a").following(&stage.journal);
    assert_eq!(
        follower.step().await.unwrap(),
        Step::Advanced {
            events: 4,
            position: 4
        }
    );
    assert_eq!(effects(&mut stage).await, ["a 1", "a 4"]);
    let parked = parked(&mut stage).await;
    assert!(
        parked[0].starts_with("2 of 1: Book event \"Rebooked\""),
        "{parked:?}"
    );
    assert_eq!(parked[1..], ["3 of 1"]);
}

#[tokio::test]
async fn poison_outside_the_batch_is_an_error_and_moves_nothing() {
    let mut stage = stage_with(2).await;
    let confused = clerk("a").planning(|_| {
        use futures::future::{FutureExt, ready};
        let poison = journal::follow::HandlerError::Poison {
            position: 99,
            reason: "it is elsewhere".to_owned(),
        };
        ready(Err(poison)).boxed()
    });
    let error = confused.following(&stage.journal).step().await.unwrap_err();
    assert!(error.to_string().contains("99"), "{error}");
    assert_eq!(
        (effects(&mut stage).await.len(), position(&mut stage).await),
        (0, 0)
    );
}
