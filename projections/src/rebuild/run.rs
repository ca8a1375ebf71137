//! One rebuild: lock, fill, compare, clean up. [`super::switch`] is its end.

use journal::StoreError;
use journal::follow::BATCH_MAX;
use journal::schema::{connect_as_owner, hold_alone};
use sqlx::{Connection, PgConnection};

use super::compare::{Side, compare, sum_up};
use super::filling::Filling;
use super::progress::Stage;
use super::resume::half_built;
use super::slices;
use super::{Goal, Rebuilder, ReplayError, Report};
use crate::generation::{self, Generation, State};
use crate::projection::Projection;

/// How often to run after a live generation that moves on, before comparing with it.
const CHASES_MAX: u32 = 1_000;

/// A rebuild under way. Its owner connection holds the lock that keeps others away.
pub(super) struct Run<'a> {
    pub(super) rebuilder: Rebuilder<'a>,
    pub(super) owner: PgConnection,
    pub(super) projection: &'static Projection,
    pub(super) live: Generation,
    pub(super) filling: Filling<'a>,
    /// Whether the generation that is filled was made by a rebuild, and goes when it is not needed.
    made: bool,
    pub(super) report: Report,
    /// Rows that the generation held before this run wrote into it.
    rows_before: u64,
}

impl<'a> Run<'a> {
    /// Begins with an empty generation, or with what an earlier run left half-built. With `as_of`, it is one that
    /// shows how things were at that position.
    pub(super) async fn begin(
        rebuilder: Rebuilder<'a>,
        projection: &'static Projection,
        as_of: Option<i64>,
    ) -> Result<Self, ReplayError> {
        let (mut owner, live) = lock(rebuilder.owner_url, projection).await?;
        let (name, known) = (projection.name, projection.version);
        if live.version > known {
            let found = live.version;
            return Err(ReplayError::Newer { name, found, known });
        }
        let left = half_built(&rebuilder, &mut owner, projection, as_of).await?;
        let resumed_from = left.as_ref().map(|half| half.position);
        let half = match left {
            Some(half) => half,
            None => {
                let mut tx = owner.begin().await?;
                let number =
                    generation::create(&mut tx, projection, State::Building, as_of).await?;
                let half = slices::create(&mut tx, projection, number, rebuilder.slices).await?;
                tx.commit().await?;
                half
            }
        };
        Ok(Self {
            filling: Filling::in_bulk(rebuilder.clone(), projection, &half),
            rebuilder,
            owner,
            projection,
            live,
            made: true,
            report: Report {
                resumed_from,
                ..Report::default()
            },
            rows_before: 0,
        })
    }

    /// Begins with the generation that was live before.
    pub(super) async fn begin_with_kept(
        rebuilder: Rebuilder<'a>,
        projection: &'static Projection,
    ) -> Result<Self, ReplayError> {
        let (mut owner, live) = lock(rebuilder.owner_url, projection).await?;
        let (name, known) = (projection.name, projection.version);
        let kept = generation::in_state(&mut owner, projection, State::Kept).await?;
        let kept = *kept.first().ok_or(ReplayError::NothingKept(name))?;
        if kept.version != known {
            let found = kept.version;
            return Err(ReplayError::Foreign { name, found, known });
        }
        let position = position(&mut owner, projection, kept.number, "").await?;
        Ok(Self {
            filling: Filling::of_finished(rebuilder.clone(), projection, kept.number, position),
            rebuilder,
            owner,
            projection,
            live,
            made: false,
            report: Report::default(),
            rows_before: 0,
        })
    }

    /// Fills the new generation, verifies it, and switches if that is the goal.
    pub(super) async fn rebuild(&mut self, goal: Goal) -> Result<(), ReplayError> {
        self.rebuilder.progress.stage(Stage::Fill);
        self.filling.level().await?;
        self.chase().await?;
        self.index().await?;
        self.compare_with_live().await?;
        self.report.verified = true;
        self.count_parked().await?;
        match goal {
            Goal::Compare => Ok(()),
            Goal::Switch => self.switch().await,
        }
    }

