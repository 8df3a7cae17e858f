//! Threads: who runs what, and who waits where. Knows jobs, not what they do.

pub(crate) mod claim;
pub(crate) mod events;
pub(crate) mod pool;
pub(crate) mod queue;
pub(crate) mod starts;
pub(crate) mod watch;
