//! `parked` and `jobs` over a running system, and what is made from the command line itself.

use local_postgres::testing::timeout;
use serde_json::Value;
use sqlx::PgConnection;

use crate::commands::one_line;
use crate::events::connect;
use crate::server::{CONVERGE_MAX, Folder, Server, followers, moment, spacerent};

/// Status and document of a command that was asked for JSON.
async fn json(folder: &Folder, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = folder.run(&[arguments, &["--json"]].concat()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    let document = serde_json::from_slice(&output.stdout);
    (
        output.status.code(),
        document.unwrap_or_else(|e| panic!("{e}: {said}")),
    )
}

async fn decisions(owner: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "select action || ' by ' || decided_by || ': ' || reason from decisions order by id",
    )
    .fetch_all(owner)
    .await
    .unwrap()
}

/// Of several, a list of one.
async fn says_what_it_leaves_out(folder: &Folder, what: &str) {
    let arguments = [what, "list", "--limit", "1"];
    let (status, list) = json(folder, &arguments).await;
    assert_eq!((status, &list["more"]), (Some(0), &true.into()), "{list}");
    assert_eq!(list[what].as_array().unwrap().len(), 1, "{list}");
    let output = folder.run(&arguments).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--limit shows more"), "{said}");
}

#[tokio::test]
async fn a_parked_booking_is_listed_retried_and_discarded() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let mut owner = connect(&folder).await;
    let unreadable = r#"insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        values ('Book', '7', 1, 'Rebooked', '9', '{}', '{"occurred_at": "2026-11-22T08:40:01Z", "actor_type": "system"}')"#;
    sqlx::raw_sql(unreadable).execute(&mut owner).await.unwrap();
    let parked = async {
        loop {
            let (status, list) = json(&folder, &["parked", "list"]).await;
            assert_eq!(status, Some(0));
            if list["parked"].as_array().unwrap().len() == followers().len() {
                return list;
            }
            moment().await;
        }
    };
    let list = timeout(CONVERGE_MAX, parked)
        .await
        .expect("it is not parked");
    let first = &list["parked"][0];
    assert_eq!(
        (
            &first["name"],
            &first["key"],
            &first["position"],
            &first["behind"]
        ),
        (&"board".into(), &"7".into(), &1.into(), &0.into())
    );
    let table = folder.run(&["parked", "list"]).await.stdout;
    let table = String::from_utf8(table).unwrap();
    assert_eq!(table.lines().count(), 1 + followers().len(), "{table}");
    assert!(
        table.starts_with("follower") && table.contains("Rebooked"),
        "{table}"
    );

    assert_eq!(list["more"], Value::Null, "{list}");
    says_what_it_leaves_out(&folder, "parked").await;

    let (status, shown) = json(&folder, &["parked", "show", "mypage", "7"]).await;
    assert_eq!(
        (status, &shown["events"][0]["position"]),
        (Some(0), &1.into())
    );
    let (status, tried) = json(&folder, &["parked", "retry", "mypage", "7", "--by", "ann"]).await;
    assert_eq!(
        (status, &tried["tried"]),
        (Some(1), &true.into()),
        "{tried}"
    );
    assert!(
        tried["left"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("Rebooked")
    );

    let line = one_line(&folder.run(&["parked", "discard", "mypage", "7"]).await);
    assert!(line.contains("--reason"), "{line}");
    let line = one_line(&folder.run(&["parked", "retry", "mypage", "8"]).await);
    assert!(line.contains("parked list"), "{line}");
    let discard = [
        "parked",
        "discard",
        "mypage",
        "7",
        "--by",
        "ann",
        "--reason",
        "no such thing",
        "--json",
    ];
    let output = folder.run(&discard).await;
    let gone: Value = serde_json::from_slice(&output.stdout).unwrap();
    let status = output.status.code();
    assert_eq!((status, &gone["discarded"]), (Some(0), &1.into()), "{gone}");
    let log = String::from_utf8(output.stderr).unwrap();
    let why = ["parked events were discarded", "no such thing"];
    assert!(why.iter().all(|word| log.contains(word)), "{log}");
    let (_, list) = json(&folder, &["parked", "list"]).await;
    let names: Vec<_> = list["parked"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["name"])
        .collect();
    let left: Vec<_> = followers().into_iter().filter(|f| *f != "mypage").collect();
    assert_eq!(names, left);
    assert_eq!(
        decisions(&mut owner).await,
        [
            "parked.retry by ann: asked for",
            "parked.discard by ann: no such thing"
        ]
    );
    for (follower, said) in [
        ("nope", "there is no follower nope; there are books, "),
        ("orders", "orders has nothing parked of booking 3"),
    ] {
        let line = one_line(&folder.run(&["parked", "retry", follower, "3"]).await);
        assert!(line.contains(said), "{line}");
    }
    assert!(server.stop().await.success());

    let output = folder
        .run(&["parked", "retry", "books", "7", "--by", "ann"])
        .await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("when its role runs"),
        "{said}"
    );
}

