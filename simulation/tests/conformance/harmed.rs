//! The suite fails where a rule is broken: each line takes one guard out and names a scenario that sees the harm.

use simulation::mutation::Mutation;

use crate::scenarios::{
    claims, commands, feed, followers, groups, jobs, moves, points, slices, versions,
};
use crate::{in_memory, on_postgres};

macro_rules! memory {
    ($($mutation:ident: $part:ident::$scenario:ident)+) => {
        &[$((
            stringify!($mutation),
            || in_memory::fails_with(Mutation::$mutation, async |stage| $part::$scenario(stage).await),
        )),+]
    };
}

macro_rules! postgres {
    ($($function:literal $guard:literal: $part:ident::$scenario:ident)+) => {
        &[$((
            concat!($function, ", ", $guard),
            || on_postgres::fails_without(($function, $guard), async |stage| $part::$scenario(stage).await),
        )),+]
    };
}

type Harm = (&'static str, fn() -> bool);

const IN_MEMORY: &[Harm] = memory! {
    PredecessorUnchecked: versions::only_the_version_that_was_decided_on_is_stored
    LoserRecorded: versions::only_the_version_that_was_decided_on_is_stored
    KnownCommandForgotten: commands::a_command_id_is_stored_once_and_answered_as_it_was
    TwinKept: commands::twins_on_two_streams_are_one
    HalfWonKept: groups::a_half_won_member_fails_alone
    ClaimsOverlap: claims::what_overlaps_is_taken_and_what_adjoins_is_not
    ClaimOfLoserKept: claims::a_loser_keeps_no_claim
    UnitNotNamed: claims::the_lowest_free_unit_is_won_and_named
    SlotNotGivenBack: moves::what_is_given_back_is_free
    LoserReleases: moves::who_loses_its_stream_gives_nothing_back
    OwnSlotInTheWay: moves::a_booking_moves_over_its_own_old_slot
    PointsNotCounted: points::more_than_there_are_are_not_spent
    PointsNotHeld: points::of_two_spenders_the_second_counts_what_the_first_left
    CommitNotDurable: feed::what_a_crash_skipped_is_passed_and_what_was_committed_stays
    HoleTakenForDead: feed::a_late_commit_is_waited_for_and_delivered
    VerdictWithoutProof: feed::a_late_commit_is_waited_for_and_delivered
    XOfAnEarlierTransaction: feed::a_late_commit_is_waited_for_and_delivered
    DeliveredByTransaction: feed::a_late_commit_is_waited_for_and_delivered
    NoFence: followers::who_slept_through_its_lease_moves_nothing
    FenceLookedAtNotHeld: followers::a_claim_waits_for_the_batch_that_is_being_written
    CheckpointBeforeEffect: followers::what_is_not_committed_never_was
    LeaseNeverEnds: followers::one_owner_at_a_time_and_a_higher_epoch_for_the_next
    CutKeepsRows: slices::a_slice_is_held_of_the_cut_that_there_is
    ClaimOfAnotherCut: slices::a_slice_is_held_of_the_cut_that_there_is
    ParkedKeyForgotten: followers::what_is_parked_is_there_until_it_is_taken
    ParkedOnceMore: followers::what_is_parked_is_there_until_it_is_taken
    JobFenceOpen: jobs::who_lost_its_claim_ends_nothing
    JobForgotWhatItKnew: jobs::a_job_is_one_row_however_often_it_is_scheduled
    TryNotNoted: jobs::what_is_noted_is_known_to_the_next
    JobClaimNeverEnds: jobs::a_claim_takes_what_is_due_and_nobody_has
};

const ON_POSTGRES: &[Harm] = postgres! {
    "journal_append" "predecessor": versions::only_the_version_that_was_decided_on_is_stored
    "journal_append" "known command": commands::a_command_id_is_stored_once_and_answered_as_it_was
    "journal_append" "twin": commands::twins_on_two_streams_are_one
    "journal_append" "half-won": groups::a_half_won_member_fails_alone
    "journal_append" "stale loser": claims::who_lost_on_an_old_version_decides_again
    "journal_append" "loser": claims::losers_in_a_group_leave_the_others_alone
    "journal_append" "release": moves::who_loses_its_stream_gives_nothing_back
    "journal_append" "own slot": moves::a_booking_moves_over_its_own_old_slot
    "journal_append" "points balance": points::more_than_there_are_are_not_spent
    "journal_append" "points lock": points::of_two_spenders_the_second_counts_what_the_first_left
    "journal_append" "spender once": points::a_user_spends_once_in_a_group
    "follower_claim" "lease": followers::one_owner_at_a_time_and_a_higher_epoch_for_the_next
    "follower_claim" "layout": slices::a_slice_is_held_of_the_cut_that_there_is
    "follower_cut" "epochs": slices::a_slice_is_held_of_the_cut_that_there_is
    "follower_advance" "fence": followers::who_slept_through_its_lease_moves_nothing
    "follower_advance" "old position": followers::a_checkpoint_moves_from_where_it_was
    "job_finish" "fence": jobs::who_lost_its_claim_ends_nothing
};

fn all_are_seen(harms: &[Harm]) {
    let unseen = harms.iter().filter(|(_, fails)| !fails());
    let unseen: Vec<_> = unseen.map(|(guard, _)| guard).collect();
    assert!(
        unseen.is_empty(),
        "no scenario sees these taken out: {unseen:?}"
    );
}

#[test]
fn in_memory_every_bug_makes_its_scenario_fail() {
    all_are_seen(IN_MEMORY);
}

#[test]
fn on_postgres_every_guard_taken_out_makes_its_scenario_fail() {
    all_are_seen(ON_POSTGRES);
}

/// A bug that neither the schedules nor a scenario must find would prove nothing.
#[test]
fn every_bug_is_switched_on_somewhere() {
    let hunted = |bug: &Mutation| Mutation::ALL.contains(bug);
    let shown = |bug: &Mutation| {
        let name = format!("{bug:?}");
        IN_MEMORY.iter().any(|(seen, _)| *seen == name)
    };
    let every = Mutation::EVERY.iter();
    let nowhere: Vec<_> = every.filter(|bug| !hunted(bug) && !shown(bug)).collect();
    assert!(nowhere.is_empty(), "nobody looks for {nowhere:?}");
    let hidden = Mutation::BEHIND_OTHERS.iter();
    let unseen: Vec<_> = hidden.filter(|bug| hunted(bug) || !shown(bug)).collect();
    assert!(unseen.is_empty(), "no scenario shows {unseen:?}");
}
