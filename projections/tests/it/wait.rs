//! Reading one's own writes.

use std::time::Duration;

use journal::runtime::Tokio;
use projections::{Freshness, MypageRow};

use crate::story::{REGISTERED, play};
use crate::world::{SOON, World};

const A_MOMENT: Duration = Duration::from_millis(60);

#[tokio::test]
async fn who_waits_for_what_is_there_waits_for_nothing() {
    let world = World::new().await;
    let fresh = world
        .models
        .wait("books", 0, &Tokio, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!((fresh.position, fresh.lag_events), (0, 0));
}

#[tokio::test]
async fn the_wait_ends_when_the_follower_comes() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    let head = world.journal.head().await.unwrap();
    let waiting = world.models.wait("mypage", head, &Tokio, SOON);
    let following = async {
        let followers = world.follow();
        world.caught_up().await;
        followers
    };
    let (fresh, followers) = tokio::join!(waiting, following);
    assert_eq!(fresh.unwrap().position, head);
    let seen = world
        .models
        .find::<MypageRow>(domain::BookId(1))
        .await
        .unwrap();
    assert_eq!(seen.unwrap().phase, domain::Phase::Registered);
    followers.stop().await;
}

#[tokio::test]
async fn who_waits_in_vain_is_told_how_much_is_missing() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    world.follow_to_the_end().await;
    let position = world.journal.head().await.unwrap();
    play(&world, 2, &REGISTERED).await;
    let head = world.journal.head().await.unwrap();
    let fresh = world
        .models
        .wait("mypage", head, &Tokio, A_MOMENT)
        .await
        .unwrap();
    // Booked, PaymentRequested, Approved, PointsAccrued, Registered, BookConfirmed.
    let lag_events = 6;
    assert_eq!(
        fresh,
        Freshness {
            position,
            lag_events
        }
    );
    // No more are counted than was asked for: behind by a year costs what behind by a day does.
    for (at_most, counted) in [(5, 5), (6, 6), (7, 6)] {
        let behind = world.journal.events_behind(position, at_most).await;
        assert_eq!(behind.unwrap(), counted);
    }
    // A position that nothing was ever stored at.
    let fresh = world
        .models
        .wait("mypage", i64::MAX, &Tokio, A_MOMENT)
        .await
        .unwrap();
    assert_eq!(fresh.position, position);
    // A projection that nobody knows has seen nothing.
    let fresh = world
        .models
        .wait("moods", head, &Tokio, A_MOMENT)
        .await
        .unwrap();
    assert_eq!((fresh.position, fresh.lag_events), (0, 12));
}
