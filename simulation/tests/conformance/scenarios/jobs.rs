//! Jobs: one row each, one worker at a time.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use journal::jobs::{Finish, Job, NewJob};

use crate::samples::{hour, id};
use crate::stage::Stage;

const CHARGE: &str = "charge";
/// How long a claim lasts.
const LEASE_MS: i32 = 600_000;
const A_LEASE: Duration = Duration::from_millis(600_001);
/// Hours from a time that is over.
const FAR: i64 = 1_000_000;

fn job(key: i64, due_at: Timestamp) -> NewJob {
    NewJob {
        kind: CHARGE,
        key: key.to_string(),
        bookid: key,
        payload: HashMap::from([("journey".to_owned(), key.to_string())]),
        due_at,
        timer: false,
    }
}

fn knowing(mut job: NewJob, name: &str, value: &str) -> NewJob {
    job.payload.insert(name.to_owned(), value.to_owned());
    job
}

fn past() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

async fn claimed(stage: &impl Stage, limit: i32) -> Vec<Job> {
    let journal = stage.journal();
    let jobs = journal.claim_jobs(&[CHARGE], id(1), limit, LEASE_MS).await;
    let mut jobs = jobs.unwrap();
    jobs.sort_by_key(|job| job.bookid);
    jobs
}

async fn finished(stage: &impl Stage, job: &Job, finish: Finish) -> bool {
    stage.journal().finish_job(job, &finish).await.unwrap()
}

fn again(due_at: Timestamp) -> Finish {
    let reason = "busy".to_owned();
    Finish::Again { due_at, reason }
}

pub async fn a_job_is_one_row_however_often_it_is_scheduled(stage: &impl Stage) {
    let later = knowing(job(7, hour(FAR)), "amount", "10000");
    let earlier = knowing(job(7, past()), "currency", "KRW");
    stage
        .schedule(&[later.clone(), job(7, hour(FAR - 1))])
        .await;
    assert!(claimed(stage, 9).await.is_empty());
    stage.schedule(&[job(7, hour(FAR)), earlier, later]).await;
    let jobs = claimed(stage, 9).await;
    let [only] = &jobs[..] else {
        panic!("one row: {jobs:?}")
    };
    let knows = [("amount", "10000"), ("currency", "KRW"), ("journey", "7")];
    let knows = knows.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(
        only.payload,
        HashMap::from(knows),
        "also of what came in one batch"
    );
    assert_eq!((only.attempts, only.fence, only.bookid), (1, 1, 7));
    stage
        .schedule(&[knowing(job(7, past()), "amount", "1")])
        .await;
    assert!(
        claimed(stage, 9).await.is_empty(),
        "a claimed one stays claimed"
    );
    assert!(finished(stage, only, Finish::Done).await);
    stage.schedule(&[job(7, past())]).await;
    assert!(
        claimed(stage, 9).await.is_empty(),
        "a finished one stays finished"
    );
    assert_eq!(
        stage.journal().open_jobs_ending(CHARGE, "").await.unwrap(),
        0
    );
}