#[tokio::test]
async fn a_job_for_people_is_listed_retried_and_resolved() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let mut owner = connect(&folder).await;
    let jobs = r#"insert into jobs (kind, key, bookid, payload, state, due_at, last_error)
        select 'refund', n || '/1', n, '{"number": "1"}', 'attention', now(), 'refused' from generate_series(1, 2) n"#;
    sqlx::raw_sql(jobs).execute(&mut owner).await.unwrap();
    let (status, list) = json(&folder, &["jobs", "list"]).await;
    assert_eq!(
        (status, &list["jobs"][0]["last_error"]),
        (Some(0), &"refused".into())
    );
    let table = String::from_utf8(folder.run(&["jobs", "list"]).await.stdout).unwrap();
    assert!(table.contains("for people"), "{table}");
    says_what_it_leaves_out(&folder, "jobs").await;

    let (status, job) = json(&folder, &["jobs", "retry", "1", "--by", "ann"]).await;
    assert_eq!((status, &job["id"]), (Some(0), &1.into()));
    // Its worker finds that there is no such refund.
    let tried = async {
        while json(&folder, &["jobs", "show", "1"]).await.1["attempts"] != 1 {
            moment().await;
        }
    };
    timeout(CONVERGE_MAX, tried)
        .await
        .expect("no worker took it");

    let line = one_line(&folder.run(&["jobs", "resolve", "2"]).await);
    assert!(line.contains("--reason"), "{line}");
    let resolve = [
        "jobs",
        "resolve",
        "2",
        "--by",
        "ann",
        "--reason",
        "paid back in cash",
    ];
    let (status, job) = json(&folder, &resolve).await;
    assert_eq!((status, &job["state"]), (Some(0), &"done".into()));
    let line = one_line(&folder.run(&resolve).await);
    assert!(line.contains("job 2 is done"), "{line}");
    let line = one_line(&folder.run(&["jobs", "show", "99"]).await);
    assert!(line.contains("no job 99"), "{line}");
    assert_eq!(
        decisions(&mut owner).await,
        [
            "job.retry by ann: one more try",
            "job.resolve by ann: paid back in cash"
        ]
    );
    assert!(server.stop().await.success());
}

/// Booking 90 is booking 1 before its payment had an outcome, and its charge is left to people.
const NOBODY_KNOWS: &str = r#"
    insert into jobs (kind, key, bookid, payload, state, due_at, attempts, last_error)
    values ('charge', 'charge:90:1', 90, '{"number": "1"}', 'attention', now(), 9, 'no answer');
    insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
    select aggregate_type, '90', sequence, event_type, event_version,
           payload || jsonb_build_object(case aggregate_type when 'Book' then 'bookid' else 'payid' end, 90, 'bookid', 90),
           metadata
    from events where aggregate_id = '1' and event_type in ('Booked', 'PaymentRequested') order by position"#;

