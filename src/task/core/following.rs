//! Following a task: its rate, and who is told while data moves, and once at the end.
//!
//! There is no timer. Whoever moves data says when (`TaskCore::moved`), by a time that it has read
//! anyway. One atomic says whether that is of interest to anybody: to the meter about ten times a
//! second, and to those who follow as often as they asked to be told.
//!
//! Lock: `Following::state`, taken alone.

use super::TaskCore;
use super::followers::{Follow, Followers, nanoseconds};
use super::meter::{Meter, SAMPLE_EVERY};
use crate::engine::events::contain;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Instant, Mutex, lock};
use std::time::Duration;

/// See the module's documentation. Times are nanoseconds since the task was made.
#[derive(Default)]
pub(crate) struct Following {
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
    /// How much of what was moved the session knows of.
    reported: u64,
    followers: Followers<Arc<TaskCore>>,
    /// The task has ended: nobody is told anything but that.
    closed: bool,
}

impl TaskCore {
    /// Bytes have moved, at that time.
    pub(crate) fn moved(self: &Arc<Self>, now: Instant) {
        if self.nanoseconds(now) >= self.following.due.load(Ordering::Relaxed) {
            self.look(now, false);
        }
    }

    /// All of the request's body is out. There may be silence after it, so it is told at once.
    pub(crate) fn moved_out(self: &Arc<Self>, now: Instant) {
        let begun = self.following.due.load(Ordering::Relaxed) > 0;
        if begun || self.following.followed.load(Ordering::Relaxed) {
            self.look(now, true);
        }
    }

    /// Bytes per second, lately. `None` until it can be told.
    pub(crate) fn rate(&self) -> Option<f64> {
        let now = self.nanoseconds(Instant::now());
        let moved = self.counts.moved();
        lock(&self.following.state).meter.rate(now, moved)
    }

    /// Has a handler told how far the task is, no more often than that, and of its end.
    pub(crate) fn follow(self: &Arc<Self>, interval: Duration, mut handler: Follow<Arc<TaskCore>>) {
        let mut state = lock(&self.following.state);
        if !state.closed {
            state.followers.add(interval, handler);
            self.following.followed.store(true, Ordering::Relaxed);
            self.following.due.store(0, Ordering::Relaxed);
            return;
        }
        drop(state);
        let core = Arc::clone(self);
        self.post_aside(Box::new(move || {
            core.within_event(|| handler(&core, true));
        }));
    }

    /// From now on nobody is told anything but the end. Whether there is anybody to tell it.
    pub(super) fn close_following(&self) -> bool {
        let mut state = lock(&self.following.state);
        state.closed = true;
        let moved = state.news(self.counts.moved());
        let followed = !state.followers.is_empty();
        drop(state);
        self.context.flow.add(moved);
        followed
    }

    /// Tells the end to those who follow. Runs on the lane, in an event of this task.
    pub(super) fn end_following(self: &Arc<Self>) {
        let followers = lock(&self.following.state).followers.take_all();
        for mut handler in followers {
            contain(|| self.within_event(|| handler(self, true)));
            contain(|| drop(handler));
        }
    }

    fn nanoseconds(&self, now: Instant) -> u64 {
        nanoseconds(now.saturating_duration_since(self.created))
    }

    /// Takes a sample if it is time, and tells those whose time has come, or all.
    fn look(self: &Arc<Self>, now: Instant, all: bool) {
        let at = self.nanoseconds(now);
        let mut state = lock(&self.following.state);
        // Under the lock: of several threads that move data, one that was slower would look like a
        // transfer that starts over.
        let moved = self.counts.moved();
        let sampled = all || at >= state.sample_at;
        let mut news = 0;
        if sampled {
            state.meter.sample(at, moved);
            state.sample_at = at.saturating_add(SAMPLE_EVERY);
            news = state.news(moved);
        }
        let called = if state.closed { Vec::new() } else { state.followers.call(at, all) };
        self.following.due.store(state.due(), Ordering::Relaxed);
        drop(state);
        called.into_iter().for_each(|index| self.post_follower(index));
        if sampled {
            self.context.flow.add(news);
            self.context.flow_on(now);
        }
    }

    fn post_follower(self: &Arc<Self>, index: usize) {
        let core = Arc::clone(self);
        self.post(Box::new(move || core.tell_follower(index)));
    }

    /// Events of one task never nest, so the handler is there.
    fn tell_follower(self: &Arc<Self>, index: usize) {
        let mut state = lock(&self.following.state);
        if state.closed {
            return;
        }
        let Some(mut handler) = state.followers.take(index) else { return };
        drop(state);
        let at = self.nanoseconds(Instant::now());
        contain(|| self.within_event(|| handler(self, false)));
        let mut state = lock(&self.following.state);
        let again = state.followers.put_back(index, handler, at);
        self.following.due.store(state.due(), Ordering::Relaxed);
        drop(state);
        if again {
            let core = Arc::clone(self);
            self.post_aside(Box::new(move || core.tell_follower(index)));
        }
    }
}

impl State {
    fn due(&self) -> u64 {
        self.sample_at.min(self.followers.due())
    }

    /// What was moved and the session does not know of. Fewer bytes than before are those of a
    /// transfer that starts over.
    fn news(&mut self, moved: u64) -> u64 {
        let before = std::mem::replace(&mut self.reported, moved);
        moved.checked_sub(before).unwrap_or(moved)
    }
}
