//! Jobs that are for people: one more try, or done by hand; and never a job that a worker has.

use std::collections::HashMap;

use journal::jobs::{Finish, NewJob, schedule};
use journal::recover::{Decided, Decision};
use journal::{Session, StoreError};

use crate::samples::{hour, id};
use crate::sql;
use crate::stage::Stage;

const WHY: Decision<'_> = Decision {
    by: "ann",
    reason: "refunded at the counter",
};

/// Job 1 is for people, job 2 waits.
async fn two_jobs() -> Stage {
    let stage = Stage::open().await;
    let job = |key: i64, due_at| NewJob {
        kind: "refund",
        key: key.to_string(),
        bookid: key,
        payload: HashMap::from([("number".to_owned(), "1".to_owned())]),
        due_at,
        timer: false,
    };
    let mut connection = stage.journal.pool().pool().acquire().await.unwrap();
    let jobs = [job(7, jiff::Timestamp::UNIX_EPOCH), job(8, hour(1_000_000))];
    schedule(&mut connection, &jobs).await.unwrap();
    drop(connection);
    let claimed = stage.journal.claim_jobs(&["refund"], id(1), 9, 60_000);
    let claimed = claimed.await.unwrap().remove(0);
    let finish = Finish::Attention {
        reason: "the gateway refused".to_owned(),
    };
    assert!(stage.journal.finish_job(&claimed, &finish).await.unwrap());
    stage
}

async fn decisions(stage: &mut Stage) -> Vec<String> {
    let rows = "select action || ' ' || (subject ->> 'key') || ' (' || (subject ->> 'last_error') || ') by ' || decided_by || ': ' || reason
                from decisions order by id";
    sql::texts(&mut stage.owner, rows).await
}

