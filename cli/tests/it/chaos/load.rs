//! Customers who book, some of whom cancel, and who ask again under the same key when they were not answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::server::moment;

/// How long a customer waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long one keeps asking again.
const ASKING_MAX: Duration = Duration::from_secs(60);

/// What was answered 2xx.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    pub booked: Vec<i64>,
    pub cancelled: Vec<i64>,
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

/// A booking; the key, where there is one, is the journey's name, too.
fn booking(http: &Client, url: &str, space: &str, key: Option<&str>) -> RequestBuilder {
    let request = http
        .post(url)
        .json(&json!({ "userid": 4, "spacename": space }));
    match key {
        Some(key) => request
            .header("idempotency-key", key)
            .header("x-correlation-id", key),
        None => request,
    }
}

fn cancellation(http: &Client, url: &str, key: Option<&str>) -> RequestBuilder {
    let request = http.patch(url).json(&json!({ "status": "cancel-booking" }));
    match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    }
}

pub async fn book(http: &Client, url: &str, space: &str, key: Option<&str>) -> (u16, Value) {
    ask(booking(http, url, space, key)).await
}

pub async fn cancel(http: &Client, url: &str, key: Option<&str>) -> (u16, Value) {
    ask(cancellation(http, url, key)).await
}

/// A time of a day far away.
fn at(time: &str) -> String {
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
    let request = http
        .post(url)
        .json(&json!({ "start": at(from), "end": at(to) }));
    match key {
        Some(key) => ask(request.header("idempotency-key", key)).await,
        None => ask(request).await,
    }
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
        while self.customers.join_next().await.is_some() {}
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
        while !self.stop.load(Ordering::Relaxed) {
            ticks.tick().await;
            number += 1;
            // Half of them ask again until they know; the others never do.
            let key = self
                .random
                .bool()
                .then(|| format!("{}-{number}", self.name));
            let booked = self
                .until_answered(key.as_deref(), |http, base, key| {
                    booking(http, &format!("{base}/books"), "numberfour", key)
                })
                .await;
            let Some(bookid) = booked.and_then(|body| body["bookid"].as_i64()) else {
                continue;
            };
            self.answered.lock().unwrap().booked.push(bookid);
            if self.random.u8(..3) == 0 {
                let key = key.map(|key| format!("{key}-cancel"));
                let cancelled = self
                    .until_answered(key.as_deref(), |http, base, key| {
                        cancellation(http, &format!("{base}/books/{bookid}"), key)
                    })
                    .await;
                if cancelled.is_some() {
                    self.answered.lock().unwrap().cancelled.push(bookid);
                }
            }
        }
    }

    /// Asks once, or with a key until there is an answer that says what became of it.
    async fn until_answered(
        &mut self,
        key: Option<&str>,
        request: impl Fn(&Client, &str, Option<&str>) -> RequestBuilder,
    ) -> Option<Value> {
        let began = Instant::now();
        loop {
            let base = {
                let places = self.places.lock().unwrap();
                places[self.random.usize(..places.len())].clone()
            };
            match ask(request(&self.http, &base, key)).await {
                (200..300, body) => return Some(body),
                (0 | 409 | 500.., _) if key.is_some() && began.elapsed() < ASKING_MAX => {
                    moment().await;
                }
                _ => return None,
            }
        }
    }
}
