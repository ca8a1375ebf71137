//! Pages, orders, filters.

use domain::UserId;
use projections::{BookRow, BookingFilter, MypageRow, PageRequest, PaymentRow, SpaceRow};

use crate::story::{self, CANCELLED, REGISTERED, Step, play};
use crate::world::World;

/// Bookings 1 to 6 of users 1, 2, 3, 1, 2, 3; number 2 is paid, 3 registered, 4 cancelled, 5 declined.
async fn bookings() -> World {
    let world = World::new().await;
    for id in 1..=6 {
        let space = if id % 2 == 0 { "even" } else { "odd" };
        story::place(&world, id, (id - 1) % 3 + 1, space).await;
    }
    play(&world, 2, &[Step::Approve]).await;
    play(&world, 3, &REGISTERED[1..]).await;
    play(&world, 4, &REGISTERED[1..]).await;
    play(&world, 4, &CANCELLED).await;
    play(&world, 5, &[Step::Decline, Step::Reject]).await;
    world.follow_to_the_end().await;
    world
}

fn page(page: u64, size: u64, sort: &[(&str, bool)]) -> PageRequest {
    let sort = sort
        .iter()
        .map(|(column, down)| ((*column).to_owned(), *down))
        .collect();
    PageRequest { page, size, sort }
}

async fn books(world: &World, request: PageRequest) -> (Vec<i64>, i64) {
    let found = world
        .models
        .list::<BookRow>(&BookingFilter::default(), &request)
        .await
        .unwrap();
    (
        found.rows.iter().map(|row| row.bookid).collect(),
        found.total,
    )
}

#[tokio::test]
async fn pages_are_ordered_by_id_unless_asked_otherwise() {
    let world = bookings().await;
    assert_eq!(
        books(&world, page(0, 20, &[])).await,
        (vec![1, 2, 3, 4, 5, 6], 6)
    );
    assert_eq!(books(&world, page(1, 4, &[])).await, (vec![5, 6], 6));
    assert_eq!(
        books(&world, page(0, 3, &[("bookid", true)])).await,
        (vec![6, 5, 4], 6)
    );
    let by_user = [("userid", true), ("spacename", false)];
    assert_eq!(
        books(&world, page(0, 20, &by_user)).await,
        (vec![6, 3, 2, 5, 4, 1], 6)
    );
    assert_eq!(
        books(&world, page(0, 2, &[("moon", true)])).await,
        (vec![1, 2], 6)
    );
}

#[tokio::test]
async fn past_the_end_the_total_is_still_right() {
    let world = bookings().await;
    assert_eq!(books(&world, page(9, 4, &[])).await, (vec![], 6));
    assert_eq!(books(&world, page(u64::MAX, 1_000, &[])).await, (vec![], 6));
    let empty = World::new().await;
    assert_eq!(books(&empty, page(0, 20, &[])).await, (vec![], 0));
}

