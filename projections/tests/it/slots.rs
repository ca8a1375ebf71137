//! Bookings for a time, and what becomes of them when they are moved.

use domain::book::{self, Scheduled};
use domain::payment::Difference;
use domain::space::Method;
use domain::terms::{Policy, Slot, Terms};
use domain::{BookId, Command, Money, UserId};
use jiff::Timestamp;
use projections::{BookRow, MypageRow};

use crate::story::{REGISTERED, Step, play};
use crate::world::World;

fn at(hour: &str) -> Timestamp {
    format!("2031-12-01T{hour}:00Z").parse().unwrap()
}

fn scheduled() -> Scheduled {
    Scheduled {
        slot: Slot::new(at("10:00"), at("12:00")),
        terms: Terms {
            venue_version: 1,
            timezone: "Asia/Seoul".into(),
            policy: Policy {
                grace_minutes: 60,
                tiers: vec![],
            },
            buffer_before_minutes: 0,
            buffer_after_minutes: 0,
            hold_minutes: 10,
            no_show_grace_minutes: 15,
            overtime_per_hour: Money::krw(10_000),
            hand_over: Method::Key,
        },
        booked_at: at("09:00"),
    }
}

/// From when to when books and My Page show a booking, at what price.
async fn shown(world: &World, id: i64) -> Vec<(Option<Timestamp>, Option<Timestamp>, i64)> {
    world.follow_to_the_end().await;
    let id = BookId(id);
    let book: BookRow = world.models.find(id).await.unwrap().unwrap();
    let page: MypageRow = world.models.find(id).await.unwrap().unwrap();
    assert_eq!(book.unit, None, "no venue gave it one");
    vec![
        (book.starts_at, book.ends_at, book.amount),
        (page.starts_at, page.ends_at, page.amount),
    ]
}

#[tokio::test]
async fn a_booking_shows_its_time_and_the_one_that_it_is_moved_to() {
    let world = World::new().await;
    let (bookid, userid) = (BookId(1), Some(UserId(1)));
    let (spacename, price) = ("numberone".to_owned(), Money::krw(10_000));
    let place = book::Command::Place {
        bookid,
        userid,
        spacename: spacename.clone(),
        price,
        scheduled: Some(Box::new(scheduled())),
    };
    let request = domain::payment::Command::Request {
        bookid,
        userid,
        spacename,
        price,
        points: domain::payment::Points::default(),
    };
    let commands = vec![
        Command::Book(bookid, place),
        Command::Payment(bookid, request),
    ];
    world.ask(commands).await.unwrap();
    let first = (Some(at("10:00")), Some(at("12:00")), 10_000);
    assert_eq!(shown(&world, 1).await, [first, first]);

    let rest: Vec<Step> = REGISTERED[1..].to_vec();
    play(&world, 1, &rest).await;
    let reschedule = book::Command::Reschedule {
        slot: Slot::new(at("14:00"), at("17:00")),
        difference: Difference {
            from: price,
            kept: 0,
            to: Money::krw(15_000),
            refund_percent: 100,
        },
        at: at("09:30"),
    };
    world
        .ask(vec![Command::Book(bookid, reschedule)])
        .await
        .unwrap();
    let moved = (Some(at("14:00")), Some(at("17:00")), 15_000);
    assert_eq!(shown(&world, 1).await, [moved, moved]);

    // One without a time has none.
    play(&world, 2, &REGISTERED).await;
    let none = (None, None, 10_000);
    assert_eq!(shown(&world, 2).await, [none, none]);
}
