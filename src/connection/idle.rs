//! The connections of a session, by origin: who may open one, who gets which, who waits.
//!
//! Each origin has a number of *permits*, the per-host limit; whoever holds one may use a kept-alive
//! connection or open a new one. Those without wait in a queue by priority. A permit that comes
//! free, with its connection if that is still good, goes to the first in the queue and to nobody who
//! comes later. Permits and places in the queue are guards: dropping one hands on what it held, so a
//! task that is cancelled at any point strands nothing.
//!
//! A connection whose server is trusted by exception is for those only for whom the exception was made; it
//! stays where it is for others, or is closed if it was handed to one of them.
//!
//! Lock: `Origin::state`; wakers are woken and connections dropped after it. `Origins::map` is never
//! held together with it.

use super::transport::{Asker, Connection};
use crate::engine::queue::Queue;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Instant, Mutex, lock};
use std::collections::HashMap;
use std::sync::Weak;
use std::task::Waker;
use std::time::Duration;

/// How long a connection may have been idle and be trusted without a look at it.
const TRUSTED: Duration = Duration::from_secs(1);

/// How many idle connections a session keeps, whatever their origins: a program that asks many
/// servers must not run out of descriptors for it. Those idle for longest are closed first. A session
/// that may keep more of one host keeps as many.
const MAXIMUM_IDLE: usize = 128;

/// The origins of a session.
pub(crate) struct Origins {
    known: Arc<Known>,
    limit: usize,
    idle_timeout: Duration,
    maximum_idle: usize,
}

/// The origins by name, and how many idle connections they have together.
#[derive(Default)]
struct Known {
    map: Mutex<HashMap<String, Arc<Origin>>>,
    idle: Arc<AtomicUsize>,
}

/// One origin (RFC 6454: scheme, host, port), with the session's TLS settings and client identity.
pub(crate) struct Origin {
    known: Weak<Known>,
    idle_of_all: Arc<AtomicUsize>,
    state: Mutex<State>,
    limit: usize,
    idle_timeout: Duration,
    maximum_idle: usize,
}

struct State {
    idle: Vec<Idle>,
    in_use: usize,
    waiting: Queue<Waker>,
    /// What those who waited were given and have not fetched.
    granted: HashMap<u64, Option<Idle>>,
    /// Connections of an earlier generation are not kept (`flush`).
    generation: u64,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
    counted: Counted,
}

/// Counts an idle connection as long as it is one.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right to use one connection of an origin.
pub(crate) struct Permit {
    origin: Option<Arc<Origin>>,
    generation: u64,
}

/// A place in an origin's queue.
pub(crate) struct Ticket {
    origin: Arc<Origin>,
    number: u64,
}

/// What kind of connection is wanted, and how urgently.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    pub(crate) priority: f32,
    /// The request must not be repeated: a kept-alive connection is looked at whatever its age.
    pub(crate) certain: bool,
    /// None of the kept-alive ones will do.
    pub(crate) fresh: bool,
    /// The time.
    pub(crate) now: Instant,
    /// Who wants it.
    pub(crate) asker: Asker,
}

/// What an attempt to get a connection gave.
pub(crate) enum Acquired {
    /// A kept-alive connection.
    Reused(Box<Connection>, Permit),
    /// Leave to open a new one.
    Open(Permit),
    /// A place in the queue; the waker is woken when its turn has come.
    Wait(Ticket),
}

impl Origins {
    pub(crate) fn new(limit: usize, idle_timeout: Duration, maximum_idle: usize) -> Self {
        Origins { known: Arc::default(), limit: limit.max(1), idle_timeout, maximum_idle }
    }

