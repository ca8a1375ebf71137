//! The story of a booking, and of a request: all of it, and nothing of others.

use journal::feed::Item;
use journal::story::Subject;

use crate::samples::{Compose, append};
use crate::sql;
use crate::stage::Stage;

#[tokio::test]
async fn a_booking_has_its_three_streams_and_a_journey_what_it_led_to() {
    let mut stage = Stage::open().await;
    for (command, stream, key) in [
        (1, "Book", 7),
        (2, "Payment", 7),
        (3, "Book", 77),
        (4, "Payment", 77),
    ] {
        let command = append(command).to(stream, key, 0, 1);
        stage.append(command).await.unwrap();
    }
    let other = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                 values ('Space', '7', 1, 'Registered', '1', '{}', '{\"correlation_id\": \"another\"}')";
    sql::run(&mut stage.owner, other).await;
    // Of an aggregate that only a newer program knows.
    let newer = "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                 values ('Parcel', '7', 1, 'Sent', '1', '{}', '{}'), ('Aisle', '77', 1, 'Swept', '1', '{}', '{}')";
    sql::run(&mut stage.owner, newer).await;
    let story = async |subject| {
        let events = stage.journal.story(&subject).await.unwrap();
        events
            .iter()
            .map(|event| event.position)
            .collect::<Vec<_>>()
    };
    assert_eq!(story(Subject::Booking(7)).await, [1, 2, 5, 6]);
    let of_booking = stage.journal.of_booking("7", 5).await.unwrap();
    assert_eq!(
        of_booking.iter().map(Item::position).collect::<Vec<_>>(),
        [1, 2, 5]
    );
    let of_booking = stage.journal.of_booking("7", 6).await.unwrap();
    assert!(matches!(&of_booking[3], Item::Unreadable(sent) if sent.event_type == "Sent"));
    assert_eq!(story(Subject::Booking(8)).await, [0; 0]);
    assert_eq!(
        story(Subject::Journey("journey".into())).await,
        [1, 2, 3, 4]
    );
    assert_eq!(story(Subject::Journey("another".into())).await, [5]);
}
