//! Imported bookings have their slots and their points, whatever the file says of them.

use domain::{BookId, Command};
use journal::append::Outcome;
use journal::transfer::TransferError;
use serde_json::json;

use super::desk::{export, exported, folder, import, import_text};
use crate::needs::{ASTRAY, confirmed, placed, slot, stored, to_move};
use crate::samples::{Compose, append, hour, request};
use crate::sql;
use crate::stage::Stage;
use journal::transfer::Target;

/// Three bookings of a time, one of them moved and one cancelled, and what their customer earned and spent.
async fn told() -> Stage {
    let stage = Stage::open().await;
    confirmed(&stage, 1, 1, 10, 12).await;
    confirmed(&stage, 2, 2, 10, 12).await;
    placed(&stage, 3, 3, 20, 22).await;
    let points =
        |name: &str, points: i64| json!({"type": name, "payid": 9, "userid": 7, "points": points});
    for (number, name, count) in [(4, "PointsAccrued", 100), (5, "PointsSpent", 30)] {
        let key = i64::try_from(number).unwrap() + 100;
        let command = append(number).saying("Payment", key, 0, name, points(name, count));
        stage.append(command).await.unwrap();
    }
    stage
}

/// Moves the first and cancels the second.
async fn go_on(stage: &Stage) {
    stored(stage, to_move(6, 1, slot(30, 32))).await;
    let cancel = Command::cancel_booking(BookId(2), None, hour(1));
    stored(stage, request(7, cancel)).await;
}

const HELD: &str = "select bookid || ' in ' || unit from slot_claims order by bookid";

#[tokio::test]
async fn an_imported_booking_has_its_slot_and_its_customers_points() {
    let first = told().await;
    go_on(&first).await;
    let text = exported(&first).await;
    let mut second = Stage::open().await;
    let report = import_text(&import(&second), &text).await.unwrap();
    assert_eq!(report.claims, 2);
    assert_eq!(second.number(ASTRAY).await, 0);
    assert_eq!(
        sql::texts(&mut second.owner, HELD).await,
        ["1 in 5", "3 in 5"]
    );
    assert_eq!(second.number("select points_balance(7)").await, 70);
    let over = append(100).to("Book", 100, 0, 1).claiming(100, 5, 31, 33);
    assert_eq!(second.append(over).await.unwrap(), Outcome::Taken);
    let too_many = append(201).to("Book", 201, 0, 1).spending(7, 71);
    assert_eq!(second.append(too_many).await.unwrap(), Outcome::NotCovered);
}

#[tokio::test]
async fn a_file_that_was_cut_names_no_slots_and_they_are_there() {
    let first = told().await;
    go_on(&first).await;
    let text = exported(&first).await;
    let cut = &text[..text.find("{\"state\"").unwrap()];
    let mut second = Stage::open().await;
    let mut import = import(&second);
    import.allow_truncated = true;
    // The cancellation is the last command, and so it is left out: its booking lives here.
    let report = import_text(&import, cut).await.unwrap();
    assert_eq!(report.claims, 3);
    assert_eq!(second.number(ASTRAY).await, 0);
    assert_eq!(
        sql::texts(&mut second.owner, HELD).await,
        ["1 in 5", "2 in 6", "3 in 5"]
    );
}

#[tokio::test]
async fn a_file_that_ends_early_has_the_slots_of_then() {
    let first = told().await;
    let head = first.journal.head().await.unwrap();
    go_on(&first).await;
    let text = exported_to(&first, head).await;
    assert!(text.contains("\"claim\""), "where they are now");
    let mut second = Stage::open().await;
    let report = import_text(&import(&second), &text).await.unwrap();
    assert_eq!(report.claims, 3);
    assert_eq!(second.number(ASTRAY).await, 0);
    let first_hour = "select (extract(epoch from lower(during))::bigint - 1795000000) / 3600 from slot_claims where bookid = 1";
    assert_eq!(second.number(first_hour).await, 9, "with its buffer");
}

/// Everything up to a position, and the slots as they are now.
async fn exported_to(stage: &Stage, position: i64) -> String {
    let folder = folder();
    let path = folder.path().join("then");
    let mut early = export(stage);
    early.to = Some(position);
    early.run(Target::File(path.clone())).await.unwrap();
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn a_file_that_names_a_slot_twice_has_the_slots_of_its_events() {
    let first = told().await;
    let head = first.journal.head().await.unwrap();
    let before = exported_to(&first, head).await;
    // The first goes, and the second comes to where it was.
    stored(&first, to_move(6, 1, slot(30, 32))).await;
    stored(&first, to_move(7, 2, slot(11, 13))).await;
    let after = exported_to(&first, head).await;
    // One page was read before that, and the next one after it.
    let of = |text: &str, bookid: i64| -> String {
        let is_claim = |line: &&str| line.contains("\"claim\"");
        let says = format!("\"bookid\":{bookid},");
        let mut claims = text.lines().filter(is_claim);
        claims.find(|line| line.contains(&says)).unwrap().to_owned()
    };
    let text = before.replace(&of(&before, 2), &of(&after, 2));
    assert_ne!(text, before);
    // The footer vouches for another text.
    let text = &text[..text.find("{\"footer\"").unwrap()];
    let mut second = Stage::open().await;
    let mut import = import(&second);
    import.allow_truncated = true;
    let report = import_text(&import, text).await.unwrap();
    assert_eq!(report.claims, 3);
    assert_eq!(second.number(ASTRAY).await, 0);
}

#[tokio::test]
async fn a_slot_that_somebody_has_here_is_a_collision() {
    let first = told().await;
    let text = exported(&first).await;
    let mut second = Stage::open().await;
    let here = append(100).to("Book", 100, 0, 1).claiming(100, 6, 11, 13);
    second.append(here).await.unwrap();
    let mut import = import(&second);
    import.append = true;
    for file in [text.clone(), without_claims(&text)] {
        import.allow_truncated = file.len() < text.len();
        let refused = import_text(&import, &file).await;
        assert!(
            matches!(refused, Err(TransferError::Collision(_))),
            "{refused:?}"
        );
    }
    assert_eq!(
        sql::texts(&mut second.owner, HELD).await,
        ["100 in 6"],
        "and nothing is added"
    );
}

fn without_claims(text: &str) -> String {
    text[..text.find("{\"state\"").unwrap()].to_owned()
}