#[tokio::test]
async fn what_people_say_of_a_charge_is_appended_in_their_name() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    assert_eq!(server.book("numberone").await.0, 201);
    let mut owner = connect(&folder).await;
    sqlx::raw_sql(NOBODY_KNOWS)
        .execute(&mut owner)
        .await
        .unwrap();
    let refused = async |arguments: &[&str]| {
        let by = [&["jobs"], arguments, &["--by", "ann", "--reason", "seen"]].concat();
        let output = folder.run(&by).await;
        (output.status.code(), one_line(&output))
    };
    let (_, list) = json(&folder, &["jobs", "list"]).await;
    let id = list["jobs"][0]["id"].to_string();
    let both = ["resolve", &id, "--not-charged", "--refunded", "88"];
    let blank = ["resolve", &id, "--charged", " "];
    for usage in [&both[..], &blank] {
        assert_eq!(refused(usage).await.0, Some(2));
    }
    for (arguments, why) in [
        (
            ["resolve", &id, "--refunded=88"],
            "says nothing of a charge",
        ),
        (["retry", &id, "--not-refunded"], "is no refund"),
    ] {
        let (status, line) = refused(&arguments).await;
        assert!(status == Some(1) && line.contains(why), "{line}");
    }
    let resolve = [
        "jobs",
        "resolve",
        &id,
        "--not-charged",
        "--by",
        "ann",
        "--reason",
        "seen at the gateway",
    ];
    let (status, job) = json(&folder, &resolve).await;
    assert_eq!((status, &job["state"]), (Some(0), &"done".into()), "{job}");
    let by_ann =
        "select count(*) from events where event_type = 'PaymentDeclined' and aggregate_id = '90'
                  and metadata ->> 'actor_id' = 'ann'";
    let count: i64 = sqlx::query_scalar(by_ann)
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(count, 1);
    let ended = async {
        let rejected =
            "select count(*) from events where event_type = 'BookRejected' and aggregate_id = '90'";
        while sqlx::query_scalar::<_, i64>(rejected)
            .fetch_one(&mut owner)
            .await
            .unwrap()
            == 0
        {
            moment().await;
        }
    };
    timeout(CONVERGE_MAX, ended)
        .await
        .expect("the order does not come to its end");

    // A refund that a worker sent long ago.
    assert_eq!(server.cancel(1).await.0, 200);
    let aged = r#"update jobs set state = 'attention', payload = payload || '{"first_sent_at": "2020-01-01T00:00:00Z"}'
                  where kind = 'refund' and bookid = 1 and state = 'done' returning id"#;
    let aged = async {
        loop {
            let id: Option<i64> = sqlx::query_scalar(aged)
                .fetch_optional(&mut owner)
                .await
                .unwrap();
            if let Some(id) = id {
                return id.to_string();
            }
            moment().await;
        }
    };
    let id = timeout(CONVERGE_MAX, aged).await.expect("no refund");
    let (status, line) = refused(&["retry", &id]).await;
    assert!(
        status == Some(1) && line.contains("it could be made twice"),
        "{line}"
    );
    let retry = ["jobs", "retry", &id, "--not-refunded", "--by", "ann"];
    assert_eq!(json(&folder, &retry).await.0, Some(0));
    let said = "select count(*) from decisions where action = 'job.retry' and subject -> 'said' ? 'looked_at'";
    let said: i64 = sqlx::query_scalar(said)
        .fetch_one(&mut owner)
        .await
        .unwrap();
    assert_eq!(said, 1);
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn completions_and_manual_pages_name_the_program_and_its_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = spacerent(&["completions", shell]).output().await.unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && script.contains("events"),
            "{shell}"
        );
    }
    let page = spacerent(&["man", "events", "tail"])
        .output()
        .await
        .unwrap();
    let page = String::from_utf8(page.stdout).unwrap();
    assert!(page.contains("spacerent events tail"), "{page}");
    assert!(
        page.contains("follow") && page.contains("Examples"),
        "{page}"
    );
    let output = spacerent(&["man", "nonsense"]).output().await.unwrap();
    assert!(one_line(&output).contains("nonsense"));
}

/// Half a journal under a running server: nothing is stored, and everybody who looks is told.
#[tokio::test]
async fn an_unfinished_import_is_seen_wherever_somebody_looks() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    assert_eq!(server.status_of("book", "/readyz").await, 200);
    let mut owner = connect(&folder).await;
    let begun = "insert into imports (source, source_epoch, header_sha256, events, events_sha256, first_position,
                                      last_position, payments_held)
                 values (gen_random_uuid(), 1, '', 7, '', 1, 7, false)";
    sqlx::raw_sql(begun).execute(&mut owner).await.unwrap();
    assert_eq!(server.status_of("book", "/readyz").await, 503);
    assert_eq!(server.metric("import_unfinished").await, 1);
    let (status, document) = json(&folder, &["status"]).await;
    assert_eq!(
        (status, &document["import"]["events"]),
        (Some(0), &7.into())
    );
    let told = folder.run(&["status"]).await.stdout;
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("is unfinished since"), "{told}");
    sqlx::raw_sql("delete from imports")
        .execute(&mut owner)
        .await
        .unwrap();
    assert_eq!(server.status_of("book", "/readyz").await, 200);
    assert_eq!(server.metric("import_unfinished").await, 0);
    assert!(server.stop().await.success());
}
