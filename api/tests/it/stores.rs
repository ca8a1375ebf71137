//! `/mypages` from a file: the same answers as from Postgres, to the byte, and honest ones while it is not ready.

use std::sync::Arc;

use api::{App, Role};
use journal::runtime::Tokio;
use projections::file::{Keeper, MypageFile};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::app::{TestApp, eventually, listen, spawn};
use crate::client::{Answer, Call};
use crate::till::{Till, approved};

/// A second port of `/mypages`, whose read model is in a file.
struct Second {
    address: String,
    folder: TempDir,
    /// Takes the file from nothing to everything, once it is run.
    keeper: Option<Keeper>,
    stop: CancellationToken,
    ended: Option<oneshot::Receiver<()>>,
}

impl Second {
    async fn of(app: &TestApp, folder: TempDir) -> Self {
        let path = folder.path().join("mypage.sqlite");
        let (file, keeper) = MypageFile::open(&path, &app.journal).await.unwrap();
        let with_file = App {
            read_models: app.app.read_models.clone().with_mypage_in(file),
            ..app.app.clone()
        };
        let stop = CancellationToken::new();
        let address = listen(api::router(Role::Mypage, with_file), &stop).await;
        Self {
            address,
            folder,
            keeper: Some(keeper),
            stop,
            ended: None,
        }
    }

    fn keep(&mut self) {
        let (end, ended) = oneshot::channel();
        let keeping = self
            .keeper
            .take()
            .unwrap()
            .run(Arc::new(Tokio), self.stop.clone());
        spawn(async move {
            keeping.await;
            // Nobody may be left to hear it.
            let _ = end.send(());
        });
        self.ended = Some(ended);
    }

    async fn get(&self, app: &TestApp, path: &str) -> Answer {
        let call = app.call_at(&self.address, Role::Mypage, "GET", path);
        named(call).send().await
    }

    async fn is_ready(&self, app: &TestApp) {
        eventually("the file is ready", async || {
            self.get(app, "/readyz").await.status == 200
        })
        .await;
    }

    /// Stops everything, and leaves what is in the file.
    async fn stop(self) -> TempDir {
        self.stop.cancel();
        if let Some(ended) = self.ended {
            ended.await.unwrap();
        }
        self.folder
    }
}

/// A name for the journey, which would else be another one every time.
fn named(call: Call) -> Call {
    call.header("x-correlation-id", "the-same")
}

/// What does not depend on the clock.
fn timeless(mut answer: Answer) -> Answer {
    answer.headers.retain(|(name, _)| name != "date");
    answer.headers.sort();
    answer
}

