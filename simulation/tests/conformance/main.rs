//! One suite for both journals: the one in Postgres, which is shipped, and the one in memory, which the simulation
//! drives everything over. That the second does what the first does is held here.
//!
//! A scenario is one function over a [`stage::Stage`]; it runs as `memory::…`, under several seeds of the scheduler,
//! and as `postgres::…`. What only Postgres can show stands in [`alone`]; random scripts run on both and are
//! compared ([`scripts`]). Nothing sleeps in the hope that something has happened: a command is held before its
//! commit, and a scenario goes on when the database says that it waits.
#![allow(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod alone;
mod harmed;
mod in_memory;
mod on_postgres;
mod samples;
mod scenarios;
mod scripts;
mod stage;

macro_rules! conformance {
    ($($part:ident { $($scenario:ident)+ })+) => {
        mod memory {
            $(mod $part {
                $(#[test]
                fn $scenario() {
                    crate::in_memory::play(async |stage| crate::scenarios::$part::$scenario(stage).await);
                })+
            })+
        }
        mod postgres {
            $(mod $part {
                $(#[test]
                fn $scenario() {
                    crate::on_postgres::play(async |stage| crate::scenarios::$part::$scenario(stage).await);
                })+
            })+
        }
    };
}

conformance! {
    versions {
        only_the_version_that_was_decided_on_is_stored
        who_waits_for_a_rolled_back_twin_of_its_place_is_stored
        streams_are_stored_together_or_not_at_all
        what_rolls_back_leaves_nothing_but_a_hole
    }
    commands {
        a_command_id_is_stored_once_and_answered_as_it_was
        twins_at_the_same_time_are_one
        twins_on_two_streams_are_one
        a_twin_of_one_that_rolls_back_is_stored
        a_command_that_lost_its_answer_is_answered_when_it_is_sent_again
    }
    groups {
        a_poisoned_member_fails_alone
        a_half_won_member_fails_alone
        one_stream_and_one_id_in_a_call_keep_their_order
        the_same_id_in_one_group_makes_it_fail
        two_groups_in_swapped_order_do_not_lock_each_other_out
    }
    claims {
        what_overlaps_is_taken_and_what_adjoins_is_not
        a_loser_keeps_no_claim
        who_waits_for_a_slot_gets_it_when_it_comes_free
        a_booking_may_have_several_slots
        the_lowest_free_unit_is_won_and_named
        three_units_serve_three_of_a_hundred
        two_groups_that_meet_at_two_units_do_not_lock_each_other_out
        who_lost_on_an_old_version_decides_again
        losers_in_a_group_leave_the_others_alone
    }
    moves {
        what_is_given_back_is_free
        who_loses_its_stream_gives_nothing_back
        who_waits_for_a_slot_that_is_given_up_gets_it
        a_booking_moves_over_its_own_old_slot
        who_cannot_move_keeps_what_it_has
        two_that_want_each_others_slots_are_refused
        who_wants_the_slot_of_one_that_moves_away_gets_it
    }
    points {
        more_than_there_are_are_not_spent
        of_two_spenders_the_second_counts_what_the_first_left
        what_is_not_committed_is_not_there
        a_user_spends_once_in_a_group
        a_spender_that_is_sent_twice_at_once_spends_once
        slot_and_points_are_won_together_or_not_at_all
    }
    feed {
        everything_comes_in_order
        a_late_commit_is_waited_for_and_delivered
        a_rolled_back_one_is_proved_dead
        an_id_proves_nothing_of_holes_that_came_after_it
        one_id_serves_every_hole
        what_one_reader_proved_serves_all
        a_storm_of_rollbacks_loses_nothing
        numbers_that_losers_drew_are_passed
        a_transaction_that_was_terminated_is_dead
        a_long_transaction_elsewhere_holds_only_proofs
        what_a_crash_skipped_is_passed_and_what_was_committed_stays
        what_was_under_way_in_a_crash_never_was
    }
    followers {
        one_owner_at_a_time_and_a_higher_epoch_for_the_next
        who_slept_through_its_lease_moves_nothing
        a_checkpoint_moves_from_where_it_was
        what_is_not_committed_never_was
        a_lease_that_is_given_back_is_free
        a_claim_waits_for_the_batch_that_is_being_written
        an_idle_transaction_is_ended_before_its_lease_is_of_use
        what_is_parked_is_there_until_it_is_taken
        a_key_that_people_ask_for_is_told
    }
    slices {
        a_slice_is_held_of_the_cut_that_there_is
        a_cut_waits_for_the_batch_that_is_being_written
        what_is_parked_is_known_to_the_slice_that_has_its_key
    }
    jobs {
        a_job_is_one_row_however_often_it_is_scheduled
        a_claim_takes_what_is_due_and_nobody_has
        who_lost_its_claim_ends_nothing
        what_is_noted_is_known_to_the_next
        a_job_that_ran_keeps_its_back_off
        a_settled_job_is_over
        what_is_looked_at_again_is_nobodys_any_more
        what_is_opened_again_is_open_whatever_became_of_it
    }
}
