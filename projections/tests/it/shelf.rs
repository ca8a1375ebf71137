//! My Page in a file, beside the same in Postgres: opened, kept and closed by a test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::Journal;
use journal::runtime::{Runtime, Tokio};
use local_postgres::testing::timeout;
use projections::file::{MypageFile, OpenError};
use projections::{BookingFilter, MypageRow, PageRequest, ReadModels, TimelineRow};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::world::{SOON, World};

/// A folder with a place for a file.
pub(crate) struct Shelf(TempDir);

impl Shelf {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("mypage.sqlite")
    }

    pub(crate) fn beside(&self, ending: &str) -> PathBuf {
        self.0.path().join(format!("mypage.sqlite{ending}"))
    }

    /// Opens the file and keeps it filled.
    pub(crate) async fn keep(&self, journal: &Journal) -> Result<Kept, OpenError> {
        let (file, keeper) = MypageFile::open(&self.path(), journal).await?;
        let stop = CancellationToken::new();
        let (end, ended) = oneshot::channel();
        let keeping = keeper.run(Arc::new(Tokio), stop.clone());
        Tokio.spawn(Box::pin(async move {
            keeping.await;
            // Nobody may be left to hear it.
            let _ = end.send(());
        }));
        let models = ReadModels::new(journal.clone()).with_mypage_in(file.clone());
        Ok(Kept {
            file,
            models,
            stop,
            ended,
        })
    }

    /// Opens the file, waits until it has everything, and closes it.
    pub(crate) async fn fill(&self, world: &World) {
        let kept = self.keep(&world.journal).await.unwrap();
        kept.caught_up(world).await;
        kept.stop().await;
    }

    /// Runs statements on the file, behind everybody's back.
    pub(crate) async fn run_sql(&self, sql: &str) {
        let mut file = connect(&self.path()).await;
        sqlx::query(sql).execute(&mut file).await.unwrap();
        file.close().await.unwrap();
    }

    /// One text.
    pub(crate) async fn text(&self, sql: &str) -> String {
        let mut file = connect(&self.path()).await;
        let text: Option<String> = sqlx::query_scalar(sql).fetch_one(&mut file).await.unwrap();
        file.close().await.unwrap();
        text.unwrap_or_default()
    }
}

pub(crate) async fn connect(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// A file that is being kept.
pub(crate) struct Kept {
    pub(crate) file: MypageFile,
    pub(crate) models: ReadModels,
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Kept {
    /// Waits until the file has everything that the journal has now.
    pub(crate) async fn caught_up(&self, world: &World) {
        let head = world.journal.head().await.unwrap();
        eventually("the file never caught up", async || {
            self.file.is_ready() && self.file.position().await.is_ok_and(|at| at >= head)
        })
        .await;
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(SOON, self.ended)
            .await
            .expect("the keeper ends when it is told to")
            .unwrap();
    }
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            Tokio.sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(SOON, waiting).await;
    waited.unwrap_or_else(|_| panic!("{what}"));
}

/// Everything that My Page shows, with every cell of every row.
pub(crate) async fn everything(models: &ReadModels) -> (Vec<MypageRow>, Vec<TimelineRow>) {
    let page = PageRequest {
        size: 1_000,
        ..PageRequest::default()
    };
    let pages = models
        .list::<MypageRow>(&BookingFilter::default(), &page)
        .await
        .unwrap();
    assert_eq!(pages.total, i64::try_from(pages.rows.len()).unwrap());
    let mut lines = vec![];
    for row in &pages.rows {
        let id = domain::BookId(row.id);
        assert_eq!(models.find(id).await.unwrap().as_ref(), Some(row));
        lines.extend(models.timeline(id).await.unwrap());
    }
    (pages.rows, lines)
}
