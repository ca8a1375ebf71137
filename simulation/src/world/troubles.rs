//! What goes wrong in a schedule.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::{BookId, Command};
use journal::Actor;
use journal::follow::FollowerId;
use processes::order;
use uuid::Uuid;

use super::{NODES, SLICES, STORM, World};
use crate::node::Parts;
use crate::people::{self, OUTSIDE};
use crate::scheduler::{Place, lock};

/// The longest that a process sleeps with a charge in its hand: so long that the charge may count as not made by then.
const ASLEEP_MAX: Duration = Duration::from_secs(240);

impl World {
    pub(super) fn troubles_come(&self) {
        let scheduler = self.parts.scheduler.clone();
        if scheduler.chance(15) {
            self.faults.fetch_add(1, Ordering::Relaxed);
            let (charges, pause) = (scheduler.below(4), scheduler.up_to(ASLEEP_MAX));
            self.parts.gateway.put_to_sleep_after(charges, pause);
        }
        for _ in 0..scheduler.below(6) {
            let (world, scheduler) = (self.clone(), scheduler.clone());
            self.coming.fetch_add(1, Ordering::Relaxed);
            self.parts.scheduler.spawn(OUTSIDE, async move {
                scheduler.sleep(scheduler.up_to(STORM)).await;
                world.one_trouble().await;
                world.coming.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    async fn one_trouble(&self) {
        let Parts {
            scheduler,
            database,
            ..
        } = &self.parts;
        self.faults.fetch_add(1, Ordering::Relaxed);
        let number = usize::try_from(scheduler.below(NODES as u64)).unwrap_or(0);
        let up_to = |seconds| scheduler.up_to(Duration::from_secs(seconds));
        match scheduler.below(17) {
            0..=2 => {
                self.count("a process was killed");
                self.kill(number);
                scheduler.sleep(up_to(9)).await;
                self.start(number);
            }
            3 | 4 => {
                self.count("a process was stopped for a while");
                scheduler.stop(Place::Node(number), up_to(14));
            }
            5 => database.crash(),
            6 => database.terminate(),
            7 => {
                self.count("somebody else in the cluster wrote for long");
                database.clone().foreign_transaction(up_to(6)).await;
            }
            8 | 9 => self.poison().await,
            10 => {
                self.count("a wake-up came for nothing");
                if let Some(node) = self.any_node() {
                    node.journal.hear();
                }
            }
            11 | 12 => self.gateway_speaks_up().await,
            13..=15 => self.cut().await,
            _ => {
                self.count("the clocks jumped");
                if scheduler.chance(50) {
                    self.overslept.store(true, Ordering::Relaxed);
                    scheduler.jump(Duration::from_hours(25));
                } else {
                    scheduler.jump(Duration::from_mins(10));
                }
            }
        }
    }

    /// Cuts the saga, while everything goes on.
    async fn cut(&self) {
        let Parts {
            scheduler,
            database,
            ..
        } = &self.parts;
        let slices = i32::try_from(1 + scheduler.below(SLICES)).unwrap_or(1);
        while database.cut(&order::follower_id(), slices).await.is_err() {
            scheduler.sleep(Duration::from_millis(100)).await;
        }
    }

    /// As a webhook would, and twice, as webhooks do.
    async fn gateway_speaks_up(&self) {
        let Some((bookid, said)) = self.parts.gateway.speaks_up() else {
            return;
        };
        for _ in 0..2 {
            let id = Uuid::from_u128(u128::from(self.parts.scheduler.below(u64::MAX)));
            let command = Command::Payment(BookId(bookid), said.clone());
            people::send(self.clone(), id, vec![command], vec![], Actor::System).await;
        }
    }

    /// A booking cannot be folded, or its order not be read, for a while; then it can, and somebody asks for it.
    async fn poison(&self) {
        let scheduler = &self.parts.scheduler;
        // One of the read models, or the saga.
        let which = usize::try_from(scheduler.below(1 + self.parts.poisons.len() as u64));
        let key = (1 + scheduler.below(4)).to_string();
        let poison = which.ok().and_then(|which| self.parts.poisons.get(which));
        let poison = poison.unwrap_or(&self.parts.poison_of_saga);
        *lock(poison) = Some(key);
        scheduler
            .sleep(scheduler.up_to(Duration::from_secs(10)))
            .await;
        *lock(poison) = None;
        self.ask_for_parked();
    }

    pub(super) fn ask_for_parked(&self) {
        let read_models = self.parts.projections.iter();
        let read_models = read_models.map(|projection| FollowerId::new(projection.name, 1));
        for id in read_models.chain([order::follower_id()]) {
            for key in self.parts.database.parked_keys(&id) {
                self.parts.database.retry(&id, &key);
            }
        }
    }
}