    /// The origin by its serialization, such as `https://example.com:8443`.
    pub(crate) fn get(&self, origin: &str) -> Arc<Origin> {
        let mut map = lock(&self.known.map);
        if let Some(known) = map.get(origin) {
            return Arc::clone(known);
        }
        if map.len() >= 1024 {
            // Origins nobody uses or waits for are forgotten before there are too many of them.
            map.retain(|_, origin| Arc::strong_count(origin) > 1 || !lock(&origin.state).idle.is_empty());
        }
        let made = Arc::new(Origin {
            known: Arc::downgrade(&self.known),
            idle_of_all: Arc::clone(&self.known.idle),
            state: Mutex::new(State {
                idle: Vec::new(),
                in_use: 0,
                waiting: Queue::new(),
                granted: HashMap::new(),
                generation: 0,
            }),
            limit: self.limit,
            idle_timeout: self.idle_timeout,
            maximum_idle: self.maximum_idle,
        });
        map.insert(origin.to_owned(), Arc::clone(&made));
        made
    }

    /// Closes what is idle, and keeps none of the connections that are in use now.
    pub(crate) fn flush(&self) {
        let origins = self.known.origins();
        for origin in origins {
            let mut state = lock(&origin.state);
            state.generation += 1;
            let mut closed = std::mem::take(&mut state.idle);
            // Those who were given one and have not fetched it keep the permit.
            closed.extend(state.granted.values_mut().filter_map(Option::take));
            drop(state);
            closed.into_iter().for_each(|idle| idle.connection.close());
        }
    }

    /// Closes idle connections that are too old or whose peer is gone.
    pub(crate) fn prune(&self) {
        let origins = self.known.origins();
        for origin in origins {
            // They are looked at without the lock; whoever needs one just now opens another.
            let (idle, generation) = {
                let mut state = lock(&origin.state);
                (std::mem::take(&mut state.idle), state.generation)
            };
            let now = Instant::now();
            let mut kept = Vec::new();
            for mut idle in idle {
                let fresh = now.saturating_duration_since(idle.since) < origin.idle_timeout;
                if fresh && idle.connection.is_alive() {
                    idle.connection.release_buffers();
                    kept.push(idle);
                } else {
                    idle.connection.close();
                }
            }
            let mut state = lock(&origin.state);
            // Unless there was a flush meanwhile, and besides those that were put back meanwhile: the
            // ones used last are taken first.
            if state.generation == generation {
                let room = origin.maximum_idle.saturating_sub(state.idle.len());
                let back = kept.split_off(kept.len().saturating_sub(room));
                state.idle.splice(..0, back);
            }
            drop(state);
            kept.into_iter().for_each(|idle| idle.connection.close());
        }
    }
}

impl Known {
    fn origins(&self) -> Vec<Arc<Origin>> {
        lock(&self.map).values().cloned().collect()
    }

    /// Closes what has been idle for longest, as much as makes room for a while.
    fn trim(&self, maximum: usize) {
        let mut idle: Vec<(Instant, Arc<Origin>)> = Vec::new();
        for origin in self.origins() {
            idle.extend(lock(&origin.state).idle.iter().map(|idle| (idle.since, Arc::clone(&origin))));
        }
        idle.sort_by_key(|(since, _)| *since);
        let surplus = idle.len().saturating_sub(maximum / 4 * 3);
        for (since, origin) in idle.into_iter().take(surplus) {
            let mut state = lock(&origin.state);
            let at = state.idle.iter().position(|idle| idle.since == since);
            let closed = at.map(|at| state.idle.remove(at));
            drop(state);
            if let Some(closed) = closed {
                closed.connection.close();
            }
        }
    }
}

impl Origin {
    /// A connection, leave to open one, or a place in the queue.
    pub(crate) fn acquire(self: &Arc<Self>, number: u64, want: Want, waker: &dyn Fn() -> Waker) -> Acquired {
        let mut state = lock(&self.state);
        if state.in_use >= self.limit || !state.waiting.is_empty() {
            state.waiting.put(number, want.priority, waker());
            drop(state);
            return Acquired::Wait(Ticket { origin: Arc::clone(self), number });
        }
        state.in_use += 1;
        let given = state.take_idle(want.asker);
        let generation = state.generation;
        drop(state);
        self.take(given, generation, want)
    }

