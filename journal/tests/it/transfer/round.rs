//! Out and in again: the same events, byte for byte, and a journal that behaves as the first one did.

use journal::Done;
use journal::append::Outcome;
use journal::feed::Feed;
use journal::transfer::Target;
use serde_json::Value;

use super::desk::{
    Remarks, answers, events, export, export_to, exported, folder, footer, import, import_stream,
    import_text, state, told,
};
use crate::samples::{booked, defer, place, request, request_payment};
use crate::sql;
use crate::stage::Stage;

#[tokio::test]
async fn the_export_of_an_import_is_the_export() {
    let mut first = told().await;
    let text = exported(&first).await;
    let mut second = Stage::open().await;
    let report = import_text(&import(&second), &text).await.unwrap();
    assert_eq!(report.events, first.events().await);
    assert_eq!(
        report.commands,
        first.commands().await + 2,
        "two odd events have commands of their own"
    );
    let again = exported(&second).await;
    assert_eq!(events(&again), events(&text));
    assert_eq!(footer(&again), footer(&text));
    // From there once more, and through a pipe.
    let third = Stage::open().await;
    import_stream(&import(&third), &again).await.unwrap();
    assert_eq!(events(&exported(&third).await), events(&text));
    assert_eq!(second.events().await, report.events);
}

#[tokio::test]
async fn a_command_is_answered_as_it_was_where_it_was_stored() {
    let mut first = told().await;
    let mut second = Stage::open().await;
    import_text(&import(&second), &exported(&first).await)
        .await
        .unwrap();
    let known = answers(&mut first).await;
    let imported = answers(&mut second).await;
    assert!(
        known.iter().all(|answer| imported.contains(answer)),
        "{known:?} {imported:?}"
    );
    let both = || request(5, vec![place(5), request_payment(5)]);
    let then = first.journal.execute_one(both()).await.unwrap();
    let now = second.journal.execute_one(both()).await.unwrap();
    assert!(matches!(now, Done::Already(_)), "{now:?}");
    assert_eq!(now, then);
}

#[tokio::test]
async fn what_is_appended_next_stands_behind_what_was_imported() {
    let first = told().await;
    let head = first.journal.head().await.unwrap();
    let second = Stage::open().await;
    import_text(&import(&second), &exported(&first).await)
        .await
        .unwrap();
    let Outcome::Stored(answer) = second.append(booked(77, 77)).await.unwrap() else {
        panic!("it is new");
    };
    assert_eq!(answer.position, head + 1);
    // The highest number that has events; a stream that no booking has does not count.
    let next = second.journal.next_booking("nowhere").await.unwrap();
    assert_eq!(next.bookid.0, 902);
    // An imported stream goes on.
    let done = second
        .journal
        .execute_one(request(78, vec![defer(5)]))
        .await
        .unwrap();
    assert_eq!(done.answer().version_of("Book"), Some(2));
}

#[tokio::test]
async fn the_imported_journal_is_another_one() {
    let first = told().await;
    let second = Stage::open().await;
    let before = second.journal.identity().await.unwrap();
    let report = import_text(&import(&second), &exported(&first).await)
        .await
        .unwrap();
    let now = second.journal.identity().await.unwrap();
    assert_ne!(now, before);
    assert_ne!(now, first.journal.identity().await.unwrap());
    assert_eq!(report.journal, now.to_string());
    assert_eq!(
        report.source,
        first.journal.identity().await.unwrap().to_string()
    );
}

#[tokio::test]
async fn positions_without_events_are_known_to_be_dead() {
    let first = told().await;
    let text = exported(&first).await;
    let mut second = Stage::open().await;
    import_text(&import(&second), &text).await.unwrap();
    let dead = second
        .number("select sum(last_position - first_position + 1)::bigint from dead_spans")
        .await;
    let head = second.journal.head().await.unwrap();
    assert_eq!(dead, head - i64::try_from(events(&text).len()).unwrap());
    // One read passes all of them: none has to be proved.
    let page = Feed::observer(second.journal.clone())
        .read_stored(0, 1_000)
        .await
        .unwrap();
    assert_eq!((page.position, page.hole), (head, None));
}

