//! Slots on one of several units.

use journal::append::{Append, Outcome};
use serde_json::json;

use crate::force::until_blocked;
use crate::samples::{Compose, append};
use crate::sql;
use crate::stage::{Stage, append_one, journal};

/// Who has which unit.
const CLAIMS: &str = "select bookid || ' in ' || unit from slot_claims order by bookid";
/// The units that events name, by booking.
const NAMED: &str = "select aggregate_id || ' in ' || (payload #>> '{slot,unit}')
                     from events where payload ? 'slot' order by aggregate_id::bigint, aggregate_type";

/// A booking whose event names a slot, and which claims one of these units for it.
fn in_one_of(key: i64, units: &[i64], from: i64, to: i64) -> Append {
    let command = u128::try_from(key).unwrap();
    let slot = json!({"slot": {"unit": null, "start": from, "end": to}});
    append(command)
        .saying("Book", key, 0, "Booked", slot)
        .claiming_one_of(key, units, from, to)
}

#[tokio::test]
async fn the_lowest_free_unit_is_taken_and_written_into_the_event() {
    let mut stage = Stage::open().await;
    for key in 1..=3 {
        let outcome = stage.append(in_one_of(key, &[11, 12, 13], 10, 12)).await;
        assert!(matches!(outcome, Ok(Outcome::Stored(_))), "{outcome:?}");
    }
    let fourth = in_one_of(4, &[11, 12, 13], 11, 12);
    assert_eq!(stage.append(fourth).await.unwrap(), Outcome::Taken);
    // In whatever order they are named.
    stage
        .append(in_one_of(5, &[13, 12, 11], 12, 13))
        .await
        .unwrap();
    let expected = ["1 in 11", "2 in 12", "3 in 13", "5 in 11"];
    assert_eq!(sql::texts(&mut stage.owner, CLAIMS).await, expected);
    assert_eq!(sql::texts(&mut stage.owner, NAMED).await, expected);
}

#[tokio::test]
async fn a_hundred_in_one_call_share_three_units() {
    let mut stage = Stage::open().await;
    let commands = (1..=100).map(|key| in_one_of(key, &[1, 2, 3], 10, 12));
    let outcomes = stage.journal.append(commands.collect()).await;
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert!(
        outcomes[..3]
            .iter()
            .all(|o| matches!(o, Outcome::Stored(_))),
        "{outcomes:?}"
    );
    assert!(outcomes[3..].iter().all(|o| *o == Outcome::Taken));
    let expected = ["1 in 1", "2 in 2", "3 in 3"];
    assert_eq!(sql::texts(&mut stage.owner, CLAIMS).await, expected);
    let positions = "select max(position) from events";
    assert_eq!(stage.number(positions).await, 3, "and leave no holes");
}

#[tokio::test]
async fn only_a_slot_that_names_no_unit_gets_one() {
    let mut stage = Stage::open().await;
    let command = append(1)
        .saying("Book", 1, 0, "Booked", json!({"slot": {"unit": 9}}))
        .saying("Payment", 1, 0, "PaymentRequested", json!({"slot": "none"}))
        .saying(
            "Space",
            1,
            0,
            "Registered",
            json!({"slot": {"unit": null}, "from": {"unit": null}}),
        )
        .claiming_one_of(1, &[5, 6], 10, 12)
        .claiming_one_of(1, &[5, 6], 10, 12);
    stage.append(command).await.unwrap();
    let payloads = "select payload::text from events order by aggregate_type";
    assert_eq!(
        sql::texts(&mut stage.owner, payloads).await,
        [
            r#"{"slot": {"unit": 9}}"#,
            r#"{"slot": "none"}"#,
            r#"{"from": {"unit": null}, "slot": {"unit": 5}}"#,
        ]
    );
    let units = "select unit from slot_claims order by 1";
    assert_eq!(sql::numbers(&mut stage.owner, units).await, [5, 6]);
}

#[tokio::test]
async fn who_waits_for_a_unit_takes_the_next_when_it_is_gone() {
    let mut stage = Stage::open().await;
    let mut foreign = stage.session().await;
    let claim = "begin; insert into slot_claims values (1, 5, '[2026-11-01,2027-01-01)')";
    sql::run(&mut foreign, claim).await;
    let commits = async {
        until_blocked(&mut stage.owner, 1).await;
        sql::run(&mut foreign, "commit").await;
    };
    let claim = append_one(&stage.journal, in_one_of(2, &[5, 6], 10, 12));
    let (outcome, ()) = tokio::join!(claim, commits);
    assert!(matches!(outcome, Ok(Outcome::Stored(_))), "{outcome:?}");
    assert_eq!(sql::texts(&mut stage.owner, NAMED).await, ["2 in 6"]);
}

#[tokio::test]
async fn what_is_sent_again_keeps_its_unit() {
    let mut stage = Stage::open().await;
    let command = in_one_of(1, &[5, 6], 10, 12);
    let Ok(Outcome::Stored(first)) = stage.append(command.clone()).await else {
        panic!("it is free")
    };
    let again = append_one(&journal(stage.url()), command).await;
    assert_eq!(again.unwrap(), Outcome::Already(first));
    assert_eq!(sql::texts(&mut stage.owner, CLAIMS).await, ["1 in 5"]);
}

/// While nodes are upgraded one after the other, those of the version before still call with one unit a claim.
#[tokio::test]
async fn the_call_of_the_version_before_is_still_answered() {
    let mut stage = Stage::open().await;
    let mut session = stage.runtime_session().await;
    let booked = |key: i64, from: i64, to: i64| {
        before(key, key, 1, "Booked")
            + &format!(
                "'{{1,1}}', '{{{key},{key}}}', '{{5,6}}', array[to_timestamp({from}), to_timestamp({from})],
                 array[to_timestamp({to}), to_timestamp({to})])"
            )
    };
    for (key, from, to, outcome) in [
        (1, 10, 12, "stored"),
        (2, 11, 13, "taken"),
        (3, 12, 13, "stored"),
    ] {
        let call = booked(key, from, to);
        assert_eq!(sql::text(&mut session, &call).await, outcome);
    }
    let claims = "select bookid * 10 + unit from slot_claims order by 1";
    let held = sql::numbers(&mut stage.owner, claims).await;
    assert_eq!(held, [15, 16, 35, 36]);
    // It does not know that a booking has a slot, and gives it back all the same.
    for (command, sequence, event_type, held) in
        [(4, 2, "PaymentDeferred", 4), (5, 3, "Bookcancelled", 2)]
    {
        let call = before(command, 1, sequence, event_type) + "'{}', '{}', '{}', '{}', '{}')";
        assert_eq!(sql::text(&mut session, &call).await, "stored");
        let count = stage.number("select count(*) from slot_claims").await;
        assert_eq!(count, held, "{event_type}");
    }
}

/// The call of the version before with one event of a booking, up to its claims.
fn before(command: i64, key: i64, sequence: i64, event_type: &str) -> String {
    format!(
        "select outcome from journal_append(
            array['00000000-0000-0000-0000-00000000000{command}']::uuid[], '{{1}}', '{{Book}}', '{{{key}}}',
            '{{{sequence}}}', '{{{event_type}}}', '{{1}}', array['{{\"n\": 1}}'::jsonb],
            array['{{\"a\": \"b\"}}'::jsonb], array[gen_random_uuid()], "
    )
}
