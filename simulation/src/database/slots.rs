//! What a command needs beside its streams: slots and points.

use cqrs_es::Aggregate;
use domain::payment::Payment;
use jiff::Timestamp;
use journal::StoreError;
use journal::append::{Append, Claim, Outcome, Spend};
use journal::store::NotAppended;

use super::append::Won;
use super::locks::Lock;
use super::{Database, Inner};
use crate::mutation::Mutation;

/// A slot that a booking has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) bookid: i64,
    pub(crate) unit: i64,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

impl Slot {
    fn of(claim: &Claim, unit: i64) -> Self {
        Self {
            bookid: claim.bookid,
            unit,
            start: claim.start,
            end: claim.end,
        }
    }

    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.unit == other.unit && self.start < other.end && other.start < self.end
    }
}

/// A unit that a claim may have.
struct Candidate {
    place: usize,
    claim: usize,
    slot: Slot,
    /// Whether its booking gives up what it has.
    moves: bool,
}

fn candidates(place: usize, command: &Append) -> Vec<Candidate> {
    let mut candidates = vec![];
    for (number, claim) in command.claims.iter().enumerate() {
        for unit in &claim.units {
            candidates.push(Candidate {
                place,
                claim: number,
                slot: Slot::of(claim, *unit),
                moves: command.release.contains(&claim.bookid),
            });
        }
    }
    candidates
}

impl Database {
    /// Holds every spender, and then counts what there is.
    pub(super) async fn spend(
        &self,
        xid: u64,
        group: &[Append],
        won: &mut [Won],
    ) -> Result<(), NotAppended> {
        let spends = group.iter().enumerate();
        let spends = spends.filter_map(|(place, command)| Some((place, command.spend?)));
        let mut spends: Vec<(usize, Spend)> = spends.collect();
        spends.sort_by_key(|(_, spend)| spend.userid);
        for (_, spend) in &spends {
            if !self.has(Mutation::PointsNotHeld) {
                self.hold(xid, Lock::Spender(spend.userid)).await?;
            }
        }
        spends.retain(|(place, _)| won[*place].stands());
        let twice = spends
            .windows(2)
            .any(|pair| pair[0].1.userid == pair[1].1.userid);
        if twice && !self.has(Mutation::PointsNotHeld) {
            return Err(NotAppended::Half { taken: false });
        }
        for (place, spend) in spends {
            let covered = spend.points <= self.inner().points_of(spend.userid);
            if !covered && !self.has(Mutation::PointsNotCounted) {
                won[place].lost = Some(Outcome::NotCovered);
            }
        }
        Ok(())
    }

    /// Gives each claim the lowest of its units that is free, unit by unit.
    pub(super) async fn claim(
        &self,
        xid: u64,
        group: &[Append],
        won: &mut [Won],
    ) -> Result<(), StoreError> {
        let standing = group
            .iter()
            .enumerate()
            .filter(|(place, _)| won[*place].stands());
        let mut wanted: Vec<Candidate> = standing
            .flat_map(|(place, command)| candidates(place, command))
            .collect();
        wanted.sort_by_key(|candidate| {
            let Slot {
                unit, start, end, ..
            } = candidate.slot;
            (unit, start, end, candidate.place, candidate.claim)
        });
        for Candidate {
            place,
            claim,
            slot,
            moves,
        } in wanted
        {
            if won[place].slots[claim].is_some() {
                continue;
            }
            if self.has(Mutation::ClaimsOverlap) || self.is_free(xid, &slot, moves, won).await? {
                won[place].slots[claim] = Some(slot);
            }
        }
        for won in won.iter_mut().filter(|won| won.stands()) {
            if won.slots.iter().any(Option::is_none) {
                won.lost = Some(Outcome::Taken);
            }
        }
        Ok(())
    }

    /// Waits for whoever is about to take or to give up something of it.
    async fn is_free(
        &self,
        xid: u64,
        slot: &Slot,
        moves: bool,
        won: &[Won],
    ) -> Result<bool, StoreError> {
        self.hold(xid, Lock::Unit(slot.unit)).await?;
        let moves = moves && !self.has(Mutation::OwnSlotInTheWay);
        loop {
            let in_the_way = {
                let inner = self.inner();
                let others = inner.slots.iter();
                let mut others = others.filter(|other| !(moves && other.bookid == slot.bookid));
                others.find(|other| other.overlaps(slot)).cloned()
            };
            let Some(other) = in_the_way else { break };
            if !self.wait_for(xid, &Lock::Slots(other.bookid)).await? {
                return Ok(false);
            }
        }
        let mut of_this_group = won.iter().flat_map(|won| won.slots.iter().flatten());
        Ok(!of_this_group.any(|other| other.overlaps(slot)))
    }

    /// Who lost on a version that is no longer the last decides again.
    pub(super) fn ask_stale_losers_again(&self, group: &[Append], won: &mut [Won]) {
        let inner = self.inner();
        for (command, won) in group.iter().zip(won) {
            let mut streams = command.streams.iter();
            let is_stale = streams.any(|appended| {
                let sequences = (appended.expected_version + 1..).zip(&appended.events);
                let rows = inner.streams.get(&appended.stream);
                rows.is_some_and(|rows| sequences.into_iter().any(|(at, _)| rows.contains_key(&at)))
            });
            if won.lost.is_some() && is_stale {
                won.lost = Some(Outcome::Conflict);
            }
        }
    }

    /// The bookings whose slots the winners give up. Who wants one of these waits from now on.
    pub(super) async fn release(
        &self,
        xid: u64,
        group: &[Append],
        outcomes: &[Outcome],
    ) -> Result<Vec<i64>, StoreError> {
        let mut released = vec![];
        for (command, outcome) in group.iter().zip(outcomes) {
            let gives = match outcome {
                Outcome::Stored(_) => !self.has(Mutation::SlotNotGivenBack),
                Outcome::Conflict => self.has(Mutation::LoserReleases),
                _ => false,
            };
            if gives {
                released.extend_from_slice(&command.release);
            }
        }
        for bookid in &released {
            self.hold(xid, Lock::Slots(*bookid)).await?;
        }
        Ok(released)
    }
}

impl Inner {
    /// A user's balance.
    fn points_of(&self, userid: i64) -> i64 {
        let rows = self.events.values();
        let of_user = rows.filter(|row| {
            row.stored.aggregate_type == Payment::TYPE && row.payload["userid"] == userid
        });
        of_user
            .map(|row| {
                let points = row.payload["points"].as_i64().unwrap_or(0);
                match row.stored.event_type.as_str() {
                    "PointsAccrued" | "PointsReturned" => points,
                    "PointsClawedBack" | "PointsSpent" => -points,
                    _ => 0,
                }
            })
            .sum()
    }
}
