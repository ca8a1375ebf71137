//! Whatever past a table has: a journal written along it reads like one that was written in today's shape.
//!
//! A past is drawn: every name has a chain of reshapings, some were bundled into events that are split today, and
//! some noise is dropped. Each reshaping is known in both directions, so that events of today can be written as they
//! would have been then.

use domain::version::{Becomes, Lineage, Payload, Shape, Step, Stored, Stream, Table, shape};
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, FileFailurePersistence};
use serde_json::{Map, Value, json};

/// The names of today that take part, and how many bundles and kinds of noise there are besides.
const NAMES: [&str; 3] = ["Booked", "PaymentDeferred", "Bookcancelled"];
const BUNDLE: &str = "Bundle";
const NOISE: &str = "Noise";

type Fields = Map<String, Value>;

/// A reshaping, and its way back.
#[derive(Clone, Copy, Debug)]
struct Op {
    up: fn(Value) -> Result<Value, String>,
    down: fn(Fields) -> Fields,
}

const OPS: [Op; 4] = [
    // A field more than there is.
    Op {
        up: |payload| {
            on_fields(payload, |mut fields| {
                let mut before = fields.remove("legacy").ok_or("no legacy")?;
                if let Some(older) = before.get_mut("older").map(Value::take) {
                    fields.insert("legacy".to_owned(), older);
                }
                Ok(fields)
            })
        },
        down: |mut fields| {
            let legacy = match fields.remove("legacy") {
                Some(older) => json!({ "older": older }),
                None => json!({}),
            };
            fields.insert("legacy".to_owned(), legacy);
            fields
        },
    },
    // Everything was one level deeper.
    Op {
        up: |payload| {
            on_fields(payload, |mut fields| match fields.remove("body") {
                Some(Value::Object(body)) => Ok(body),
                other => Err(format!("no body: {other:?}")),
            })
        },
        down: |fields| Fields::from_iter([("body".to_owned(), Value::Object(fields))]),
    },
    // Fields had other names.
    Op {
        up: |payload| {
            on_fields(payload, |fields| {
                let plain = |(name, value): (String, Value)| {
                    Some((name.strip_prefix("the_")?.to_owned(), value))
                };
                fields
                    .into_iter()
                    .map(plain)
                    .collect::<Option<_>>()
                    .ok_or_else(|| "a plain name".to_owned())
            })
        },
        down: |fields| {
            fields
                .into_iter()
                .map(|(name, value)| (format!("the_{name}"), value))
                .collect()
        },
    },
    // Values were text.
    Op {
        up: |payload| {
            on_fields(payload, |fields| {
                let parsed = |(name, value): (String, Value)| {
                    let text = value.as_str().ok_or("not text")?;
                    Ok((name, serde_json::from_str(text).map_err(|e| e.to_string())?))
                };
                fields.into_iter().map(parsed).collect()
            })
        },
        down: |fields| {
            fields
                .into_iter()
                .map(|(name, value)| (name, value.to_string().into()))
                .collect()
        },
    },
];

/// Reshapes everything but the name, which the table sees to.
fn on_fields(
    payload: Value,
    reshape: fn(Fields) -> Result<Fields, String>,
) -> Result<Value, String> {
    match payload {
        Value::Object(mut fields) => {
            fields.remove("type");
            reshape(fields).map(Value::Object)
        }
        other => Err(format!("not an object: {other}")),
    }
}

fn unbundle(mut payload: Value) -> Result<Vec<(&'static str, Value)>, String> {
    let parts = payload["parts"].as_array_mut().ok_or("no parts")?;
    let part = |part: &mut Value| {
        let name = NAMES.into_iter().find(|name| part["name"] == **name);
        Some((name?, part["payload"].take()))
    };
    let parts = parts.iter_mut().map(part).collect::<Option<_>>();
    parts.ok_or_else(|| "no name".to_owned())
}

