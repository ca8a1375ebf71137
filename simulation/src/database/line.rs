//! A process's line to the database: the store that a journal is given.

use std::collections::HashMap;

use async_trait::async_trait;
use cqrs_es::persist::SerializedEvent;
use domain::BookId;
use jiff::Timestamp;
use journal::append::{Answer, Append, Outcome, StreamVersion};
use journal::feed::{Look, Proof, SeenRow, Span, Stored};
use journal::jobs::{Claimed, Finish, Job, NewJob};
use journal::store::{NotAppended, Store};
use journal::transfer::{Caused, Imported, Led};
use journal::{StoreError, StreamId};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Database, JobRow, Row, gone};
use crate::mutation::Mutation;
use crate::scheduler::Place;

/// How long a hole must have been there for the mutation that believes in time.
const LONG_ENOUGH_MS: i64 = 1_000;
/// How many positions the mutation notes as dead that are not proved.
const TOO_MANY: i64 = 8;

/// A line to the database.
#[derive(Clone)]
pub struct Line {
    database: Database,
}

impl Line {
    /// A line to it.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// The number of the next booking.
    pub(crate) async fn next_book_id(&self) -> Result<BookId, StoreError> {
        self.database
            .at_once(|database| {
                let mut inner = database.inner();
                let id = inner.next_book;
                inner.next_book += 1;
                BookId(id)
            })
            .await
    }
}

#[async_trait]
impl Store for Line {
    async fn append(&self, group: &[Append]) -> Result<Vec<Outcome>, NotAppended> {
        let database = &self.database;
        database.scheduler.pause().await;
        if database.per_mille(database.troubles.lost_before) {
            database.inner().count("a statement was lost on the way");
            return Err(gone().into());
        }
        let (answer, answered) = oneshot::channel();
        let appending = database.clone().append(group.to_vec());
        // The server goes on when nobody waits for it any more.
        database.scheduler.spawn(Place::Server, async move {
            let _ = answer.send(appending.await);
        });
        if database.per_mille(database.troubles.lost_after) {
            database.scheduler.pause().await;
            database.inner().count("an answer was lost on the way");
            return Err(gone().into());
        }
        answered.await.map_err(|_| gone())?
    }

