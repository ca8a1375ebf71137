//! Keeps the file filled: follows the journal, switches to what was rebuilt, and begins anew where it must.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use journal::feed::Feed;
use journal::follow::{self, BATCH_MAX, BULK_BATCH_MAX, Follower};
use journal::runtime::Runtime;
use journal::{Journal, StoreError};
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::checkpoints::{Checkpoints, Fill};
use super::schema::Generation;
use super::tables::Statements;
use super::taken::{self, OpenError, Opened};
use super::{Reason, Shared, fault, schema};

/// How often position, lag and what is parked are counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// How long to wait before the file is opened, or switched, again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long answers under way are waited for when the file is replaced.
const ANSWERS_MAX: Duration = Duration::from_secs(5);

/// How following came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The generation that was being built is as far as the journal.
    Built,
    /// What is in the file means nothing any more.
    Worthless(Reason),
}

/// What the file is being kept busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Rows are made from the first event on; questions wait, or are answered from the old rows.
    Building,
    /// It is kept up to date.
    Following,
    /// It waits at a hole in the journal.
    Holding,
    /// The last step failed; it is tried again.
    Failing,
}

impl State {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Building, "building"),
        (Self::Following, "following"),
        (Self::Holding, "holding"),
        (Self::Failing, "failing"),
    ];
}

/// Fills the file.
pub struct Keeper {
    shared: Arc<Shared>,
    journal: Journal,
    file: Option<Open>,
    state: watch::Sender<State>,
}

/// The file while it is open.
struct Open {
    writer: Arc<Mutex<SqliteConnection>>,
    readers: SqlitePool,
    live: Option<Generation>,
    building: Option<Generation>,
}

impl Keeper {
    pub(super) async fn start(shared: Arc<Shared>, journal: Journal) -> Result<Self, OpenError> {
        let mut keeper = Self {
            shared,
            journal,
            file: None,
            state: watch::Sender::new(State::Building),
        };
        keeper.open(None).await?;
        Ok(keeper)
    }

    /// Fills the file until cancelled, and closes it then.
    pub async fn run(mut self, runtime: Arc<dyn Runtime>, stop: CancellationToken) {
        // Why the file cannot be used, while there is no new one yet.
        let mut worthless = None;
        while !stop.is_cancelled() {
            let Some(file) = &self.file else {
                match self.open(worthless).await {
                    Ok(()) => worthless = None,
                    Err(error) => self.wait(&error, &*runtime, &stop).await,
                }
                continue;
            };
            let end = match self.follow(file, &runtime, &stop).await {
                None => break,
                Some(End::Built) => match self.switch().await {
                    Ok(()) => continue,
                    Err(error) if fault::is_damage(&error) => Reason::Damaged,
                    Err(error) => {
                        self.wait(&error, &*runtime, &stop).await;
                        continue;
                    }
                },
                Some(End::Worthless(reason)) => reason,
            };
            worthless = Some(end);
            let was_good = self.shared.caught_up.load(Ordering::Acquire);
            self.close(&*runtime).await;
            if !was_good {
                // On a disk that spoils everything it is not begun anew all the time.
                self.wait(&"it was never good", &*runtime, &stop).await;
            }
        }
        self.close(&*runtime).await;
    }

