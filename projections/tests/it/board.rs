//! What a venue's people ask, over more bookings than one answer holds.

use std::collections::BTreeSet;

use jiff::civil::date;
use sqlx::{Connection, PgConnection};

use crate::world::World;

/// Bookings 1 to 2,500 of `numberone`: odd ones over the night of the first of May 2026, even ones over the next; every
/// tenth is of another space, and every hundredth was cancelled.
const NIGHTS: &str = "
    insert into board_1.bookings
        (bookid, spacename, starts_at, ends_at, minutes, timezone, day, last_day, phase, status, amount, currency,
         payment_status, refund_status, captured, refunded, outstanding, points_spent, unanswered, refunds_open,
         waits_since, overtime_minutes, created_at, updated_at)
    select n, case when n % 10 = 0 then 'other' else 'numberone' end,
           timestamptz '2026-05-01 22:00+00' + interval '1 day' * (n % 2 - 1) * -1,
           timestamptz '2026-05-02 02:00+00' + interval '1 day' * (n % 2 - 1) * -1,
           240, 'UTC', 20260502 - n % 2, 20260503 - n % 2, case when n % 100 = 1 then 'cancelled' else 'completed' end,
           'completed', 10000, 'KRW', 'paid', 'none', 10000, 0, 0, 0, '', 0, now(), 0, now(), now()
    from generate_series(1, 2500) n";

#[tokio::test]
async fn bookings_over_midnight_are_read_part_by_part_and_none_is_missed() {
    let world = World::new().await;
    let mut owner = PgConnection::connect(world.url()).await.unwrap();
    sqlx::raw_sql(NIGHTS).execute(&mut owner).await.unwrap();
    let (from, to) = (date(2026, 5, 2), date(2026, 5, 2));
    let (mut found, mut sizes, mut after) = (vec![], vec![], None);
    loop {
        let part = world.models.booked_longer("numberone", from, to, after);
        let part = part.await.unwrap();
        sizes.push(part.rows.len());
        found.extend(part.rows.iter().map(|row| row.bookid));
        after = part.next;
        if after.is_none() {
            break;
        }
    }
    let wanted: BTreeSet<i64> = (1..=2_500)
        .filter(|n| n % 10 != 0 && n % 100 != 1)
        .collect();
    assert_eq!(found.len(), wanted.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(sizes, [1_000, 1_000, 225]);
}