#[tokio::test]
async fn slots_stay_taken_and_what_people_decided_stays_decided() {
    let mut first = told().await;
    sql::run(
        &mut first.owner,
        "insert into slot_claims values (5, 1, '[2026-11-22 10:00Z,2026-11-22 12:00Z)'), (6, 2, '[2026-11-22,)'),
                                        (4711, 9, '[2026-11-22,)');
         insert into jobs (kind, key, bookid, payload, state, due_at, attempts, last_error)
         select kind, kind || '/' || number, 5, jsonb_build_object('number', number, 'causation_id', coalesce(event, event_id)),
                state, now(), 3, 'because'
         from events, (values ('charge', '1', 'attention', null), ('refund', '1', 'done', null), ('refund', '2', 'done', null),
                              ('refund', '3', 'open', null), ('charge', '9', 'attention', gen_random_uuid()))
              as j (kind, number, state, event)
         where aggregate_type = 'Payment' and aggregate_id = '5';
         insert into decisions (action, subject, decided_by, reason)
         select 'job.resolve', to_jsonb(j), 'somebody', 'paid by hand' from jobs j where key = 'refund/1'",
    )
    .await;
    let text = exported(&first).await;
    let mut second = Stage::open().await;
    let report = import_text(&import(&second), &text).await.unwrap();
    assert_eq!((report.claims, report.jobs), (2, 2));
    let claims = "select string_agg(bookid || during::text, ' ' order by bookid) from slot_claims";
    let expected =
        "5[\"2026-11-22 10:00:00+00\",\"2026-11-22 12:00:00+00\") 6[\"2026-11-22 00:00:00+00\",)";
    sql::run(&mut second.owner, "set timezone = 'UTC'").await;
    assert_eq!(sql::text(&mut second.owner, claims).await, expected);
    let jobs =
        "select string_agg(key || ' ' || state || ' ' || attempts, ', ' order by key) from jobs";
    assert_eq!(
        sql::text(&mut second.owner, jobs).await,
        "charge/1 attention 3, refund/1 done 3"
    );
    // The decision stayed where it was made; that it was made goes on with the job.
    let mut third = Stage::open().await;
    let report = import_text(&import(&third), &exported(&second).await)
        .await
        .unwrap();
    assert_eq!((report.claims, report.jobs), (2, 2));
    assert_eq!(
        sql::text(&mut third.owner, jobs).await,
        "charge/1 attention 3, refund/1 done 3"
    );
}

#[tokio::test]
async fn a_piece_has_the_claims_and_jobs_of_its_own_bookings_only() {
    let mut stage = told().await;
    // Booking 2 stands before the piece; booking 5 is in it, and booking 6 begins before its payment is asked for.
    sql::run(
        &mut stage.owner,
        "insert into slot_claims select aggregate_id::bigint, 1, '[2026-11-22,2026-11-23)' from events
         where aggregate_type = 'Book' and aggregate_id = '2';
         insert into slot_claims values (5, 2, '[2026-11-22,2026-11-23)');
         insert into jobs (kind, key, bookid, payload, state, due_at)
         select 'charge', aggregate_id, aggregate_id::bigint, jsonb_build_object('causation_id', event_id), 'attention', now()
         from events where aggregate_type = 'Payment' or aggregate_type = 'Book' and aggregate_id = '2'",
    )
    .await;
    let first = |id: &'static str| {
        format!(
            "select position from events where aggregate_type = 'Book' and aggregate_id = '{id}'"
        )
    };
    let (five, six) = (
        stage.number(&first("5")).await,
        stage.number(&first("6")).await,
    );
    let folder = folder();
    for (from, claims, jobs) in [(1, 2, 3), (five, 1, 2), (five + 1, 0, 1), (six + 1, 0, 0)] {
        let path = folder.path().join(from.to_string());
        let mut piece = export(&stage);
        piece.from = Some(from);
        piece.run(Target::File(path.clone())).await.unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let lines = state(&text);
        let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
        assert_eq!(
            (count("\"claim\""), count("\"job\"")),
            (claims, jobs),
            "{from}"
        );
    }
}

