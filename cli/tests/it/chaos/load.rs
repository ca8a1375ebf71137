//! Customers who book, half of them a time, some of whom move or cancel, and who ask again under the same key when they were not answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use local_postgres::testing::stopwatch;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::server::moment;

/// How long a customer waits until a booking is registered, to move it then.
const REGISTERED_MAX: Duration = Duration::from_secs(10);
/// A venue with times, and how many can be there at a time.
const STUDIO: &str = "studio";
const UNITS: u32 = 3;
/// How long a customer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long one keeps asking again.
const ASKING_MAX: Duration = Duration::from_secs(60);

/// What was answered 2xx.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    pub booked: Vec<i64>,
    pub cancelled: Vec<i64>,
    /// And to when.
    pub moved: Vec<(i64, String)>,
    /// Whatever was answered 500, which no customer may ever see.
    pub unforeseen: Vec<String>,
}

impl Answered {
    /// Writes an answer down when nobody had foreseen it.
    pub fn look_at(&mut self, (status, body): &(u16, Value)) {
        if *status == 500 {
            self.unforeseen.push(body.to_string());
        }
    }
}

/// One request: the status, 0 when there was none, and the body.
pub async fn ask(request: RequestBuilder) -> (u16, Value) {
    match request.timeout(PATIENCE).send().await {
        Ok(answer) => {
            let status = answer.status().as_u16();
            (status, answer.json().await.unwrap_or_default())
        }
        Err(_) => (0, Value::Null),
    }
}

/// The key, where there is one, is the journey's name, too: what the request did says whose it was.
fn keyed(request: RequestBuilder, key: Option<&str>) -> RequestBuilder {
    match key {
        Some(key) => request
            .header("idempotency-key", key)
            .header("x-correlation-id", key),
        None => request,
    }
}

fn booking(http: &Client, url: &str, body: &Value, key: Option<&str>) -> RequestBuilder {
    keyed(http.post(url).json(body), key)
}

fn cancellation(http: &Client, url: &str, key: Option<&str>) -> RequestBuilder {
    let body = json!({ "status": "cancel-booking" });
    keyed(http.patch(url).json(&body), key)
}

pub async fn book(http: &Client, url: &str, space: &str, key: Option<&str>) -> (u16, Value) {
    let body = json!({ "userid": 4, "spacename": space });
    ask(booking(http, url, &body, key)).await
}

pub async fn cancel(http: &Client, url: &str, key: Option<&str>) -> (u16, Value) {
    ask(cancellation(http, url, key)).await
}

/// A time of a day far away.
pub fn at(time: &str) -> String {
    format!("2099-06-01T{time}:00Z")
}

/// Defines a venue.
pub async fn put(http: &Client, url: &str, body: &Value) -> (u16, Value) {
    ask(http.put(url).json(body)).await
}

/// A booking for a time.
pub async fn book_for(http: &Client, url: &str, space: &str, from: &str, to: &str) -> (u16, Value) {
    let body = json!({ "userid": 4, "spacename": space, "start": at(from), "end": at(to) });
    ask(http.post(url).json(&body)).await
}

/// A booking is moved.
pub async fn move_to(
    http: &Client,
    url: &str,
    from: &str,
    to: &str,
    key: Option<&str>,
) -> (u16, Value) {
    let body = json!({ "start": at(from), "end": at(to) });
    ask(moving(http, url, &body, key)).await
}

fn moving(http: &Client, url: &str, body: &Value, key: Option<&str>) -> RequestBuilder {
    keyed(http.post(url).json(body), key)
}

/// Where the processes are at the moment; a process that is started again has another port.
pub type Places = Arc<Mutex<Vec<String>>>;

/// A steady load.
pub struct Load {
    answered: Arc<Mutex<Answered>>,
    stop: Arc<AtomicBool>,
    customers: JoinSet<()>,
}

impl Load {
    pub fn on(places: &Places, customers: usize, pause: Duration, seed: u64) -> Self {
        let mut load = Self {
            answered: Arc::default(),
            stop: Arc::default(),
            customers: JoinSet::new(),
        };
        for number in 0..customers {
            let customer = Customer {
                http: crate::server::client(),
                places: Arc::clone(places),
                answered: Arc::clone(&load.answered),
                stop: Arc::clone(&load.stop),
                random: fastrand::Rng::with_seed(seed ^ number as u64),
                name: format!("{seed}-{number}"),
                pause,
            };
            load.customers.spawn(customer.act());
        }
        load
    }

    pub fn accepted(&self) -> usize {
        self.answered.lock().unwrap().booked.len()
    }

    /// Ends when every customer has the answer to what was asked last, or has given up.
    pub async fn end(mut self) -> Answered {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.customers.join_next().await {
            ended.expect("a customer gave up");
        }
        std::mem::take(&mut *self.answered.lock().unwrap())
    }
}