#[tokio::test]
async fn timers_whose_time_has_not_come_stand_behind_all_that_is_open() {
    let stage = two_jobs().await;
    let job = |key: i64, due_at, timer| NewJob {
        kind: "refund",
        key: key.to_string(),
        bookid: key,
        payload: HashMap::new(),
        due_at,
        timer,
    };
    let mut session = Session::open(stage.journal.pool()).await.unwrap();
    let mut tx = session.begin().await.unwrap();
    // Job 2 waits until long after today, and a timer until a bit less long.
    let long = jiff::Timestamp::UNIX_EPOCH;
    let jobs = [job(3, hour(999_999), true), job(4, long, true)];
    schedule(&mut tx, &jobs).await.unwrap();
    tx.commit().await.unwrap();
    let shown = stage.journal.jobs(false, 9).await.unwrap();
    let shown: Vec<_> = shown.iter().map(|job| job.bookid).collect();
    assert_eq!(shown, [7, 4, 8, 3]);
    assert_eq!(stage.journal.jobs(false, 3).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_job_for_people_is_tried_once_more() {
    let mut stage = two_jobs().await;
    let jobs = stage.journal.jobs(false, 9).await.unwrap();
    let shown: Vec<_> = jobs.iter().map(|j| (j.id, j.state.as_str())).collect();
    assert_eq!(shown, [(1, "attention"), (2, "open")]);
    assert_eq!(jobs[0].last_error.as_deref(), Some("the gateway refused"));

    let said = HashMap::from([("looked_at".to_owned(), "today".to_owned())]);
    assert_eq!(
        stage.journal.retry_job(1, &WHY, &said).await.unwrap(),
        Decided::Done
    );
    let claimed = stage.journal.claim_jobs(&["refund"], id(2), 9, 60_000);
    let claimed = claimed.await.unwrap();
    assert_eq!(
        (claimed.len(), claimed[0].id, claimed[0].attempts),
        (1, 1, 2)
    );
    assert_eq!(claimed[0].payload["looked_at"], "today");
    assert_eq!(claimed[0].payload["number"], "1");
    let kept = "select subject -> 'said' ->> 'looked_at' from decisions";
    assert_eq!(sql::texts(&mut stage.owner, kept).await, ["today"]);
    assert_eq!(
        stage.journal.retry_job(1, &WHY, &said).await.unwrap(),
        Decided::NotForPeople("open".to_owned()),
        "its worker has it"
    );
    assert!(
        stage
            .journal
            .finish_job(&claimed[0], &Finish::Done)
            .await
            .unwrap()
    );
    assert_eq!(
        decisions(&mut stage).await,
        ["job.retry 7 (the gateway refused) by ann: refunded at the counter"]
    );
}

#[tokio::test]
async fn a_job_that_was_settled_by_hand_is_done_and_says_by_whom() {
    let mut stage = two_jobs().await;
    assert_eq!(
        stage.journal.resolve_job(1, &WHY).await.unwrap(),
        Decided::Done
    );
    let job = stage.journal.job(1).await.unwrap().unwrap();
    assert_eq!(job.state, "done");
    assert!(job.finished_at.is_some());
    assert_eq!(
        stage.journal.status().await.unwrap().jobs.needs_attention,
        0
    );
    let claimed = stage.journal.claim_jobs(&["refund"], id(2), 9, 60_000);
    assert!(claimed.await.unwrap().is_empty());
    assert_eq!(
        decisions(&mut stage).await,
        ["job.resolve 7 (the gateway refused) by ann: refunded at the counter"]
    );
    assert_eq!(stage.journal.jobs(false, 9).await.unwrap().len(), 1);
    assert_eq!(stage.journal.jobs(true, 9).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_not_for_people_is_left_to_its_worker() {
    let mut stage = two_jobs().await;
    assert_eq!(
        stage.journal.resolve_job(2, &WHY).await.unwrap(),
        Decided::NotForPeople("open".to_owned())
    );
    assert_eq!(
        stage.journal.resolve_job(9, &WHY).await.unwrap(),
        Decided::Unknown
    );
    let no_reason = Decision {
        by: "ann",
        reason: "",
    };
    let refused = stage.journal.resolve_job(1, &no_reason).await.unwrap_err();
    assert_eq!(refused.sqlstate(), Some("23514"));
    assert!(decisions(&mut stage).await.is_empty());

    stage.without_guard("job_decide", "for people").await;
    stage.journal.resolve_job(2, &WHY).await.unwrap();
    assert_eq!(
        stage.journal.job(2).await.unwrap().unwrap().state,
        "done",
        "the harm: a refund that nobody gave is called done"
    );
}

#[tokio::test]
async fn while_it_is_recorded_how_a_job_was_settled_nobody_decides_otherwise() {
    let mut stage = two_jobs().await;
    let journal = stage.journal.clone();
    let said = HashMap::from([("outcome".to_owned(), "refunded".to_owned())]);
    let away = async { Err(StoreError::Unreachable("away".to_owned())) };
    let failed: Result<Decided, StoreError> =
        journal.resolve_job_recorded(1, &WHY, &said, away).await;
    assert!(failed.is_err());
    assert_eq!(journal.job(1).await.unwrap().unwrap().state, "attention");
    assert!(decisions(&mut stage).await.is_empty());

    let owner = &mut stage.owner;
    let record = async {
        let other = "select from jobs where id = 1 for update nowait";
        let held = sqlx::query(other).execute(owner).await.unwrap_err();
        let held = StoreError::from(held);
        assert_eq!(held.sqlstate(), Some("55P03"), "{held}");
        Ok::<_, StoreError>(())
    };
    let decided = journal.resolve_job_recorded(1, &WHY, &said, record).await;
    assert_eq!(decided.unwrap(), Decided::Done);
    assert_eq!(
        decisions(&mut stage).await,
        ["job.resolve 7 (the gateway refused) by ann: refunded at the counter"]
    );
    let never = async { panic!("it is not for people any more") };
    let late: Result<Decided, StoreError> =
        journal.resolve_job_recorded(1, &WHY, &said, never).await;
    assert_eq!(late.unwrap(), Decided::NotForPeople("done".to_owned()));
}
