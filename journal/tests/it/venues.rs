//! Venues: defined, changed, retired, each once; what a booking begins with; what is taken.

use domain::Money;
use domain::ports::Random;
use domain::venue::{Definition, Span};
use jiff::{SignedDuration, Timestamp};
use journal::runtime::SystemRandom;
use journal::venues::{Bookable, CLAIMS_MAX, Change, Changed, Place};
use journal::{Actor, Trace};
use serde_json::{Value, json};

use crate::sql;
use crate::stage::Stage;

fn definition(mut body: Value) -> Definition {
    body["spacename"] = json!("numberone");
    let fields = body.as_object().unwrap().clone();
    Definition::read(fields, Money::krw(10_000)).unwrap()
}

/// A change of whatever version, or of one of these.
pub(crate) fn change(versions: Option<&[i64]>) -> Change {
    Change {
        command_id: SystemRandom.uuid(),
        trace: Trace {
            correlation_id: "journey".into(),
            causation_id: None,
            traceparent: None,
            actor: Actor::Manager,
            actor_id: Some("7".into()),
        },
        versions: versions.map(<[i64]>::to_vec),
    }
}

async fn save(stage: &Stage, body: Value, versions: Option<&[i64]>) -> Changed {
    let (definition, change) = (definition(body), change(versions));
    let saved = stage.journal.save_venue(&definition, false, &change).await;
    saved.unwrap()
}

/// A venue of so many units.
pub(crate) async fn define(stage: &Stage, name: &str, units: i64) {
    let mut definition = definition(json!({"units": units}));
    name.clone_into(&mut definition.spacename);
    let saved = stage
        .journal
        .save_venue(&definition, false, &change(None))
        .await;
    saved.unwrap();
}

