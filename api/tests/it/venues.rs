//! Venues over HTTP: defined, changed, retired; what is free; what a booking would cost; bookings for a time.

use api::{Role, Settings};
use serde_json::{Value, json};

use crate::app::{Setup, TestApp};
use crate::client::Answer;
use crate::till::{Till, approved};

impl TestApp {
    /// A venue named numberone, with these parts.
    pub(crate) async fn venue(&self, mut body: Value) -> Answer {
        body["spacename"] = json!("numberone");
        self.post("/venues", &body).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let call = self.call(Role::Book, "POST", path);
        call.json(&body.to_string()).send().await
    }

    pub(crate) async fn put(&self, body: &Value) -> Answer {
        let call = self.call(Role::Book, "PUT", "/venues/numberone");
        call.json(&body.to_string()).send().await
    }

    /// Books numberone for a time.
    pub(crate) async fn book_at(&self, start: &str, end: &str) -> Answer {
        let body = json!({"userid": 1, "spacename": "numberone", "start": start, "end": end});
        self.post("/books", &body).await
    }

    async fn windows(&self, parameters: &str) -> Value {
        let path = format!("/spaces/availability?spacename=numberone&{parameters}");
        let answer = self.get(Role::Space, &path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["windows"].clone()
    }
}

/// Compares a body with its snapshot.
fn is_shown(name: &str, answer: &Answer) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let body = serde_json::to_string_pretty(&answer.json()).unwrap();
    settings.bind(|| insta::assert_snapshot!(name, body));
}

/// A time a long way off.
fn at(time: &str) -> String {
    format!("2031-12-01T{time}:00+09:00")
}

fn seoul() -> Value {
    json!({
        "timezone": "Asia/Seoul", "units": 1, "price_per_hour": {"amount": 10_000, "currency": "KRW"},
        "opening_hours": {"monday": [{"from": "09:00", "to": "18:00"}]}, "granularity_minutes": 30,
    })
}

async fn paid() -> TestApp {
    TestApp::paid_by(Till::answering(approved())).await
}

#[tokio::test]
async fn a_name_is_enough_and_everything_is_shown() {
    let app = paid().await;
    let defined = app.venue(json!({})).await;
    assert_eq!(defined.status, 201, "{defined:?}");
    assert_eq!(
        defined.header("location"),
        Some("http://localhost:8081/venues/numberone")
    );
    assert_eq!(defined.header("etag"), Some("\"1\""));
    let shown = app.get(Role::Book, "/venues/numberone").await;
    assert_eq!((shown.status, shown.json()), (200, defined.json()));
    is_shown("70-venue", &shown);
    assert_eq!(
        app.get(Role::Gateway, "/venues/numberone").await.status,
        200
    );
    assert_eq!(app.get(Role::Book, "/venues/numbertwo").await.status, 404);
    let again = app.venue(json!({"units": 2})).await;
    again.is_problem(409, "venue-exists");
    assert_eq!(again.header("etag"), Some("\"1\""));
}

#[tokio::test]
async fn a_venue_is_changed_by_who_knows_its_version() {
    let app = paid().await;
    app.venue(json!({"units": 3})).await;
    let shown = app.get(Role::Book, "/venues/numberone").await;
    // What was shown may be sent back.
    let changed = app.put(&shown.json()).await;
    assert_eq!(
        (changed.status, changed.header("etag")),
        (200, Some("\"2\""))
    );
    assert_eq!(changed.json()["units"], 3);
    // What is omitted has its default again.
    let with = |version: &str| {
        let call = app.call(Role::Book, "PUT", "/venues/numberone");
        call.header("if-match", version).json("{}").send()
    };
    let stale = with("\"1\"").await;
    stale.is_problem(412, "version-mismatch");
    assert_eq!(stale.header("etag"), Some("\"2\""));
    let changed = with("\"2\"").await;
    assert_eq!(
        (changed.status, changed.json()["units"].clone()),
        (200, json!(1))
    );
    // The tag of what is read begins with the version, and stands for it.
    let tag = app.get(Role::Book, "/venues/numberone").await;
    let tag = tag.header("etag").unwrap();
    assert!(tag.starts_with("\"3-"), "{tag}");
    assert_eq!(with(tag).await.status, 200);
    let other = app.put(&json!({"spacename": "numbertwo"})).await;
    assert_eq!(
        other.is_problem(422, "validation-failed")["errors"][0]["pointer"],
        "/spacename"
    );
}

