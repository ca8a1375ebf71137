//! What people decide about jobs, said through a PgBouncer: each statement goes to whatever session is free.

use crate::pgbouncer::PgBouncer;
use crate::pooler::{EVERYTHING, json, run, stderr, through};
use crate::roles::House;

/// Bookings 91 to 93 are booking 1 before its payment had an outcome, 94 to 97 before it was refunded. The charge or refund of
/// each is left to people; so is one of booking 98, which is in no stream.
const FOR_PEOPLE: &str = r#"
    insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
    select e.aggregate_type, id::text, e.sequence, e.event_type, e.event_version,
           e.payload || jsonb_build_object(case e.aggregate_type when 'Book' then 'bookid' else 'payid' end, id, 'bookid', id),
           e.metadata
    from generate_series(91, 97) id, events e
    join events last on last.aggregate_id = '1'
    where e.aggregate_id = '1' and e.aggregate_type in ('Book', 'Payment') and e.position <= last.position
      and last.event_type = case when id < 94 then 'PaymentRequested' else 'RefundRequested' end
    order by id, e.position;
    insert into jobs (kind, key, bookid, payload, state, due_at, attempts, last_error)
    select case when id < 94 then 'charge' else 'refund' end, 'people:' || id, id, '{"number": "1"}', 'attention', now(), 9,
           'no answer'
    from generate_series(91, 98) id order by id"#;

/// What is said of a booking's job, and what then stands there: the job's state, the decision, and what was appended by
/// who decided.
const SAID: [(u32, &[&str], &str); 8] = [
    (91, &["retry"], "open job.retry -"),
    (
        92,
        &["resolve", "--not-charged"],
        "done job.resolve PaymentDeclined",
    ),
    (
        93,
        &["resolve", "--charged=r-93"],
        "done job.resolve Approved PointsAccrued",
    ),
    (94, &["retry"], "open job.retry -"),
    (95, &["retry", "--not-refunded"], "open job.retry -"),
    (
        96,
        &["resolve", "--refunded=r-96"],
        "done job.resolve Cancelled PointsClawedBack",
    ),
    (97, &["resolve"], "done job.resolve -"),
    (98, &["resolve"], "done job.resolve -"),
];

#[tokio::test]
async fn people_decide_about_jobs_behind_a_pooler_of_transactions() {
    let house = House::build().await;
    let test = "people_decide_about_jobs_behind_a_pooler_of_transactions";
    let Some(pooler) = PgBouncer::before(test, house.database.url(), &[]).await else {
        return;
    };
    let settings = through(&pooler, &house);
    // A node at work leaves the pooler with several sessions to lend; it has gone when people decide.
    let mut node = house.role_set(EVERYTHING, Some("book"), &settings).await;
    assert_eq!(house.book(&node).await.status, 201);
    house.converges(1).await;
    let cancel = house.http.patch(node.url("/books/1"));
    let body = serde_json::json!({ "status": "cancel-booking" });
    assert!(
        cancel
            .json(&body)
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    house.closed(1).await;
    node.kill().await;
    sqlx::raw_sql(FOR_PEOPLE)
        .execute(&house.pool)
        .await
        .unwrap();

    for (bookid, said, wanted) in SAID {
        let id = format!("select id from jobs where bookid = {bookid} and state = 'attention'");
        let id = house.count(&id).await.to_string();
        let why = ["--by", "ann", "--reason", "looked", "--json"];
        let (verb, said) = said.split_first().unwrap();
        let decide = [&["jobs", verb, &id], said, &why].concat();
        let job = json(&run(&decide, &settings).await);
        let stands = format!(
            "select concat_ws(' ', j.state, d.action, coalesce(
                        (select string_agg(event_type, ' ' order by position) from events
                         where aggregate_id = '{bookid}' and metadata ->> 'actor_id' = 'ann'), '-'))
             from jobs j join decisions d on (d.subject ->> 'id')::bigint = j.id where j.id = {id} and d.decided_by = 'ann'"
        );
        let stands: String = sqlx::query_scalar(&stands)
            .fetch_one(&house.pool)
            .await
            .unwrap();
        assert_eq!(stands, wanted, "{decide:?}");
        assert_eq!(job["state"], wanted.split(' ').next().unwrap(), "{job}");
        // What is not for people any more is left as it is.
        let again = run(&decide, &settings).await;
        assert!(!again.status.success(), "{decide:?}");
        assert!(stderr(&again).contains("not for people"), "{decide:?}");
    }
}