/// Every combination of some filters, some pages and some orders, and what is not a list.
fn paths() -> Vec<String> {
    let filters = [
        "",
        "userid=1",
        "userid=9007199254740993",
        "bookid=2",
        "spacename=numberone",
        "spacename=%EA%B0%80%EB%9E%8C",
        "spacename=%25",
        "status=Registered",
        "status=success-register",
        "status=cancelled",
        "phase=registered",
        "userid=1&phase=registered",
        "userid=x",
    ];
    let pages = ["", "page=0&size=2", "page=1&size=2", "page=99", "size=1000"];
    let orders = [
        "",
        "sort=spacename",
        "sort=spacename,desc",
        "sort=userid,desc&sort=created_at",
        "sort=attention&sort=updated_at,desc",
        "sort=nonsense",
    ];
    let mut paths: Vec<_> = [
        "/mypages/1",
        "/mypages/2/trace",
        "/mypages/4",
        "/mypages/4/trace",
        "/mypages/404",
        "/mypages/404/trace",
        "/mypages/search/findByBookid?bookid=3",
        "/mypages/search/findByUserid?userid=1&size=1",
        "/points/1",
        "/mypages/1?min_position=1",
    ]
    .map(str::to_owned)
    .to_vec();
    for filter in filters {
        for page in pages {
            for order in orders {
                let parts: Vec<_> = [filter, page, order]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect();
                paths.push(format!("/mypages?{}", parts.join("&")));
            }
        }
    }
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_the_same_to_the_byte() {
    let app = TestApp::start().await;
    for (userid, spacename) in [
        (json!(1), "numberone"),
        (json!(9_007_199_254_740_993_i64), "가람"),
        (json!(1), "Numberone"),
        (json!(null), "é\"\\\u{1f3d5}"),
        (json!("2"), "%"),
    ] {
        let body = json!({"userid": userid, "spacename": spacename}).to_string();
        let call = app.call(Role::Book, "POST", "/books").json(&body);
        assert_eq!(call.send().await.status, 201);
    }
    for bookid in 1..=5 {
        app.settled(bookid, "BookConfirmed").await;
    }
    assert_eq!(app.cancel(2).await.status, 200);
    app.settled(2, "BookClosed").await;
    let mut second = Second::of(&app, tempfile::tempdir().unwrap()).await;
    second.keep();
    second.is_ready(&app).await;
    for path in paths() {
        let one = named(app.call(Role::Mypage, "GET", &path)).send().await;
        let other = second.get(&app, &path).await;
        assert_eq!(timeless(one), timeless(other), "{path}");
    }
    second.stop().await;
}

#[tokio::test]
async fn a_file_that_is_not_built_is_not_ready_and_says_so_on_its_port_only() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    assert_eq!(app.book("numberone").await.status, 201);
    let mut second = Second::of(&app, tempfile::tempdir().unwrap()).await;
    let answer = second.get(&app, "/readyz").await;
    let checks = json!({"started": "ok", "database": "ok", "mypage": "failed"});
    assert_eq!(
        (answer.status, answer.json()),
        (503, json!({"status": "failed", "checks": checks}))
    );
    assert_eq!(second.get(&app, "/actuator/health").await.status, 503);
    assert_eq!(second.get(&app, "/livez").await.status, 200);
    for path in [
        "/mypages",
        "/mypages/1",
        "/mypages/1/trace",
        "/mypages/1?min_position=1",
    ] {
        let answer = second.get(&app, path).await;
        answer.is_problem(503, "storage-unavailable");
        assert!(answer.header("retry-after").is_some());
    }
    // A book port of the same process is ready: nobody needs My Page to book.
    let mut with_file = app.app.clone();
    let elsewhere = tempfile::tempdir().unwrap();
    let (file, _keeper) = MypageFile::open(&elsewhere.path().join("f"), &app.journal)
        .await
        .unwrap();
    with_file.read_models = with_file.read_models.with_mypage_in(file);
    let book = listen(api::router(Role::Book, with_file), &app.stop).await;
    let answer = app
        .call_at(&book, Role::Book, "GET", "/readyz")
        .send()
        .await;
    assert_eq!(answer.status, 200);

    second.keep();
    second.is_ready(&app).await;
    let answer = second.get(&app, "/readyz").await;
    let checks = json!({"started": "ok", "database": "ok"});
    assert_eq!(answer.json(), json!({"status": "ok", "checks": checks}));
    assert_eq!(second.get(&app, "/mypages/1").await.status, 200);
    second.stop().await;
}

#[tokio::test]
async fn the_lag_is_the_files_and_not_that_of_postgres() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    assert_eq!(app.book("numberone").await.status, 201);
    let mut second = Second::of(&app, tempfile::tempdir().unwrap()).await;
    second.keep();
    second.is_ready(&app).await;
    let folder = second.stop().await;

    // Opened again and not filled: it stands where it stood, and Postgres goes on.
    let standing = Second::of(&app, folder).await;
    assert_eq!(app.book("numbertwo").await.status, 201);
    let head = app.journal.head().await.unwrap();
    app.get_at(head, Role::Mypage, "/mypages").await;
    let answer = standing
        .get(&app, &format!("/mypages?min_position={head}"))
        .await;
    assert_eq!(
        (answer.status, answer.header("x-projection-lag")),
        (200, Some("2"))
    );
    assert_eq!(
        answer.json()["_embedded"]["mypages"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    // And says so on its own port.
    assert_eq!(standing.get(&app, "/readyz").await.status, 503);
}
