//! The session's worker threads.
//!
//! Threads start when there is work and none is free, and end after ten seconds without any. A
//! worker runs what is ready; when nothing is, it takes the watch over the parked jobs if nobody has
//! it, and sleeps otherwise. Workers never wait for a peer, so there are no more of them than the
//! machine has processors; what may block (a resolver, a user's callback run inline) says so by
//! [`Pool::blocking`], and the pool grows past its bound by as many threads as are stuck.
//!
//! The ready queue is a mutex and not a channel, because whether to wake a sleeper, the holder of
//! the watch, or to start a thread has to be decided under the same lock that adds the job.
//!
//! Lock: `state`. Nothing is called under it.

use super::watch::Watch;
use crate::sync::{Arc, Condvar, Mutex, lock, thread};
use std::collections::VecDeque;
use std::sync::{OnceLock, PoisonError};
use std::time::Duration;

/// How long a thread waits for work before it ends.
pub(crate) const IDLE: Duration = Duration::from_secs(10);

/// Something a worker can carry on.
pub(crate) trait Job: Send + Sync {
    /// Carries it on as far as it goes without waiting.
    fn run(self: Arc<Self>);
    /// Something it waits for happened. True if it has to be put into the queue.
    fn notify(&self) -> bool;
}

/// See the module's documentation.
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    work: Condvar,
    pub(crate) watch: Watch,
    maximum: usize,
    limit: OnceLock<usize>,
    on_idle: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Arc<dyn Job>>,
    threads: usize,
    idle: usize,
    stuck: usize,
    /// Threads that took themselves for the last one, and have not ended yet.
    leaving: usize,
    watching: Watching,
    closed: bool,
}

/// Who holds the watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Watching {
    #[default]
    Nobody,
    /// A thread sleeps in it.
    Asleep,
    /// A thread sleeps in it and has been woken.
    Waking,
}

impl Pool {
    /// `on_idle` runs when the last thread is about to end.
    pub(crate) fn new(maximum: usize, on_idle: Box<dyn Fn() + Send + Sync>) -> Self {
        Pool {
            shared: Arc::new(Shared {
                state: Mutex::new(State::default()),
                work: Condvar::new(),
                watch: Watch::new(),
                maximum: maximum.max(1),
                limit: OnceLock::new(),
                on_idle,
            }),
        }
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.shared.watch
    }

    /// A handle for those that must not keep the pool's threads alive.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// How many jobs the workers have to look after, about: none if there is no worker.
    pub(crate) fn load(&self) -> usize {
        let state = lock(&self.shared.state);
        if state.threads == 0 { 0 } else { state.ready.len() + self.shared.watch.len() }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Shared {
    /// Puts a job into the queue and sees to it that somebody runs it.
    pub(crate) fn push(self: &Arc<Self>, job: Arc<dyn Job>) {
        let mut state = lock(&self.state);
        state.ready.push_back(job);
        let next = self.hire(&mut state);
        drop(state);
        self.carry_out(next);
    }

    /// Runs a closure that may block on a thread of the pool.
    pub(crate) fn call(self: &Arc<Self>, call: Box<dyn FnOnce() + Send>) {
        let pool = Arc::clone(self);
        self.push(Arc::new(Call { call: Mutex::new(Some(call)), pool }));
    }

    /// Runs what may block, from a worker or from elsewhere: the pool may grow meanwhile.
    pub(crate) fn blocking<T>(self: &Arc<Self>, run: impl FnOnce() -> T) -> T {
        struct Unstick<'a>(&'a Shared);
        impl Drop for Unstick<'_> {
            fn drop(&mut self) {
                lock(&self.0.state).stuck -= 1;
            }
        }
        let mut state = lock(&self.state);
        state.stuck += 1;
        let next = self.needed(&mut state);
        drop(state);
        let unstick = Unstick(self);
        self.carry_out(next);
        let result = run();
        drop(unstick);
        result
    }

    /// After something was parked by a thread that is no worker: somebody has to hold the watch.
    pub(crate) fn ensure_watch(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        let next = self.needed(&mut state);
        drop(state);
        self.carry_out(next);
    }

