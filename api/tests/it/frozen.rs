//! A read model that stands still: the port of My Page is not ready, the others say that they are degraded and
//! take bookings, and all of it ends by itself.

use std::time::Duration;

use api::Role;
use processes::settings::PaymentSettings;
use serde_json::Value;

use crate::app::{ROLES, Setup, TestApp, eventually, listen, spawn};
use crate::till::{Till, approved};

/// What counts as standing still here.
const BOUND: Duration = Duration::from_secs(1);

async fn with_a_saga(without_projections: bool) -> TestApp {
    let mut setup = Setup {
        payment: Some(Till::answering(approved())),
        without_projections,
        ..Setup::default()
    };
    setup.settings.readiness_lag_max = BOUND;
    TestApp::with(setup).await
}

/// The same in a house that has no saga: what stands still here are read models.
async fn app(without_projections: bool) -> TestApp {
    let app = with_a_saga(without_projections).await;
    app.as_owner("delete from follower_layouts").await;
    app
}

/// Waits until My Page's port is red, and looks at all ports. What they say is the reason.
async fn frozen(app: &TestApp) -> String {
    eventually("My Page's port is not ready", async || {
        app.get(Role::Mypage, "/readyz").await.status == 503
    })
    .await;
    let mut reason = String::new();
    for role in ROLES {
        let (ready, actuator) = (
            app.get(role, "/readyz").await,
            app.get(role, "/actuator/health").await,
        );
        let json = ready.json();
        let checks = &json["checks"];
        assert_eq!(
            (&checks["started"], &checks["database"]),
            (&"ok".into(), &"ok".into()),
            "{json}"
        );
        assert_eq!(checks["projections"], "failed", "{json}");
        assert_eq!(checks["processes"], Value::Null, "{json}");
        let (status, word, up) = match role {
            Role::Mypage => (503, "failed", "DOWN"),
            _ => (200, "degraded", "UP"),
        };
        assert_eq!((ready.status, &json["status"]), (status, &word.into()));
        assert_eq!(
            (actuator.status, &actuator.json()["status"]),
            (status, &up.into())
        );
        assert_eq!(app.get(role, "/livez").await.status, 200);
        let of_mypage = |line: &&Value| {
            let line = line.as_str().unwrap();
            line.starts_with("mypage stands still at position ")
        };
        let reasons = json["reasons"].as_array().unwrap();
        let line = reasons.iter().find(of_mypage).unwrap();
        reason = line.as_str().unwrap().to_owned();
    }
    // Bookings are taken all the same.
    assert_eq!(app.book("numberone").await.status, 201);
    reason
}

async fn moves_again(app: &TestApp) {
    for role in ROLES {
        eventually("it is ready", async || {
            let answer = app.get(role, "/readyz").await;
            answer.status == 200 && answer.json()["status"] == "ok"
        })
        .await;
        let json = app.get(role, "/readyz").await.json();
        assert_eq!(json["reasons"], Value::Null, "{json}");
        assert_eq!(json["checks"]["projections"], Value::Null, "{json}");
        assert_eq!(json["checks"]["processes"], Value::Null, "{json}");
    }
}

#[tokio::test]
async fn behind_a_hole_that_does_not_close() {
    let app = app(false).await;
    app.book("numberone").await;
    app.get_at(2, Role::Mypage, "/mypages/1").await;
    let held = app.hold_the_feed().await;
    app.book("numbertwo").await;
    let reason = frozen(&app).await;
    assert!(reason.contains("at position 2 for "), "{reason}");
    assert!(
        reason.ends_with("the feed holds at the hole 3-3"),
        "{reason}"
    );
    held.end().await;
    moves_again(&app).await;
}

#[tokio::test]
async fn while_nobody_follows() {
    let app = app(true).await;
    // Nothing to show is not standing still.
    moves_again(&app).await;
    app.book("numberone").await;
    let reason = frozen(&app).await;
    assert!(reason.contains("at position 0 for "), "{reason}");
    assert!(reason.contains("nobody follows"), "{reason}");
    let projections = projections::run(
        app.journal.clone(),
        app.app.runtime.clone(),
        app.stop.clone(),
    );
    spawn(projections);
    moves_again(&app).await;
}