/// Everything that was ever written.
#[derive(Clone, Debug)]
struct Past {
    /// By name: what led from each version to the next.
    chains: Vec<Vec<Op>>,
    bundle: Vec<Op>,
    /// The versions of the parts of a bundle, by name.
    bundled: Vec<&'static str>,
    noise: Vec<Op>,
}

fn chain() -> impl Strategy<Value = Vec<Op>> {
    proptest::collection::vec(select(&OPS[..]), 0..5)
}

fn past() -> impl Strategy<Value = Past> {
    let chains = proptest::collection::vec(chain(), NAMES.len());
    let bundled = proptest::collection::vec(any::<Index>(), NAMES.len());
    (chains, chain(), bundled, chain()).prop_map(|(chains, bundle, bundled, noise)| Past {
        bundled: chains
            .iter()
            .zip(bundled)
            .map(|(chain, at)| version(at.index(chain.len() + 1)))
            .collect(),
        chains,
        bundle,
        noise,
    })
}

/// The version at a place of a chain.
fn version(place: usize) -> &'static str {
    ["1", "2", "3", "4", "5", "6"][place]
}

/// The steps of a chain; the last version of a retired name has one more, which is `last`.
fn steps(name: &'static str, chain: &[Op], last: Option<Becomes>) -> &'static [Step] {
    let reshape = |(place, op): (usize, &Op)| {
        Step::one(version(place), shape(name, version(place + 1)), op.up)
    };
    let mut steps: Vec<Step> = chain.iter().enumerate().map(reshape).collect();
    steps.extend(last.map(|becomes| Step {
        from: version(chain.len()),
        becomes,
    }));
    // A table is read from the first one that fits, in whatever order.
    steps.reverse();
    steps.leak()
}

impl Past {
    fn table(&self) -> Table {
        let today = NAMES.into_iter().zip(&self.chains);
        let mut events: Vec<Lineage> = today
            .map(|(name, chain)| Lineage::now(name, version(chain.len()), steps(name, chain, None)))
            .collect();
        let parts = NAMES.into_iter().zip(&self.bundled);
        let parts: Vec<Shape> = parts.map(|(name, version)| shape(name, version)).collect();
        let split = Becomes::Several {
            to: parts.leak(),
            split: unbundle,
        };
        let nothing = Becomes::Nothing { why: "noise" };
        events.push(Lineage::retired(
            BUNDLE,
            steps(BUNDLE, &self.bundle, Some(split)),
        ));
        events.push(Lineage::retired(
            NOISE,
            steps(NOISE, &self.noise, Some(nothing)),
        ));
        let stream = Stream {
            aggregate_type: "Book",
            events: events.leak(),
        };
        Table(vec![stream].leak())
    }

    /// An event of today as it was written at `version`.
    fn lowered(&self, (name, today): &(usize, Fields), version: &str) -> Value {
        lowered(today.clone(), &self.chains[*name], version, NAMES[*name])
    }
}

/// Fields at the end of a chain, as they were at a version.
fn lowered(fields: Fields, chain: &[Op], at: &str, name: &str) -> Value {
    let back = chain
        .iter()
        .enumerate()
        .rev()
        .take_while(|(place, _)| version(*place) >= at);
    let mut fields = back.fold(fields, |fields, (_, op)| (op.down)(fields));
    fields.insert("type".to_owned(), name.into());
    Value::Object(fields)
}

/// An event of today: which of the names, and its fields without the name.
fn today() -> impl Strategy<Value = (usize, Fields)> {
    let fields = [
        json!({"bookid": 7, "userid": null, "spacename": "방 1", "status": "booking", "amount": 10000, "currency": "KRW"}),
        json!({"bookid": 7, "status": "Timeout", "reason": "slow", "sent": false}),
        json!({"bookid": 7, "userid": 1, "spacename": "방 1", "status": "cancel-booking", "amount": 5, "currency": "USD",
               "reason": null}),
    ];
    (0..NAMES.len(), 1..1_000_i64).prop_map(move |(name, bookid)| {
        let mut fields = fields[name].as_object().unwrap().clone();
        fields.insert("bookid".to_owned(), bookid.into());
        (name, fields)
    })
}

/// What one row holds, in events of today, and which of its versions it is written with.
#[derive(Clone, Debug)]
enum Row {
    Alone((usize, Fields), Index),
    Bundle(Vec<(usize, Fields)>, Index),
    Noise(Index),
}

fn row() -> impl Strategy<Value = Row> {
    let several = proptest::collection::vec(today(), 0..4);
    proptest::prop_oneof![
        4 => (today(), any::<Index>()).prop_map(|(event, at)| Row::Alone(event, at)),
        2 => (several, any::<Index>()).prop_map(|(events, at)| Row::Bundle(events, at)),
        1 => any::<Index>().prop_map(Row::Noise),
    ]
}

impl Row {
    /// Name, version and payload, as they were stored.
    fn stored(&self, past: &Past) -> (&'static str, &'static str, Value) {
        match self {
            Self::Alone(event, at) => {
                let version = version(at.index(past.chains[event.0].len() + 1));
                (NAMES[event.0], version, past.lowered(event, version))
            }
            Self::Bundle(events, at) => {
                let part = |event: &(usize, Fields)| json!({"name": NAMES[event.0], "payload": past.lowered(event, past.bundled[event.0])});
                let parts: Vec<_> = events.iter().map(part).collect();
                let fields = Fields::from_iter([("parts".to_owned(), parts.into())]);
                let version = version(at.index(past.bundle.len() + 1));
                (
                    BUNDLE,
                    version,
                    lowered(fields, &past.bundle, version, BUNDLE),
                )
            }
            Self::Noise(at) => {
                let version = version(at.index(past.noise.len() + 1));
                (
                    NOISE,
                    version,
                    lowered(Fields::new(), &past.noise, version, NOISE),
                )
            }
        }
    }

    fn events(&self) -> &[(usize, Fields)] {
        match self {
            Self::Alone(event, _) => std::slice::from_ref(event),
            Self::Bundle(events, _) => events,
            Self::Noise(_) => &[],
        }
    }
}

proptest! {
    #![proptest_config(Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    })]

    #[test]
    fn a_journal_with_a_past_reads_like_one_of_today(
        past in past(),
        rows in proptest::collection::vec(row(), 1..12),
    ) {
        let table = past.table();
        let mut read = Vec::new();
        for row in &rows {
            let (event_type, event_version, payload) = row.stored(&past);
            let text = payload.to_string();
            let stored = |payload| Stored { aggregate_type: "Book", event_type, event_version, payload };
            let events = table.read(stored(Payload::Text(&text))).unwrap().into_events();
            let from_tree = table.read(stored(Payload::Tree(payload))).unwrap().into_events();
            prop_assert_eq!(&events, &from_tree);
            let ends = table.may_become("Book", event_type, event_version).unwrap();
            assert!(events.iter().all(|event| ends.contains(&event.name())));
            read.extend(events);
        }
        let today = rows.iter().flat_map(Row::events);
        let today: Vec<domain::Event> = today
            .map(|(name, fields)| {
                let mut fields = fields.clone();
                fields.insert("type".to_owned(), NAMES[*name].into());
                serde_json::from_value(Value::Object(fields)).unwrap()
            })
            .collect();
        prop_assert_eq!(read, today);
    }
}

#[test]
fn a_table_that_leads_in_a_circle_ends() {
    static CIRCLE: Table = Table(&[Stream {
        aggregate_type: "Book",
        events: &[Lineage::retired(
            "Round",
            &[
                Step::one("1", shape("Round", "2"), domain::version::unchanged),
                Step::one("2", shape("Round", "1"), domain::version::unchanged),
            ],
        )],
    }]);
    let stored = Stored {
        aggregate_type: "Book",
        event_type: "Round",
        event_version: "1",
        payload: Payload::Text("{}"),
    };
    let error = CIRCLE.read(stored).unwrap_err().to_string();
    assert!(error.contains("do not lead to today"), "{error}");
    assert!(!CIRCLE.knows("Book", "Round", "1"));
}
