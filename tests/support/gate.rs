//! Gates: points where a server stops until a test lets it go on.
//!
//! They take the place of sleeps. A server that comes to a closed gate waits; the test learns of it
//! by [`Gate::wait_until_reached`], does what it wants to do at that very moment, and opens the gate.
//! Dropping the server frees whoever of its threads waits at a gate.

use super::worker::Stop;
use super::{PATIENCE, lock};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// A gate; clones are the same gate. Made closed.
#[derive(Clone, Default)]
pub struct Gate {
    inner: Arc<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default, Debug)]
struct State {
    open: bool,
    admitted: usize,
    reached: usize,
    waiting: usize,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the gate, for those who wait and for all who come.
    pub fn open(&self) {
        lock(&self.inner.state).open = true;
        self.inner.changed.notify_all();
    }

    /// Closes it again for those who come.
    pub fn close(&self) {
        lock(&self.inner.state).open = false;
    }

    /// Lets `count` through, of those who wait or come, without opening the gate.
    pub fn admit(&self, count: usize) {
        lock(&self.inner.state).admitted += count;
        self.inner.changed.notify_all();
    }

    /// How many came to the gate so far, whether they had to wait or not.
    pub fn reached(&self) -> usize {
        lock(&self.inner.state).reached
    }

    /// How many stand before the gate now.
    pub fn waiting(&self) -> usize {
        lock(&self.inner.state).waiting
    }

    /// Waits until somebody has come to the gate.
    ///
    /// # Panics
    ///
    /// When nobody came for [`PATIENCE`].
    #[track_caller]
    pub fn wait_until_reached(&self) {
        self.wait_until_reached_by(1, PATIENCE);
    }

    /// Waits until `count` have come to the gate, in all.
    ///
    /// # Panics
    ///
    /// When that did not happen within `timeout`.
    #[track_caller]
    pub fn wait_until_reached_by(&self, count: usize, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut state = lock(&self.inner.state);
        while state.reached < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "gate reached by {} and not by {count} in {timeout:?}", state.reached);
            state = self.inner.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Goes through the gate: waits until it is open. False when a server's thread called this, in
    /// a handler for example, and that server was dropped meanwhile.
    ///
    /// # Panics
    ///
    /// When called by another thread and the gate stayed closed for [`PATIENCE`].
    #[track_caller]
    pub fn pass(&self) -> bool {
        match Stop::current() {
            Some(stop) => self.pass_unless(&stop),
            None => self.pass_or_panic(),
        }
    }

    pub(super) fn pass_unless(&self, stop: &Stop) -> bool {
        if !stop.register(&self.inner) {
            return false;
        }
        let mut state = lock(&self.inner.state);
        state.arrive(&self.inner.changed);
        // A stopping server sets its flag first and then takes this lock to notify: the flag read
        // under the lock cannot be missed.
        while !state.leave() {
            if stop.is_stopped() {
                state.waiting -= 1;
                return false;
            }
            state = self.inner.changed.wait(state).unwrap();
        }
        true
    }

    #[track_caller]
    fn pass_or_panic(&self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut state = lock(&self.inner.state);
        state.arrive(&self.inner.changed);
        while !state.leave() {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the gate stayed closed for {PATIENCE:?}");
            state = self.inner.changed.wait_timeout(state, left).unwrap().0;
        }
        true
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lock(&self.inner.state).fmt(f)
    }
}

impl Inner {
    /// Wakes everybody at the gate to look whether their server was stopped.
    pub(super) fn nudge(&self) {
        let _state = lock(&self.state);
        self.changed.notify_all();
    }
}

impl State {
    fn arrive(&mut self, changed: &Condvar) {
        self.reached += 1;
        self.waiting += 1;
        changed.notify_all();
    }

    fn leave(&mut self) -> bool {
        if !self.open {
            let Some(left) = self.admitted.checked_sub(1) else { return false };
            self.admitted = left;
        }
        self.waiting -= 1;
        true
    }
}
