//! Making the tables.

use projections::{NAMES, PrepareError, prepare};

use crate::story::{REGISTERED, play};
use crate::world::{World, migrated};

const GENERATIONS: &str =
    "select string_agg(name || generation || state, ' ' order by name) from projections";
const FIRST: &str = "books1live mypage1live payments1live points1live spaces1live";

#[tokio::test]
async fn twice_is_once() {
    let world = World::over(migrated().await);
    prepare(world.url()).await.unwrap();
    play(&world, 1, &REGISTERED).await;
    world.follow_to_the_end().await;
    let before = world.rows("mypage").await;
    prepare(world.url()).await.unwrap();
    assert_eq!(world.text(GENERATIONS).await, FIRST);
    assert_eq!(world.rows("mypage").await, before);
    world.caught_up().await;
}

#[tokio::test]
async fn several_processes_at_once_make_it_once() {
    let world = World::over(migrated().await);
    let url = world.url();
    let (a, b, c, d) = tokio::join!(prepare(url), prepare(url), prepare(url), prepare(url));
    for prepared in [a, b, c, d] {
        prepared.unwrap();
    }
    assert_eq!(world.text(GENERATIONS).await, FIRST);
    play(&world, 1, &REGISTERED).await;
    world.follow_to_the_end().await;
}

#[tokio::test]
async fn a_read_model_of_a_newer_program_is_refused() {
    let world = World::new().await;
    world
        .run_sql("update projections set version = 99 where name = 'spaces'")
        .await;
    let error = prepare(world.url()).await.unwrap_err();
    assert!(
        matches!(
            error,
            PrepareError::Newer {
                name: "spaces",
                found: 99,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn the_service_may_write_rows_and_change_nothing_else() {
    let world = World::new().await;
    for name in NAMES {
        for sql in [
            format!("drop schema {name}_1 cascade"),
            format!("create table {name}_1.mine ()"),
            "update projections set state = 'kept'".to_owned(),
        ] {
            let refused = sqlx::raw_sql(&sql).execute(world.journal.pool()).await;
            assert!(refused.is_err(), "the runtime role could: {sql}");
        }
    }
}

#[test]
fn the_tables_are_what_the_row_types_say() {
    insta::assert_snapshot!(projections::schema_sql(), @"");
}