    async fn count_parked(&mut self) -> Result<(), ReplayError> {
        let number = self.filling.number;
        self.report.parked = generation::parked(&mut self.owner, self.projection, number).await?;
        Ok(())
    }

    /// Fills the generation up to `last`, verifies it, and gives it its name.
    pub(super) async fn build_as_of(&mut self, last: i64) -> Result<(), ReplayError> {
        self.rebuilder.progress.stage(Stage::Fill);
        self.filling.fill_to(last).await?;
        self.index().await?;
        self.rebuilder.progress.stage(Stage::Verify);
        for (place, table) in self.projection.tables.iter().enumerate() {
            self.rebuilder.go_on(self.projection)?;
            let mut rebuilt = Side {
                connection: &mut self.owner,
                schema: self.projection.schema(self.filling.number),
            };
            let found = sum_up(table, &mut rebuilt).await?;
            self.filling.check(place, found)?;
        }
        self.report.verified = true;
        self.count_parked().await?;
        let number = self.filling.number;
        let schema =
            generation::finish_as_of(&mut self.owner, self.projection, number, last).await?;
        self.report.schema = Some(schema);
        Ok(())
    }

    /// Brings the kept generation up to date, and switches to it.
    pub(super) async fn take_over(&mut self) -> Result<(), ReplayError> {
        self.chase().await?;
        self.compare_with_live().await?;
        self.count_parked().await?;
        self.switch().await
    }

    /// Drops what is not needed any more, gives back lease and lock, and hands out the report.
    pub(super) async fn end(
        mut self,
        outcome: Result<(), ReplayError>,
    ) -> Result<Report, ReplayError> {
        let name = self.projection.name;
        if let Err(error) = self.filling.release().await {
            tracing::debug!(projection = name, %error, "the lease was not given back; it will run out");
        }
        if let Err(error) = self.clean_up(&outcome).await {
            tracing::warn!(projection = name, %error, "a generation was not dropped; the next rebuild does it");
        }
        if let Err(error) = self.owner.close().await {
            tracing::debug!(projection = name, %error, "the owner's connection did not close");
        }
        outcome?;
        Ok(Report {
            projection: name.to_owned(),
            events: self.filling.events,
            rows: self.rows_before + self.filling.memory.rows(),
            to_position: self.filling.position,
            ..self.report
        })
    }

    async fn clean_up(&mut self, outcome: &Result<(), ReplayError>) -> Result<(), StoreError> {
        if !self.report.switched {
            if self.made && self.report.schema.is_none() {
                return self.clean_up_unseen(outcome).await;
            }
            return Ok(());
        }
        for kept in generation::in_state(&mut self.owner, self.projection, State::Kept).await? {
            if kept.number != self.live.number {
                generation::discard(&mut self.owner, self.projection, kept.number).await?;
            }
        }
        Ok(())
    }

    /// Keeps what was filled for the next run, unless there is nothing in it or something is wrong with it.
    async fn clean_up_unseen(
        &mut self,
        outcome: &Result<(), ReplayError>,
    ) -> Result<(), StoreError> {
        let (number, position) = (self.filling.number, self.filling.position);
        let sound = !matches!(outcome, Ok(()) | Err(ReplayError::Damaged { .. }));
        if sound && position > 0 {
            self.rebuilder.progress.remark(&format!(
                "generation {number} is left half-built at position {position}; the same command goes on with it"
            ));
            return Ok(());
        }
        generation::discard(&mut self.owner, self.projection, number).await
    }

