//! A worker that has spent its budget says so: a row, a metric and a line of the log.

use std::time::Duration;

use domain::ports::{LookupOutcome, RefundOutcome};

use crate::heard::Heard;
use crate::scripted::Scripted;
use crate::workers::Office;

/// How often a refund is tried.
const REFUND_TRIES: usize = 8;
/// How long a charge without an outcome is asked for, in hours.
const CHARGE_HOURS: usize = 24;
const HOUR: Duration = Duration::from_hours(1);

fn says_so(heard: &Heard, kind: &str) {
    let attention = format!("jobs_attention_total{{kind=\"{kind}\"}}");
    assert_eq!(heard.metric(&attention), 1);
    let line = [
        "a job needs people",
        "no answer",
        &format!("kind=\"{kind}\""),
    ];
    assert_eq!(heard.lines(&line), 1, "{}", heard.log());
}

#[tokio::test]
async fn a_charge_that_nobody_knows_of_for_a_day_is_left_to_people() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.abandoned().await;
    let heard = Heard::new();
    let worker = office.charges();
    let silent = || LookupOutcome::Unknown {
        why: "no answer".to_owned(),
    };
    for hours in 0..CHARGE_HOURS {
        office.gateway.say_of_look_ups([silent()]);
        office.work(&worker).await;
        let job = office.charge_job(due.bookid).await;
        assert_eq!(job.state, "open", "after {hours} hours");
        assert_eq!(heard.metric("jobs_attention_total{kind=\"charge\"}"), 0);
        office.world.timeline.advance(HOUR);
    }
    office.gateway.say_of_look_ups([silent()]);
    office.work(&worker).await;
    let job = office.charge_job(due.bookid).await;
    assert_eq!(
        (job.state.as_str(), job.last_error.as_deref()),
        ("attention", Some("no answer"))
    );
    says_so(&heard, "charge");
    assert!(office.world.payment(due.bookid).await.is_open());
}

#[tokio::test]
async fn a_refund_that_was_tried_eight_times_is_left_to_people() {
    let office = Office::open(Scripted::new([])).await;
    let due = office.never_sent().await;
    office.work(&office.charges()).await;
    office.cancel(due.bookid).await;
    let heard = Heard::new();
    let worker = office.refunds();
    for tries in 1..=REFUND_TRIES {
        office.gateway.say_of_refunds([RefundOutcome::Unknown {
            why: "no answer".to_owned(),
        }]);
        office.work(&worker).await;
        let job = office.refund_job(due.bookid).await;
        let state = if tries < REFUND_TRIES {
            "open"
        } else {
            "attention"
        };
        assert_eq!(job.state, state, "after {tries} tries");
    }
    let job = office.refund_job(due.bookid).await;
    assert_eq!(job.last_error.as_deref(), Some("no answer"));
    says_so(&heard, "refund");
    assert_eq!(office.gateway.asked().refunds.len(), REFUND_TRIES);
}
