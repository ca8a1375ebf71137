//! Following a journal with a past: rows are taken or parked whole, and what waits for a newer program is freed by it.

use journal::Journal;
use journal::follow::Step;
use journal::recover::ParkedAt;
use serde_json::json;

use super::clerk::{clerk, effects, position, refusing, stage_with};
use crate::past::{Row, booked_1, paid, upgraded, viewed, write};
use crate::sql;
use crate::stage::Stage;

fn advanced(events: usize, position: i64) -> Step {
    Step::Advanced { events, position }
}

/// Positions, stored names and versions, and the reason if it is one's own.
async fn parked(stage: &mut Stage) -> Vec<String> {
    let rows = "select position || ' ' || event_type || ' ' || event_version || case when unread then ' unread' else '' end
                       || coalesce(': ' || reason, '')
                from parked order by position";
    sql::texts(&mut stage.owner, rows).await
}

/// Bookings 1, 2 and 1 again, at positions 1 to 3, which an older program wrote.
async fn old_rows(rows: &[(i64, Row<'_>)]) -> Stage {
    let mut stage = stage_with(0).await;
    for (key, row) in rows {
        write(&mut stage, *key, row).await;
    }
    stage
}

#[tokio::test]
async fn a_batch_in_which_nothing_means_anything_moves_the_checkpoint() {
    let mut stage = old_rows(&[(1, viewed(1)), (2, viewed(2))]).await;
    let mut follower = clerk("a").following(&upgraded(&stage));
    assert_eq!(follower.step().await.unwrap(), advanced(0, 2));
    assert_eq!(position(&mut stage).await, 2);
    assert_eq!(follower.step().await.unwrap(), Step::Idle { hole: None });
    assert_eq!(effects(&mut stage).await, [""; 0]);
}

#[tokio::test]
async fn the_parts_of_a_row_are_taken_in_one_batch_up_to_any_position() {
    let mut stage = old_rows(&[(1, paid(1)), (1, viewed(1)), (1, paid(1))]).await;
    let mut follower = clerk("a").following(&upgraded(&stage)).in_bulk(1);
    assert_eq!(follower.step().await.unwrap(), advanced(2, 1));
    assert_eq!(
        follower.step_to(1).await.unwrap(),
        Step::Idle { hole: None }
    );
    assert_eq!(follower.step_to(2).await.unwrap(), advanced(0, 2));
    assert_eq!(follower.step_to(3).await.unwrap(), advanced(2, 3));
    assert_eq!(effects(&mut stage).await, ["a 1", "a 1", "a 3", "a 3"]);
}

#[tokio::test]
async fn a_row_is_parked_whole_and_once_whichever_part_is_poison_and_tried_again_whole() {
    let mut stage = old_rows(&[(1, booked_1(1)), (1, paid(1)), (1, viewed(1)), (1, paid(1))]).await;
    let mut follower = clerk("a")
        .written(refusing(&[2]))
        .following(&upgraded(&stage));
    // Counted before one knows that a part is poison; the row that means nothing waits for nobody.
    assert_eq!(follower.step().await.unwrap(), advanced(3, 4));
    assert_eq!(effects(&mut stage).await, ["a 1"]);
    assert_eq!(
        parked(&mut stage).await,
        ["2 Paid 1: it makes no sense", "4 Paid 1"]
    );
    write(&mut stage, 1, &paid(1)).await;
    write(&mut stage, 2, &booked_1(2)).await;
    assert_eq!(follower.step().await.unwrap(), advanced(2, 6));
    assert_eq!(parked(&mut stage).await.len(), 3);
    follower.release().await.unwrap();

    let mut mended = clerk("b").following(&upgraded(&stage));
    mended.step().await.unwrap();
    assert_eq!(parked(&mut stage).await.len(), 3, "nobody asked");
    stage
        .journal
        .retry_parked(&booking(1), "ann")
        .await
        .unwrap();
    assert_eq!(mended.step().await.unwrap(), advanced(6, 6));
    assert_eq!(
        effects(&mut stage).await,
        ["a 1", "b 2", "b 2", "b 4", "b 4", "b 5", "b 5", "a 6"]
    );
    assert_eq!(parked(&mut stage).await, [""; 0]);
}

fn booking(key: i64) -> ParkedAt {
    ParkedAt {
        name: "clerk".to_owned(),
        generation: 1,
        key: key.to_string(),
    }
}

/// What only the upgraded program can read, of booking 1, and in between booking 2, which both can.
async fn newer_rows() -> Stage {
    let mut stage = stage_with(0).await;
    let confirmed = json!({"type": "BookConfirmed", "bookid": 2, "status": "success-register"});
    for (key, row) in [
        (1, booked_2(1)),
        (2, ("Book", "BookConfirmed", "1", confirmed.clone())),
        (1, viewed(1)),
        (1, paid(1)),
        (2, ("Book", "BookConfirmed", "1", confirmed)),
    ] {
        write(&mut stage, key, &row).await;
    }
    stage
}

fn booked_2(key: i64) -> Row<'static> {
    let payload = json!({"type": "Booked", "bookid": key, "userid": 7, "spacename": "numberone", "status": "booking",
                         "price": 10_000});
    ("Book", "Booked", "2", payload)
}

async fn lag(journal: &Journal) -> (i64, i64) {
    let status = journal.status().await.unwrap();
    let clerk = status.followers.iter().find(|f| f.name == "clerk").unwrap();
    (clerk.lag_events, clerk.parked)
}

#[tokio::test]
async fn what_a_newer_program_wrote_is_parked_and_freed_by_that_program_by_itself() {
    let mut stage = newer_rows().await;
    let mut old = clerk("old").following(&stage.journal);
    assert_eq!(old.step().await.unwrap(), advanced(5, 5));
    assert_eq!(effects(&mut stage).await, ["old 2", "old 5"]);
    assert_eq!(lag(&stage.journal).await, (0, 3), "nobody else waits");
    let said = parked(&mut stage).await;
    assert_eq!(said.len(), 3);
    for (said, name) in said
        .iter()
        .zip(["1 Booked 2", "3 BookingViewed 1", "4 Paid 1"])
    {
        assert!(said.starts_with(&format!("{name} unread: ")), "{said}");
        assert!(
            said.contains("a newer one wrote it; upgrade this node"),
            "{said}"
        );
    }
    let list = stage.journal.parked(9).await.unwrap();
    assert_eq!(
        (
            list.len(),
            list[0].waits_for_upgrade,
            list[0].event_version.as_deref()
        ),
        (1, true, Some("2"))
    );

    // Asked for too early, it stays, and says so.
    stage
        .journal
        .retry_parked(&booking(1), "ann")
        .await
        .unwrap();
    assert_eq!(old.step().await.unwrap(), advanced(0, 5));
    assert_eq!(parked(&mut stage).await, said);
    old.release().await.unwrap();
    let mut restarted = clerk("old").following(&stage.journal);
    assert_eq!(restarted.step().await.unwrap(), Step::Idle { hole: None });
    restarted.release().await.unwrap();

    let mut new = clerk("new").following(&upgraded(&stage));
    assert_eq!(new.step().await.unwrap(), advanced(3, 5));
    assert_eq!(
        effects(&mut stage).await,
        ["new 1", "old 2", "new 4", "new 4", "old 5"]
    );
    assert_eq!(parked(&mut stage).await, [""; 0]);
    assert_eq!(lag(&stage.journal).await, (0, 0));
    // The booking goes the usual way again.
    write(&mut stage, 1, &viewed(1)).await;
    write(&mut stage, 1, &paid(1)).await;
    assert_eq!(new.step().await.unwrap(), advanced(2, 7));
}

#[tokio::test]
async fn what_still_cannot_be_read_or_is_parked_for_another_reason_is_not_tried_by_itself() {
    let mut stage = newer_rows().await;
    let confirmed = json!({"type": "BookConfirmed", "bookid": 4, "status": "success-register"});
    let rows = [
        (2, ("Book", "Rebooked", "9", json!({}))),
        // Torn for the old program, whose `Booked` 1 looks otherwise.
        (3, booked_1(3)),
        (4, ("Book", "BookConfirmed", "1", confirmed)),
    ];
    for (key, row) in &rows {
        write(&mut stage, *key, row).await;
    }
    let mut old = clerk("old")
        .written(refusing(&[8]))
        .following(&stage.journal);
    old.step().await.unwrap();
    old.release().await.unwrap();
    let before = parked(&mut stage).await;
    assert_eq!(before.len(), 6);
    let names = [
        "6 Rebooked 9 unread: ",
        "7 Booked 1 unread: ",
        "8 BookConfirmed 1: ",
    ];
    for (said, name) in before[3..].iter().zip(names) {
        assert!(said.starts_with(name), "{said}");
    }

    let mut new = clerk("new").following(&upgraded(&stage));
    for _ in 0..8 {
        new.step().await.unwrap();
    }
    let after = parked(&mut stage).await;
    assert_eq!(after, [before[3].as_str(), &before[5]]);
}

#[tokio::test]
async fn a_booking_that_stopped_for_another_stream_is_freed_with_it() {
    let mut stage = newer_rows().await;
    // As the saga does, whose command met an event that is still before it in the feed: booking 1 stops at an event
    // that can be read.
    let confirmed = json!({"type": "BookConfirmed", "bookid": 1, "status": "success-register"});
    write(&mut stage, 3, &("Book", "BookConfirmed", "1", confirmed)).await;
    let mut old = clerk("old")
        .written(refusing(&[6]))
        .following(&stage.journal);
    old.step().await.unwrap();
    write(&mut stage, 3, &booked_2(3)).await;
    old.step().await.unwrap();
    old.release().await.unwrap();
    let waiting = parked(&mut stage).await;
    assert!(waiting[3].starts_with("6 BookConfirmed 1: "), "{waiting:?}");
    assert!(waiting[4].starts_with("7 Booked 2 unread: "), "{waiting:?}");

    let mut new = clerk("new").following(&upgraded(&stage));
    for _ in 0..8 {
        new.step().await.unwrap();
    }
    assert_eq!(parked(&mut stage).await, [""; 0]);
}