#[tokio::test]
async fn a_venue_can_be_put_where_there_is_none_and_names_may_be_anything() {
    let app = paid().await;
    for name in ["회의실 1", "a/b?c", "100%", "ÿ~"] {
        let body = json!({"spacename": name});
        let defined = app.post("/venues", &body).await;
        let path = defined.header("location").unwrap();
        let path = path
            .strip_prefix("http://localhost:8081")
            .unwrap()
            .to_owned();
        assert_eq!(app.get(Role::Book, &path).await.json()["spacename"], name);
        let gone = app.call(Role::Book, "DELETE", &path).send().await;
        assert_eq!(gone.status, 204, "{name}");
        let put = app.call(Role::Book, "PUT", &path).json("{}").send().await;
        assert_eq!(
            (put.status, put.json()["spacename"].clone()),
            (201, json!(name))
        );
    }
    let listed = app.get(Role::Book, "/venues?size=3").await.json();
    assert_eq!(listed["_embedded"]["venues"][0]["spacename"], "100%");
    assert_eq!(listed["page"]["totalElements"], 4);
    assert_eq!(
        listed["_links"]["next"]["href"],
        "http://localhost:8081/venues?page=1&size=3"
    );
    // They have one order, and are large: a page has 50 at most.
    let page = app
        .get(Role::Book, "/venues?size=1000&sort=units")
        .await
        .json();
    assert_eq!(page["page"]["size"], 50);
    assert_eq!(
        page["_links"]["self"]["href"],
        "http://localhost:8081/venues?page=0&size=50"
    );
    let unasked = app.get(Role::Book, "/venues").await.json();
    assert_eq!(
        unasked["_links"]["self"]["href"],
        "http://localhost:8081/venues{?page,size}"
    );
    let rest = app.get(Role::Book, "/venues?size=3&page=1").await.json();
    assert_eq!(rest["_embedded"]["venues"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_venue_is_said_and_nothing_is_stored() {
    let app = paid().await;
    let wrong = json!({"units": 0, "timezone": "Mars/Olympus", "rates": [{"price_per_hour": 7}], "size": "xl"});
    let answer = app.venue(wrong).await.is_problem(422, "validation-failed");
    let errors = answer["errors"].as_array().unwrap().iter();
    let pointers: Vec<_> = errors.map(|error| error["pointer"].clone()).collect();
    assert_eq!(
        pointers,
        ["/rates/0/price_per_hour", "/size", "/timezone", "/units"]
    );
    let twice = app.call(Role::Book, "POST", "/venues");
    let twice = twice.json(r#"{"spacename":"numberone","units":1,"units":3}"#);
    twice.send().await.is_problem(400, "malformed-request");
    app.post("/venues", &json!([]))
        .await
        .is_problem(400, "malformed-request");
    assert_eq!(app.count("venues").await, 0);
}

#[tokio::test]
async fn a_retired_venue_takes_no_bookings_and_those_it_has_go_on() {
    let app = TestApp::start().await;
    app.venue(seoul()).await;
    let booked = app.book_at(&at("10:00"), &at("11:00")).await;
    assert_eq!(booked.status, 201, "{booked:?}");
    let retire = async || {
        app.call(Role::Book, "DELETE", "/venues/numberone")
            .send()
            .await
    };
    assert_eq!(retire().await.status, 204);
    assert_eq!(retire().await.status, 404);
    assert_eq!(app.get(Role::Book, "/venues/numberone").await.status, 404);
    for answer in [
        app.book_at(&at("12:00"), &at("13:00")).await,
        app.book("numberone").await,
    ] {
        let errors = answer.is_problem(422, "validation-failed")["errors"].clone();
        assert_eq!(errors[0]["code"], "venue-retired");
    }
    let path = format!("/mypages/{}", booked.bookid());
    app.get_when(Role::Mypage, &path, "Registered").await;
}

#[tokio::test]
async fn a_booking_for_a_time_says_so_wherever_it_is_shown() {
    let app = TestApp::start().await;
    app.venue(seoul()).await;
    let booked = app.book_at(&at("10:00"), &at("11:30")).await;
    assert_eq!(booked.status, 201, "{booked:?}");
    let (start, end) = ("2031-12-01T01:00:00Z", "2031-12-01T02:30:00Z");
    let body = booked.json();
    assert_eq!((&body["start"], &body["end"]), (&json!(start), &json!(end)));
    assert_eq!(
        (&body["amount"], &body["phase"]),
        (&json!(15_000), &json!("paid"))
    );
    assert!(body["unit"].as_i64().unwrap() >= 1, "{body}");
    let (id, position) = (booked.bookid(), booked.position());
    app.settled(id, "BookConfirmed").await;
    let book = app
        .get_at(position, Role::Book, &format!("/books/{id}"))
        .await
        .json();
    assert_eq!(
        (&book["start"], &book["end"], &book["unit"]),
        (&json!(start), &json!(end), &body["unit"])
    );
    let page = app
        .get_at(position, Role::Mypage, &format!("/mypages/{id}"))
        .await
        .json();
    assert_eq!((&page["start"], &page["end"]), (&json!(start), &json!(end)));
    // Sent back as it is shown, it is a cancellation and nothing else.
    let mut back = book.clone();
    back["status"] = json!("cancel-booking");
    let put = async |body: &Value| {
        let call = app.call(Role::Book, "PUT", &format!("/books/{id}"));
        call.json(&body.to_string()).send().await
    };
    let mut moved = back.clone();
    moved["end"] = json!("2031-12-01T03:00:00Z");
    let errors = put(&moved).await.is_problem(422, "validation-failed")["errors"].clone();
    assert_eq!(errors[0]["pointer"], "/end");
    assert_eq!(put(&back).await.status, 200);
}

#[tokio::test]
async fn what_a_venue_does_not_allow_is_said() {
    let app = paid().await;
    app.venue(seoul()).await;
    let bookings = app.count("events").await;
    for (start, end, errors) in [
        (
            at("08:00"),
            at("10:00"),
            json!([["/start", "venue-closed"]]),
        ),
        (at("10:10"), at("11:00"), json!([["/start", "off-grid"]])),
        (
            at("11:00"),
            at("10:00"),
            json!([["/end", "end-not-after-start"]]),
        ),
        (
            "2020-01-06T01:00:00Z".into(),
            "2020-01-06T02:00:00Z".into(),
            json!([["/start", "too-soon"]]),
        ),
        (
            "tomorrow".into(),
            at("10:00"),
            json!([["/start", "not-a-time"]]),
        ),
        (
            at("10:00"),
            "2031-12-01T11:00:00".into(),
            json!([["/end", "not-a-time"]]),
        ),
        (at("10:00"), String::new(), json!([["/end", "required"]])),
    ] {
        let answer = app
            .book_at(&start, &end)
            .await
            .is_problem(422, "validation-failed");
        let found = answer["errors"].as_array().unwrap().iter();
        let found: Value = found
            .map(|error| json!([error["pointer"], error["code"]]))
            .collect();
        assert_eq!(found, errors, "{start} {end}");
    }
    // A venue wants a time, unless it is said that it takes bookings as the seed knows them, too.
    let answer = app
        .book("numberone")
        .await
        .is_problem(422, "validation-failed");
    assert_eq!(answer["errors"][0]["code"], "required");
    let mut open_to_all = seoul();
    open_to_all["unscheduled"] = json!(true);
    assert_eq!(app.put(&open_to_all).await.status, 200);
    assert_eq!(app.book("numberone").await.status, 201);
    assert_eq!(app.count("events").await, bookings + 2);
    assert_eq!(app.count("slot_claims").await, 0);
}

#[tokio::test]
async fn what_a_booking_without_a_time_earns_its_venue_says_where_there_is_one() {
    let app = paid().await;
    for (rate, earns) in [(None, 100), (Some(0), 0), (Some(250), 250)] {
        if let Some(rate) = rate {
            let open_to_all = json!({"unscheduled": true, "points_rate": rate});
            app.put(&open_to_all).await;
        }
        let here = json!({"spacename": "numberone"});
        let quote = app.post("/quotes", &here).await.json();
        assert_eq!(quote["earns_points"], earns, "{rate:?}");
        let bookid = app.book("numberone").await.bookid();
        app.pay(bookid).await;
        let earned = format!(
            "events where aggregate_id = '{bookid}' and event_type = 'PointsAccrued'
             and (payload ->> 'points')::bigint = {earns}"
        );
        assert_eq!(app.count(&earned).await, 1, "{rate:?}");
    }
}

#[tokio::test]
async fn of_a_hundred_for_one_slot_one_has_it_and_the_others_are_told_what_is_free() {
    let app = paid().await;
    app.venue(seoul()).await;
    let (start, end) = (at("10:00"), at("12:00"));
    let at_once = (0..100).map(|_| app.book_at(&start, &end));
    let answers = futures::future::join_all(at_once).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 1);
    // Mondays only: the ones before it are a week earlier.
    let expected = json!([
        {"start": "2031-11-24T03:00:00Z", "end": "2031-11-24T05:00:00Z"},
        {"start": "2031-11-24T05:00:00Z", "end": "2031-11-24T07:00:00Z"},
        {"start": "2031-11-24T07:00:00Z", "end": "2031-11-24T09:00:00Z"},
        {"start": "2031-12-01T03:00:00Z", "end": "2031-12-01T05:00:00Z"},
        {"start": "2031-12-01T05:00:00Z", "end": "2031-12-01T07:00:00Z"},
        {"start": "2031-12-01T07:00:00Z", "end": "2031-12-01T09:00:00Z"},
    ]);
    for answer in lost {
        let problem = answer.is_problem(409, "slot-taken");
        assert_eq!(problem["alternatives"], expected, "{problem}");
    }
    assert_eq!(app.count("events where event_type = 'Booked'").await, 1);
    // What was offered can be had; what is beside it, too.
    assert_eq!(app.book_at(&at("12:00"), &at("14:00")).await.status, 201);
    assert_eq!(app.book_at(&at("09:00"), &at("10:00")).await.status, 201);
    app.book_at(&at("13:30"), &at("14:30"))
        .await
        .is_problem(409, "slot-taken");
}

#[tokio::test]
async fn three_units_are_three_bookings() {
    let app = paid().await;
    let mut venue = seoul();
    venue["units"] = json!(3);
    app.venue(venue).await;
    let (start, end) = (at("10:00"), at("12:00"));
    let at_once = (0..40).map(|_| app.book_at(&start, &end));
    let answers = futures::future::join_all(at_once).await;
    let won = answers.iter().filter(|answer| answer.status == 201);
    let mut units: Vec<_> = won
        .map(|answer| answer.json()["unit"].as_i64().unwrap())
        .collect();
    units.sort_unstable();
    assert_eq!(units, [1, 2, 3]);
    let lost = answers.iter().filter(|answer| answer.status == 409).count();
    assert_eq!(lost, 37);
}

#[tokio::test]
async fn buffers_keep_bookings_apart() {
    let app = paid().await;
    let mut venue = seoul();
    venue["buffer_after_minutes"] = json!(30);
    app.venue(venue).await;
    assert_eq!(app.book_at(&at("10:00"), &at("11:00")).await.status, 201);
    app.book_at(&at("11:00"), &at("12:00"))
        .await
        .is_problem(409, "slot-taken");
    assert_eq!(app.book_at(&at("11:30"), &at("12:30")).await.status, 201);
    app.book_at(&at("09:00"), &at("10:00"))
        .await
        .is_problem(409, "slot-taken");
    assert_eq!(app.book_at(&at("09:00"), &at("09:30")).await.status, 201);
}

#[tokio::test]
async fn what_is_free_is_shown_as_the_clock_there_shows_it() {
    let app = paid().await;
    app.venue(seoul()).await;
    assert_eq!(app.book_at(&at("10:00"), &at("12:00")).await.status, 201);
    let day = "from=2031-12-01T00:00:00%2B09:00&to=2031-12-02T00:00:00%2B09:00";
    let window = |start: &str, end: &str| json!({"start": at(start), "end": at(end), "units": 1});
    let both = json!([window("09:00", "10:00"), window("12:00", "18:00")]);
    assert_eq!(app.windows(day).await, both);
    let long = json!([window("12:00", "18:00")]);
    assert_eq!(app.windows(&format!("{day}&duration=90")).await, long);
    let path = format!("/spaces/availability?spacename=numberone&{day}");
    let gateway = app.get(Role::Gateway, &path).await;
    assert_eq!(gateway.json()["timezone"], "Asia/Seoul");
    for (parameters, status, slug) in [
        (
            "from=2031-12-01T00:00:00Z&to=2031-12-02T00:00:00Z",
            400,
            "malformed-request",
        ),
        (
            "spacename=numbertwo&from=2031-12-01T00:00:00Z&to=2031-12-02T00:00:00Z",
            404,
            "not-found",
        ),
        (
            "spacename=numberone&from=2031-12-01&to=2031-12-02T00:00:00Z",
            400,
            "malformed-request",
        ),
        (
            "spacename=numberone&to=2031-12-02T00:00:00Z",
            400,
            "malformed-request",
        ),
        (
            "spacename=numberone&from=2031-12-02T00:00:00Z&to=2031-12-01T00:00:00Z",
            400,
            "malformed-request",
        ),
        (
            "spacename=numberone&from=2031-12-02T00:00:00Z&to=2032-12-01T00:00:00Z",
            400,
            "malformed-request",
        ),
        (
            "spacename=numberone&from=2031-12-01T00:00:00Z&to=2031-12-02T00:00:00Z&duration=0",
            400,
            "malformed-request",
        ),
    ] {
        let path = format!("/spaces/availability?{parameters}");
        app.get(Role::Space, &path).await.is_problem(status, slug);
    }
}

#[tokio::test]
async fn a_quote_is_what_a_booking_then_costs() {
    let app = paid().await;
    let mut venue = seoul();
    venue["rates"] =
        json!([{"from": "17:00", "price_per_hour": {"amount": 13_000, "currency": "KRW"}}]);
    app.venue(venue).await;
    let mut body = json!({"spacename": "numberone", "start": at("16:00"), "end": at("18:00")});
    let quote = app.post("/quotes", &body).await;
    assert_eq!(quote.status, 200, "{quote:?}");
    is_shown("71-quote", &quote);
    assert_eq!(app.count("events").await, 0);
    body["expected_amount"] = quote.json()["amount"].clone();
    let booked = app.post("/books", &body).await;
    assert_eq!(
        (booked.status, booked.json()["amount"].clone()),
        (201, json!(23_000))
    );
    let plain = app
        .post("/quotes", &json!({"spacename": "numbertwo"}))
        .await;
    assert_eq!(
        plain.json(),
        json!({"spacename": "numbertwo", "amount": 10_000, "currency": "KRW", "earns_points": 100})
    );
    for body in [
        json!({"spacename": "numberone", "start": at("10:00")}),
        json!({"spacename": "numberone", "start": at("20:00"), "end": at("21:00")}),
        json!({"spacename": "numbertwo", "start": at("10:00"), "end": at("11:00")}),
    ] {
        app.post("/quotes", &body)
            .await
            .is_problem(422, "validation-failed");
    }
}

#[tokio::test]
async fn a_price_that_changed_meanwhile_is_not_charged_and_one_that_was_agreed_stays() {
    let app = TestApp::start().await;
    app.venue(seoul()).await;
    let before = app.book_at(&at("10:00"), &at("11:00")).await;
    let mut dearer = seoul();
    dearer["price_per_hour"]["amount"] = json!(20_000);
    dearer["cancellation"] = json!({"grace_minutes": 0, "tiers": []});
    assert_eq!(app.put(&dearer).await.status, 200);
    let body = json!({
        "userid": 1, "spacename": "numberone", "start": at("12:00"), "end": at("13:00"), "expected_amount": 10_000,
    });
    let refused = app
        .post("/books", &body)
        .await
        .is_problem(409, "price-changed");
    assert_eq!(
        (&refused["amount"], &refused["currency"]),
        (&json!(20_000), &json!("KRW"))
    );
    let seeds = json!({"spacename": "numbertwo", "expected_amount": 1});
    app.post("/books", &seeds)
        .await
        .is_problem(409, "price-changed");
    // Neither is stored, and the slot is free.
    assert_eq!(app.count("events where event_type = 'Booked'").await, 1);
    assert_eq!(app.book_at(&at("12:00"), &at("13:00")).await.status, 201);
    // The first one was made at the old price and under the old policy, and is cancelled under it.
    let id = before.bookid();
    app.settled(id, "BookConfirmed").await;
    let book = app.get(Role::Book, &format!("/books/{id}")).await;
    assert_eq!(book.json()["amount"], 10_000);
    let quote = app
        .get(Role::Book, &format!("/books/{id}/cancellation-quote"))
        .await
        .json();
    assert_eq!(
        (&quote["refund"]["amount"], &quote["percent"]),
        (&json!(10_000), &json!(100))
    );
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_answered_though_it_would_be_refused_now() {
    let app = TestApp::start().await;
    app.venue(seoul()).await;
    let body =
        json!({"spacename": "numberone", "start": at("10:00"), "end": at("11:00")}).to_string();
    let send = async || {
        let call = app.call(Role::Book, "POST", "/books");
        call.header("idempotency-key", "k").json(&body).send().await
    };
    let first = send().await;
    assert_eq!(first.status, 201, "{first:?}");
    // The answer is lost, and the venue closes.
    app.as_owner("update idempotency_keys set status = null, body = null, headers = null, locked_until = '-infinity'")
        .await;
    let mut closed = seoul();
    closed["opening_hours"] = json!({});
    assert_eq!(app.put(&closed).await.status, 200);
    let again = send().await;
    assert_eq!(again.status, 201, "{again:?}");
    assert_eq!(again.json()["start"], first.json()["start"]);
    assert_eq!(again.bookid(), first.bookid());
    assert_eq!(app.count("events where event_type = 'Booked'").await, 1);
}

#[tokio::test]
async fn a_change_of_a_venue_may_have_to_say_its_version() {
    let setup = Setup {
        payment: Some(Till::answering(approved())),
        settings: Settings {
            require_if_match: true,
            ..Settings::default()
        },
        ..Setup::default()
    };
    let app = TestApp::with(setup).await;
    assert_eq!(app.venue(json!({})).await.status, 201);
    app.put(&json!({}))
        .await
        .is_problem(428, "if-match-required");
    let delete = app.call(Role::Book, "DELETE", "/venues/numberone");
    delete.send().await.is_problem(428, "if-match-required");
}

#[tokio::test]
async fn where_no_venue_is_no_version_matches() {
    let app = paid().await;
    let put = async |version: &str| {
        let call = app.call(Role::Book, "PUT", "/venues/numberone");
        call.header("if-match", version).json("{}").send().await
    };
    for version in ["*", "\"1\""] {
        put(version).await.is_problem(412, "version-mismatch");
    }
    app.venue(json!({})).await;
    assert_eq!(put("*").await.status, 200);
    let retire = app.call(Role::Book, "DELETE", "/venues/numberone");
    assert_eq!(retire.send().await.status, 204);
    for version in ["*", "\"3\""] {
        put(version).await.is_problem(412, "version-mismatch");
    }
}
