//! Following: who wants to know how far a task is, is told while data moves, and once at the end.
//!
//! There is no timer. Whoever moves data says when (`TaskCore::moved`), by a time that it has read
//! anyway. One atomic says whether that is of interest to anybody: to the meter about ten times a
//! second, and to those who follow as often as they asked to be told.
//!
//! Lock: `Following::state`, taken alone.

use super::TaskCore;
use super::meter::{Meter, SAMPLE_EVERY};
use crate::engine::events::contain;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Instant, Mutex, lock};
use std::time::Duration;

/// Is called on the delegate lane. `true`: the task has ended, and this is the last call.
pub(crate) type Follow = Box<dyn FnMut(&Arc<TaskCore>, bool) + Send>;

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
    followers: Vec<Follower>,
    /// The task has ended: nobody is told anything but that.
    closed: bool,
}

struct Follower {
    interval: u64,
    next: Next,
    /// Not here while it runs.
    handler: Option<Follow>,
}

/// When a follower is told next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    At(u64),
    /// It is on its way.
    Queued,
    /// It is on its way, or there, and something that it has to know happened since.
    Again,
}

impl TaskCore {
    /// Bytes have moved, at that time.
    pub(crate) fn moved(self: &Arc<Self>, now: Instant) {
        let at = self.nanoseconds(now);
        if at >= self.following.due.load(Ordering::Relaxed) {
            self.look(at, false);
        }
    }

    /// All of the request's body is out. There may be silence after it, so it is told at once.
    pub(crate) fn moved_out(self: &Arc<Self>, now: Instant) {
        let begun = self.following.due.load(Ordering::Relaxed) > 0;
        if begun || self.following.followed.load(Ordering::Relaxed) {
            self.look(self.nanoseconds(now), true);
        }
    }

    /// Bytes per second, lately. `None` until it can be told.
    pub(crate) fn rate(&self) -> Option<f64> {
        let now = self.nanoseconds(Instant::now());
        let moved = self.counts.moved();
        lock(&self.following.state).meter.rate(now, moved)
    }

    /// Has a handler told how far the task is, no more often than that, and of its end.
    pub(crate) fn follow(self: &Arc<Self>, interval: Duration, mut handler: Follow) {
        let mut state = lock(&self.following.state);
        if !state.closed {
            let interval = nanoseconds(interval);
            state.followers.push(Follower { interval, next: Next::At(0), handler: Some(handler) });
            self.following.followed.store(true, Ordering::Relaxed);
            self.following.due.store(0, Ordering::Relaxed);
            return;
        }
        drop(state);
        let core = Arc::clone(self);
        self.post(Box::new(move || {
            core.within_event(|| handler(&core, true));
        }));
    }

    /// From now on nobody is told anything but the end. Whether there is anybody to tell it.
    pub(super) fn close_following(&self) -> bool {
        let mut state = lock(&self.following.state);
        state.closed = true;
        !state.followers.is_empty()
    }

    /// Tells the end to those who follow. Runs on the lane, in an event of this task.
    pub(super) fn end_following(self: &Arc<Self>) {
        let followers = std::mem::take(&mut lock(&self.following.state).followers);
        for mut handler in followers.into_iter().filter_map(|follower| follower.handler) {
            contain(|| self.within_event(|| handler(self, true)));
            contain(|| drop(handler));
        }
    }

    fn nanoseconds(&self, now: Instant) -> u64 {
        nanoseconds(now.saturating_duration_since(self.created))
    }

    /// Takes a sample if it is time, and tells those whose time has come, or all.
    fn look(self: &Arc<Self>, at: u64, all: bool) {
        let mut told = Vec::new();
        {
            let mut state = lock(&self.following.state);
            if all || at >= state.sample_at {
                state.meter.sample(at, self.counts.moved());
                state.sample_at = at.saturating_add(SAMPLE_EVERY);
            }
            for (index, follower) in state.followers.iter_mut().enumerate() {
                match follower.next {
                    Next::At(next) if all || at >= next => {
                        follower.next = Next::Queued;
                        told.push(index);
                    }
                    Next::Queued if all => follower.next = Next::Again,
                    _ => {}
                }
            }
            self.following.due.store(state.due(), Ordering::Relaxed);
        }
        for index in told {
            self.post_follower(index);
        }
    }

    fn post_follower(self: &Arc<Self>, index: usize) {
        let core = Arc::clone(self);
        self.post(Box::new(move || core.tell_follower(index)));
    }

    /// Events of one task never nest, so the handler is there.
    fn tell_follower(self: &Arc<Self>, index: usize) {
        let handler = {
            let mut state = lock(&self.following.state);
            let closed = state.closed;
            let follower = state.followers.get_mut(index).filter(|_| !closed);
            follower.and_then(|follower| {
                // What happened until now it will see.
                follower.next = Next::Queued;
                follower.handler.take()
            })
        };
        let Some(mut handler) = handler else { return };
        let next = self.nanoseconds(Instant::now());
        contain(|| self.within_event(|| handler(self, false)));
        let mut state = lock(&self.following.state);
        let mut again = false;
        if let Some(follower) = state.followers.get_mut(index) {
            follower.handler = Some(handler);
            again = follower.next == Next::Again;
            if !again {
                follower.next = Next::At(next.saturating_add(follower.interval));
            }
        }
        self.following.due.store(state.due(), Ordering::Relaxed);
        drop(state);
        if again {
            self.post_follower(index);
        }
    }
}

impl State {
    fn due(&self) -> u64 {
        let told = self.followers.iter().filter_map(|follower| match follower.next {
            Next::At(next) => Some(next),
            Next::Queued | Next::Again => None,
        });
        told.chain([self.sample_at]).min().unwrap_or(0)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
