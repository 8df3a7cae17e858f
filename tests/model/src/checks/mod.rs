//! The checks, each a closed world that ends: a thread that is still asleep when all others are is
//! a deadlock, which the checker reports with the schedule that led to it.

pub mod claim;
pub mod idle;
pub mod lane;
pub mod pool;
pub mod reader;
mod script;
pub mod task;

/// Those of the claim that have too many schedules for all of them.
pub use claim as claim_with_more_threads;
