use journal::StreamId;
use journal::status::{Blocker, FollowerStatus, Hole, JobCounts};

use super::*;

const STATE: [(&str, i64, &str, i64); 3] = [
    ("books", 1_208, "running", 0),
    ("mypage", 1_190, "running", 3),
    ("orders", 1_208, "running", 0),
];

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + second).unwrap()
}

fn seen(second: i64, head: i64) -> Seen {
    let follower = |(name, position, state, parked): (&str, i64, &str, i64)| FollowerStatus {
        name: name.to_owned(),
        generation: 1,
        version: projections::by_name(name).map(|projection| projection.version),
        position,
        lag_events: head - position,
        lag_seconds: 0,
        state: state.to_owned(),
        reason: None,
        parked,
        quarantined: 0,
    };
    Seen {
        at: at(second),
        status: Status {
            head,
            watermark: head,
            hole: None,
            import: None,
            followers: STATE.map(follower).into(),
            generations: vec![],
            as_of: vec![],
            jobs: JobCounts {
                due: 1,
                waiting: 2,
                needs_attention: 0,
                timers: 4,
            },
            incidents: vec![],
        },
        latest: (0..5)
            .map(|back| Latest {
                position: head - back,
                recorded_at: at(second - back),
                stream: StreamId::new("Payment", &(100 - back)),
                event_type: "Approved".to_owned(),
            })
            .collect(),
    }
}

fn said(lines: &[Line]) -> String {
    let marked = lines.iter().map(|line| {
        let mark = match line.tone {
            Tone::Plain => ' ',
            Tone::Heading => '=',
            Tone::Trouble => '!',
        };
        format!("{mark} {}", line.text.trim_end())
    });
    marked.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_screen_says_all_of_it() {
    let mut view = View::new(seen(0, 1_208));
    for second in 1..6 {
        view.see(Ok(seen(second, 1_208 + second * second * 10)));
    }
    insta::assert_snapshot!(said(&view.lines(40)));
}

#[test]
fn trouble_is_marked_and_cannot_steer_the_terminal() {
    let mut troubled = seen(0, 1_208);
    troubled.status.hole = Some(Hole {
        first: 1_207,
        last: 1_207,
        since: at(-33),
        blocked_by: Some(Blocker {
            pid: Some(4_711),
            prepared: None,
            database: Some("spacerent".to_owned()),
            role: Some("ann".to_owned()),
            age_seconds: Some(33),
            state: Some("idle in transaction".to_owned()),
            query: Some("insert into events\nvalues ('\u{1b}[2J')".to_owned()),
        }),
    });
    troubled.status.followers[1].state = "outdated".to_owned();
    troubled.status.jobs.needs_attention = 1;
    let mut view = View::new(troubled);
    view.see(Err(anyhow::anyhow!("the database cannot be reached")));
    insta::assert_snapshot!(said(&view.lines(40)));
    insta::assert_snapshot!(view.in_short());
}

#[test]
fn a_low_screen_shows_what_stands_first() {
    let view = View::new(seen(0, 1_208));
    assert_eq!(view.lines(3), view.lines(40)[..3]);
}

#[test]
fn one_line_says_what_somebody_should_know() {
    let mut view = View::new(seen(0, 1_208));
    insta::assert_snapshot!(view.in_short());
    view.see(Ok(seen(10, 1_258)));
    insta::assert_snapshot!(view.in_short());
}

#[test]
fn the_curve_is_bounded_and_time_may_stand_still() {
    let mut view = View::new(seen(0, 1_208));
    view.see(Ok(seen(0, 1_300)));
    assert_eq!(view.rates.len(), 0);
    for second in 1..100 {
        view.see(Ok(seen(second, 1_300 + second)));
    }
    assert_eq!(view.rates.len(), RATES_MAX);
}
