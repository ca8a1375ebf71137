//! Roles in processes of their own, one of which is away, hangs, talks nonsense or cuts the line: bookings are taken
//! all the same, and everything comes to its end when it is back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use local_postgres::testing::Database;
use local_postgres::testing::timeout;
use rustix::process::Signal;
use sqlx::PgPool;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::load::Answer;
use crate::process::Process;
use crate::server::{client, moment, spacerent};

/// Within this time a booking is answered, whatever another role does.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Within this time everything is paid and registered after all roles are well: the end of the customer's own
/// call, the margin before a worker takes over, and its back-off.
const CONVERGED_MAX: Duration = Duration::from_secs(30);
const BOOKINGS: usize = 5;

/// A migrated database, and the roles that work on it.
pub struct House {
    pub database: Database,
    pub pool: PgPool,
    pub http: reqwest::Client,
}

impl House {
    pub async fn build() -> Self {
        let database = Database::create("an empty one", async |_| Ok(()))
            .await
            .unwrap();
        let migrated = spacerent(&["migrate"])
            .env("DATABASE_URL", database.url())
            .output()
            .await;
        let migrated = migrated.unwrap();
        assert!(
            migrated.status.success(),
            "{}",
            String::from_utf8_lossy(&migrated.stderr)
        );
        let pool = database.pool(2).await.unwrap();
        Self {
            database,
            pool,
            http: client(),
        }
    }

    /// Starts a process; it is ready when the port of `listens` says so, if it has one.
    /// Starts a process; where it listens for a role, it is ready.
    async fn role(
        &self,
        roles: &str,
        listens: Option<&'static str>,
        payment: Option<SocketAddr>,
    ) -> Process {
        let payment = payment.map(|address| format!("http://{address}"));
        let settings: Vec<_> = payment.iter().map(|url| ("PAYMENT_URL", &**url)).collect();
        self.role_set(roles, listens, &settings).await
    }

    /// With settings of its own.
    pub async fn role_set(
        &self,
        roles: &str,
        listens: Option<&'static str>,
        settings: &[(&str, &str)],
    ) -> Process {
        let mut command = spacerent(&["serve", "--role", roles]);
        command
            .env("DATABASE_URL", self.database.url())
            .envs(settings.iter().copied());
        let mut process = Process::start(&mut command, listens.unwrap_or_default());
        if listens.is_some() {
            process.becomes_ready(&self.http).await;
        }
        process
    }

    pub async fn get(&self, role: &Process, path: &str) -> Answer {
        Answer::to(path, self.http.get(role.url(path)).send()).await
    }

    pub async fn book(&self, role: &Process) -> Answer {
        let body = serde_json::json!({ "userid": 4, "spacename": "numberfour" });
        let answer = Answer::to(
            "/books",
            self.http.post(role.url("/books")).json(&body).send(),
        )
        .await;
        assert!(answer.took <= ANSWER_MAX, "{answer:?}");
        answer
    }

    pub async fn count(&self, query: &str) -> usize {
        let count: i64 = sqlx::query_scalar(query)
            .fetch_one(&self.pool)
            .await
            .unwrap();
        usize::try_from(count).unwrap()
    }

    /// So many bookings were cancelled, refunded and closed; no job is left.
    pub async fn closed(&self, bookings: usize) {
        let open = "select count(*) from jobs where state <> 'done'";
        let closed = "select count(*) from events where event_type = 'BookClosed'";
        let refunded = async {
            while self.count(open).await > 0 || self.count(closed).await < bookings {
                moment().await;
            }
        };
        timeout(CONVERGED_MAX, refunded)
            .await
            .expect("it is not refunded");
    }

    /// Every booking is paid once, registered, confirmed and on My Page; no job is left.
    pub async fn converges(&self, bookings: usize) {
        let open = "select count(*) from events b where b.event_type = 'Booked' and not exists (
                        select from events c where c.aggregate_id = b.aggregate_id and c.event_type = 'BookConfirmed'
                    )
                    or b.event_type = 'Booked' and not exists (
                        select from mypage.mypages m join books.books using (bookid)
                        where m.bookid = b.aggregate_id::bigint and m.status = 'Registered'
                    )";
        let jobs = "select count(*) from jobs where state = 'open'";
        let converged = async {
            while self.count(open).await + self.count(jobs).await > 0 {
                moment().await;
            }
        };
        if timeout(CONVERGED_MAX, converged).await.is_err() {
            panic!(
                "{} bookings and {} jobs are left",
                self.count(open).await,
                self.count(jobs).await
            );
        }
        for (what, query) in [
            (
                "booked",
                "select count(*) from events where event_type = 'Booked'",
            ),
            (
                "approved",
                "select count(*) from events where event_type = 'Approved'",
            ),
            (
                "registered",
                "select count(*) from events where event_type = 'Registered'",
            ),
            ("charged", "select count(*) from stub_gateway.charges"),
        ] {
            assert_eq!(self.count(query).await, bookings, "{what}");
        }
        assert_eq!(
            self.count("select count(*) from jobs where state = 'attention'")
                .await,
            0
        );
        assert_eq!(self.count("select count(*) from parked").await, 0);
    }
}

