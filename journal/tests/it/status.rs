//! What the journal says of itself.

use journal::append::Outcome;

use crate::samples::booked;
use crate::sql;
use crate::stage::Stage;

#[tokio::test]
async fn status_says_how_far_everybody_is_and_what_waits() {
    let mut stage = Stage::open().await;
    for key in 1..=3_u8 {
        let outcome = stage.append(booked(key.into(), key.into())).await;
        assert!(matches!(outcome, Ok(Outcome::Stored(_))));
    }
    let facts = "
        insert into projections (name, generation, version, state)
        values ('mypage', 1, 1, 'kept'), ('mypage', 2, 1, 'live');
        insert into followers (name, generation, position, owner, lease_until)
        values ('mypage', 1, 1, null, null),
               ('mypage', 2, 2, gen_random_uuid(), clock_timestamp() + interval '1 hour'),
               ('order', 1, 3, gen_random_uuid(), clock_timestamp() - interval '1 hour');
        insert into parked (name, generation, position, key, event_type) values ('mypage', 2, 1, '1', 'Booked');
        -- A reader that is gone left a hole that was passed, and a process that slept a generation that is gone.
        insert into open_holes (follower, first_position, last_position) values ('mypage/1', 1, 1);
        insert into projections (name, generation, version, state) values ('mypage', 3, 1, 'gone');
        insert into followers (name, generation, position) values ('mypage', 3, 0);
        -- Nobody has followed here yet.
        insert into projections (name, generation, version, state)
        values ('books', 1, 1, 'kept'), ('points', 1, 1, 'live');
        insert into jobs (kind, key, bookid, payload, due_at, state, timer)
        values ('charge', '1', 1, '{}', clock_timestamp() - interval '1 hour', 'open', false),
               ('charge', '2', 2, '{}', clock_timestamp() + interval '1 hour', 'open', false),
               ('charge', '3', 3, '{}', clock_timestamp() - interval '1 hour', 'attention', false),
               ('charge', '4', 4, '{}', clock_timestamp() - interval '1 hour', 'done', false),
               ('hold', '5', 5, '{}', clock_timestamp() + interval '1 hour', 'open', true)";
    sql::run(&mut stage.owner, facts).await;
    let status = stage.journal.status().await.unwrap();
    assert_eq!((status.head, status.watermark, status.hole), (3, 3, None));
    let lines = |followers: &[journal::status::FollowerStatus]| -> Vec<String> {
        let line = |f: &journal::status::FollowerStatus| {
            format!(
                "{} {} at {}, {} behind, {} parked, {}",
                f.name, f.generation, f.position, f.lag_events, f.parked, f.state
            )
        };
        followers.iter().map(line).collect()
    };
    assert_eq!(
        lines(&status.followers),
        [
            "mypage 2 at 2, 1 behind, 1 parked, running",
            "order 1 at 3, 0 behind, 0 parked, unowned",
            "orders 1 at 0, 3 behind, 0 parked, never_ran",
            "points 1 at 0, 3 behind, 0 parked, never_ran"
        ]
    );
    assert_eq!(
        lines(&status.generations),
        ["mypage 1 at 1, 2 behind, 0 parked, kept"]
    );
    let jobs = status.jobs;
    assert_eq!(
        (jobs.due, jobs.waiting, jobs.needs_attention, jobs.timers),
        (1, 1, 1, 1)
    );
}