pub async fn a_claim_takes_what_is_due_and_nobody_has(stage: &impl Stage) {
    stage
        .schedule(&[
            job(1, hour(-9)),
            job(2, past()),
            job(3, hour(FAR)),
            job(4, hour(-8)),
        ])
        .await;
    let first = claimed(stage, 1).await;
    let second = claimed(stage, 9).await;
    let keys = |jobs: &[Job]| jobs.iter().map(|job| job.bookid).collect::<Vec<_>>();
    assert_eq!(
        (keys(&first), keys(&second)),
        (vec![2], vec![1, 4]),
        "the oldest first"
    );
    let journal = stage.journal();
    assert!(
        journal
            .claim_jobs(&["refund"], id(1), 9, LEASE_MS)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(claimed(stage, 9).await.is_empty());
    stage.pass(A_LEASE).await;
    let third = claimed(stage, 9).await;
    assert_eq!(keys(&third), [1, 2, 4]);
    assert!(
        third.iter().all(|job| (job.attempts, job.fence) == (2, 2)),
        "{third:?}"
    );
    assert_eq!(journal.open_jobs_ending(CHARGE, "").await.unwrap(), 4);
    for (ending, open) in [("", 4), ("3", 1), ("13", 0)] {
        let counted = journal.open_jobs_ending(CHARGE, ending).await.unwrap();
        assert_eq!(counted, open, "{ending}");
    }
}

pub async fn who_lost_its_claim_ends_nothing(stage: &impl Stage) {
    stage.schedule(&[job(7, past())]).await;
    let late = claimed(stage, 1).await.remove(0);
    stage.pass(A_LEASE).await;
    let now = claimed(stage, 1).await.remove(0);
    for finish in [
        Finish::Done,
        again(past()),
        Finish::Attention {
            reason: String::new(),
        },
    ] {
        assert!(!finished(stage, &late, finish).await);
    }
    let note = HashMap::from([("sent".to_owned(), "yes".to_owned())]);
    assert!(!stage.journal().note_job(&late, &note).await.unwrap());
    let reason = "the card is gone".to_owned();
    assert!(finished(stage, &now, Finish::Attention { reason }).await);
    assert!(!finished(stage, &now, Finish::Done).await, "it is over");
    stage.pass(A_LEASE).await;
    assert!(claimed(stage, 9).await.is_empty(), "people have it");
}

pub async fn what_is_noted_is_known_to_the_next(stage: &impl Stage) {
    stage.schedule(&[job(7, past())]).await;
    let one = claimed(stage, 1).await.remove(0);
    let note = HashMap::from([("sent".to_owned(), "yes".to_owned())]);
    assert!(stage.journal().note_job(&one, &note).await.unwrap());
    stage.pass(A_LEASE).await;
    let next = claimed(stage, 1).await.remove(0);
    assert_eq!(next.payload["sent"], "yes");
    assert_eq!(next.payload["journey"], "7");
}

pub async fn a_job_that_ran_keeps_its_back_off(stage: &impl Stage) {
    stage.schedule(&[job(7, past())]).await;
    let ran = claimed(stage, 1).await.remove(0);
    assert!(finished(stage, &ran, again(hour(FAR))).await);
    stage
        .schedule(&[knowing(job(7, past()), "amount", "1")])
        .await;
    assert!(claimed(stage, 9).await.is_empty());
    stage.settle("refund", &["7"]).await;
    assert_eq!(
        stage.journal().open_jobs_ending(CHARGE, "").await.unwrap(),
        1
    );
}

pub async fn a_settled_job_is_over(stage: &impl Stage) {
    stage.schedule(&[job(1, past()), job(2, hour(FAR))]).await;
    let has = claimed(stage, 9).await.remove(0);
    stage.settle(CHARGE, &["1", "2", "3"]).await;
    assert!(
        !finished(stage, &has, again(past())).await,
        "its fence is shut"
    );
    stage.pass(A_LEASE).await;
    assert!(claimed(stage, 9).await.is_empty());
    stage.schedule(&[job(1, past())]).await;
    assert!(
        claimed(stage, 9).await.is_empty(),
        "one that ran stays settled"
    );
    stage.schedule(&[job(2, past())]).await;
    assert_eq!(
        claimed(stage, 9).await.len(),
        1,
        "one that never ran left no row"
    );
}

pub async fn what_is_looked_at_again_is_nobodys_any_more(stage: &impl Stage) {
    let jobs = [1, 2, 3, 4].map(|key| job(key, past()));
    stage.schedule(&jobs).await;
    stage.schedule(&[job(5, hour(FAR))]).await;
    let has = claimed(stage, 9).await;
    let reason = "nobody knows".to_owned();
    assert!(finished(stage, &has[0], Finish::Attention { reason }).await);
    assert!(finished(stage, &has[1], again(hour(FAR))).await);
    assert!(finished(stage, &has[3], Finish::Done).await);
    stage
        .look_again(CHARGE, &["1", "2", "3", "4", "5", "6"])
        .await;
    assert!(
        !finished(stage, &has[2], Finish::Done).await,
        "its fence is shut"
    );
    let keys: Vec<_> = claimed(stage, 9).await;
    let keys: Vec<_> = keys.iter().map(|job| job.bookid).collect();
    assert_eq!(
        keys,
        [1, 2, 3],
        "what is done stays done, what never ran is not due"
    );
}

pub async fn what_is_opened_again_is_open_whatever_became_of_it(stage: &impl Stage) {
    let jobs = [1, 2, 3].map(|key| job(key, past()));
    stage.schedule(&jobs).await;
    let has = claimed(stage, 9).await;
    assert!(finished(stage, &has[0], Finish::Done).await);
    let reason = "nobody knows".to_owned();
    assert!(finished(stage, &has[1], Finish::Attention { reason }).await);
    let opens = async |job: NewJob| stage.journal().reopen_job(&job).await.unwrap();
    for key in [1, 2, 3, 4] {
        opens(knowing(job(key, past()), "late", "yes")).await;
    }
    opens(job(5, hour(FAR))).await;
    assert!(
        !finished(stage, &has[2], Finish::Done).await,
        "its fence is shut"
    );
    let again = claimed(stage, 9).await;
    let keys: Vec<_> = again.iter().map(|job| job.bookid).collect();
    assert_eq!(keys, [1, 2, 3, 4], "and one that was not there");
    for job in again {
        assert_eq!(job.payload["late"], "yes");
        assert_eq!(job.payload["journey"], job.bookid.to_string());
    }
}
