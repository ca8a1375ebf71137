//! What must hold whatever happened: nothing lost, nothing twice, nothing stuck, rebuilt equals live.

use std::fmt;
use std::time::Duration;

use local_postgres::testing::timeout;
use serde_json::Value;

use super::load::Answered;
use super::world::World;
use crate::server::{moment, spacerent};

/// Bookings that have not come to their end, on My Page as in the books.
const UNSETTLED: &str = "
    select count(*) from events e
    where e.event_type = 'Booked' and not exists (
        select from books.books b join mypage.mypages m using (bookid) join payments.payments p using (bookid)
        where b.bookid = e.aggregate_id::bigint
          and (b.status, m.status) in (('success-register', 'Registered'), ('cancel-register', 'cancel-register'),
                                       ('pay-failed', 'pay-failed'), ('no-show', 'no-show'), ('expired', 'expired')))";
/// What is dated by the business waits for its hour.
const OPEN_JOBS: &str = "select count(*) from jobs where state = 'open' and not timer";
const BEHIND: &str = "
    select count(*) from followers f left join projections p using (name, generation)
    where coalesce(p.state, 'live') = 'live' and f.position < (select max(position) from events)";

/// What was charged and what was given back, as the gateway and as the journal know it.
const MONEY_DIFFERS: &str = "
    with ledger as (
        select c.bookid, sum(c.amount) - coalesce(sum(r.amount), 0) as held
        from stub_gateway.charges c
        left join (select charge, sum(amount) as amount from stub_gateway.refunds group by 1) r on r.charge = c.reference
        where c.declined is null group by 1
    ), streams as (
        select aggregate_id::bigint as bookid,
               sum(case when event_type in ('Approved', 'ChargeApproved', 'LateApproval', 'DuplicateCharge') then (payload->>'amount')::bigint
                        else -(payload->>'amount')::bigint end) as held
        from events
        where aggregate_type = 'Payment'
          and event_type in ('Approved', 'ChargeApproved', 'LateApproval', 'DuplicateCharge', 'Cancelled', 'PartiallyRefunded', 'SurplusRefunded')
        group by 1
    )
    select count(*) from ledger l full join streams s using (bookid) where coalesce(l.held, 0) <> coalesce(s.held, 0)";
/// A booking that is over holds no money; one that is registered is paid.
const MONEY_MISPLACED: &str = "
    select count(*) from books.books b left join (
        select c.bookid, sum(c.amount) - coalesce(sum(r.amount), 0) as held
        from stub_gateway.charges c
        left join (select charge, sum(amount) as amount from stub_gateway.refunds group by 1) r on r.charge = c.reference
        where c.declined is null group by 1) l using (bookid)
    where (b.status in ('success-register', 'no-show')) <> (coalesce(l.held, 0) > 0)";
/// Charged, approved, registered, refunded or booked twice; or more given back than was taken.
const DOUBLED: &str = "
    select count(*) from (
        select aggregate_id, event_type from events where event_type in ('Approved', 'Registered', 'BookConfirmed', 'Cancelled',
                                                                          'NoShowMarked', 'BookExpired')
        group by 1, 2 having count(*) > 1
        union all
        select bookid::text, 'charge' from stub_gateway.charges where declined is null group by bookid, charge_no having count(*) > 1
        union all
        select c.key, 'refund' from stub_gateway.charges c join stub_gateway.refunds r on r.charge = c.reference
        group by c.key, c.amount having sum(r.amount) > c.amount
        union all
        select metadata->>'correlation_id', 'booking' from events where event_type = 'Booked' group by 1 having count(*) > 1
    ) doubled";
const UNAPPROVED: &str = "
    select count(*) from events r
    where r.event_type = 'Registered' and not exists (
        select from events a where a.aggregate_id = r.aggregate_id and a.event_type = 'Approved' and a.position < r.position)";
/// Times that are kept for nobody, or that a booking has and nobody keeps for it.
const SLOTS_DIFFER: &str = "
    select count(*) from (
        select bookid, unit, during from slot_claims
        except select bookid, unit, during from slots_by_events(0, 9223372036854775807)
    ) kept
    full join (
        select bookid, unit, during from slots_by_events(0, 9223372036854775807)
        except select bookid, unit, during from slot_claims
    ) owed using (bookid, unit, during)";
/// Among these bookings, those that are not in the journal and in every read model that shows bookings.
const LOST: &str = "
    select count(*) from unnest($1::bigint[]) a (id) where not exists (
        select from events e join books.books b on b.bookid = a.id join payments.payments p using (bookid)
                             join mypage.mypages m using (bookid)
        where e.aggregate_type = 'Book' and e.aggregate_id = a.id::text and e.sequence = 1)";
