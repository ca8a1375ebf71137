//! Venues travel with the journal, because slots are named by the numbers of their units.

use journal::transfer::TransferError;
use journal::venues::Place;

use super::desk::{exported, import, import_text};
use crate::samples;
use crate::sql;
use crate::stage::Stage;
use crate::venues::{change, define, numberone};

/// Everything that the tables say.
async fn told(stage: &mut Stage) -> Vec<String> {
    let all = "select to_jsonb(v)::text from venues v union all select to_jsonb(u)::text from venue_units u
               union all select to_jsonb(c)::text from venue_changes c order by 1";
    sql::texts(&mut stage.owner, all).await
}

#[tokio::test]
async fn units_keep_their_numbers() {
    let mut first = Stage::open().await;
    define(&first, "numbertwo", 2).await;
    define(&first, "numberone", 3).await;
    define(&first, "numberone", 1).await;
    let retired = first.journal.retire_venue("numbertwo", &change(None)).await;
    retired.unwrap();
    first.append(samples::booked(1, 7)).await.unwrap();
    let text = exported(&first).await;
    let mut second = Stage::open().await;
    import_text(&import(&second), &text).await.unwrap();
    assert_eq!(told(&mut second).await, told(&mut first).await);
    assert_eq!(numberone(&second).await, numberone(&first).await);
    // Those that come are new ones.
    define(&second, "numberthree", 1).await;
    let Place::Venue(third) = second.journal.place("numberthree").await.unwrap() else {
        panic!("it is there");
    };
    assert_eq!(third.units, [6]);
}

#[tokio::test]
async fn what_is_here_stays_and_other_units_under_its_numbers_are_a_collision() {
    let first = Stage::open().await;
    define(&first, "numberone", 1).await;
    first.append(samples::booked(1, 7)).await.unwrap();
    let text = exported(&first).await;
    for (name, units) in [("numberone", 2), ("numbertwo", 1)] {
        let mut second = Stage::open().await;
        define(&second, name, units).await;
        let before = told(&mut second).await;
        let mut import = import(&second);
        import.append = true;
        let done = import_text(&import, &text).await;
        if name == "numberone" {
            done.unwrap();
        } else {
            let error = done.unwrap_err();
            let named =
                matches!(&error, TransferError::Collision(what) if what.contains("numberone"));
            assert!(named, "{error}");
        }
        assert_eq!(told(&mut second).await, before);
    }
}
