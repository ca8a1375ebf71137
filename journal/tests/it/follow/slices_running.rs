//! Slices at work: nodes that share them, and what is said of them.

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::join;
use journal::follow::{self, Cut, Follower, InDatabase, Slice};
use journal::runtime::Tokio;
use journal::{Journal, StoreError};
use tokio_util::sync::CancellationToken;

use super::clerk::{Clerk, clerk};
use super::slices::{cut, id, rows, stage_to_cut};
use crate::force::{until, within};
use crate::samples::booked;
use crate::sql;
use crate::stage::{Stage, journal};

#[tokio::test]
async fn the_status_of_a_cut_follower_is_that_of_its_last_slice() {
    let mut stage = stage_to_cut(3).await;
    cut(&mut stage, 2).await;
    let facts = "
        update followers set position = 3, owner = gen_random_uuid(),
            lease_until = clock_timestamp() + interval '1 hour' where slice = 1;
        update followers set position = 2 where slice = 2;
        insert into incidents (class, subject, reason) values
            ('follower_failing', 'clerk/1/2', 'of this layout'), ('follower_failing', 'clerk/1/7', 'of another');
        insert into open_holes (follower, first_position, last_position) values ('clerk/1/7', 9, 9)";
    sql::run(&mut stage.owner, facts).await;
    let status = stage.journal.status().await.unwrap();
    let named = status.followers.iter().find(|f| f.name == "clerk");
    let only = named.unwrap();
    assert_eq!(
        (only.name.as_str(), only.position, only.lag_events),
        ("clerk", 2, 1)
    );
    assert_eq!(
        (only.state.as_str(), only.reason.as_deref()),
        ("failing", Some("of this layout"))
    );
    let layouts = stage.journal.layouts().await.unwrap();
    let clerk = &layouts[0];
    let parts: Vec<_> = clerk
        .parts
        .iter()
        .map(|part| (part.slice, part.position, part.lag_events, part.owned))
        .collect();
    assert_eq!(
        (clerk.slices, parts),
        (2, vec![(1, 3, 0, true), (2, 2, 1, false)])
    );

    // What was said of slices goes with them.
    cut(&mut stage, 1).await;
    let said = "select (select count(*) from incidents where ended_at is null) + (select count(*) from open_holes)";
    assert_eq!(stage.number(said).await, 0);
    assert_eq!(rows(&mut stage).await, ["0 at 2"]);
}

/// Clerks of however many slices there are.
struct Clerks {
    journal: Journal,
    name: &'static str,
}

#[async_trait]
impl Cut for Clerks {
    type Checkpoints = InDatabase;
    type Handler = Clerk;

    fn name(&self) -> &str {
        "clerk"
    }

    async fn slices(&self) -> Result<i32, StoreError> {
        self.journal.slices(&id()).await
    }

    fn follower(&self, slice: Slice) -> Follower<Clerk> {
        clerk(self.name).following_slice(&self.journal, slice)
    }
}

/// Appends the first event of one booking more than there are: how many there are then.
async fn book_another(stage: &Stage, events: i64) -> i64 {
    let next = events + 1;
    let command = booked(next.unsigned_abs().into(), next);
    stage.append(command).await.unwrap();
    next
}

/// Waits until every slice has come to the last event; then none was taken twice.
async fn all_taken(stage: &mut Stage, events: i64) {
    let last = "select coalesce(min(position), 0) from followers";
    until("every slice is there", async || {
        stage.number(last).await == events
    })
    .await;
    let taken = "select count(*) from effects";
    assert_eq!(stage.number(taken).await, events);
}

#[tokio::test]
async fn two_nodes_share_the_slices_and_follow_each_cut() {
    let mut stage = stage_to_cut(4).await;
    let stop = CancellationToken::new();
    let node = |name, node| {
        let journal = journal(stage.url()).as_node(crate::samples::id(node));
        follow::run_cut(Clerks { journal, name }, Arc::new(Tokio), stop.clone())
    };
    let nodes = join(node("one", 1), node("other", 2));
    let test = async {
        let mut events = 4;
        for slices in [4, 3, 1, 2] {
            all_taken(&mut stage, events).await;
            cut(&mut stage, slices).await;
            let owned = format!(
                "select count(*) from followers where lease_until > clock_timestamp() having count(distinct owner) = {slices}"
            );
            let began = local_postgres::testing::stopwatch();
            until("every slice is somebody's", async || {
                sql::numbers(&mut stage.owner, &owned).await == [i64::from(slices)]
            })
            .await;
            assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
            for _ in 0..3 {
                events = book_another(&stage, events).await;
            }
        }
        // Each of the two gets its share.
        let both = "select count(distinct clerk) from effects";
        until("both have taken something", async || {
            events = book_another(&stage, events).await;
            stage.number(both).await == 2
        })
        .await;
        all_taken(&mut stage, events).await;
        stop.cancel();
    };
    within("all are through", join(nodes, test)).await;
    let held = "select (select count(*) from followers where owner is not null) + (select count(*) from follower_candidates)";
    assert_eq!(stage.number(held).await, 0);
}
