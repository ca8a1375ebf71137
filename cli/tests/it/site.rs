//! A database of a test's own that the program works on through `DATABASE_URL`, and `serve` on it.

use std::process::Output;
use std::time::Duration;

use local_postgres::testing::Database;
use local_postgres::testing::timeout;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::process::Command;

use crate::process::Process;
use crate::server::{client, moment, spacerent};

/// Within this time something must have happened.
pub const SOON: Duration = Duration::from_secs(30);
/// Every read model.
pub const PROJECTIONS: [&str; 7] = [
    "books", "payments", "spaces", "mypage", "points", "calendar", "board",
];

/// A migrated database.
pub struct Site {
    database: Database,
    pub pool: PgPool,
}

/// A process that serves everything.
pub struct Serving {
    process: Process,
}

impl Site {
    pub async fn build() -> Self {
        let database = Database::create("an empty one", async |_| Ok(()))
            .await
            .unwrap();
        let pool = database.pool(2).await.unwrap();
        let site = Self { database, pool };
        success(&site.run(&["migrate"]).await);
        site
    }

    /// Its URI for another login.
    pub fn url_of(&self, login: &str) -> String {
        let url = self.database.url();
        let other = url.replace("user=spacerent&", &format!("user={login}&"));
        assert_ne!(other, url);
        other
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = spacerent(arguments);
        command.env("DATABASE_URL", self.database.url());
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        timeout(SOON, self.command(arguments).output())
            .await
            .expect("it hangs")
            .unwrap()
    }

    pub async fn serve(&self) -> Serving {
        let mut process = Process::start(&mut self.command(&["serve"]), "gateway");
        process.becomes_ready(&client()).await;
        Serving { process }
    }

    pub async fn number(&self, query: &str) -> i64 {
        sqlx::query_scalar(query)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    pub async fn text(&self, query: &str) -> String {
        sqlx::query_scalar(query)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Waits until a query counts something.
    pub async fn until(&self, query: &str) {
        let wanted = async {
            while self.number(query).await == 0 {
                moment().await;
            }
        };
        if timeout(SOON, wanted).await.is_err() {
            panic!("it never came to this: {query}");
        }
    }

    pub async fn happened(&self, bookid: i64, event: &str) {
        self.until(&format!(
            "select count(*) from events where aggregate_id = '{bookid}' and event_type = '{event}'"
        ))
        .await;
    }

    /// Every read model as it is at a position, each table in one text.
    pub async fn shown_at(&self, position: i64) -> Vec<String> {
        let mut shown = vec![];
        for name in PROJECTIONS {
            let to = position.to_string();
            success(&self.run(&["replay", name, "--to-position", &to]).await);
            let schema = format!("{name}_at_{position}");
            let tables = format!(
                "select coalesce(string_agg(table_name, ' ' order by table_name), '')
                 from information_schema.tables where table_schema = '{schema}'"
            );
            for table in self.text(&tables).await.split_whitespace() {
                let rows = format!(
                    "select '{table} ' || coalesce(string_agg(row, ' ' order by row), '')
                     from (select to_jsonb(t.*)::text as row from {schema}.{table} t) t"
                );
                shown.push(self.text(&rows).await);
            }
        }
        shown
    }
}

impl Serving {
    pub fn url(&self, path: &str) -> String {
        self.process.url(path)
    }

    pub async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> Option<(u16, Value)> {
        let mut request = client().post(self.url(path)).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let answer = request.send().await.ok()?;
        Some((answer.status().as_u16(), answer.json().await.ok()?))
    }

    pub async fn book(&self, spacename: &str, key: Option<&str>) -> (u16, Value) {
        let body = json!({ "userid": 1, "spacename": spacename, "status": "booking" });
        self.post("/books", &body, key).await.unwrap()
    }

    pub async fn kill(mut self) {
        self.process.kill().await;
    }

    pub async fn stop(self) {
        self.process.stop().await;
    }
}

pub fn success(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

pub fn document(output: &Output) -> Value {
    success(output);
    serde_json::from_slice(&output.stdout).unwrap()
}
