//! Any journal: out, in, and out again.

use proptest::prelude::{Just, Strategy, any};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use proptest::{collection, prop_assert_eq, prop_oneof};
use serde_json::{Map, Value};
use tokio::runtime::Builder;

use super::desk::{answers, events, exported, footer, import, import_text, prove_holes};
use crate::sql;
use crate::stage::Stage;

/// How many journals.
const CASES: u32 = 12;

/// One command: events for a few streams, or a number that is drawn in vain.
#[derive(Clone, Debug)]
struct Step {
    streams: Vec<(u8, u8, Value)>,
    rolled_back: bool,
}

fn any_payload() -> impl Strategy<Value = Value> {
    let text = || any::<String>().prop_map(|text| text.replace('\0', ""));
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::vec((text(), inner), 0..4)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let streams = collection::vec((0_u8..3, 0_u8..4, any_payload()), 1..4);
    (streams, proptest::bool::weighted(0.2)).prop_map(|(streams, rolled_back)| Step {
        streams,
        rolled_back,
    })
}

async fn write(stage: &mut Stage, steps: &[Step]) {
    for step in steps {
        sql::run(&mut stage.owner, "begin").await;
        let command = sql::text(&mut stage.owner, "select gen_random_uuid()::text").await;
        for (kind, key, payload) in &step.streams {
            sqlx::query(
                "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, command_id)
                 select $1, $2, coalesce(max(sequence), 0) + 1, 'Any', '1', $3, '{}', $4::uuid
                 from events where aggregate_type = $1 and aggregate_id = $2",
            )
            .bind(["Book", "Payment", "Space"][usize::from(*kind)])
            .bind(key.to_string())
            .bind(payload)
            .bind(&command)
            .execute(&mut stage.owner)
            .await
            .unwrap();
        }
        sql::run(
            &mut stage.owner,
            if step.rolled_back {
                "rollback"
            } else {
                "commit"
            },
        )
        .await;
    }
}

async fn carried(steps: Vec<Step>, batch_max: i64) -> Result<(), TestCaseError> {
    let mut first = Stage::open().await;
    write(&mut first, &steps).await;
    prove_holes(&mut first).await;
    let text = exported(&first).await;
    let mut second = Stage::open().await;
    let mut import = import(&second);
    import.batch_max = batch_max;
    import_text(&import, &text).await.unwrap();
    let again = exported(&second).await;
    prop_assert_eq!(events(&again), events(&text));
    prop_assert_eq!(footer(&again), footer(&text));
    let rows = "select coalesce(string_agg(to_jsonb(e.*)::text, ' ' order by position), '')
                from (select aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                             position, event_id, command_id, recorded_at from events) e";
    let (one, other) = (
        sql::text(&mut first.owner, rows).await,
        sql::text(&mut second.owner, rows).await,
    );
    prop_assert_eq!(one, other);
    let commands = first
        .number("select count(distinct command_id) from events")
        .await;
    prop_assert_eq!(
        i64::try_from(answers(&mut second).await.len()).unwrap(),
        commands
    );
    Ok(())
}

#[test]
fn any_journal_comes_through() {
    let runtime = Builder::new_multi_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let journals = (collection::vec(any_step(), 0..14), 1_i64..9);
    runner
        .run(&journals, |(steps, batch_max)| {
            runtime.block_on(carried(steps, batch_max))
        })
        .unwrap();
}
