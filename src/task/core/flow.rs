//! What flows through all tasks of a session together: its rate, and who is told of it.
//!
//! Tasks say what they have moved when they look at their own meters, and when they end. That is
//! when those who follow the session are told, too: a session has no timer either.
//!
//! Lock: `Flow::state`, taken alone.

use super::Context;
use super::followers::{Follow, Followers, nanoseconds};
use super::meter::{Meter, SAMPLE_EVERY};
use crate::engine::events::{Subject, contain};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Instant, Mutex, lock};
use std::time::Duration;

/// See the module's documentation. Times are nanoseconds since the session was made.
pub(crate) struct Flow {
    created: Instant,
    /// Bytes that the tasks have moved, of those that ended too.
    moved: AtomicU64,
    /// Before this nobody is interested in what moves.
    due: AtomicU64,
    /// Somebody follows.
    followed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    meter: Meter,
    sample_at: u64,
    followers: Followers<Arc<Context>>,
}

impl Flow {
    pub(super) fn new() -> Self {
        Flow {
            created: Instant::now(),
            moved: AtomicU64::new(0),
            due: AtomicU64::new(0),
            followed: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// So much more has moved.
    pub(super) fn add(&self, bytes: u64) {
        if bytes > 0 {
            self.moved.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// A task begins. `alone`: there was no other, and what was measured before is over.
    pub(super) fn begin(&self, now: Instant, alone: bool) {
        let at = self.nanoseconds(now);
        if at >= self.due.load(Ordering::Relaxed) {
            let mut state = lock(&self.state);
            if alone && at >= state.sample_at {
                state.meter = Meter::default();
            }
            self.sample(&mut state, at);
        }
    }

    /// Bytes per second, lately, of all tasks together.
    pub(crate) fn rate(&self) -> Option<f64> {
        let now = self.nanoseconds(Instant::now());
        let moved = self.moved.load(Ordering::Relaxed);
        lock(&self.state).meter.rate(now, moved)
    }

    /// Has a handler told how far the session is, no more often than that.
    pub(crate) fn follow(&self, interval: Duration, handler: Follow<Arc<Context>>) {
        lock(&self.state).followers.add(interval, handler);
        self.followed.store(true, Ordering::Release);
        self.due.store(0, Ordering::Relaxed);
    }

    /// Nobody is told anything any more. What is returned is the program's, to be dropped where its
    /// code may run.
    pub(crate) fn close(&self) -> Vec<Follow<Arc<Context>>> {
        lock(&self.state).followers.take_all().collect()
    }

    fn nanoseconds(&self, now: Instant) -> u64 {
        nanoseconds(now.saturating_duration_since(self.created))
    }

    fn sample(&self, state: &mut State, at: u64) {
        if at >= state.sample_at {
            state.meter.sample(at, self.moved.load(Ordering::Relaxed));
            state.sample_at = at.saturating_add(SAMPLE_EVERY);
        }
        self.due.store(state.sample_at.min(state.followers.due()), Ordering::Relaxed);
    }
}

impl Context {
    /// Data has moved, at that time.
    pub(super) fn flow_on(self: &Arc<Self>, now: Instant) {
        let at = self.flow.nanoseconds(now);
        if at < self.flow.due.load(Ordering::Relaxed) {
            return;
        }
        let mut state = lock(&self.flow.state);
        let called = state.followers.call(at, false);
        self.flow.sample(&mut state, at);
        drop(state);
        called.into_iter().for_each(|index| self.post_follower(index));
    }

    /// The last task has completed.
    pub(super) fn flow_out(self: &Arc<Self>) {
        if !self.flow.followed.load(Ordering::Acquire) {
            return;
        }
        let called = lock(&self.flow.state).followers.call(u64::MAX, true);
        called.into_iter().for_each(|index| self.post_follower(index));
    }

    fn post_follower(self: &Arc<Self>, index: usize) {
        let context = Arc::clone(self);
        self.post(Subject::of(self), Box::new(move || context.tell_follower(index)));
    }

    fn tell_follower(self: &Arc<Self>, index: usize) {
        let Some(mut handler) = lock(&self.flow.state).followers.take(index) else { return };
        let at = self.flow.nanoseconds(Instant::now());
        contain(|| handler(self, self.registry.is_idle()));
        let mut state = lock(&self.flow.state);
        let again = state.followers.put_back(index, handler, at);
        self.flow.due.store(state.sample_at.min(state.followers.due()), Ordering::Relaxed);
        drop(state);
        if again {
            self.post_follower(index);
        }
    }
}