/// Says how far the saga had acted.
fn acted(text: &str) -> Vec<i64> {
    let acted = state(text).into_iter().filter_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["state"]["acted"]["to_position"].as_i64()
    });
    acted.collect()
}

#[tokio::test]
async fn how_far_the_saga_had_acted_is_carried_on() {
    let mut first = told().await;
    assert_eq!(acted(&exported(&first).await), [0; 0]);
    sql::run(
        &mut first.owner,
        "insert into followers (name, generation, position) values ('orders', 1, 7)",
    )
    .await;
    assert_eq!(acted(&exported(&first).await), [7]);
    // What it parked it has not acted on.
    sql::run(
        &mut first.owner,
        "insert into parked (name, generation, position, key, event_type) values ('orders', 1, 4, '5', 'X'), ('books', 1, 2, '5', 'X')",
    )
    .await;
    let text = exported(&first).await;
    assert_eq!(acted(&text), [3]);
    let second = Stage::open().await;
    import_text(&import(&second), &text).await.unwrap();
    let imported = second.journal.imported(1, 1).await.unwrap();
    assert_eq!(imported.iter().map(|i| i.acted_to).collect::<Vec<_>>(), [3]);
    // Also when it is exported again before its own saga has read anything.
    assert_eq!(acted(&exported(&second).await), [3]);
}

#[tokio::test]
async fn of_a_journal_that_was_cut_off_nothing_is_said_to_be_done() {
    let mut first = told().await;
    sql::run(
        &mut first.owner,
        "insert into followers (name, generation, position) values ('orders', 1, 7)",
    )
    .await;
    let (folder, head) = (folder(), first.journal.head().await.unwrap());
    for (to, expected) in [(head, vec![7]), (head - 1, vec![])] {
        let path = folder.path().join(to.to_string());
        let mut export = export(&first);
        export.to = Some(to);
        export.run(Target::File(path.clone())).await.unwrap();
        assert_eq!(
            acted(&std::fs::read_to_string(path).unwrap()),
            expected,
            "{to}"
        );
    }
}

#[tokio::test]
async fn an_empty_journal_can_be_carried_too() {
    let first = Stage::open().await;
    let text = exported(&first).await;
    let mut second = Stage::open().await;
    let report = import_text(&import(&second), &text).await.unwrap();
    assert_eq!((report.events, report.last_position), (0, 0));
    let Outcome::Stored(answer) = second.append(booked(1, 1)).await.unwrap() else {
        panic!("it is new");
    };
    assert_eq!((answer.position, second.events().await), (1, 1));
}

#[tokio::test]
async fn a_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (stage, folder) = (Stage::open().await, folder());
    let path = folder.path().join("journal.jsonl");
    export_to(&stage, &path).await.unwrap();
    let mode = std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn what_fails_behind_the_commit_is_a_remark() {
    let text = exported(&told().await).await;
    let mut stage = Stage::open().await;
    sql::run(
        &mut stage.owner,
        "create function fails_in_analyze(uuid) returns int immutable language plpgsql as $$
         begin
             if current_query() like 'analyze%' then raise exception 'the disk is full'; end if;
             return 1;
         end $$;
         create index on commands (fails_in_analyze(command_id))",
    )
    .await;
    let remarks = Remarks::default();
    let mut import = import(&stage);
    import.told = &remarks;
    let report = import_text(&import, &text).await.unwrap();
    assert_eq!(report.events, stage.events().await);
    let said = remarks.said().join("; ");
    assert!(
        said.contains("everything is imported") && said.contains("the disk is full"),
        "{said}"
    );
    stage.append(booked(77, 77)).await.unwrap();
}
