//! How many schedules of a check are run, and which.

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler};
use shuttle::{Config, MaxSteps, Runner};

/// How the schedules of a check are chosen.
#[derive(Clone, Copy, Debug)]
pub enum Search {
    /// Half of them at random, half by PCT, which finds what takes few switches at the wrong places.
    Sample,
    /// All of them, as far as they go.
    Exhaust,
}

/// Runs a check under `MODEL_ITERATIONS` schedules (10,000 if that is not set; ten times as many at
/// most where all are wanted), from the seed `SHUTTLE_RANDOM_SEED` if that is set.
pub fn check(search: Search, check: fn()) {
    let count = std::env::var("MODEL_ITERATIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let run = move || {
        crate::sync::begin();
        check();
    };
    let mut config = Config::new();
    config.stack_size = 0x2_0000;
    config.max_steps = MaxSteps::FailAfter(100_000);
    config.silence_warnings = true;
    match search {
        Search::Sample => {
            Runner::new(RandomScheduler::new(count / 2), config.clone()).run(run);
            for depth in [2, 4] {
                Runner::new(PctScheduler::new(depth, count / 4), config.clone()).run(run);
            }
        }
        Search::Exhaust => {
            let most = count * 10;
            let ran = Runner::new(DfsScheduler::new(Some(most), true), config).run(run);
            println!("{ran} schedules{}", if ran < most { ", which are all" } else { "" });
        }
    }
}
