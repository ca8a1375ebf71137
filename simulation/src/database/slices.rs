//! Into how many slices a follower is cut.

use std::collections::BTreeSet;

use journal::StoreError;
use journal::follow::{FollowerId, Slice};

use super::locks::Lock;
use super::writing::Writing;
use super::{Checkpoint, Database, FollowerKey, Inner, key_of, parks_of};
use crate::mutation::Mutation;

impl Database {
    /// Into how many slices it is cut.
    pub async fn slices(&self, follower: &FollowerId) -> Result<i32, StoreError> {
        let key = parks_of(&key_of(follower));
        self.at_once(|database| database.inner().slices_of(&key))
            .await
    }

    /// Cuts it: waits for the batches that are being written, as `follower_cut` does.
    pub async fn cut(&self, follower: &FollowerId, slices: i32) -> Result<(), StoreError> {
        let key = parks_of(&key_of(follower));
        let cutting = Writing::begin(self);
        let mut held = BTreeSet::new();
        loop {
            let rows = self.inner().rows_of(&key);
            let Some(row) = rows.into_iter().find(|row| !held.contains(row)) else {
                break;
            };
            cutting.hold(Lock::Follower(row.clone())).await?;
            held.insert(row);
        }
        self.cut_now(&key, slices);
        drop(cutting);
        self.scheduler.pause().await;
        Ok(())
    }

    /// The same before anybody is there.
    pub(crate) fn begin_cut(&self, follower: &FollowerId, slices: i32) {
        self.cut_now(&parks_of(&key_of(follower)), slices);
    }

    fn cut_now(&self, key: &FollowerKey, slices: i32) {
        let mut inner = self.inner();
        if inner.slices_of(key) == slices {
            return;
        }
        inner.layouts.insert(key.clone(), slices);
        let rows = inner.rows_of(key);
        let before: Vec<(FollowerKey, Checkpoint)> = rows
            .into_iter()
            .filter_map(|row| inner.followers.remove_entry(&row))
            .collect();
        let lowest = before.iter().map(|(_, row)| row.position).min();
        let last_epoch = before.iter().map(|(_, row)| row.epoch).max();
        for slice in Slice::each_of(slices) {
            let new = Checkpoint {
                position: lowest.unwrap_or(0),
                epoch: last_epoch.unwrap_or(0),
                ..Checkpoint::default()
            };
            inner
                .followers
                .insert((key.0.clone(), key.1, slice.number()), new);
        }
        if self.has(Mutation::CutKeepsRows) {
            let stay = before.into_iter();
            let stay: Vec<_> = stay
                .filter(|(row, _)| inner.followers.contains_key(row))
                .collect();
            inner.followers.extend(stay);
        }
        inner.count("the saga was cut");
    }
}

impl Inner {
    /// Into how many slices it is cut.
    pub(super) fn slices_of(&self, key: &FollowerKey) -> i32 {
        self.layouts.get(&parks_of(key)).copied().unwrap_or(1)
    }

    fn rows_of(&self, (name, generation, _): &FollowerKey) -> Vec<FollowerKey> {
        let rows = self.followers.keys();
        rows.filter(|row| (&row.0, &row.1) == (name, generation))
            .cloned()
            .collect()
    }
}
