//! What must hold whatever happened: nothing lost, nothing twice, nothing stuck, rebuilt equals live.

use std::fmt;
use std::time::Duration;

use local_postgres::testing::timeout;
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::load::Answered;
use super::looks::{BEHIND, Harm, Look, OPEN_JOBS, UNSETTLED, looks};
use super::world::World;
use crate::server::{moment, spacerent};

/// What has not come to its end, in words, for who must find out why.
const OPEN: &str = "
    select format('job %s is %s, due at %s, claimed until %s, tries %s, knows %s: %s',
                  key, state, due_at, coalesce(claimed_until::text, '-'), attempts, payload, coalesce(last_error, '-'))
    from jobs where state <> 'done'
    union all
    select format('follower %s/%s/%s is at %s of %s, owner %s until %s', name, generation, slice, position,
                  (select max(position) from events), coalesce(owner::text, '-'), coalesce(lease_until::text, '-'))
    from followers where position < (select max(position) from events)
    union all
    select format('incident %s of %s goes on since %s: %s', class, subject, began_at, reason)
    from incidents where ended_at is null
    union all
    select format('booking %s is %s, after %s', b.bookid, b.status,
                  (select string_agg(event_type, ', ' order by e.position) from events e where aggregate_id = b.bookid::text))
    from books.books b where b.status not in ('success-register', 'cancel-register', 'pay-failed', 'no-show', 'expired')
    order by 1";

/// How a world stands after chaos.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Bookings that were answered 2xx.
    pub accepted: usize,
    /// Cancellations that were answered 2xx.
    pub cancelled: usize,
    /// Moves that were answered 2xx.
    pub moved: usize,
    /// What is wrong and how often; nothing when all is well.
    pub found: Vec<(Harm, String, i64)>,
    /// What has not come to its end, in words. Judged by what was found.
    pub open: Vec<String>,
}

impl Verdict {
    pub fn is_well(&self) -> bool {
        self.found.is_empty()
    }

    /// How much there is of one kind of harm.
    pub fn count(&self, harm: Harm) -> i64 {
        let of_it = self.found.iter().filter(|(kind, ..)| *kind == harm);
        of_it.map(|(.., count)| count).sum()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = [
            ("bookings accepted", self.accepted),
            ("cancellations accepted", self.cancelled),
            ("moves accepted", self.moved),
        ];
        for (what, count) in accepted {
            writeln!(f, "{what:<40} {count:>8}")?;
        }
        for harm in Harm::ALL {
            writeln!(f, "{:<40} {:>8}", harm.says(), self.count(harm))?;
        }
        Ok(())
    }
}

/// Waits until everything has come to its end; false when it does not in time.
pub async fn settles(world: &World, max: Duration) -> bool {
    let settled = async {
        loop {
            let mut open = 0;
            for query in [UNSETTLED, OPEN_JOBS, BEHIND] {
                open += world.count(query).await;
            }
            if open == 0 {
                return;
            }
            moment().await;
        }
    };
    timeout(max, settled).await.is_ok()
}

/// Waits, and looks at everything.
pub async fn of(world: &World, answered: &Answered, max: Duration) -> Verdict {
    settles(world, max).await;
    let mut found = looked_at(&one_session(world).await, answered).await;
    let jobs = status(world).await["jobs"].clone();
    for state in ["due", "waiting", "needs_attention"] {
        let count = jobs[state].as_i64().unwrap();
        found.push((Harm::Stuck, format!("{state}, says `status`"), count));
    }
    for said in differing(world).await {
        found.push((Harm::Differing, said, 1));
    }
    found.retain(|(.., count)| *count != 0);
    Verdict {
        accepted: answered.booked.len(),
        cancelled: answered.cancelled.len(),
        moved: answered.moved.len(),
        found,
        open: sqlx::query_scalar(OPEN)
            .fetch_all(&world.pool)
            .await
            .unwrap(),
    }
}

/// A pool that always lends the same connection.
pub async fn one_session(world: &World) -> PgPool {
    let options = PgPoolOptions::new().max_connections(1);
    let like = world.pool.connect_options().as_ref().clone();
    options.connect_with(like).await.unwrap()
}

/// What the database and the answers show: each kind of harm with how often it was found. On [`one_session`].
pub async fn looked_at(session: &PgPool, answered: &Answered) -> Vec<(Harm, String, i64)> {
    tell(session, answered).await;
    let mut found = vec![];
    for Look { harm, what, query } in looks() {
        let counted: i64 = sqlx::query_scalar(&query).fetch_one(session).await.unwrap();
        found.push((harm, what, counted));
    }
    for said in &answered.unforeseen {
        found.push((Harm::Unforeseen, said.clone(), 1));
    }
    found.retain(|(.., count)| *count != 0);
    found
}

/// Tells the database what customers were answered, for this session.
async fn tell(session: &PgPool, answered: &Answered) {
    let table = "create temp table if not exists answered (what text, bookid bigint, start text); truncate answered";
    sqlx::raw_sql(table).execute(session).await.unwrap();
    let mut columns: (Vec<&str>, Vec<i64>, Vec<Option<String>>) = Default::default();
    let mut add = |what, bookid, start| {
        columns.0.push(what);
        columns.1.push(bookid);
        columns.2.push(start);
    };
    for bookid in &answered.booked {
        add("booked", *bookid, None);
    }
    for bookid in &answered.cancelled {
        add("cancelled", *bookid, None);
    }
    for (bookid, start) in &answered.moved {
        add("moved", *bookid, Some(start.clone()));
    }
    sqlx::query("insert into answered select * from unnest($1::text[], $2::bigint[], $3::text[])")
        .bind(columns.0)
        .bind(columns.1)
        .bind(columns.2)
        .execute(session)
        .await
        .unwrap();
}

async fn status(world: &World) -> Value {
    let output = spacerent(&["status", "--json"])
        .env("DATABASE_URL", &world.url)
        .output()
        .await
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Read models for which `replay NAME --verify` finds a difference, with what it said.
async fn differing(world: &World) -> Vec<String> {
    let mut differing = Vec::new();
    for name in projections::NAMES {
        let replay = ["replay", name, "--verify", "--json"];
        let output = spacerent(&replay)
            .env("DATABASE_URL", &world.url)
            .output()
            .await
            .unwrap();
        if !output.status.success() {
            differing.push(format!(
                "{name}: {}",
                String::from_utf8_lossy(&output.stdout)
            ));
        }
    }
    differing
}
