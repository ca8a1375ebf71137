//! Files that are not what an export wrote: each is refused with the line that is wrong, and nothing is stored.

use journal::transfer::TransferError;

use super::desk::{changed, exported, import, import_stream, import_text, told, unmarked};
use crate::sql;
use crate::stage::Stage;

/// What a damaged file is told.
async fn refused(stage: &mut Stage, text: &str) -> String {
    let error = import_text(&import(stage), text)
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(stage.events().await, 0, "{error}");
    assert_eq!(
        stage.number("select count(*) from imports").await,
        0,
        "{error}"
    );
    assert!(!error.contains('\n'), "{error}");
    error
}

#[tokio::test]
async fn every_kind_of_damage_is_named_and_nothing_is_stored() {
    let source = told().await;
    sqlx::raw_sql("insert into followers (name, generation, position) values ('orders', 1, 7)")
        .execute(&mut source.session().await)
        .await
        .unwrap();
    let text = unmarked(&exported(&source).await);
    let count = text.lines().count();
    let (state, footer) = (count - 2, count - 1);
    type Change = Box<dyn FnOnce(&mut Vec<String>)>;
    let cases: Vec<(&str, Change)> = vec![
        (
            "line 14 is damaged: the SHA-256 of the events is",
            Box::new(|l| l[2] = l[2].replace("room", "doom")),
        ),
        (
            "line 14 is damaged: the SHA-256 of the events is",
            Box::new(|l| l[3] = l[3].replace("2026", "2027")),
        ),
        (
            "line 4 is damaged: position 2 stands behind 3",
            Box::new(|l| l.swap(2, 3)),
        ),
        (
            "line 5 is damaged: position 3 stands behind 3",
            Box::new(|l| l.insert(4, l[3].clone())),
        ),
        (
            "is damaged: the footer says 11 events, there are 10",
            Box::new(|l| drop(l.remove(5))),
        ),
        (
            "is damaged: the footer says 12 events, there are 11",
            Box::new(move |l| l[footer] = l[footer].replace("\"events\":11", "\"events\":12")),
        ),
        (
            "is damaged: the footer says 99 as last position",
            Box::new(move |l| {
                l[footer] = l[footer].replace("\"last_position\":13", "\"last_position\":99");
            }),
        ),
        (
            "is damaged: the SHA-256 of the state is",
            Box::new(move |l| l[state] = l[state].replace('7', "8")),
        ),
        (
            "is damaged: the footer says 1 lines of state, there are 0",
            Box::new(move |l| drop(l.remove(state))),
        ),
        (
            "line 4 is damaged: it cannot be read",
            Box::new(|l| l[3] = "not JSON".to_owned()),
        ),
        (
            "line 4 is damaged: it cannot be read",
            Box::new(|l| l[3] = "{\"else\":1}".to_owned()),
        ),
        (
            "line 4 is damaged: its event cannot be read",
            Box::new(|l| l[3].truncate(60)),
        ),
        (
            "line 4 is damaged: its sequence is below 1",
            Box::new(|l| l[3] = l[3].replace("\"sequence\":1", "\"sequence\":0")),
        ),
        (
            "line 4 is damaged: its metadata is not a map of texts",
            Box::new(|l| l[3] = l[3].replace("\"metadata\":{", "\"metadata\":{\"n\":1,")),
        ),
        (
            "line 4 is damaged: a second header",
            Box::new(|l| l.insert(3, l[0].clone())),
        ),
        (
            "an event behind the state",
            Box::new(move |l| l.insert(footer, l[3].clone())),
        ),
        (
            "it stands behind the footer",
            Box::new(|l| l.push("{}".to_owned())),
        ),
        (
            "is of version 2 of the format",
            Box::new(|l| l[0] = l[0].replace("\"version\":1", "\"version\":2")),
        ),
        (
            "is not an exported journal",
            Box::new(|l| l[0] = l[0].replace("spacerent-journal", "another")),
        ),
        (
            "is not an exported journal",
            Box::new(|l| drop(l.remove(0))),
        ),
        (
            "line 1 is damaged: its first position",
            Box::new(|l| l[0] = l[0].replace("\"first_position\":1", "\"first_position\":0")),
        ),
        (
            "line 1 is damaged: the header cannot be read",
            Box::new(|l| l[0] = l[0].replace("\"epoch\"", "\"epic\"")),
        ),
    ];
    let mut stage = Stage::open().await;
    for (number, (expected, change)) in cases.into_iter().enumerate() {
        let damaged = changed(&text, change);
        assert_ne!(damaged, text, "case {number} changes nothing");
        let error = refused(&mut stage, &damaged).await;
        assert!(
            error.contains(expected),
            "case {number}: {error}, not {expected}"
        );
    }
    for (text, expected) in [
        ("", "nothing in it"),
        ("{\"header\":{\"form", "nothing in it"),
        ("\u{1}\u{2}\n", "is not an exported journal"),
        ("hello", "is not an exported journal"),
    ] {
        let error = refused(&mut stage, text).await;
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    // After all of that the whole file is taken.
    import_text(&import(&stage), &text).await.unwrap();
}

#[tokio::test]
async fn a_cut_file_is_refused_wherever_it_was_cut() {
    let text = exported(&told().await).await;
    let mut stage = Stage::open().await;
    let header = text.find('\n').unwrap() + 1;
    for end in (header..text.len()).step_by(97) {
        let error = import_text(&import(&stage), &text[..end])
            .await
            .unwrap_err();
        assert!(
            matches!(error, TransferError::Truncated { .. }),
            "{end}: {error}"
        );
    }
    // A stream is known to be cut only at its end; of these there is no event.
    for end in [header, header + 40] {
        let error = import_stream(&import(&stage), &text[..end])
            .await
            .unwrap_err();
        assert!(matches!(error, TransferError::Truncated { .. }), "{error}");
    }
    assert_eq!(stage.events().await, 0);
    assert_eq!(stage.number("select count(*) from imports").await, 0);
}

#[tokio::test]
async fn a_cut_file_is_taken_for_what_is_there_when_that_is_asked_for() {
    let source = told().await;
    let text = exported(&source).await;
    let cut = text.find("{\"position\":5").unwrap() + 30;
    let mut stage = Stage::open().await;
    let mut import = import(&stage);
    import.allow_truncated = true;
    let report = import_text(&import, &text[..cut]).await.unwrap();
    assert!(report.truncated);
    // Nobody knows what people had settled: they are asked again.
    assert!(report.payments_held);
    let imported = stage.journal.imported(1, 10).await.unwrap();
    assert_eq!((imported[0].acted_to, imported[0].payments_held), (0, true));
    // Whether the command of the last one had more cannot be known.
    assert_eq!((report.events, report.events_left_out), (2, 1));
    assert_eq!(stage.events().await, 2);
}

#[tokio::test]
async fn a_damaged_stream_leaves_an_import_that_the_whole_file_finishes() {
    let text = unmarked(&exported(&told().await).await);
    let mut stage = Stage::open().await;
    let damaged = changed(&text, |lines| lines.swap(9, 10));
    let mut small = import(&stage);
    small.batch_max = 2;
    import_stream(&small, &damaged).await.unwrap_err();
    assert!(stage.journal.unfinished_import().await.unwrap().is_some());
    let mut whole = import(&stage);
    whole.batch_max = 2;
    let report = import_stream(&whole, &text).await.unwrap();
    assert_eq!((report.events, report.events_before), (11, 7));
    assert_eq!(stage.events().await, 11);
}

#[tokio::test]
async fn a_mark_finds_the_damage_before_it() {
    let text = exported(&told().await).await;
    assert_eq!(text.matches("{\"mark\":").count(), 3);
    let mut stage = Stage::open().await;
    for (damaged, expected) in [
        (
            text.replacen("room 2", "doom 2", 1),
            "line 5 is damaged: the SHA-256 of the events is",
        ),
        (
            changed(&text, |lines| drop(lines.remove(1))),
            "line 4 is damaged: the mark says 3 events, there are 2",
        ),
        (
            changed(&text, |lines| {
                lines.insert(lines.len() - 1, lines[4].clone());
            }),
            "the mark says 3 events, there are 11",
        ),
    ] {
        let error = refused(&mut stage, &damaged).await;
        assert!(error.contains(expected), "{error}, not {expected}");
    }
}

#[tokio::test]
async fn a_job_that_no_worker_can_read_is_damage() {
    let mut source = told().await;
    sql::run(
        &mut source.owner,
        "insert into jobs (kind, key, bookid, payload, state, due_at)
         select 'charge', 'charge:5:1', 5, jsonb_build_object('number', '1', 'causation_id', event_id), 'attention', now()
         from events where aggregate_type = 'Payment' and aggregate_id = '5'",
    )
    .await;
    let text = unmarked(&exported(&source).await);
    let mut stage = Stage::open().await;
    for payload in ["{\"number\":1}", "{\"number\":null}", "[]", "\"1\"", "null"] {
        let damaged = changed(&text, |lines| {
            for line in lines.iter_mut().filter(|line| line.contains("\"job\"")) {
                let at = line.find("\"payload\":").unwrap() + "\"payload\":".len();
                let end = at + line[at..].find('}').unwrap() + 1;
                line.replace_range(at..end, payload);
            }
        });
        assert_ne!(damaged, text);
        let error = refused(&mut stage, &damaged).await;
        let expected = "line 13 is damaged: it cannot be read: a job's payload is no map of texts";
        assert!(error.contains(expected), "{payload}: {error}");
    }
    let report = import_text(&import(&stage), &text).await.unwrap();
    assert_eq!(report.jobs, 1);
}
