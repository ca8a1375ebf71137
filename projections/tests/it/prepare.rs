//! Making the tables.

use projections::rebuild::Goal;
use projections::{NAMES, PrepareError, prepare};

use crate::story::{REGISTERED, play};
use crate::world::{World, migrated, schema_sql};

const GENERATIONS: &str =
    "select string_agg(name || generation || state, ' ' order by name) from projections";
const FIRST: &str =
    "board1live books1live calendar1live mypage1live payments1live points1live spaces1live";

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

#[tokio::test]
async fn an_index_that_a_newer_program_wants_is_made_in_every_generation() {
    let world = World::over(migrated().await);
    prepare(world.url()).await.unwrap();
    play(&world, 1, &REGISTERED).await;
    let followers = world.follow();
    world.replay("books", Goal::Switch).await.unwrap();
    let indexes = "select string_agg(schemaname || '.' || indexname, ' ' order by schemaname)
        from pg_indexes where indexname = 'books_userid_bookid_idx'";
    let both = "books_1.books_userid_bookid_idx books_2.books_userid_bookid_idx";
    assert_eq!(world.text(indexes).await, both);
    // As the tables of an earlier program are.
    world
        .run_sql(
            "drop index books_1.books_userid_bookid_idx; drop index books_2.books_userid_bookid_idx",
        )
        .await;
    prepare(world.url()).await.unwrap();
    assert_eq!(world.text(indexes).await, both);
    play(&world, 2, &REGISTERED).await;
    world.caught_up().await;
    followers.stop().await;
}

