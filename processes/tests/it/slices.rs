//! The saga cut into slices: every order ends as it does without, each command and each job is there once.

use std::sync::Arc;

use domain::{BookId, Command, payment, space};
use futures::future::join;
use journal::follow::{self, Slice, Step};
use journal::runtime::Tokio;
use journal::schema;
use processes::order;
use tokio_util::sync::CancellationToken;

use crate::world::{PRICE, World, beside, look_again, settings, within};

async fn cut(world: &World, slices: i32) {
    let mut owner = schema::connect_as_owner(world.url()).await.unwrap();
    let before = follow::cut(&mut owner, &order::follower_id(), slices).await;
    assert!(before.unwrap().is_some());
}

/// Lets these slices of so many take everything that is there.
async fn run_slices(world: &World, of: i32, runs: impl Fn(Slice) -> bool) {
    for slice in Slice::each_of(of).filter(|slice| runs(*slice)) {
        let mut saga = order::follower_of(world.journal.clone(), settings(), slice);
        let idle =
            async { while !matches!(saga.step().await.unwrap(), Step::Idle { hole: None }) {} };
        within(idle).await;
        saga.release().await.unwrap();
    }
}

async fn pays(world: &World, bookid: BookId) {
    let approval = payment::Command::RecordApproval {
        charge_no: 1,
        gateway_ref: format!("reference {bookid}"),
        captured: PRICE,
    };
    world
        .execute(vec![Command::Payment(bookid, approval)])
        .await;
}

async fn is_declined(world: &World, bookid: BookId) {
    let decline = payment::Command::RecordDecline {
        charge_no: 1,
        code: "no".to_owned(),
        message: "no".to_owned(),
    };
    world.execute(vec![Command::Payment(bookid, decline)]).await;
}

async fn is_served(world: &World, bookid: BookId) {
    let by = || "staff".to_owned();
    let ready = space::Command::CompletePreparation { by: by() };
    world.execute(vec![Command::Space(bookid, ready)]).await;
    let method = space::Method::Staff;
    let over = space::Command::HandOver { method, by: by() };
    world.execute(vec![Command::Space(bookid, over)]).await;
}

/// What people do, in four acts; the saga runs after each.
async fn act(world: &World, number: usize) {
    for bookid in (1..=12).map(BookId) {
        match (number, bookid.0 % 6) {
            (0, _) => {
                let due = world.place("numberone").await;
                assert_eq!(due.bookid, bookid);
            }
            (1, 1..=3) => pays(world, bookid).await,
            (1, 4) => is_declined(world, bookid).await,
            (1, 5) => world.defer(bookid, false).await,
            (2, 1) => is_served(world, bookid).await,
            (2, 2 | 5) => world.cancel(bookid).await,
            (3, 5) => pays(world, bookid).await,
            _ => {}
        }
    }
}

const ACTS: usize = 4;

/// Everything that the saga has done, without ids and places, which differ from run to run.
async fn outcome(world: &World) -> Vec<String> {
    let everything = "
        select 'order ' || bookid || ' ' || state::text from orders
        union all
        select 'job ' || kind || ' ' || key || ' ' || state || ' ' || (payload ->> 'sent' is not null) from jobs
        union all
        select 'story ' || aggregate_type || ' ' || aggregate_id || ' ' || string_agg(event_type, ' ' order by sequence)
        from events group by aggregate_type, aggregate_id
        union all
        select 'commands ' || count(*) || ' of ' || count(distinct command_id)
        from commands join (select distinct command_id from events) e using (command_id)
        union all
        select 'parked ' || count(*) from parked
        order by 1";
    sqlx::query_scalar(everything)
        .fetch_all(&world.owner)
        .await
        .unwrap()
}