    /// What was given, if it is any good. A dead connection is replaced by the next idle one.
    fn take(self: &Arc<Self>, mut given: Option<Idle>, generation: u64, want: Want) -> Acquired {
        let permit = Permit { origin: Some(Arc::clone(self)), generation };
        while let Some(Idle { mut connection, since, counted }) = given {
            drop(counted);
            if want.fresh {
                break;
            }
            let age = want.now.saturating_duration_since(since);
            let usable = connection.is_good_for(want.asker)
                && age < self.idle_timeout
                && ((age < TRUSTED && !want.certain) || connection.is_alive());
            if usable {
                return Acquired::Reused(connection, permit);
            }
            log::debug!("a kept-alive connection is closed: idle for {age:?}");
            connection.close();
            given = lock(&self.state).take_idle(want.asker);
        }
        Acquired::Open(permit)
    }

    /// Hands on a permit, with its connection if that may be kept.
    fn release(&self, mut idle: Option<Idle>, generation: u64) {
        let mut state = lock(&self.state);
        let mut stale = None;
        if state.generation != generation {
            stale = idle.take();
        }
        let waker = match state.waiting.pop() {
            Some((number, waker)) => {
                let given = idle.take().or_else(|| state.idle.pop());
                state.granted.insert(number, given);
                Some(waker)
            }
            None => {
                state.in_use -= 1;
                if state.idle.len() < self.maximum_idle {
                    state.idle.extend(idle.take());
                }
                None
            }
        };
        drop(state);
        [idle, stale].into_iter().flatten().for_each(|idle| idle.connection.close());
        let maximum = self.maximum_idle.max(MAXIMUM_IDLE);
        if self.idle_of_all.load(Ordering::Relaxed) > maximum {
            if let Some(known) = self.known.upgrade() {
                known.trim(maximum);
            }
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl State {
    /// The connection used last of those that will do.
    fn take_idle(&mut self, asker: Asker) -> Option<Idle> {
        let at = self.idle.iter().rposition(|idle| idle.connection.is_good_for(asker))?;
        Some(self.idle.remove(at))
    }
}

impl Permit {
    /// Puts the connection back for the next one, if it may be kept and is nobody's.
    pub(crate) fn put_back(mut self, mut connection: Box<Connection>, now: Instant) {
        let reusable = !connection.is_personal && connection.is_reusable();
        connection.release_buffers();
        connection.exchanges += 1;
        if let Some(origin) = self.origin.take() {
            let idle =
                reusable.then(|| Idle { connection, since: now, counted: Counted::new(&origin.idle_of_all) });
            origin.release(idle, self.generation);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(origin) = self.origin.take() {
            origin.release(None, self.generation);
        }
    }
}

impl Ticket {
    /// Looks whether the turn has come. If not the place is kept, by the priority given now.
    pub(crate) fn again(self, want: Want, waker: &dyn Fn() -> Waker) -> Acquired {
        let mut state = lock(&self.origin.state);
        match state.granted.remove(&self.number) {
            Some(given) => {
                let generation = state.generation;
                drop(state);
                self.origin.take(given, generation, want)
            }
            None => {
                state.waiting.put(self.number, want.priority, waker());
                drop(state);
                Acquired::Wait(self)
            }
        }
    }
}

impl Drop for Ticket {
    /// Leaves the queue. What was granted and not fetched goes on to the next.
    fn drop(&mut self) {
        let mut state = lock(&self.origin.state);
        let waker = state.waiting.remove(self.number);
        let granted = state.granted.remove(&self.number);
        let generation = state.generation;
        drop(state);
        drop(waker);
        if let Some(given) = granted {
            self.origin.release(given, generation);
        }
    }
}