    /// After something failed.
    async fn wait(
        &self,
        error: &(dyn std::fmt::Display + Sync),
        runtime: &dyn Runtime,
        stop: &CancellationToken,
    ) {
        self.state.send_replace(State::Failing);
        self.show();
        tracing::warn!(%error, "the file cannot be used; it is tried again");
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = runtime.sleep(AGAIN) => {}
        }
    }

    async fn open(&mut self, known: Option<Reason>) -> Result<(), OpenError> {
        let Opened {
            writer,
            readers,
            live,
            building,
        } = taken::open(&self.shared, &self.journal, known).await?;
        tracing::info!(
            file = %self.shared.path().display(),
            position = live.as_ref().map(|live| live.position),
            building = building.as_ref().map(|building| building.position),
            "mypage is kept in a file"
        );
        if live.is_some() {
            self.shared.readers.send_replace(Some(readers.clone()));
        }
        self.file = Some(Open {
            writer: Arc::new(Mutex::new(writer)),
            readers,
            live,
            building,
        });
        Ok(())
    }

    /// Closes the file; nothing is answered from it any more.
    async fn close(&mut self, runtime: &dyn Runtime) {
        self.shared.readers.send_replace(None);
        self.shared.caught_up.store(false, Ordering::Release);
        let Some(file) = self.file.take() else { return };
        tokio::select! {
            biased;
            () = file.readers.close() => {}
            () = runtime.sleep(ANSWERS_MAX) => {}
        }
        // The follower is gone, and nobody else holds it.
        if let Some(writer) = Arc::into_inner(file.writer)
            && let Err(error) = schema::close(writer.into_inner()).await
        {
            tracing::debug!(%error, "the file was not closed in order; it is mended when it is opened");
        }
    }

    /// Follows until cancelled (`None`), or to an end.
    async fn follow(
        &self,
        file: &Open,
        runtime: &Arc<dyn Runtime>,
        stop: &CancellationToken,
    ) -> Option<End> {
        let building = file.building.is_some();
        let generation = file.building.as_ref().or(file.live.as_ref())?.number;
        let (until, end) = (stop.child_token(), Arc::new(OnceLock::new()));
        if building {
            self.state.send_replace(State::Building);
        }
        let checkpoints = Checkpoints {
            shared: Arc::clone(&self.shared),
            journal: self.journal.clone(),
            writer: Arc::clone(&file.writer),
            generation,
            building,
            until: until.clone(),
            end: Arc::clone(&end),
            state: self.state.clone(),
            goal: OnceLock::new(),
            tried_at: std::sync::Mutex::new(Timestamp::UNIX_EPOCH),
        };
        let fill = Fill {
            shared: Arc::clone(&self.shared),
            statements: Statements::of(self.shared.projection, generation),
        };
        let feed = Feed::observer(self.journal.clone());
        let batch_max = if building { BULK_BATCH_MAX } else { BATCH_MAX };
        let follower = Follower::over(self.journal.clone(), feed, checkpoints, fill);
        let follower = if building {
            follower.in_bulk(batch_max)
        } else {
            follower
        };
        tokio::select! {
            biased;
            () = follow::run(follower, Arc::clone(runtime), until) => {}
            () = self.count(file, generation, &**runtime) => {}
        }
        end.get().copied()
    }

    async fn switch(&mut self) -> Result<(), StoreError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let Some(built) = file.building.clone() else {
            return Ok(());
        };
        let mut writer = file.writer.lock().await;
        schema::switch(&mut writer, self.shared.projection, built.number).await?;
        let generations = schema::generations(&mut writer).await?;
        drop(writer);
        file.building = None;
        file.live = generations.into_iter().find(|one| one.live);
        self.shared.readers.send_replace(Some(file.readers.clone()));
        tracing::info!(
            position = file.live.as_ref().map(|live| live.position),
            "the file is built; questions are answered from it"
        );
        Ok(())
    }

    /// Shows what is going on as metrics, for ever.
    async fn count(&self, file: &Open, generation: i64, runtime: &dyn Runtime) {
        let mut state = self.state.subscribe();
        loop {
            self.show();
            match self.counts(file, generation).await {
                Ok((position, lag, parked)) => {
                    gauge("mypage_file_position", position);
                    gauge("mypage_file_lag_events", lag);
                    gauge("mypage_file_parked", parked);
                }
                Err(error) => tracing::debug!(%error, "how far the file is cannot be counted"),
            }
            let over = runtime.sleep(COUNT_EVERY);
            tokio::pin!(over);
            loop {
                tokio::select! {
                    biased;
                    () = &mut over => break,
                    // Its sender is ours.
                    _ = state.changed() => self.show(),
                }
            }
        }
    }

    /// Position, events behind it, and how many of those before it are parked.
    async fn counts(&self, file: &Open, generation: i64) -> Result<(i64, i64, i64), StoreError> {
        let (position, parked) = sqlx::query_as(
            "select position, (select count(*) from parked where generation = number)
             from generations where number = $1",
        )
        .bind(generation)
        .fetch_one(&file.readers)
        .await
        .map_err(fault)?;
        let lag = self.journal.events_behind(position, i64::MAX).await?;
        Ok((position, lag, parked))
    }

    fn show(&self) {
        let now = *self.state.borrow();
        for (state, name) in State::ALL {
            metrics::gauge!("mypage_file_state", "state" => name)
                .set(f64::from(u8::from(state == now)));
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a metric; exact up to 9,007,199,254,740,992"
)]
fn gauge(name: &'static str, number: i64) {
    metrics::gauge!(name).set(number as f64);
}