#[test]
fn the_tables_are_what_the_row_types_say() {
    insta::assert_snapshot!(schema_sql(), @r#"
    create schema books_1;
    create table books_1.books (
        bookid bigint not null,
        userid bigint,
        spacename text not null,
        status text not null,
        phase text not null,
        amount bigint not null,
        currency text not null,
        starts_at timestamptz,
        ends_at timestamptz,
        unit bigint,
        version bigint not null,
        created_at timestamptz not null,
        updated_at timestamptz not null,
        primary key (bookid)
    ) with (fillfactor = 80);
    create index if not exists books_userid_bookid_idx on books_1.books using btree (userid, bookid);
    create schema books;
    create view books.books as select bookid, userid, spacename, status, phase, amount, currency, starts_at, ends_at, unit, version, created_at, updated_at from books_1.books;
    create schema payments_1;
    create table payments_1.payments (
        payid bigint not null,
        bookid bigint not null,
        userid bigint,
        spacename text not null,
        status text,
        phase text not null,
        amount bigint not null,
        currency text not null,
        captured bigint not null,
        refunded bigint not null,
        payment_status text not null,
        refund_status text not null,
        outstanding bigint not null,
        unanswered text not null,
        refunds_open bigint not null,
        version bigint not null,
        created_at timestamptz not null,
        updated_at timestamptz not null,
        primary key (payid)
    ) with (fillfactor = 80);
    create index if not exists payments_userid_payid_idx on payments_1.payments using btree (userid, payid);
    create schema payments;
    create view payments.payments as select payid, bookid, userid, spacename, status, phase, amount, currency, captured, refunded, payment_status, refund_status, outstanding, unanswered, refunds_open, version, created_at, updated_at from payments_1.payments where status is not null;
    create schema spaces_1;
    create table spaces_1.spaces (
        spaceid bigint not null,
        bookid bigint not null,
        userid bigint,
        spacename text not null,
        status text,
        phase text not null,
        version bigint not null,
        created_at timestamptz not null,
        updated_at timestamptz not null,
        primary key (spaceid)
    ) with (fillfactor = 80);
    create index if not exists spaces_userid_spaceid_idx on spaces_1.spaces using btree (userid, spaceid);
    create schema spaces;
    create view spaces.spaces as select spaceid, bookid, userid, spacename, status, phase, version, created_at, updated_at from spaces_1.spaces where status is not null;
    create schema mypage_1;
    create table mypage_1.mypages (
        id bigint not null,
        bookid bigint not null,
        userid bigint,
        spacename text not null,
        spaceid bigint,
        payid bigint,
        status text not null,
        phase text not null,
        amount bigint not null,
        currency text not null,
        starts_at timestamptz,
        ends_at timestamptz,
        refunded bigint not null,
        points bigint not null,
        attention text,
        position bigint not null,
        created_at timestamptz not null,
        updated_at timestamptz not null,
        primary key (id)
    ) with (fillfactor = 80);
    create table mypage_1.timeline (
        bookid bigint not null,
        position bigint not null,
        event text not null,
        at timestamptz not null,
        actor_type text not null,
        actor_id text,
        correlation_id text not null,
        status text not null,
        phase text not null,
        note text,
        primary key (bookid, position)
    );
    create index if not exists mypages_userid_id_idx on mypage_1.mypages using btree (userid, id);
    create index if not exists mypages_spacename_idx on mypage_1.mypages using hash (spacename);
    create index if not exists mypages_status_id_idx on mypage_1.mypages using btree (status, id);
    create index if not exists mypages_phase_id_idx on mypage_1.mypages using btree (phase, id);
    create schema mypage;
    create view mypage.mypages as select id, bookid, userid, spacename, spaceid, payid, status, phase, amount, currency, starts_at, ends_at, refunded, points, attention, position, created_at, updated_at from mypage_1.mypages;
    create view mypage.timeline as select bookid, position, event, at, actor_type, actor_id, correlation_id, status, phase, note from mypage_1.timeline;
    create schema points_1;
    create table points_1.balances (
        userid bigint not null,
        points bigint not null,
        primary key (userid)
    ) with (fillfactor = 80);
    create table points_1.ledger (
        position bigint not null,
        userid bigint not null,
        payid bigint not null,
        kind text not null,
        points bigint not null,
        at timestamptz not null,
        primary key (position)
    );
    create index if not exists ledger_userid_position_idx on points_1.ledger using btree (userid, position);
    create schema points;
    create view points.balances as select userid, points from points_1.balances;
    create view points.ledger as select position, userid, payid, kind, points, at from points_1.ledger;
    create schema calendar_1;
    create table calendar_1.bookings (
        bookid bigint not null,
        spacename text not null,
        currency text not null,
        primary key (bookid)
    ) with (fillfactor = 80);
    create table calendar_1.days (
        spacename text collate "C" not null,
        day text collate "C" not null,
        bookings bigint not null,
        cancelled bigint not null,
        revenue_krw bigint not null,
        revenue_usd bigint not null,
        revenue_eur bigint not null,
        revenue_jpy bigint not null,
        primary key (spacename, day)
    ) with (fillfactor = 80);
    create schema calendar;
    create view calendar.bookings as select bookid, spacename, currency from calendar_1.bookings;
    create view calendar.days as select spacename, day, bookings, cancelled, revenue_krw, revenue_usd, revenue_eur, revenue_jpy from calendar_1.days;
    create schema board_1;
    create table board_1.bookings (
        bookid bigint not null,
        userid bigint,
        spacename text not null,
        unit bigint,
        starts_at timestamptz not null,
        ends_at timestamptz,
        minutes bigint not null,
        timezone text not null,
        day bigint not null,
        last_day bigint,
        phase text not null,
        status text not null,
        amount bigint not null,
        currency text not null,
        payment_status text not null,
        refund_status text not null,
        captured bigint not null,
        refunded bigint not null,
        outstanding bigint not null,
        points_spent bigint not null,
        unanswered text not null,
        refunds_open bigint not null,
        refund_since timestamptz,
        waits_for text,
        waits_since timestamptz not null,
        prepared_by text,
        handed_over_by text,
        checked_in_at timestamptz,
        checked_out_at timestamptz,
        overtime_minutes bigint not null,
        created_at timestamptz not null,
        updated_at timestamptz not null,
        primary key (bookid)
    ) with (fillfactor = 80);
    create index if not exists bookings_spacename_day_starts_at_bookid_idx on board_1.bookings using btree (spacename, day, starts_at, bookid);
    create index if not exists bookings_day_starts_at_bookid_idx on board_1.bookings using btree (day, starts_at, bookid);
    create index if not exists bookings_userid_day_starts_at_bookid_idx on board_1.bookings using btree (userid, day, starts_at, bookid);
    create index if not exists bookings_longer_than_a_day_idx on board_1.bookings using btree (last_day, day) where last_day is not null;
    create index if not exists bookings_to_prepare_idx on board_1.bookings using btree (starts_at, bookid) where waits_for = 'preparation';
    create index if not exists bookings_to_come_idx on board_1.bookings using btree (day, starts_at, bookid) where waits_for in ('preparation', 'arrival');
    create index if not exists bookings_not_moving_idx on board_1.bookings using btree (waits_since, bookid) where waits_for in ('payment', 'registration', 'cancellation');
    create index if not exists bookings_going_back_idx on board_1.bookings using btree (refund_since, bookid) where refund_since is not null;
    create index if not exists bookings_owing_idx on board_1.bookings using btree (bookid) where payment_status = 'outstanding';
    create schema board;
    create view board.bookings as select bookid, userid, spacename, unit, starts_at, ends_at, minutes, timezone, day, last_day, phase, status, amount, currency, payment_status, refund_status, captured, refunded, outstanding, points_spent, unanswered, refunds_open, refund_since, waits_for, waits_since, prepared_by, handed_over_by, checked_in_at, checked_out_at, overtime_minutes, created_at, updated_at from board_1.bookings;
    "#);
}
