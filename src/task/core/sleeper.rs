//! How a thread sleeps until one of several tasks has ended.

use crate::engine::events::Lane;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread::{self, Thread};
use std::task::{Wake, Waker};

/// See the module's documentation. A thread that runs the events of a session does so meanwhile.
pub(crate) enum Sleeper {
    Thread { bell: Arc<Bell>, waker: Waker },
    Lane { lane: Arc<Lane>, seen: u64, waker: Waker },
}

impl Sleeper {
    pub(crate) fn new(lane: &Arc<Lane>) -> Self {
        if lane.is_mine() {
            return Sleeper::Lane { lane: Arc::clone(lane), seen: lane.seen(), waker: lane.waker() };
        }
        let bell = Arc::new(Bell { thread: thread::current(), rung: AtomicBool::new(false) });
        Sleeper::Thread { waker: Waker::from(Arc::clone(&bell)), bell }
    }

    pub(crate) fn waker(&self) -> &Waker {
        match self {
            Sleeper::Thread { waker, .. } | Sleeper::Lane { waker, .. } => waker,
        }
    }

    /// Sleeps until the waker has been woken since the last sleep, or an event was run.
    pub(crate) fn sleep(&mut self) {
        match self {
            Sleeper::Thread { bell, .. } => {
                while !bell.rung.swap(false, Ordering::AcqRel) {
                    thread::park();
                }
            }
            Sleeper::Lane { lane, seen, .. } => (*seen, _) = lane.turn(*seen, None),
        }
    }
}

pub(crate) struct Bell {
    thread: Thread,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
