//! Health, on every port.

use serde_json::json;

use crate::app::{ROLES, TestApp};
use crate::heard::Heard;
use crate::till::{Till, approved};

#[tokio::test]
async fn every_port_answers_for_its_process() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    for role in ROLES {
        for (path, body) in [
            ("/livez", json!({"status": "ok"})),
            (
                "/readyz",
                json!({"status": "ok", "checks": {"started": "ok", "database": "ok"}}),
            ),
            ("/actuator/health", json!({"status": "UP"})),
            ("/actuator/health/readiness", json!({"status": "UP"})),
            ("/actuator/health/liveness", json!({"status": "UP"})),
            (
                "/actuator/info",
                json!({"build": {"name": "spacerent", "version": env!("CARGO_PKG_VERSION")}}),
            ),
        ] {
            let answer = app.get(role, path).await;
            assert_eq!((answer.status, answer.json()), (200, body), "{path}");
        }
        let metrics = app.get(role, "/metrics").await;
        assert_eq!(
            (metrics.status, metrics.body.as_str()),
            (200, "# metrics\n")
        );
        let prometheus = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!(metrics.header("content-type"), Some(prometheus));
    }
}

#[tokio::test]
async fn a_process_that_has_not_started_or_is_stopping_is_not_ready() {
    let app = TestApp::paid_by(Till::answering(approved())).await;
    app.readiness.set(false);
    for role in ROLES {
        let answer = app.get(role, "/readyz").await;
        let body = json!({"status": "failed", "checks": {"started": "failed", "database": "ok"}});
        assert_eq!((answer.status, answer.json()), (503, body));
        let answer = app.get(role, "/actuator/health").await;
        assert_eq!(
            (answer.status, answer.json()),
            (503, json!({"status": "DOWN"}))
        );
        assert_eq!(app.get(role, "/livez").await.status, 200);
    }
    app.readiness.set(true);
    assert_eq!(app.get(ROLES[0], "/readyz").await.status, 200);
}

#[tokio::test]
async fn an_unfinished_import_is_a_row_a_metric_and_a_line_of_the_log() {
    let heard = Heard::new();
    let app = TestApp::paid_by(Till::answering(approved())).await;
    let begun = "insert into imports (source, source_epoch, header_sha256, events, events_sha256, first_position,
                                      last_position, payments_held)
                 values (gen_random_uuid(), 1, '', 7, '', 1, 7, false)";
    app.as_owner(begun).await;
    let answer = app.get(ROLES[0], "/readyz").await;
    let checks = json!({"started": "ok", "database": "ok", "import": "failed"});
    assert_eq!(
        (answer.status, answer.json()),
        (503, json!({"status": "failed", "checks": checks}))
    );
    assert_eq!(heard.metric("import_unfinished"), 1);
    let why = ["not ready: an import is unfinished", "events=7", "source="];
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());

    app.as_owner("update imports set finished_at = clock_timestamp()")
        .await;
    assert_eq!(app.get(ROLES[0], "/actuator/health").await.status, 200);
    assert_eq!(heard.metric("import_unfinished"), 0);
    assert_eq!(heard.lines(&why), 1, "{}", heard.log());
}