    async fn answers(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Answer>, StoreError> {
        self.database
            .at_once(|database| {
                let inner = database.inner();
                let known = |id: &Uuid| Some((*id, inner.commands.get(id)?.clone()));
                ids.iter().filter_map(known).collect()
            })
            .await
    }

    async fn stream(&self, stream: &StreamId) -> Result<Vec<SerializedEvent>, StoreError> {
        self.database
            .at_once(|database| {
                let inner = database.inner();
                let positions = inner
                    .streams
                    .get(stream)
                    .into_iter()
                    .flat_map(|s| s.values());
                let rows = positions.filter_map(|position| inner.events.get(position));
                rows.map(serialized).collect()
            })
            .await
    }

    async fn standing(&self, streams: &[StreamId]) -> Result<Answer, StoreError> {
        self.database
            .at_once(|database| {
                let inner = database.inner();
                let mut answer = Answer::default();
                for stream in streams {
                    let rows = inner.streams.get(stream);
                    if let Some((version, position)) = rows.and_then(|rows| rows.last_key_value()) {
                        answer.position = answer.position.max(*position);
                        answer.streams.push(StreamVersion {
                            aggregate_type: stream.aggregate_type.clone(),
                            aggregate_id: stream.aggregate_id.clone(),
                            version: *version,
                        });
                    }
                }
                answer
            })
            .await
    }

    async fn look(
        &self,
        after: i64,
        limit: i64,
        proof: Option<&Proof>,
    ) -> Result<Look<Stored>, StoreError> {
        let x = proof.and_then(|proof| proof.x.parse().ok());
        let look = self
            .database
            .at_once(|database| database.look(after, limit, x));
        let mut look = look.await?;
        if self.database.has(Mutation::VerdictOfAnotherSnapshot) {
            look.proved = self
                .database
                .at_once(|database| database.is_proved(x))
                .await?;
        }
        Ok(look)
    }

    async fn rows_at(&self, positions: &[i64]) -> Result<Vec<Stored>, StoreError> {
        self.database
            .at_once(|database| {
                let inner = database.inner();
                let rows = positions.iter().filter_map(|at| inner.events.get(at));
                let mut rows: Vec<Stored> = rows.map(|row| row.stored.clone()).collect();
                rows.sort_by_key(|row| row.position);
                rows
            })
            .await
    }

    async fn draw_x(&self) -> Result<String, StoreError> {
        self.database
            .at_once(|database| {
                let mut inner = database.inner();
                inner.count("a proof was begun");
                if database.has(Mutation::XOfAnEarlierTransaction) {
                    return inner.earlier_x.to_string();
                }
                let x = inner.next_xid;
                inner.next_xid += 1;
                x.to_string()
            })
            .await
    }

    async fn record_dead(
        &self,
        spans: &[Span],
        _proof: &Proof,
        _reader: &str,
    ) -> Result<(), StoreError> {
        self.database
            .at_once(|database| {
                let mut inner = database.inner();
                for span in spans {
                    let mut span = *span;
                    if database.has(Mutation::DeadSpanTooWide) {
                        inner
                            .dead
                            .extend(((span.last + 2)..=(span.last + TOO_MANY)).map(|at| Span {
                                first: at,
                                last: at,
                            }));
                        span.last = span.first;
                    }
                    inner.dead.push(span);
                    inner.count("a hole was proved dead");
                }
            })
            .await
    }

    async fn hold_at(
        &self,
        reader: &str,
        hole: Option<Span>,
        _proof: Option<&Proof>,
    ) -> Result<(), StoreError> {
        self.database
            .at_once(|database| {
                let mut inner = database.inner();
                if let Some(hole) = hole {
                    inner.holds.insert(reader.to_owned(), hole);
                    inner.count("a reader held at a hole");
                } else {
                    inner.holds.remove(reader);
                }
            })
            .await
    }

    async fn imported(&self, _first: i64, _last: i64) -> Result<Vec<Imported>, StoreError> {
        self.database.at_once(|_| vec![]).await
    }

    async fn led_to_by_imports(&self, _events: &[Caused]) -> Result<Vec<Led>, StoreError> {
        self.database.at_once(|_| vec![]).await
    }

    async fn claim_jobs(
        &self,
        kinds: &[&str],
        _owner: Uuid,
        limit: i32,
        lease_ms: i32,
        _set_time: Option<Timestamp>,
    ) -> Result<Claimed, StoreError> {
        let kinds: Vec<String> = kinds.iter().map(|&kind| kind.to_owned()).collect();
        let jobs = self
            .database
            .at_once(|database| database.claim_due(&kinds, limit, lease_ms))
            .await?;
        // A row here holds what its worker knows, so each can be read.
        Ok(Claimed {
            jobs,
            ..Claimed::default()
        })
    }

    async fn reopen_job(&self, job: &NewJob) -> Result<(), StoreError> {
        let job = job.clone();
        self.database
            .at_once(move |database| database.reopen(&job))
            .await
    }

    async fn note_job(
        &self,
        job: &Job,
        notes: &HashMap<String, String>,
    ) -> Result<bool, StoreError> {
        self.database
            .at_once(|database| database.note(job, notes))
            .await
    }

    async fn finish_job(&self, job: &Job, finish: &Finish) -> Result<bool, StoreError> {
        self.database
            .at_once(|database| database.finish(job, finish))
            .await
    }

    async fn was_retried(&self, _job: i64) -> Result<bool, StoreError> {
        self.database.at_once(|_| false).await
    }

    async fn open_jobs(&self, kind: &str, ending: &str) -> Result<i64, StoreError> {
        self.database
            .at_once(|database| {
                let inner = database.inner();
                let is_one = |job: &&JobRow| job.kind == kind && job.key.ends_with(ending);
                let open = inner.open_jobs().filter(is_one).count();
                i64::try_from(open).unwrap_or(i64::MAX)
            })
            .await
    }
}

fn serialized(row: &Row) -> SerializedEvent {
    SerializedEvent {
        aggregate_id: row.stored.aggregate_id.clone(),
        sequence: usize::try_from(row.stored.sequence).unwrap_or(0),
        aggregate_type: row.stored.aggregate_type.clone(),
        event_type: row.stored.event_type.clone(),
        event_version: row.stored.event_version.clone(),
        payload: row.payload.clone(),
        metadata: row.metadata.clone(),
    }
}

impl Database {
    fn is_proved(&self, x: Option<u64>) -> bool {
        let proved = x.is_some_and(|x| self.inner().xmin() >= x);
        proved || (x.is_some() && self.has(Mutation::VerdictWithoutProof))
    }

    fn look(&self, after: i64, limit: i64, x: Option<u64>) -> Look<Stored> {
        let proved = self.is_proved(x);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let now = self.scheduler.now_ms();
        let mut inner = self.inner();
        let mut rows: Vec<&Row> = inner
            .events
            .range(after + 1..)
            .map(|(_, row)| row)
            .collect();
        if self.has(Mutation::DeliveredByTransaction) {
            rows.sort_by_key(|row| (row.xid, row.stored.position));
        }
        rows.truncate(limit);
        let rows: Vec<Stored> = rows.into_iter().map(|row| row.stored.clone()).collect();
        let mut before = after;
        let mut seen = vec![];
        for item in rows {
            let position = item.position;
            let hole = (position > before + 1).then_some(Span {
                first: before + 1,
                last: position - 1,
            });
            before = position;
            let hole_is_dead = hole.is_some_and(|hole| self.is_dead(&mut inner, hole, now));
            seen.push(SeenRow {
                item,
                position,
                hole_is_dead,
            });
        }
        let proved = proved && !seen.is_empty();
        Look { rows: seen, proved }
    }

    fn is_dead(&self, inner: &mut super::Inner, hole: Span, now: i64) -> bool {
        let since = *inner.hole_seen_ms.entry(hole.first).or_insert(now);
        let spans = |span: &Span| span.first <= hole.first && span.last >= hole.last;
        inner.dead.iter().any(spans)
            || self.has(Mutation::HoleTakenForDead)
            || self.has(Mutation::DeliveredByTransaction)
            || (self.has(Mutation::HoleDeadByTime) && now - since > LONG_ENOUGH_MS)
    }
}
