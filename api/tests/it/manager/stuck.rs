//! `/manager/stuck`: what stands still, who owes, what is left to people.

use std::collections::BTreeSet;

use api::Role;
use serde_json::{Value, json};

use super::{ask, ids};
use crate::app::TestApp;

#[tokio::test]
async fn a_booking_that_nothing_happens_to_is_stuck() {
    let app = TestApp::paid_by(crate::till::Till::answering(crate::till::pending())).await;
    for spacename in ["numberone", "numbertwo"] {
        assert_eq!(app.book(spacename).await.status, 202);
    }
    let head = app.journal.head().await.unwrap();
    app.get_at(head, Role::Mypage, "/manager/stuck").await;
    assert!(ids(&ask(&app, "/manager/stuck").await).is_empty());
    let stuck = ask(&app, "/manager/stuck?older_than_minutes=0&size=1").await;
    assert_eq!(ids(&stuck), [1]);
    assert_eq!(
        stuck.json()["_embedded"]["bookings"][0]["waits_for"],
        "payment"
    );
    let next = stuck.json()["_links"]["next"]["href"]
        .as_str()
        .unwrap()
        .to_owned();
    let next = ask(&app, &next.replace("http://localhost:8084", "")).await;
    assert_eq!(
        (ids(&next), next.json()["_links"]["next"].clone()),
        (vec![2], Value::Null)
    );
}

#[tokio::test]
async fn who_owes_is_among_what_is_stuck_until_the_money_is_asked_for_again() {
    // Nobody charges here, so what is asked for stays under way.
    let app = TestApp::paid_by(crate::till::Till::answering(crate::till::approved())).await;
    for bookid in 1..=3 {
        assert_eq!(app.book("numberone").await.bookid(), bookid);
        app.pay(bookid).await;
        let register = crate::staff::register(bookid);
        app.execute(domain::Command::Space(domain::BookId(bookid), register))
            .await;
        app.command(bookid, domain::book::Command::Confirm).await;
    }
    for bookid in [3, 1] {
        app.declined_overtime(bookid, 2).await;
    }
    let stuck = async |parameters: &str| {
        let head = app.journal.head().await.unwrap();
        let path = format!("/manager/stuck?older_than_minutes=0{parameters}");
        app.get_at(head, Role::Mypage, &path).await;
        ask(&app, &path).await
    };
    assert_eq!(ids(&stuck("").await), [3, 1]);
    let owing = "&payment_status=outstanding";
    let first = stuck(&format!("{owing}&size=1")).await;
    assert_eq!(ids(&first), [3]);
    let next = first.json()["_links"]["next"]["href"].clone();
    let next = next.as_str().unwrap().replace("http://localhost:8084", "");
    assert_eq!(ids(&ask(&app, &next).await), [1]);
    assert!(ids(&ask(&app, "/manager/stuck").await).is_empty());
    let again = app.call(Role::Payment, "POST", "/payments/3/charges");
    assert_eq!(again.send().await.status, 202);
    assert_eq!(ids(&stuck(owing).await), [1]);
}

#[tokio::test]
async fn what_is_left_to_people_stands_beside_what_is_stuck() {
    let app = TestApp::paid_by(crate::till::Till::answering(crate::till::approved())).await;
    app.as_owner(
        "insert into jobs (kind, key, bookid, payload, due_at, state, attempts, finished_at)
         values ('refund', 'refund:7:1', 7, '{}', now(), 'attention', 12, now()),
                ('refund', 'refund:8:1', 8, '{}', now(), 'done', 1, now())",
    )
    .await;
    app.execute(domain::Command::Space(
        domain::BookId(9),
        crate::staff::register(9),
    ))
    .await;
    crate::app::eventually("the parked booking", async || {
        let stuck = ask(&app, "/manager/stuck").await.json();
        let parked = stuck["parked"].as_array().unwrap().iter();
        let followers: BTreeSet<_> = parked
            .filter(|parked| parked["key"] == "9" && parked["event"] == "Registered")
            .map(|parked| parked["follower"].as_str().unwrap().to_owned())
            .collect();
        followers.contains("board") && followers.contains("mypage")
    })
    .await;
    let stuck = ask(&app, "/manager/stuck").await.json();
    let jobs = stuck["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(
        (&jobs[0]["bookid"], &jobs[0]["attempts"]),
        (&json!(7), &json!(12))
    );
}