#[tokio::test]
async fn without_processes_bookings_are_paid_and_registered_when_they_are_back() {
    let house = House::build().await;
    let book = house.role("book,projections", Some("book"), None).await;
    for _ in 0..BOOKINGS {
        assert_eq!(house.book(&book).await.status, 201);
    }
    let mut processes = house.role("processes", None, None).await;
    house.converges(BOOKINGS).await;
    // And once more, from the middle of its work.
    processes.kill().await;
    for _ in 0..BOOKINGS {
        assert_eq!(house.book(&book).await.status, 201);
    }
    let _processes = house.role("processes", None, None).await;
    house.converges(2 * BOOKINGS).await;
}

#[tokio::test]
async fn without_projections_reads_are_old_and_answered() {
    let house = House::build().await;
    let book = house.role("book,processes", Some("book"), None).await;
    let mut projections = house.role("projections", None, None).await;
    let first = house.book(&book).await;
    house.converges(1).await;
    projections.kill().await;
    let second = house.book(&book).await;
    assert_eq!((first.status, second.status), (201, 201));
    let old = house
        .get(&book, &format!("/books/{}", first.bookid.unwrap()))
        .await;
    assert_eq!(old.status, 200);
    // What is not there yet is waited for, and then said not to be there.
    let position = second.position.unwrap();
    let path = format!("/books?min_position={position}");
    let answer = house.http.get(book.url(&path)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("x-projection-lag"));
    assert_eq!(house.get(&book, "/readyz").await.status, 200);
    let _projections = house.role("projections", None, None).await;
    house.converges(2).await;
}

#[tokio::test]
async fn a_payment_role_that_is_gone() {
    let house = House::build().await;
    let mut payment = house.role("payment", Some("payment"), None).await;
    let everything_else = "book,mypage,processes,projections";
    let book = house
        .role(everything_else, Some("book"), Some(payment.address()))
        .await;
    assert_eq!(house.book(&book).await.status, 201);
    payment.kill().await;
    for _ in 0..BOOKINGS {
        assert_eq!(house.book(&book).await.status, 202);
    }
    house.converges(BOOKINGS + 1).await;
}

#[tokio::test]
async fn a_payment_role_that_hangs() {
    let house = House::build().await;
    let payment = house.role("payment", Some("payment"), None).await;
    let everything_else = "book,mypage,processes,projections";
    let book = house
        .role(everything_else, Some("book"), Some(payment.address()))
        .await;
    payment.signal(Signal::STOP);
    for _ in 0..BOOKINGS {
        assert_eq!(house.book(&book).await.status, 202);
    }
    // It wakes up with requests that were given up, and bookings that the background sees to by now.
    payment.signal(Signal::CONT);
    assert_eq!(house.book(&book).await.status, 201);
    house.converges(BOOKINGS + 1).await;
}

#[tokio::test]
async fn a_payment_role_that_talks_nonsense() {
    through_a_line_that(Line::Nonsense).await;
}

#[tokio::test]
async fn a_payment_role_whose_line_is_cut_after_the_charge() {
    through_a_line_that(Line::Cut).await;
}

/// What becomes of an answer of the payment role.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Line {
    Carries,
    /// It is not HTTP, and nobody was asked.
    Nonsense,
    /// The role has done what it was asked, and nobody hears of it.
    Cut,
}

async fn through_a_line_that(breaks: Line) {
    let house = House::build().await;
    let payment = house.role("payment", Some("payment"), None).await;
    let (line, address, _task) = line_to(payment.address()).await;
    line.store(breaks as u8, Ordering::SeqCst);
    let everything_else = "book,mypage,processes,projections";
    let book = house
        .role(everything_else, Some("book"), Some(address))
        .await;
    for _ in 0..BOOKINGS {
        assert_eq!(house.book(&book).await.status, 202);
    }
    line.store(Line::Carries as u8, Ordering::SeqCst);
    assert_eq!(house.book(&book).await.status, 201);
    house.converges(BOOKINGS + 1).await;
}

async fn line_to(role: SocketAddr) -> (Arc<AtomicU8>, SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (line, address) = (Arc::new(AtomicU8::new(0)), listener.local_addr().unwrap());
    let (of_task, mut task) = (line.clone(), JoinSet::new());
    task.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let line = of_task.load(Ordering::SeqCst);
            connections.spawn(carry(client, role, line));
        }
    });
    (line, address, task)
}

async fn carry(mut client: TcpStream, role: SocketAddr, line: u8) {
    let mut asked = vec![0; 65_536];
    if line == Line::Nonsense as u8 {
        let _ = client.read(&mut asked).await;
        let _ = client.write_all(b"nonsense, and no HTTP\r\n\r\n").await;
        return;
    }
    let mut server = TcpStream::connect(role).await.unwrap();
    if line == Line::Carries as u8 {
        let _ = copy_bidirectional(&mut client, &mut server).await;
        return;
    }
    // Head and body may come apart; the role answers when it has both.
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(bytes) if bytes > 0 => server.write_all(&asked[..bytes]).await.unwrap(),
                _ => return,
            },
            answered = server.readable() => {
                answered.unwrap();
                return;
            }
        }
    }
}
