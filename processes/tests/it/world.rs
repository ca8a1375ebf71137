//! A database of one test's own, the journal over it, and the short sentences that tests are written in.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use domain::payment::Payment;
use domain::ports::{Clock, PaymentDue, Random};
use domain::{BookId, Command, Money, book, payment};
use journal::follow::Step;
use journal::runtime::{SystemClock, SystemRandom};
use journal::{Actor, Journal, Request, Trace, schema};
use local_postgres::testing::Database;
use processes::order;
use processes::settings::{BreakerSettings, PaymentSettings};
use sqlx::{PgPool, Row};

use crate::timeline::Timeline;

/// No single wait of a test is longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How often a wait looks.
const LOOK: Duration = Duration::from_millis(5);
/// What every booking of these tests costs.
pub(crate) const PRICE: Money = Money::krw(10_000);

/// A migrated database, and what acts on it.
pub(crate) struct World {
    pub(crate) journal: Journal,
    pub(crate) timeline: Arc<Timeline>,
    /// Connections of the superuser.
    pub(crate) owner: PgPool,
    // Dropped last.
    database: Database,
}

impl World {
    /// A world whose time stands still.
    pub(crate) async fn new() -> Self {
        let timeline = Arc::new(Timeline::new());
        Self::with_clock(timeline.clone(), timeline).await
    }

    /// A world in real time.
    pub(crate) async fn in_real_time() -> Self {
        Self::with_clock(Arc::new(SystemClock), Arc::new(Timeline::new())).await
    }

    async fn with_clock(clock: Arc<dyn Clock>, timeline: Arc<Timeline>) -> Self {
        let prepare = async |url: &str| schema::migrate(url).await.map_err(Into::into);
        let database = Database::create(&template_key(), prepare).await.unwrap();
        let pool = schema::connect(database.url(), 16).unwrap();
        Self {
            journal: Journal::new(pool, clock, Arc::new(SystemRandom)),
            timeline,
            owner: database.pool(2).await.unwrap(),
            database,
        }
    }

    /// Where the database is, with a role that may do everything.
    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    /// Places a booking as `POST /books` does: the booking and the intent to charge in one commit.
    pub(crate) async fn place(&self, spacename: &str) -> PaymentDue {
        self.place_for(spacename, None).await
    }

    /// The same, of a booking that may have a time.
    pub(crate) async fn place_for(
        &self,
        spacename: &str,
        scheduled: Option<Box<book::Scheduled>>,
    ) -> PaymentDue {
        let next = self.journal.next_booking(spacename).await.unwrap();
        let bookid = next.bookid;
        let spacename = spacename.to_owned();
        let userid = Some(domain::UserId(1));
        let place = book::Command::Place {
            bookid,
            userid,
            spacename: spacename.clone(),
            price: PRICE,
            scheduled,
        };
        let charge = payment::Command::Request {
            bookid,
            userid,
            spacename: spacename.clone(),
            price: PRICE,
            points: domain::payment::Points::default(),
        };
        self.execute(vec![
            Command::Book(bookid, place),
            Command::Payment(bookid, charge),
        ])
        .await;
        PaymentDue {
            bookid,
            charge_no: 1,
            spacename,
            price: PRICE,
            correlation_id: format!("journey of {bookid}"),
            traceparent: None,
        }
    }

    /// Cancels a booking, as its customer.
    pub(crate) async fn cancel(&self, bookid: BookId) {
        let now = self.journal.clock().now();
        self.execute(Command::cancel_booking(bookid, None, now))
            .await;
    }

    /// Tells the booking that its payment is not known yet.
    pub(crate) async fn defer(&self, bookid: BookId, sent: bool) {
        let defer = book::Command::DeferPayment {
            reason: "a test".to_owned(),
            sent,
        };
        self.execute(vec![Command::Book(bookid, defer)]).await;
    }

    /// Stores commands together.
    pub(crate) async fn execute(&self, commands: Vec<Command>) {
        let request = Request {
            command_id: SystemRandom.uuid(),
            trace: Trace {
                correlation_id: "a test".to_owned(),
                causation_id: None,
                traceparent: None,
                actor: Actor::Customer,
                actor_id: None,
            },
            commands,
            claims: vec![],
        };
        self.journal.execute_one(request).await.unwrap();
    }

    /// Lets the saga take everything that is there.
    pub(crate) async fn run_saga(&self) {
        let mut saga = order::follower(self.journal.clone(), settings());
        within(async { while !matches!(saga.step().await.unwrap(), Step::Idle { hole: None }) {} })
            .await;
        saga.release().await.unwrap();
    }

