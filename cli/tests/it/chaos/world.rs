//! A database, the processes on it, and what is done to them.

use std::path::PathBuf;
use std::time::Duration;

use local_postgres::testing::Database;
use local_postgres::testing::timeout;
use sqlx::PgPool;
use tempfile::TempDir;

use crate::process::Process;
use crate::server::{client, moment, spacerent};

/// Within this time a process comes to an armed point.
pub const TAKEN_MAX: Duration = Duration::from_secs(30);

/// Short calls, so that claims (two calls and 10 s) and take-overs are short; and a gateway that is believed soon. A
/// charge that was perhaps sent and is no longer wanted counts as not charged when the longest call for it, 2 s of
/// waiting and this settling time are over: 10 s after it was given up, and 72 s with the settings as they are.
pub const SHORT: [(&str, &str); 3] = [
    ("PAYMENT_CALL_MAX_MS", "3000"),
    ("PAYMENT_SETTLE_MS", "5000"),
    // The crash matrix may be at work on the same server, which has 200.
    ("DATABASE_CONNECTIONS_MAX", "16"),
];
/// Within this time after the last fault everything has come to its end, with short calls: the lease of a follower (5 s)
/// and the lock of a key (15 s) run out, and a job whose claim was lost (16 s) and whose charge is to be believed (10 s)
/// is tried again. And what a busy machine may add.
pub const SETTLED_MAX: Duration = Duration::from_secs(60);

/// A migrated database, and where its processes are told at which point to stop.
pub struct World {
    /// How processes reach the database.
    pub url: String,
    /// How the test does, whatever stands between the processes and the database.
    pub pool: PgPool,
    pub http: reqwest::Client,
    folder: TempDir,
    // Dropped last.
    _database: Option<Database>,
}

impl World {
    /// On the server that all tests share.
    pub async fn shared() -> Self {
        // Made by the program, so another program makes another one.
        let program = std::fs::metadata(env!("CARGO_BIN_EXE_spacerent")).unwrap();
        let key = format!("spacerent migrate {:?}", program.modified().unwrap());
        let database = Database::create(&key, async |url| {
            migrate(url).await;
            Ok(())
        });
        let database = database.await.unwrap();
        let pool = database.pool(4).await.unwrap();
        let url = database.url().to_owned();
        Self::over(url, pool, Some(database))
    }

    /// On a migrated database somewhere else.
    pub fn over(url: String, pool: PgPool, database: Option<Database>) -> Self {
        Self {
            url,
            pool,
            http: client(),
            folder: tempfile::tempdir().unwrap(),
            _database: database,
        }
    }

    /// A `spacerent serve` of all roles that is ready.
    pub async fn node(&self, settings: &[(&str, &str)]) -> Process {
        let mut node = self.started(settings);
        node.becomes_ready(&self.http).await;
        node
    }

    /// One that may end before it is ready.
    pub fn started(&self, settings: &[(&str, &str)]) -> Process {
        let clock = self.clock();
        let clock = clock.exists().then_some(("CLOCK_FILE", clock));
        let mut command = spacerent(&["serve"]);
        command
            .env("DATABASE_URL", &self.url)
            .env("FAIL_POINT_FILE", self.order())
            .envs(settings.iter().copied())
            .envs(clock);
        Process::start(&mut command, "gateway")
    }

    fn clock(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// Sets the clock of the processes by hand; of those that run, only if it was set before they were started.
    pub fn set_clock(&self, moment: &str) {
        let written = self.folder.path().join("clock.new");
        std::fs::write(&written, moment).unwrap();
        std::fs::rename(written, self.clock()).unwrap();
    }

    fn order(&self) -> PathBuf {
        self.folder.path().join("point")
    }

    /// Has the first process that comes to this point killed or stopped there.
    pub fn arm(&self, point: &str, what: &str) {
        let _ = std::fs::remove_file(self.order().with_extension("taken"));
        // Whole or not at all: a process may look at any moment.
        let written = self.folder.path().join("written");
        std::fs::write(&written, format!("{point} {what}")).unwrap();
        std::fs::rename(written, self.order()).unwrap();
    }

    /// Nobody came there.
    pub fn disarm(&self) {
        let _ = std::fs::remove_file(self.order());
    }

    pub fn is_taken(&self) -> bool {
        self.order().with_extension("taken").exists()
    }

    /// Waits until a process came to the armed point; false when none did.
    pub async fn taken(&self) -> bool {
        let taken = async {
            while !self.is_taken() {
                moment().await;
            }
        };
        timeout(TAKEN_MAX, taken).await.is_ok()
    }

    pub async fn count(&self, query: &str) -> i64 {
        sqlx::query_scalar(query)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}

/// `spacerent migrate`.
pub async fn migrate(url: &str) {
    let migrated = spacerent(&["migrate"])
        .env("DATABASE_URL", url)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&migrated.stderr);
    assert!(migrated.status.success(), "{said}");
}