#[tokio::test]
async fn orders_that_are_cut_again_and_again_end_as_without_slices() {
    let whole = World::new().await;
    for number in 0..ACTS {
        act(&whole, number).await;
        whole.run_saga().await;
    }
    // A last look, at what the saga itself has stored.
    whole.run_saga().await;
    let expected = outcome(&whole).await;
    assert!(
        expected.iter().any(|line| line.contains("BookConfirmed")),
        "{expected:#?}"
    );
    assert!(
        expected.iter().any(|line| line.starts_with("job refund")),
        "{expected:#?}"
    );

    let world = World::new().await;
    for (number, (of, next)) in [(1, 3), (3, 2), (2, 1), (1, 3)].into_iter().enumerate() {
        act(&world, number).await;
        // The last slice has not come to it when the saga is cut: the others begin before what they have done.
        run_slices(&world, of, |slice| of == 1 || slice.number() < of).await;
        cut(&world, next).await;
        run_slices(&world, next, |_| true).await;
        run_slices(&world, next, |_| true).await;
    }
    assert_eq!(outcome(&world).await, expected);
}

/// What stands in a booking's rows, and which transaction wrote it.
async fn written(world: &World) -> Vec<String> {
    let rows = "select 'order ' || bookid || ' at ' || position || ' by ' || xmin from orders
                union all select 'job ' || id || ' ' || kind || ' by ' || xmin from jobs
                union all select 'command ' || command_id from commands order by 1";
    sqlx::query_scalar(rows)
        .fetch_all(&world.owner)
        .await
        .unwrap()
}

#[tokio::test]
async fn what_a_slice_takes_again_after_a_cut_changes_nothing() {
    let world = World::new().await;
    cut(&world, 2).await;
    act(&world, 0).await;
    act(&world, 1).await;
    run_slices(&world, 2, |_| true).await;
    run_slices(&world, 2, |_| true).await;
    let before = written(&world).await;
    // As if one of the two had taken nothing, and all of it is cut from there.
    world
        .sql("update followers set position = 0 where slice = 2")
        .await;
    cut(&world, 3).await;
    assert_eq!(world.number("select max(position) from followers").await, 0);
    run_slices(&world, 3, |_| true).await;
    assert_eq!(written(&world).await, before);
    cut(&world, 1).await;
    world.run_saga().await;
    assert_eq!(written(&world).await, before);
}

#[tokio::test]
async fn two_nodes_work_on_while_the_saga_is_cut() {
    const BOOKINGS: i64 = 24;
    let world = World::in_real_time().await;
    let stop = CancellationToken::new();
    let nodes: Vec<_> = (1..=2)
        .map(|node| {
            let journal = world.journal.clone().as_node(uuid::Uuid::from_u128(node));
            beside(order::run(
                journal,
                Arc::new(Tokio),
                settings(),
                stop.clone(),
            ))
        })
        .collect();
    let people = async {
        for n in 1..=BOOKINGS {
            let bookid = world.place("numberone").await.bookid;
            if n % 4 == 0 {
                is_declined(&world, bookid).await;
            } else {
                pays(&world, bookid).await;
            }
        }
    };
    let cuts = async {
        for slices in [3, 2, 4, 1, 2] {
            cut(&world, slices).await;
            // Until the new ones are at work.
            let owned = format!(
                "select count(*) from followers where name = 'orders' and owner is not null and slice <= {slices}"
            );
            let at_work = async {
                while world.number(&owned).await < i64::from(slices) {
                    look_again().await;
                }
            };
            within(at_work).await;
        }
    };
    join(people, cuts).await;
    let done = "select count(*) from orders where state ->> 'stage' in ('fulfilling', 'failed')";
    let all = async {
        while world.number(done).await < BOOKINGS {
            look_again().await;
        }
    };
    within(all).await;
    stop.cancel();
    for node in nodes {
        within(node).await.unwrap();
    }
    for (name, times) in [
        ("Registered", 18),
        ("BookConfirmed", 18),
        ("BookRejected", 6),
    ] {
        let all = format!("select count(*) from events where event_type = '{name}'");
        let bookings =
            format!("select count(distinct aggregate_id) from events where event_type = '{name}'");
        assert_eq!(
            (world.number(&all).await, world.number(&bookings).await),
            (times, times),
            "{name}"
        );
    }
    assert_eq!(world.number("select count(*) from parked").await, 0);
    assert_eq!(world.number("select count(*) from jobs").await, 0);
}