    /// The payment as it stands.
    pub(crate) async fn payment(&self, bookid: BookId) -> Payment {
        self.journal
            .load::<Payment>(bookid)
            .await
            .unwrap()
            .unwrap()
            .0
    }

    /// The names of a booking's events, in the order of the journal.
    pub(crate) async fn story(&self, bookid: BookId) -> Vec<String> {
        sqlx::query_scalar(
            "select event_type from events where aggregate_id = $1 order by position",
        )
        .bind(bookid.to_string())
        .fetch_all(&self.owner)
        .await
        .unwrap()
    }

    /// How often something happened to a booking.
    pub(crate) async fn times(&self, bookid: BookId, event_type: &str) -> usize {
        self.story(bookid)
            .await
            .iter()
            .filter(|name| *name == event_type)
            .count()
    }

    /// Waits until something has happened to a booking.
    pub(crate) async fn until(&self, bookid: BookId, event_type: &str) {
        within(async {
            while self.times(bookid, event_type).await == 0 {
                look_again().await;
            }
        })
        .await;
    }

    /// Where the last event of a booking's payment stands.
    pub(crate) async fn last_position(&self, bookid: BookId, event_type: &str) -> i64 {
        sqlx::query_scalar(
            "select max(position) from events where aggregate_id = $1 and event_type = $2",
        )
        .bind(bookid.to_string())
        .bind(event_type)
        .fetch_one(&self.owner)
        .await
        .unwrap()
    }

    /// A booking's job of a kind.
    pub(crate) async fn job(&self, kind: &str, bookid: BookId) -> Option<JobRow> {
        let row = sqlx::query(
            "select state, attempts, payload, last_error, due_at
             from jobs where kind = $1 and bookid = $2",
        )
        .bind(kind)
        .bind(bookid.0)
        .fetch_optional(&self.owner)
        .await
        .unwrap()?;
        let due_at: jiff_sqlx::Timestamp = row.get("due_at");
        Some(JobRow {
            state: row.get("state"),
            attempts: row.get("attempts"),
            payload: row.get("payload"),
            last_error: row.get("last_error"),
            due_at: due_at.to_jiff(),
            waits: due_at.to_jiff() > self.journal.clock().now(),
        })
    }

    /// Makes every open job due, and every claim on one run out: the database's clock cannot be moved.
    pub(crate) async fn hurry(&self) {
        self.sql(
            "update jobs set due_at = least(due_at, clock_timestamp() - interval '1 s'),
                    claimed_until = clock_timestamp() - interval '1 s'
             where state = 'open'",
        )
        .await;
    }

    /// Runs statements as the superuser.
    pub(crate) async fn sql(&self, statements: &str) {
        sqlx::raw_sql(statements)
            .execute(&self.owner)
            .await
            .unwrap();
    }

    /// One number, as the superuser sees it.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(query)
            .fetch_one(&self.owner)
            .await
            .unwrap()
    }
}

/// A job as its row says.
#[derive(Debug)]
pub(crate) struct JobRow {
    pub(crate) state: String,
    pub(crate) attempts: i32,
    pub(crate) payload: serde_json::Value,
    pub(crate) last_error: Option<String>,
    pub(crate) due_at: jiff::Timestamp,
    /// Whether it is not due yet, by the journal's clock.
    pub(crate) waits: bool,
}

/// The defaults.
pub(crate) fn settings() -> PaymentSettings {
    PaymentSettings::default()
}

/// The defaults with another breaker.
pub(crate) fn settings_with(breaker: BreakerSettings) -> PaymentSettings {
    PaymentSettings {
        breaker,
        ..settings()
    }
}

/// A duration in milliseconds.
pub(crate) const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Bounds a wait.
pub(crate) async fn within<T>(wait: impl Future<Output = T>) -> T {
    local_postgres::testing::timeout(PATIENCE, wait)
        .await
        .expect("waited too long")
}

/// The pause of a wait that looks at the database.
#[expect(clippy::disallowed_methods, reason = "a wait of a test, in real time")]
pub(crate) async fn look_again() {
    tokio::time::sleep(LOOK).await;
}

/// Runs a task beside the test.
#[expect(clippy::disallowed_methods, reason = "a test's own task")]
pub(crate) fn beside<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

/// Stands for all migrations, so that a changed one gets a new template.
fn template_key() -> String {
    let mut hasher = DefaultHasher::new();
    for migration in schema::MIGRATOR.iter() {
        migration.checksum.hash(&mut hasher);
    }
    format!("journal {:x}", hasher.finish())
}
