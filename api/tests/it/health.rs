//! Health, on every port.

use serde_json::json;

use crate::app::{ROLES, TestApp};
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
