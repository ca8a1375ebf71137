//! A load of bookings, and looks at everything else beside it: what was answered, when, and after how long.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use local_postgres::testing::stopwatch;
use local_postgres::testing::timeout;
use reqwest::Response;
use reqwest::header::RETRY_AFTER;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::server::{Server, moment};

/// Bookings that must be answered 2xx before anything is broken.
const ANSWERED_MIN: usize = 60;
const CLIENTS: usize = 8;
/// Within this time a load gets going.
const GOING_MAX: Duration = Duration::from_secs(60);

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked.
    pub path: String,
    /// When it was asked.
    pub at: Instant,
    pub took: Duration,
    /// 0 when there was none.
    pub status: u16,
    pub retry_after: bool,
    /// `X-Event-Position`.
    pub position: Option<i64>,
    /// The last part of the problem's type, where it is one.
    pub problem: Option<String>,
    /// The booking it speaks of.
    pub bookid: Option<i64>,
}

impl Answer {
    pub async fn to(path: &str, asking: impl Future<Output = reqwest::Result<Response>>) -> Self {
        let mut answer = Self {
            path: path.to_owned(),
            at: stopwatch(),
            took: Duration::ZERO,
            status: 0,
            retry_after: false,
            position: None,
            problem: None,
            bookid: None,
        };
        if let Ok(response) = asking.await {
            answer.status = response.status().as_u16();
            answer.retry_after = response.headers().contains_key(RETRY_AFTER);
            let position = response.headers().get("x-event-position");
            answer.position = position.and_then(|p| p.to_str().ok()?.parse().ok());
            let body: Value = response.json().await.unwrap_or_default();
            answer.bookid = body["bookid"].as_i64();
            let problem = body["type"].as_str();
            answer.problem = problem
                .and_then(|p| p.rsplit('/').next())
                .map(str::to_owned);
        }
        answer.took = answer.at.elapsed();
        answer
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Asks until told to stop; keeps every answer.
pub struct Load {
    answers: Arc<Mutex<Vec<Answer>>>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Load {
    /// Books, with as many clients as make it a load.
    pub fn on(server: &Server) -> Self {
        Self::of(server, "numberfour", CLIENTS)
    }

    /// Books this space.
    pub fn of(server: &Server, spacename: &str, clients: usize) -> Self {
        let (url, body) = (
            server.url("book", "/books"),
            serde_json::json!({ "userid": 4, "spacename": spacename }),
        );
        let mut load = Self::idle();
        for _ in 0..clients {
            let (http, url, body) = (server.client(), url.clone(), body.clone());
            load.repeat("/books", move || http.post(&url).json(&body).send());
        }
        load
    }

    /// Reads these, a client for each.
    pub fn reading(server: &Server, reads: &[(&str, &str)]) -> Self {
        let mut load = Self::idle();
        for (role, path) in reads {
            let (http, url) = (server.client(), server.url(role, path));
            load.repeat(path, move || http.get(&url).send());
        }
        load
    }

    fn idle() -> Self {
        Self {
            answers: Arc::default(),
            stop: Arc::default(),
            clients: JoinSet::new(),
        }
    }

    fn repeat<F>(&mut self, path: &str, mut ask: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = reqwest::Result<Response>> + Send,
    {
        let (answers, stop) = (self.answers.clone(), self.stop.clone());
        let path = path.to_owned();
        self.clients.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let answer = Answer::to(&path, ask()).await;
                let pause = answer.status == 0 || path != "/books";
                answers.lock().unwrap().push(answer);
                if pause {
                    moment().await;
                }
            }
        });
    }

    /// Waits until bookings are taken.
    pub async fn under_way(&self) {
        self.until(stopwatch(), ANSWERED_MIN, GOING_MAX, Answer::is_success)
            .await;
    }

    /// Waits until `count` requests that were sent after `after` were answered so; says how long it took.
    pub async fn until(
        &self,
        after: Instant,
        count: usize,
        max: Duration,
        so: impl Fn(&Answer) -> bool,
    ) -> Duration {
        let fits = |answer: &&Answer| answer.at >= after && so(answer);
        let enough = async {
            while self.answers.lock().unwrap().iter().filter(fits).count() < count {
                moment().await;
            }
        };
        if timeout(max, enough).await.is_err() {
            let answers = self.answers.lock().unwrap();
            panic!(
                "not within {max:?}; the last answers: {:#?}",
                answers.iter().rev().take(3)
            );
        }
        after.elapsed()
    }

    /// Ends it; every answer.
    pub async fn end(mut self) -> Vec<Answer> {
        self.stop.store(true, Ordering::Relaxed);
        while self.clients.join_next().await.is_some() {}
        std::mem::take(&mut *self.answers.lock().unwrap())
    }
}

/// The bookings that were answered 2xx.
pub fn acknowledged(answers: &[Answer]) -> Vec<i64> {
    let of_success = |answer: &&Answer| answer.is_success();
    answers
        .iter()
        .filter(of_success)
        .filter_map(|answer| answer.bookid)
        .collect()
}