    /// No thread stays longer than its last job.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.work.notify_all();
        self.watch.wake();
    }

    /// Decides who runs what is ready.
    fn hire(&self, state: &mut State) -> Next {
        if state.idle > 0 {
            Next::WakeIdle
        } else if state.threads - state.stuck.min(state.threads) < self.limit() {
            if state.watching == Watching::Asleep {
                state.watching = Watching::Waking;
                return Next::WakeWatch;
            }
            // The holder of the watch is on its way, and will run it.
            if state.watching == Watching::Waking && state.ready.len() < 2 {
                return Next::Nothing;
            }
            state.threads += 1;
            Next::Start
        } else if state.watching == Watching::Asleep {
            state.watching = Watching::Waking;
            Next::WakeWatch
        } else {
            Next::Nothing
        }
    }

    /// Decides whether anybody is missing, after a thread got stuck or something was parked.
    fn needed(&self, state: &mut State) -> Next {
        let unwatched = state.watching == Watching::Nobody && !self.watch.is_empty();
        if state.ready.is_empty() && !unwatched {
            Next::Nothing
        } else if state.ready.is_empty() && state.threads > state.stuck + state.idle {
            // A worker is busy and takes the watch when it is done.
            Next::Nothing
        } else {
            self.hire(state)
        }
    }

    fn carry_out(self: &Arc<Self>, next: Next) {
        match next {
            Next::Nothing => {}
            Next::WakeIdle => self.work.notify_one(),
            Next::WakeWatch => self.watch.wake(),
            Next::Start => {
                let pool = Arc::clone(self);
                let started =
                    thread::Builder::new().name("urlsession-worker".into()).spawn(move || pool.work());
                if let Err(error) = started {
                    // Out of threads: those that run will get to it, if there are any.
                    log::error!("starting a worker thread: {error}");
                    lock(&self.state).threads -= 1;
                }
            }
        }
    }

    /// The life of a worker.
    fn work(self: Arc<Self>) {
        let mut keys = Vec::new();
        let mut due: Vec<Arc<dyn Job>> = Vec::new();
        let mut busy = false;
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.ready.pop_front() {
                drop(state);
                job.run();
                busy = true;
                state = lock(&self.state);
                continue;
            }
            if state.closed {
                break;
            }
            if std::mem::take(&mut busy) {
                // Whoever is about to bring more work may do so before this thread goes to sleep:
                // one turn saves a wake-up a job when many come in a row.
                drop(state);
                thread::yield_now();
                state = lock(&self.state);
                continue;
            }
            if state.watching == Watching::Nobody && !self.watch.is_empty() {
                state.watching = Watching::Asleep;
                drop(state);
                if let Err(error) = self.watch.wait(IDLE, &mut keys, &mut due) {
                    log::error!("watching sockets: {error}");
                }
                due.retain(|job| job.notify());
                state = lock(&self.state);
                state.watching = Watching::Nobody;
                state.ready.extend(due.drain(..));
                // More than one thing to do, and somebody to share it with.
                if state.ready.len() > 1 && state.idle > 0 {
                    self.work.notify_one();
                }
                continue;
            }
            state.idle += 1;
            let (guard, waited) = self.work.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.idle -= 1;
            if waited.timed_out() && self.is_quiet(&state) {
                if state.threads > state.leaving + 1 {
                    break;
                }
                state.leaving += 1;
                drop(state);
                (self.on_idle)();
                state = lock(&self.state);
                state.leaving -= 1;
                // What came meanwhile was left to this thread, which was taken for a busy one.
                if self.is_quiet(&state) {
                    break;
                }
            }
        }
        state.threads -= 1;
    }

    /// Whether there is nothing to run, and nothing to watch that nobody watches.
    fn is_quiet(&self, state: &State) -> bool {
        state.ready.is_empty() && (state.watching != Watching::Nobody || self.watch.is_empty())
    }

    /// More threads than processors bring nothing, since none of them waits.
    fn limit(&self) -> usize {
        *self.limit.get_or_init(|| {
            let processors = thread::available_parallelism().map_or(2, usize::from);
            self.maximum.min(processors)
        })
    }
}

enum Next {
    Nothing,
    WakeIdle,
    WakeWatch,
    Start,
}

/// A closure that may block, as a job.
struct Call {
    call: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    pool: Arc<Shared>,
}

impl Job for Call {
    fn run(self: Arc<Self>) {
        let call = lock(&self.call).take();
        if let Some(call) = call {
            self.pool.blocking(call);
        }
    }

    fn notify(&self) -> bool {
        false
    }
}