#[tokio::test]
async fn payments_and_spaces_are_shown_once_there_is_something_to_show() {
    let world = bookings().await;
    let payments = world
        .models
        .list::<PaymentRow>(&BookingFilter::default(), &page(0, 20, &[]))
        .await
        .unwrap();
    let ids: Vec<_> = payments.rows.iter().map(|row| row.payid).collect();
    assert_eq!((ids, payments.total), (vec![2, 3, 4, 5], 4));
    let spaces = world
        .models
        .list::<SpaceRow>(&BookingFilter::default(), &page(0, 1, &[]))
        .await
        .unwrap();
    let ids: Vec<_> = spaces.rows.iter().map(|row| row.spaceid).collect();
    assert_eq!((ids, spaces.total), (vec![3], 2));
    assert!(
        world
            .models
            .find::<PaymentRow>(domain::BookId(1))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        world
            .models
            .find::<SpaceRow>(domain::BookId(2))
            .await
            .unwrap()
            .is_none()
    );
    assert!(
        world
            .models
            .find::<BookRow>(domain::BookId(7))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn mypages_pass_a_filter_in_either_vocabulary() {
    let world = bookings().await;
    let none = BookingFilter::default();
    let status = |word: &str| BookingFilter {
        status: Some(word.into()),
        ..none.clone()
    };
    let phase = |word: &str| BookingFilter {
        phase: Some(word.into()),
        ..none.clone()
    };
    for (filter, expected) in [
        (none.clone(), vec![1, 2, 3, 4, 5, 6]),
        (
            BookingFilter {
                userid: Some(1),
                ..none.clone()
            },
            vec![1, 4],
        ),
        (
            BookingFilter {
                bookid: Some(5),
                ..none.clone()
            },
            vec![5],
        ),
        (
            BookingFilter {
                spacename: Some("odd".into()),
                ..none.clone()
            },
            vec![1, 3, 5],
        ),
        (
            BookingFilter {
                spacename: Some("odd".into()),
                ..status("booking")
            },
            vec![1],
        ),
        (status("booking"), vec![1, 6]),
        (status("placed"), vec![1, 6]),
        (status("success-pay"), vec![2]),
        (status("Registered"), vec![3]),
        (status("success-register"), vec![3]),
        (status("registered"), vec![3]),
        (status("cancel-register"), vec![4]),
        (status("cancelled"), vec![4]),
        (phase("cancelled"), vec![4]),
        (phase("cancel-register"), vec![]),
        (phase("payment_failed"), vec![5]),
        (
            BookingFilter {
                userid: Some(2),
                ..phase("payment_failed")
            },
            vec![5],
        ),
        (
            BookingFilter {
                userid: Some(1),
                ..phase("payment_failed")
            },
            vec![],
        ),
    ] {
        let found = world
            .models
            .list::<MypageRow>(&filter, &page(0, 20, &[]))
            .await
            .unwrap();
        let ids: Vec<_> = found.rows.iter().map(|row| row.id).collect();
        let total = i64::try_from(expected.len()).unwrap();
        assert_eq!((ids, found.total), (expected, total), "with {filter:?}");
    }
    let second = page(1, 1, &[("id", true)]);
    let found = world
        .models
        .list::<MypageRow>(&status("booking"), &second)
        .await
        .unwrap();
    assert_eq!((found.rows[0].id, found.total), (1, 2));
}

#[tokio::test]
async fn a_users_bookings_are_found_in_every_read_model_and_by_an_index() {
    let world = bookings().await;
    let (mine, all) = (BookingFilter::of_user(UserId(1)), page(0, 20, &[]));
    let books = world.models.list::<BookRow>(&mine, &all).await.unwrap();
    let ids: Vec<_> = books.rows.iter().map(|row| row.bookid).collect();
    assert_eq!((ids, books.total), (vec![1, 4], 2));
    let payments = world.models.list::<PaymentRow>(&mine, &all).await.unwrap();
    let ids: Vec<_> = payments.rows.iter().map(|row| row.payid).collect();
    assert_eq!((ids, payments.total), (vec![4], 1));
    let spaces = world.models.list::<SpaceRow>(&mine, &all).await.unwrap();
    let ids: Vec<_> = spaces.rows.iter().map(|row| row.spaceid).collect();
    assert_eq!((ids, spaces.total), (vec![4], 1));
    let other = BookingFilter {
        bookid: Some(5),
        ..BookingFilter::default()
    };
    let payments = world.models.list::<PaymentRow>(&other, &all).await.unwrap();
    assert_eq!((payments.rows[0].bookid, payments.total), (5, 1));

    for (from, key) in [
        ("books.books", "bookid"),
        ("payments.payments", "payid"),
        ("spaces.spaces", "spaceid"),
        ("mypage.mypages", "id"),
    ] {
        // A small table is read whole unless that is forbidden; what is left is the index.
        let plan = world
            .plan(&format!(
                "select * from {from} where userid = 1 order by {key} limit 20"
            ))
            .await;
        assert!(plan.contains("Index Scan using"), "{from}: {plan}");
        assert!(plan.contains("Index Cond: (userid = 1)"), "{from}: {plan}");
    }
}