pub(crate) async fn numberone(stage: &Stage) -> Bookable {
    match stage.journal.place("numberone").await.unwrap() {
        Place::Venue(venue) => *venue,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_venue_is_defined_changed_and_retired() {
    let mut stage = Stage::open().await;
    let journal = stage.journal.clone();
    assert_eq!(journal.place("numberone").await.unwrap(), Place::Undefined);
    let (first, change_of_1) = (definition(json!({"units": 3})), change(None));
    let saved = journal
        .save_venue(&first, true, &change_of_1)
        .await
        .unwrap();
    assert_eq!(saved, Changed::Defined { version: 1 });
    // The same command again, and another one.
    let again = journal
        .save_venue(&first, true, &change_of_1)
        .await
        .unwrap();
    assert_eq!(again, Changed::Defined { version: 1 });
    let other = journal
        .save_venue(&first, true, &change(None))
        .await
        .unwrap();
    assert_eq!(other, Changed::Exists { version: 1 });
    let found = numberone(&stage).await;
    assert_eq!((found.venue.version(), found.units.len()), (1, 3));
    assert_eq!(found.venue.definition(), &first);

    assert_eq!(
        save(&stage, json!({"units": 2}), Some(&[2])).await,
        Changed::Other { version: Some(1) }
    );
    assert_eq!(
        save(&stage, json!({"units": 2}), Some(&[1])).await,
        Changed::Changed { version: 2 }
    );
    let fewer = numberone(&stage).await;
    assert_eq!(fewer.units, found.units[..2]);
    // What was closed comes back under its number.
    assert_eq!(
        save(&stage, json!({"units": 4}), None).await,
        Changed::Changed { version: 3 }
    );
    let more = numberone(&stage).await;
    assert_eq!((&more.units[..3], more.units.len()), (&found.units[..], 4));

    let retire = change(Some(&[3]));
    let stale = journal
        .retire_venue("numberone", &change(Some(&[2])))
        .await
        .unwrap();
    assert_eq!(stale, Changed::Other { version: Some(3) });
    for _ in 0..2 {
        let retired = journal.retire_venue("numberone", &retire).await.unwrap();
        assert_eq!(retired, Changed::Retired);
    }
    let gone = journal
        .retire_venue("numberone", &change(None))
        .await
        .unwrap();
    assert_eq!(gone, Changed::Other { version: None });
    assert_eq!(journal.place("numberone").await.unwrap(), Place::Retired);
    assert_eq!(journal.venues(0, 10).await.unwrap(), (vec![], 0));
    assert_eq!(
        save(&stage, json!({}), Some(&[4])).await,
        Changed::Other { version: None }
    );
    assert_eq!(
        save(&stage, json!({}), None).await,
        Changed::Defined { version: 5 }
    );
    assert_eq!(numberone(&stage).await.units, found.units[..1]);

    let changes = "select change || ' ' || version || ' ' || (metadata ->> 'actor_type') from venue_changes order by version";
    assert_eq!(
        sql::texts(&mut stage.owner, changes).await,
        [
            "defined 1 manager",
            "changed 2 manager",
            "changed 3 manager",
            "retired 4 manager",
            "defined 5 manager"
        ]
    );
    let refused = "update venue_changes set version = 9";
    assert_eq!(sql::refusal(&mut stage.owner, refused).await, "23001");
}

#[tokio::test]
async fn no_version_is_expected_of_what_is_not_there() {
    let mut stage = Stage::open().await;
    assert_eq!(
        save(&stage, json!({}), Some(&[1])).await,
        Changed::Other { version: None }
    );
    let there = "select count(*) from venues";
    assert_eq!(sql::number(&mut stage.owner, there).await, 0);
}

#[tokio::test]
async fn of_many_who_define_it_at_once_one_does() {
    let stage = Stage::open().await;
    let journal = &stage.journal;
    let definition = definition(json!({"units": 2}));
    let changes: Vec<_> = (0..8).map(|_| change(None)).collect();
    let saved = futures::future::join_all(
        changes
            .iter()
            .map(|change| journal.save_venue(&definition, true, change)),
    )
    .await;
    let defined = saved
        .iter()
        .filter(|it| matches!(it, Ok(Changed::Defined { version: 1 })));
    assert_eq!(defined.count(), 1, "{saved:?}");
    let exists = saved
        .iter()
        .filter(|it| matches!(it, Ok(Changed::Exists { version: 1 })));
    assert_eq!(exists.count(), 7, "{saved:?}");
    assert_eq!(numberone(&stage).await.units.len(), 2);
    // One command that is sent twice at once is one command.
    let twice = change(Some(&[1]));
    let (one, other) = tokio::join!(
        journal.save_venue(&definition, false, &twice),
        journal.save_venue(&definition, false, &twice)
    );
    assert_eq!(one.unwrap(), Changed::Changed { version: 2 });
    assert_eq!(other.unwrap(), Changed::Changed { version: 2 });
    // Of two who change what they both saw, one does: the other one sees that it has changed.
    let (mine, yours) = (change(Some(&[2])), change(Some(&[2])));
    let (one, other) = tokio::join!(
        journal.save_venue(&definition, false, &mine),
        journal.save_venue(&definition, false, &yours)
    );
    let mut answers = [one.unwrap(), other.unwrap()];
    answers.sort_by_key(|answer| matches!(answer, Changed::Other { .. }));
    assert_eq!(
        answers,
        [
            Changed::Changed { version: 3 },
            Changed::Other { version: Some(3) }
        ]
    );
}

#[tokio::test]
async fn a_booking_begins_with_its_number_and_its_place() {
    let stage = Stage::open().await;
    let journal = &stage.journal;
    let next = journal.next_booking("numberone").await.unwrap();
    assert_eq!((next.bookid.0, next.place), (1, Place::Undefined));
    save(&stage, json!({"units": 2}), None).await;
    let next = journal.next_booking("numberone").await.unwrap();
    let Place::Venue(found) = next.place else {
        panic!("{next:?}")
    };
    assert_eq!((next.bookid.0, &*found), (2, &numberone(&stage).await));
    journal
        .retire_venue("numberone", &change(None))
        .await
        .unwrap();
    let next = journal.next_booking("numberone").await.unwrap();
    assert_eq!((next.bookid.0, next.place), (3, Place::Retired));
}

#[tokio::test]
async fn venues_are_listed_by_name() {
    let stage = Stage::open().await;
    for name in ["b", "a", "c"] {
        let mut definition = definition(json!({}));
        name.clone_into(&mut definition.spacename);
        stage
            .journal
            .save_venue(&definition, true, &change(None))
            .await
            .unwrap();
    }
    for (offset, limit, expected) in [(0, 10, "abc"), (0, 2, "ab"), (2, 2, "c"), (9, 2, "")] {
        let (venues, total) = stage.journal.venues(offset, limit).await.unwrap();
        let names: String = venues
            .iter()
            .map(|it| it.venue.definition().spacename.as_str())
            .collect();
        assert_eq!((names.as_str(), total), (expected, 3));
    }
}

#[tokio::test]
async fn a_definition_of_a_later_program_is_left_to_it() {
    let mut stage = Stage::open().await;
    save(&stage, json!({}), None).await;
    let later = "update venues set definition = definition || '{\"colour\": \"red\"}'";
    sql::run(&mut stage.owner, later).await;
    let error = stage.journal.place("numberone").await.unwrap_err();
    assert!(
        matches!(&error, journal::StoreError::Newer(why) if why.contains("colour")),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_taken_is_found_by_unit_and_time() {
    let mut stage = Stage::open().await;
    save(&stage, json!({"units": 3}), None).await;
    let units = numberone(&stage).await.units;
    let day = |hour: i64| Timestamp::from_second(1_796_000_000 + hour * 3_600).unwrap();
    for (bookid, unit, from, to) in [(1, 0, 0, 2), (2, 0, 2, 3), (3, 1, 5, 6), (4, 2, 0, 9)] {
        let claim = format!(
            "insert into slot_claims (bookid, unit, during) values ({bookid}, {}, tstzrange('{}', '{}'))",
            units[unit],
            day(from),
            day(to),
        );
        sql::run(&mut stage.owner, &claim).await;
    }
    let none = SignedDuration::ZERO;
    let taken = async |units: &[i64], from, to, room| {
        let span = Span::new(day(from), day(to));
        let mut taken = stage
            .journal
            .taken(units, span, room)
            .await
            .unwrap()
            .unwrap();
        taken.sort_by_key(|it| (it.unit, it.start));
        let taken = taken.iter();
        taken
            .map(|it| (it.unit, it.start, it.end))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        taken(&units[..2], 2, 5, none).await,
        [(units[0], day(2), day(3))]
    );
    // What touches is one.
    let all = [
        (units[0], day(0), day(3)),
        (units[1], day(5), day(6)),
        (units[2], day(0), day(9)),
    ];
    assert_eq!(taken(&units, 1, 6, none).await, all);
    assert!(taken(&[], 1, 6, none).await.is_empty());
}

#[tokio::test]
async fn a_gap_that_nobody_can_use_is_none() {
    let mut stage = Stage::open().await;
    save(&stage, json!({}), None).await;
    let units = numberone(&stage).await.units;
    let day = |hour: i64| Timestamp::from_second(1_796_000_000 + hour * 3_600).unwrap();
    let claims = format!(
        "insert into slot_claims (bookid, unit, during) select n, {}, tstzrange(at, at + interval '1 hour')
         from generate_series(0, 2) n, lateral (select '{}'::timestamptz + n * interval '3 hours' as at) times",
        units[0],
        day(0),
    );
    sql::run(&mut stage.owner, &claims).await;
    let span = Span::new(day(0), day(24));
    let mut found = vec![];
    for minutes in [119, 120, 121] {
        let room = SignedDuration::from_mins(minutes);
        let taken = stage.journal.taken(&units, span, room).await.unwrap();
        found.push(taken.unwrap().len());
    }
    assert_eq!(found, [3, 3, 1]);
}

#[tokio::test]
async fn more_than_can_be_looked_at_is_said_and_not_read() {
    let mut stage = Stage::open().await;
    save(&stage, json!({"units": 2}), None).await;
    let units = numberone(&stage).await.units;
    let begin = Timestamp::from_second(1_796_000_000).unwrap();
    let claims = |from: i64, to: i64| {
        format!(
            "insert into slot_claims (bookid, unit, during)
             select n, {} + n % 2, tstzrange(at, at + interval '1 minute')
             from generate_series({from}, {to}) n, lateral (select '{begin}'::timestamptz + n * interval '1 minute' as at) times",
            units[0],
        )
    };
    sql::run(&mut stage.owner, &claims(1, CLAIMS_MAX)).await;
    let year = Span::new(begin, begin + SignedDuration::from_hours(24 * 365));
    let taken = async |span| {
        let room = SignedDuration::from_mins(2);
        stage.journal.taken(&units, span, room).await.unwrap()
    };
    assert_eq!(taken(year).await.unwrap().len(), 2);
    sql::run(&mut stage.owner, &claims(CLAIMS_MAX + 1, CLAIMS_MAX + 1)).await;
    assert_eq!(taken(year).await, None);
    let day = Span::new(begin, begin + SignedDuration::from_hours(24));
    assert_eq!(taken(day).await.unwrap().len(), 2);
}
