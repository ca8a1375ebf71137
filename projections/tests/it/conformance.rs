//! Two stores, one My Page: whatever happened and whatever is asked, Postgres and the file answer alike.

use projections::{BookingFilter, MypageRow, PageRequest, ReadModels};
use proptest::prelude::{Strategy, any, prop, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use crate::shelf::{Shelf, everything};
use crate::story::{self, CANCELLED, REGISTERED, STEPS, Step, play};
use crate::world::World;

/// Names that a locale would order otherwise than their bytes do, that look like SQL or JSON, or like each other.
const NAMES: [&str; 14] = [
    "numberone",
    "Numberone",
    "number one",
    "가람",
    "나래",
    "각",
    "ㄱ",
    "Éclair",
    "eclair",
    "%",
    "_",
    "it's \"one\"\\",
    "[1,\t\"two\"]\n",
    "10",
];
/// Users, among them the largest and the smallest number that there is.
const USERS: [i64; 5] = [1, 2, i64::MAX, i64::MIN, 9_007_199_254_740_993];
const COLUMNS: [&str; 17] = [
    "id",
    "bookid",
    "userid",
    "spacename",
    "spaceid",
    "payid",
    "status",
    "phase",
    "amount",
    "currency",
    "refunded",
    "points",
    "attention",
    "position",
    "created_at",
    "updated_at",
    "no such column",
];

type Question = (BookingFilter, PageRequest);

/// Asks both, and holds the answers against each other: as rows, and as the bytes of their JSON.
async fn ask_both(database: &ReadModels, file: &ReadModels, (filter, page): &Question) {
    let from_database = database.list::<MypageRow>(filter, page).await.unwrap();
    let from_file = file.list::<MypageRow>(filter, page).await.unwrap();
    assert_eq!(from_database, from_file, "{filter:?} {page:?}");
    let json = |answer| serde_json::to_string(answer).unwrap();
    assert_eq!(json(&from_database), json(&from_file));
}

async fn compare(database: &ReadModels, file: &ReadModels, questions: &[Question]) {
    assert_eq!(everything(database).await, everything(file).await);
    for question in questions {
        ask_both(database, file, question).await;
    }
}

fn questions() -> impl Strategy<Value = Vec<Question>> {
    let word = prop_oneof![
        prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        prop::sample::select(vec![
            "booking",
            "placed",
            "paid",
            "Registered",
            "success-register",
            "registered",
            "cancelled",
            "' or 1=1"
        ])
        .prop_map(str::to_owned),
    ];
    let word = || prop::option::weighted(0.2, word.clone());
    let number = prop_oneof![prop::sample::select(&USERS[..]), 1..6_i64, any::<i64>()];
    let number = || prop::option::weighted(0.2, number.clone());
    let filter = (number(), number(), word(), word(), word()).prop_map(
        |(userid, bookid, spacename, status, phase)| BookingFilter {
            userid,
            bookid,
            spacename,
            status,
            phase,
        },
    );
    let sort = prop::collection::vec((prop::sample::select(&COLUMNS[..]), any::<bool>()), 0..4);
    let number = prop_oneof![9 => 0..4_u64, 1 => any::<u64>()];
    let page = (number.clone(), number, sort).prop_map(|(page, size, sort)| PageRequest {
        page,
        size,
        sort: sort
            .into_iter()
            .map(|(column, down)| (column.to_owned(), down))
            .collect(),
    });
    prop::collection::vec((filter, page), 40)
}

fn stories() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let step = (1..=4_i64, prop::sample::select(&STEPS[..]));
    prop::collection::vec(step, 20..60)
}

fn places() -> impl Strategy<Value = Vec<(i64, &'static str)>> {
    let place = (
        prop::sample::select(&USERS[..]),
        prop::sample::select(&NAMES[..]),
    );
    prop::collection::vec(place, 8)
}