#[tokio::test]
async fn while_every_step_fails() {
    let app = app(false).await;
    app.book("numberone").await;
    app.get_at(2, Role::Mypage, "/mypages/1").await;
    app.as_owner("alter table mypage_1.mypages rename to elsewhere")
        .await;
    app.book("numbertwo").await;
    let reason = frozen(&app).await;
    assert!(
        reason.contains("mypage stands still at position 2"),
        "{reason}"
    );
    app.as_owner("alter table mypage_1.elsewhere rename to mypages")
        .await;
    moves_again(&app).await;
}

#[tokio::test]
async fn not_before_the_bound_and_never_without_one() {
    let frozen_app = app(true).await;
    frozen_app.book("numberone").await;
    frozen(&frozen_app).await;
    for bound in [Duration::from_secs(3_600), Duration::ZERO] {
        let mut patient = frozen_app.app.clone();
        patient.settings.readiness_lag_max = bound;
        let address = listen(api::router(Role::Mypage, patient), &frozen_app.stop).await;
        let call = frozen_app.call_at(&address, Role::Mypage, "GET", "/readyz");
        let answer = call.send().await;
        assert_eq!(
            (answer.status, &answer.json()["status"]),
            (200, &"ok".into())
        );
    }
}

#[tokio::test]
async fn who_is_far_behind_and_moves_is_not_frozen() {
    let app = app(true).await;
    app.book("numberone").await;
    frozen(&app).await;
    // It took the first event a moment ago, wherever this test is by now.
    app.as_owner(
        "insert into followers (name, generation)
         select name, generation from projections where state = 'live' on conflict do nothing;
         update followers set position = 1;
         update followers set moved_at = moved_at + interval '1 hour'",
    )
    .await;
    let behind = app.get(Role::Mypage, "/readyz").await;
    assert_eq!(behind.status, 200, "{behind:?}");
    app.as_owner("update followers set moved_at = moved_at - interval '2 hours'")
        .await;
    frozen(&app).await;
    // That a position moved is noted by the database, whoever moves it.
    app.as_owner("update followers set position = 2").await;
    let noted = "followers where moved_at > clock_timestamp() - interval '1 minute'";
    assert!(app.count(noted).await > 0);
}

/// Waits until every port is up and says that it is degraded by the saga alone, and why: for these followers.
async fn degraded_by(app: &TestApp, followers: &[&str]) -> Vec<String> {
    let stand_still = followers
        .iter()
        .map(|name| format!("{name} stands still at position "));
    let beginnings: Vec<_> = stand_still.collect();
    let reasons = |json: &Value| -> Vec<String> {
        let lines = json["reasons"].as_array().into_iter().flatten();
        lines
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    };
    let mut told = vec![];
    for role in ROLES {
        eventually("it says so", async || {
            let answer = app.get(role, "/readyz").await;
            let (json, up) = (answer.json(), answer.status == 200);
            told = reasons(&json);
            let checks = (&json["checks"]["processes"], &json["checks"]["projections"]);
            let mut each = told.iter().zip(&beginnings);
            up && json["status"] == "degraded"
                && checks == (&"failed".into(), &Value::Null)
                && told.len() == beginnings.len()
                && each.all(|(line, beginning)| line.starts_with(beginning))
        })
        .await;
        let actuator = app.get(role, "/actuator/health").await;
        assert_eq!(actuator.json()["status"], "UP");
    }
    assert_eq!(app.book("numberone").await.status, 201);
    told
}

#[tokio::test]
async fn a_saga_that_stands_still_degrades_every_port_and_reddens_none() {
    let app = with_a_saga(false).await;
    // Nothing that follows from anything is not standing still.
    moves_again(&app).await;
    app.book("numberone").await;
    let never = degraded_by(&app, &["orders"]).await;
    assert!(
        never[0].contains("nobody ever did: no process with the role processes"),
        "{never:?}"
    );

    let stop = app.stop.child_token();
    let saga = |stop| {
        let (journal, runtime) = (app.journal.clone(), app.app.runtime.clone());
        spawn(processes::order::run(
            journal,
            runtime,
            PaymentSettings::default(),
            stop,
        ));
    };
    saga(stop.clone());
    moves_again(&app).await;
    stop.cancel();
    let rested = "followers where name = 'orders' and owner is null";
    eventually("it has gone", async || app.count(rested).await == 1).await;
    app.book("numbertwo").await;
    let gone = degraded_by(&app, &["orders"]).await;
    assert!(gone[0].contains("nobody follows: no process"), "{gone:?}");

    app.as_owner("select follower_cut('orders', 1, 2)").await;
    degraded_by(&app, &["orders/1", "orders/2"]).await;
    saga(app.stop.child_token());
    moves_again(&app).await;
}