    /// Fills until little is missing to where the live generation is. Never passes it: one cannot be compared
    /// with what it was. Where there is nothing to compare with, up to the head.
    async fn chase(&mut self) -> Result<(), ReplayError> {
        for _ in 0..CHASES_MAX {
            let live = position(&mut self.owner, self.projection, self.live.number, "").await?;
            let comparable = self.made && self.live.version == self.projection.version && live > 0;
            let last = if comparable || !self.made {
                live
            } else {
                self.rebuilder.journal.head().await?
            };
            let little = BATCH_MAX.min(self.rebuilder.batch_max);
            if last.saturating_sub(self.filling.position) <= little {
                break;
            }
            let before = self.filling.position;
            let filled = self.filling.fill_to(last).await;
            if matches!(filled, Err(ReplayError::Held { .. })) && self.filling.position >= live {
                // Nobody gets further.
                break;
            }
            filled?;
            if self.filling.position == before {
                break;
            }
        }
        Ok(())
    }

    /// Ends the filling in bulk.
    async fn index(&mut self) -> Result<(), ReplayError> {
        self.rebuilder.go_on(self.projection)?;
        self.rebuilder.progress.stage(Stage::Index);
        generation::index(&mut self.owner, self.projection, self.filling.number).await?;
        self.filling.steadily(&mut self.owner).await?;
        Ok(())
    }

    /// Brings the new generation to exactly where the live one is in one snapshot, and reads both.
    async fn compare_with_live(&mut self) -> Result<(), ReplayError> {
        self.rebuilder.progress.stage(Stage::Verify);
        let mut connection = connect_as_owner(self.rebuilder.owner_url).await?;
        let mut snapshot = connection.begin().await?;
        sqlx::raw_sql("set transaction isolation level repeatable read, read only")
            .execute(&mut *snapshot)
            .await?;
        let at = position(&mut snapshot, self.projection, self.live.number, "").await?;
        self.filling.fill_to(at).await?;
        // Rows of another version mean something else, and a kept generation may have been ahead.
        self.report.compared =
            self.live.version == self.projection.version && self.filling.position == at;
        let mut live = Side {
            connection: &mut snapshot,
            schema: self.projection.schema(self.live.number),
        };
        let mut rebuilt = Side {
            connection: &mut self.owner,
            schema: self.projection.schema(self.filling.number),
        };
        let mut rows = 0;
        for (place, table) in self.projection.tables.iter().enumerate() {
            self.rebuilder.go_on(self.projection)?;
            let found = if self.report.compared {
                compare(table, &mut live, &mut rebuilt, &mut self.report).await?
            } else {
                sum_up(table, &mut rebuilt).await?
            };
            if self.made {
                self.filling.check(place, found)?;
            }
            rows += found.rows;
        }
        snapshot.rollback().await?;
        self.rows_before = rows.saturating_sub(self.filling.memory.rows());
        self.filling.memory.keep_keys();
        Ok(())
    }
}

/// Connects as owner, and keeps other rebuilds of this projection away for as long as the connection lives.
pub(super) async fn lock(
    owner_url: &str,
    projection: &'static Projection,
) -> Result<(PgConnection, Generation), ReplayError> {
    let name = projection.name;
    let mut owner = connect_as_owner(owner_url).await?;
    if !hold_alone(&mut owner, &format!("rebuild of {name}")).await? {
        return Err(ReplayError::Running(name));
    }
    let live = generation::live(&mut owner).await?;
    let live = *live.get(name).ok_or(ReplayError::Unprepared(name))?;
    Ok((owner, live))
}

/// Where a generation's follower is, or the last of several. `lock` is SQL that locks its row, or nothing.
pub(super) async fn position(
    connection: &mut PgConnection,
    projection: &Projection,
    number: i32,
    lock: &'static str,
) -> Result<i64, StoreError> {
    let position: Option<i64> = sqlx::query_scalar(&format!(
        "select position from followers where name = $1 and generation = $2 order by position limit 1 {lock}"
    ))
    .bind(projection.name)
    .bind(number)
    .fetch_optional(connection)
    .await?;
    Ok(position.unwrap_or(0))
}