#[test]
fn the_stores_agree_whatever_happened_and_whatever_is_asked() {
    let config = Config {
        cases: 6,
        // Each is a whole system; the story as it was found says enough.
        max_shrink_iters: 8,
        failure_persistence: None,
        ..Config::default()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let told = (places(), stories(), questions());
    TestRunner::new(config)
        .run(&told, |(places, steps, questions)| {
            runtime.block_on(async {
                let (world, shelf) = (World::new().await, Shelf::new());
                let followers = world.follow();
                let kept = shelf.keep(&world.journal).await.unwrap();
                for ((user, spacename), id) in places.into_iter().zip(1..) {
                    story::place(&world, id, user, spacename).await;
                }
                for (id, step) in steps {
                    // Refusals are part of life.
                    let _ = story::ask(&world, id, step).await;
                }
                world.caught_up().await;
                kept.caught_up(&world).await;
                compare(&world.models, &kept.models, &questions).await;
                kept.stop().await;
                // And what is made at once from the first event on.
                let anew = Shelf::new();
                let kept = anew.keep(&world.journal).await.unwrap();
                kept.caught_up(&world).await;
                compare(&world.models, &kept.models, &questions).await;
                kept.stop().await;
                followers.stop().await;
            });
            Ok(())
        })
        .unwrap();
}

/// Three bookings of names that are ordered otherwise by any locale than by their bytes.
async fn named() -> (World, Shelf) {
    let (world, shelf) = (World::new().await, Shelf::new());
    for (id, name) in ["b", "B", "나", "가", "a", "É", "A"]
        .into_iter()
        .zip(1..)
        .map(|(n, i)| (i, n))
    {
        story::place(&world, id, 1, name).await;
    }
    world.follow_to_the_end().await;
    shelf.fill(&world).await;
    (world, shelf)
}

fn by(column: &str, down: bool) -> Question {
    let sort = vec![(column.to_owned(), down)];
    let page = PageRequest {
        sort,
        ..PageRequest::default()
    };
    (BookingFilter::default(), page)
}

async fn names(models: &ReadModels, (filter, page): &Question) -> Vec<String> {
    let found = models.list::<MypageRow>(filter, page).await.unwrap();
    found.rows.into_iter().map(|row| row.spacename).collect()
}

#[tokio::test]
async fn words_are_ordered_by_their_bytes_in_a_database_of_any_locale() {
    let (world, shelf) = named().await;
    // As it would be in a database that was made with a locale: there, "a" stands before "B".
    world
        .run_sql(
            r#"drop view mypage.mypages;
               alter table mypage_1.mypages alter column spacename type text collate "und-x-icu";
               create view mypage.mypages as select * from mypage_1.mypages;
               grant select on mypage.mypages to spacerent_runtime"#,
        )
        .await;
    let locale = "select string_agg(spacename, ' ' order by spacename) from mypage.mypages";
    assert_eq!(world.text(locale).await, "a A b B É 가 나");
    let kept = shelf.keep(&world.journal).await.unwrap();
    kept.caught_up(&world).await;
    for models in [&world.models, &kept.models] {
        let up = names(models, &by("spacename", false)).await;
        assert_eq!(up, ["A", "B", "a", "b", "É", "가", "나"]);
        let down = names(models, &by("spacename", true)).await;
        assert_eq!(down, ["나", "가", "É", "b", "a", "B", "A"]);
        // What is not equal to the byte is not the same name.
        let of = |name: &str| BookingFilter {
            spacename: Some(name.to_owned()),
            ..BookingFilter::default()
        };
        for (name, count) in [("B", 1), ("%", 0), ("_", 0), ("\u{1100}\u{1161}", 0)] {
            let found = models
                .list::<MypageRow>(&of(name), &PageRequest::default())
                .await
                .unwrap();
            assert_eq!(found.total, count, "{name}");
        }
    }
    kept.stop().await;
}

#[tokio::test]
async fn nothing_stands_behind_everything() {
    let (world, shelf) = (World::new().await, Shelf::new());
    play(&world, 1, &REGISTERED).await;
    play(&world, 2, &[Step::Place]).await;
    play(&world, 3, &REGISTERED).await;
    play(&world, 3, &CANCELLED).await;
    world.follow_to_the_end().await;
    let kept = shelf.keep(&world.journal).await.unwrap();
    kept.caught_up(&world).await;
    for models in [&world.models, &kept.models] {
        for (down, expected) in [(false, [1, 3, 2]), (true, [2, 3, 1])] {
            let (filter, page) = by("spaceid", down);
            let found = models.list::<MypageRow>(&filter, &page).await.unwrap();
            let ids: Vec<_> = found.rows.iter().map(|row| row.id).collect();
            assert_eq!(ids, expected);
        }
    }
    kept.stop().await;
}
