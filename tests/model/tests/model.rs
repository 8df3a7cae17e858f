//! One test a check. See README.md.

use urlsession_model::{Search, check, checks};

macro_rules! model {
    ($search:ident { $($module:ident: $($name:ident),+;)+ }) => {
        $(mod $module {
            $(#[test]
            fn $name() {
                super::check(super::Search::$search, super::checks::$module::$name);
            })+
        })+
    };
}

model! { Exhaust {
    claim:
        no_notification_is_lost,
        it_is_settled_and_concluded_once,
        a_lender_hears_of_what_happens,
        a_lender_hears_of_the_end,
        what_is_held_is_not_stolen,
        what_is_held_can_be_cancelled;
} }

model! { Sample {
    claim_with_more_threads:
        lenders_hear_of_each_other,
        leaving_hands_over;
    pool:
        every_job_runs,
        every_job_runs_while_threads_end,
        what_is_stuck_holds_up_nobody,
        the_watch_is_held_while_others_are_stuck,
        what_is_parked_is_watched,
        what_is_parked_is_watched_while_threads_end,
        deadlines_of_what_is_parked,
        an_earlier_deadline_is_noticed,
        workers_park_and_push,
        the_last_thread_says_so,
        closing_ends_all_threads;
    idle:
        everybody_gets_a_permit,
        who_gives_up_strands_nobody,
        a_flush_leaves_no_old_connection,
        pruning_keeps_what_is_good,
        the_most_urgent_comes_first;
    lane:
        serial,
        serial_with_a_thread_that_ends,
        inline,
        executor,
        manual,
        manual_with_a_limit,
        manual_with_one_that_leaves,
        nested;
    task:
        workers_carry_it_to_its_end,
        lenders_carry_it_to_its_end,
        a_lender_joins_the_workers,
        a_lender_leaves_it_to_busy_workers,
        a_lender_that_leaves_hands_over,
        deadlines_are_kept,
        a_task_of_workers_is_settled_once,
        a_lent_task_is_settled_once,
        cancel_reaches_it_wherever_it_waits,
        either_is_heard_by_who_listens,
        the_deadline_of_who_listens_is_kept,
        what_is_left_behind_is_there_at_the_end,
        who_follows_hears_of_the_end_once_and_last,
        suspend_and_resume,
        invalidation_comes_after_the_last_task,
        waiting_turns_a_manual_lane,
        waiting_for_answers_of_a_serial_lane,
        waiting_inside_a_callback,
        the_first_of_several;
    reader:
        the_body_stays_with_its_reader,
        the_reader_takes_the_body_from_the_workers,
        cancel_ends_a_read,
        a_reader_that_goes_away,
        a_suspended_body,
        a_reader_that_listens;
} }
