//! A handler that writes down what it took, and can be told to stumble.

use async_trait::async_trait;
use futures::future::{BoxFuture, FutureExt, ready};
use journal::follow::{Follower, FollowerId, Handler, HandlerError, Slice};
use journal::{Journal, Recorded, StoreError};
use sqlx::PgConnection;

use crate::samples::booked;
use crate::sql;
use crate::stage::Stage;

type Hook = Box<dyn Fn(&[Recorded]) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync>;

/// Writes a row per event into `effects`.
pub(crate) struct Clerk {
    name: &'static str,
    planning: Hook,
    written: Hook,
}

/// A clerk that does as told.
pub(crate) fn clerk(name: &'static str) -> Clerk {
    Clerk {
        name,
        planning: Box::new(|_| ready(Ok(())).boxed()),
        written: Box::new(|_| ready(Ok(())).boxed()),
    }
}

impl Clerk {
    /// What happens while it plans.
    pub(crate) fn planning(
        mut self,
        hook: impl Fn(&[Recorded]) -> BoxFuture<'static, Result<(), HandlerError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.planning = Box::new(hook);
        self
    }

    /// What happens in the transaction, after it has written.
    pub(crate) fn written(
        mut self,
        hook: impl Fn(&[Recorded]) -> BoxFuture<'static, Result<(), HandlerError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.written = Box::new(hook);
        self
    }

    /// Its follower.
    pub(crate) fn following(self, journal: &Journal) -> Follower<Self> {
        Follower::new(journal.clone(), FollowerId::new("clerk", 1), self)
    }

    /// Its follower of one slice.
    pub(crate) fn following_slice(self, journal: &Journal, slice: Slice) -> Follower<Self> {
        Follower::of_slice(journal.clone(), FollowerId::new("clerk", 1), slice, self)
    }
}

#[async_trait]
impl Handler for Clerk {
    type Plan = ();

    async fn plan(&self, events: &[Recorded]) -> Result<(), HandlerError> {
        (self.planning)(events).await
    }

    async fn apply(
        &self,
        tx: &mut PgConnection,
        events: &[Recorded],
        (): (),
    ) -> Result<(), HandlerError> {
        let positions: Vec<_> = events.iter().map(|event| event.position).collect();
        sqlx::query("insert into effects select $1, unnest($2::bigint[])")
            .bind(self.name)
            .bind(positions)
            .execute(tx)
            .await?;
        (self.written)(events).await
    }
}

/// A failure that has nothing to do with the events.
pub(crate) fn failure() -> HandlerError {
    StoreError::Unreadable("it stumbled".to_owned()).into()
}

/// A hook that refuses the events at these positions, the lowest first.
pub(crate) fn refusing(
    positions: &[i64],
) -> impl Fn(&[Recorded]) -> BoxFuture<'static, Result<(), HandlerError>> + use<> {
    let positions = positions.to_vec();
    move |events| {
        let poison = events
            .iter()
            .find(|event| positions.contains(&event.position));
        let result = match poison {
            Some(event) => Err(HandlerError::Poison {
                position: event.position,
                reason: "it makes no sense".to_owned(),
            }),
            None => Ok(()),
        };
        ready(result).boxed()
    }
}

/// A stage with a table for effects and so many events, at positions from 1, one a booking.
pub(crate) async fn stage_with(events: u32) -> Stage {
    let mut stage = Stage::open().await;
    let table = "create table effects (clerk text, position bigint);
                 grant select, insert on effects to spacerent_runtime";
    sql::run(&mut stage.owner, table).await;
    for n in 1..=events {
        stage.append(booked(n.into(), n.into())).await.unwrap();
    }
    stage
}

/// What was done, by whom, in the order of positions.
pub(crate) async fn effects(stage: &mut Stage) -> Vec<String> {
    let effects = "select clerk || ' ' || position from effects order by position, clerk";
    sql::texts(&mut stage.owner, effects).await
}

/// Where the follower stands.
pub(crate) async fn position(stage: &mut Stage) -> i64 {
    stage
        .number("select coalesce(max(position), 0) from followers where name = 'clerk'")
        .await
}

/// Lets the lease be over, as if its owner had given no sign of life for long.
pub(crate) async fn end_the_lease(stage: &mut Stage) {
    let over = "update followers set lease_until = clock_timestamp() - interval '1 second'";
    sql::run(&mut stage.owner, over).await;
}