struct Customer {
    http: Client,
    places: Places,
    answered: Arc<Mutex<Answered>>,
    stop: Arc<AtomicBool>,
    random: fastrand::Rng,
    name: String,
    pause: Duration,
}

impl Customer {
    async fn act(mut self) {
        let mut number = 0;
        let mut ticks = tokio::time::interval(self.pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.open_the_studio().await;
        while !self.stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            number += 1;
            // Half of them ask again until they know; the others never do.
            let key = self
                .random
                .bool()
                .then(|| format!("{}-{number}", self.name));
            self.book_and_change_its_mind(key).await;
        }
    }

    /// A venue where a few can be at a time, so that some find it taken.
    async fn open_the_studio(&mut self) {
        let began = stopwatch();
        loop {
            let venue = format!("{}/venues/{STUDIO}", self.place());
            match put(&self.http, &venue, &json!({ "units": UNITS })).await {
                (200 | 201, _) => return,
                // The machine is busy, or something is broken already.
                (0 | 503, _) if began.elapsed() < ASKING_MAX => moment().await,
                other => panic!("the studio is not opened: {other:?}"),
            }
        }
    }

    async fn book_and_change_its_mind(&mut self, key: Option<String>) {
        let timed = self.random.bool();
        let wish = if timed {
            let (start, end) = self.a_time();
            json!({ "userid": 4, "spacename": STUDIO, "start": start, "end": end })
        } else {
            json!({ "userid": 4, "spacename": "numberfour" })
        };
        let booked = self
            .until_answered(key.as_deref(), |http, base, key| {
                booking(http, &format!("{base}/books"), &wish, key)
            })
            .await;
        let Some(bookid) = booked.and_then(|body| body["bookid"].as_i64()) else {
            return;
        };
        self.note(|answered| answered.booked.push(bookid));
        if timed && self.random.bool() && self.is_registered(bookid).await {
            let (start, end) = self.a_time();
            let wish = json!({ "start": start, "end": end });
            let key = key.as_ref().map(|key| format!("{key}-move"));
            let moved = self
                .until_answered(key.as_deref(), |http, base, key| {
                    moving(
                        http,
                        &format!("{base}/books/{bookid}/reschedule"),
                        &wish,
                        key,
                    )
                })
                .await;
            if moved.is_some() {
                self.note(|answered| answered.moved.push((bookid, start)));
            }
        }
        if self.random.u8(..3) == 0 {
            let key = key.map(|key| format!("{key}-cancel"));
            let cancelled = self
                .until_answered(key.as_deref(), |http, base, key| {
                    cancellation(http, &format!("{base}/books/{bookid}"), key)
                })
                .await;
            if cancelled.is_some() {
                self.note(|answered| answered.cancelled.push(bookid));
            }
        }
    }

    /// Whether it is, within a while.
    async fn is_registered(&mut self, bookid: i64) -> bool {
        let began = stopwatch();
        while began.elapsed() < REGISTERED_MAX {
            let path = format!("{}/books/{bookid}", self.place());
            let (_, shown) = ask(self.http.get(path)).await;
            if shown["status"] == "success-register" {
                return true;
            }
            moment().await;
        }
        false
    }

    fn note(&self, note: impl FnOnce(&mut Answered)) {
        note(&mut self.answered.lock().unwrap());
    }

    fn place(&mut self) -> String {
        let places = self.places.lock().unwrap();
        places[self.random.usize(..places.len())].clone()
    }

    /// One to three hours of some day of a month far away.
    fn a_time(&mut self) -> (String, String) {
        let (day, hour) = (self.random.u8(1..=30), self.random.u8(0..20));
        let until = hour + self.random.u8(1..=3);
        let at = |hour: u8| format!("2099-06-{day:02}T{hour:02}:00:00Z");
        (at(hour), at(until))
    }

    /// Asks once, or with a key until there is an answer that says what became of it.
    async fn until_answered(
        &mut self,
        key: Option<&str>,
        request: impl Fn(&Client, &str, Option<&str>) -> RequestBuilder,
    ) -> Option<Value> {
        let began = stopwatch();
        loop {
            let base = self.place();
            let answer = ask(request(&self.http, &base, key)).await;
            self.note(|answered| answered.look_at(&answer));
            match answer {
                (200..300, body) => return Some(body),
                (409, body) if !is_for_now(&body) => return None,
                (0 | 409 | 500.., _) if key.is_some() && began.elapsed() < ASKING_MAX => {
                    moment().await;
                }
                _ => return None,
            }
        }
    }
}

/// Whether the same request may be answered otherwise in a moment.
fn is_for_now(conflict: &Value) -> bool {
    let kind = conflict["type"].as_str().unwrap_or_default();
    ["idempotency-key-in-progress", "concurrent-update"]
        .iter()
        .any(|slug| kind.ends_with(slug))
}
