//! The threads of the servers: named, told to stop, and waited for until the system forgot them.

use super::{gate, lock, process};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// The word to a server's threads that they are to end; clones are the same.
#[derive(Clone, Default)]
pub(super) struct Stop {
    inner: Arc<StopInner>,
}

#[derive(Default)]
struct StopInner {
    stopped: AtomicBool,
    gates: Mutex<Vec<Weak<gate::Inner>>>,
    changed: Condvar,
}

thread_local! {
    static CURRENT: RefCell<Option<Stop>> = const { RefCell::new(None) };
}

impl Stop {
    /// That of the server whose thread this is.
    pub(super) fn current() -> Option<Stop> {
        CURRENT.with_borrow(Clone::clone)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.inner.stopped.load(Ordering::SeqCst)
    }

    /// Ends all sleeps and all waits at gates. What blocks in a socket is the caller's.
    pub(super) fn stop(&self) {
        let gates = {
            let mut gates = lock(&self.inner.gates);
            self.inner.stopped.store(true, Ordering::SeqCst);
            self.inner.changed.notify_all();
            std::mem::take(&mut *gates)
        };
        gates.iter().filter_map(Weak::upgrade).for_each(|gate| gate.nudge());
    }

    /// Has [`stop`](Self::stop) wake a gate; false when it is too late for that.
    pub(super) fn register(&self, gate: &Arc<gate::Inner>) -> bool {
        let mut gates = lock(&self.inner.gates);
        if self.is_stopped() {
            return false;
        }
        if !gates.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(gate))) {
            gates.push(Arc::downgrade(gate));
        }
        true
    }

    /// Sleeps; false when stopped meanwhile.
    pub(super) fn sleep(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut gates = lock(&self.inner.gates);
        while !self.is_stopped() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            gates = self.inner.changed.wait_timeout(gates, left).unwrap().0;
        }
        false
    }
}

/// A running thread.
pub(super) struct Worker {
    handle: thread::JoinHandle<()>,
    id: Arc<OnceLock<u64>>,
}

impl Worker {
    /// Starts a thread; its name, of which Linux shows 15 bytes, becomes `test-server-` and `role`.
    pub(super) fn spawn(role: &str, stop: &Stop, body: impl FnOnce() + Send + 'static) -> Worker {
        let id = Arc::new(OnceLock::new());
        let (stop, known) = (stop.clone(), id.clone());
        let handle = thread::Builder::new()
            .name(format!("test-server-{role}"))
            .spawn(move || {
                if let Some(id) = process::current_thread_id() {
                    let _ = known.set(id);
                }
                CURRENT.set(Some(stop));
                body();
            })
            .expect("a thread for the test server");
        Worker { handle, id }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Waits for the end of the thread, and then until it is gone from the system's list too, which
    /// on Linux is a moment after a join returns: tests count threads.
    pub(super) fn join(self) -> thread::Result<()> {
        let result = self.handle.join();
        if let Some(&id) = self.id.get() {
            process::wait_until_thread_is_gone(id);
        }
        result
    }
}