/// Among these cancelled bookings, those whose cancellation is not in the journal, or that became something else. One that
/// is under way is not lost; it is among the unsettled ones.
const UNCANCELLED: &str = "
    select count(*) from unnest($1::bigint[]) a (id) where not exists (
        select from events e join books.books b on b.bookid = a.id
        where e.aggregate_type = 'Book' and e.aggregate_id = a.id::text and e.event_type = 'Bookcancelled'
          and b.status in ('cancel-booking', 'cancel-register'))";
/// Among these moved bookings, those of which the journal does not say that they were ever for that time.
const UNMOVED: &str = "
    select count(*) from unnest($1::bigint[], $2::text[]) a (id, start) where not exists (
        select from events e
        where e.aggregate_type = 'Book' and e.aggregate_id = a.id::text and e.event_type in ('Booked', 'Rescheduled')
          and (e.payload -> 'slot' ->> 'start')::timestamptz = a.start::timestamptz)";
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

/// How a world stands after chaos; all counts but the first three must be zero.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Bookings that were answered 2xx.
    pub accepted: usize,
    /// Cancellations that were answered 2xx.
    pub cancelled: usize,
    /// Moves that were answered 2xx.
    pub moved: usize,
    pub lost: i64,
    pub doubled: i64,
    pub parked: i64,
    /// Bookings and jobs that did not come to an end, or need people.
    pub stuck: i64,
    pub unapproved: i64,
    /// Bookings whose money is not where it belongs.
    pub money: i64,
    /// Slots that are kept for nobody, or not kept.
    pub slots: i64,
    /// Read models that differ from a rebuilt one.
    pub differing: Vec<String>,
    /// What has not come to its end, in words. Judged by its counts above.
    pub open: Vec<String>,
}

impl Verdict {
    pub fn is_well(&self) -> bool {
        [
            self.lost,
            self.doubled,
            self.parked,
            self.stuck,
            self.unapproved,
            self.money,
            self.slots,
        ]
        .iter()
        .all(|count| *count == 0)
            && self.differing.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("bookings accepted", self.accepted.to_string()),
            ("cancellations accepted", self.cancelled.to_string()),
            ("moves accepted", self.moved.to_string()),
            ("lost", self.lost.to_string()),
            ("doubled", self.doubled.to_string()),
            ("parked", self.parked.to_string()),
            ("stuck", self.stuck.to_string()),
            ("registered without approval", self.unapproved.to_string()),
            ("money not where it belongs", self.money.to_string()),
            ("slots not kept as promised", self.slots.to_string()),
            (
                "read models that differ from a rebuild",
                self.differing.len().to_string(),
            ),
        ];
        for (what, count) in rows {
            writeln!(f, "{what:<40} {count:>8}")?;
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
    let among = async |query: &str, ids: &[i64]| -> i64 {
        sqlx::query_scalar(query)
            .bind(ids)
            .fetch_one(&world.pool)
            .await
            .unwrap()
    };
    let jobs = status(world).await["jobs"].clone();
    let of_jobs: i64 = ["due", "waiting", "needs_attention"]
        .iter()
        .map(|state| jobs[state].as_i64().unwrap())
        .sum();
    Verdict {
        accepted: answered.booked.len(),
        cancelled: answered.cancelled.len(),
        moved: answered.moved.len(),
        lost: among(LOST, &answered.booked).await
            + among(UNCANCELLED, &answered.cancelled).await
            + unmoved(world, answered).await,
        doubled: world.count(DOUBLED).await,
        parked: world.count("select count(*) from parked").await,
        stuck: of_jobs + world.count(UNSETTLED).await + world.count(BEHIND).await,
        unapproved: world.count(UNAPPROVED).await,
        money: world.count(MONEY_DIFFERS).await + world.count(MONEY_MISPLACED).await,
        slots: world.count(SLOTS_DIFFER).await,
        differing: differing(world).await,
        open: sqlx::query_scalar(OPEN)
            .fetch_all(&world.pool)
            .await
            .unwrap(),
    }
}

async fn unmoved(world: &World, answered: &Answered) -> i64 {
    let (ids, starts): (Vec<_>, Vec<_>) = answered.moved.iter().cloned().unzip();
    let counted = sqlx::query_scalar(UNMOVED).bind(ids).bind(starts);
    counted.fetch_one(&world.pool).await.unwrap()
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
