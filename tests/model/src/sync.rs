//! The names of the library's `sync.rs`, over `shuttle` and over time that does not pass by itself.
//!
//! `shuttle`'s own condition variable never times out, so this one is made of its tasks: a thread
//! that waits with a limit is in the list of the clock, too, and the clock only moves when a
//! [`Ticker`] moves it. Without one a time limit never passes, and whoever was forgotten sleeps for
//! ever, which the checker reports. With one every limit passes, early or late.

pub(crate) use shuttle::sync::atomic;
pub(crate) use std::sync::Arc;

use shuttle::sync::atomic::{AtomicUsize, Ordering};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::{Add, Deref, DerefMut};
use std::sync::{LockResult, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

pub(crate) mod thread {
    use super::Clock;
    pub(crate) use shuttle::thread::{
        JoinHandle, Thread, ThreadId, current, panicking, park, spawn, yield_now,
    };

    /// Threads by their own names: those of the pool are counted.
    pub(crate) struct Builder(shuttle::thread::Builder, bool);

    impl Builder {
        pub(crate) fn new() -> Self {
            Builder(shuttle::thread::Builder::new(), false)
        }

        pub(crate) fn name(self, name: String) -> Self {
            let worker = name == "urlsession-worker";
            Builder(self.0.name(name), worker)
        }

        pub(crate) fn spawn<T: Send + 'static>(
            self,
            run: impl FnOnce() -> T + Send + 'static,
        ) -> std::io::Result<JoinHandle<T>> {
            let Builder(builder, worker) = self;
            Clock::with(|clock| clock.workers += usize::from(worker));
            builder.spawn(move || {
                let result = run();
                Clock::with(|clock| clock.workers -= usize::from(worker));
                result
            })
        }
    }

    /// How many threads the pools have.
    pub(crate) fn workers() -> usize {
        Clock::with(|clock| clock.workers)
    }

    /// As many as the check wants: the bound that it gives the pool is the one that counts.
    pub(crate) fn available_parallelism() -> std::io::Result<std::num::NonZeroUsize> {
        Ok(std::num::NonZeroUsize::MAX)
    }
}

/// A mutex whose guard knows it, which [`Condvar`] needs.
#[derive(Default)]
pub(crate) struct Mutex<T: ?Sized>(shuttle::sync::Mutex<T>);

pub(crate) struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    guard: shuttle::sync::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(shuttle::sync::Mutex::new(value))
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    MutexGuard { mutex, guard: mutex.0.lock().unwrap_or_else(PoisonError::into_inner) }
}

/// A condition variable. It does not wake by itself: whoever counts on that is found out.
#[derive(Default)]
pub(crate) struct Condvar {
    waiting: std::sync::Mutex<Vec<Arc<Sleeper>>>,
    /// Touched so that another thread may come in between.
    point: AtomicUsize,
}

/// Whether a wait ended because the time was up.
pub(crate) struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Condvar::default()
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        Ok(self.sleep(guard, None).0)
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let (guard, timed_out) = self.sleep(guard, Some(limit));
        Ok((guard, WaitTimeoutResult(timed_out)))
    }

    fn sleep<'a, T>(&self, guard: MutexGuard<'a, T>, limit: Option<Duration>) -> (MutexGuard<'a, T>, bool) {
        let mutex = guard.mutex;
        let me = Arc::new(Sleeper::default());
        drop(guard);
        // No other thread runs between the unlocking and the next point at which shuttle switches.
        host(&self.waiting).push(Arc::clone(&me));
        let alarm = limit.map(|limit| Clock::with(|clock| clock.set(limit, &me)));
        me.sleep();
        if let Some(alarm) = alarm {
            Clock::with(|clock| clock.alarms.remove(&alarm));
        }
        host(&self.waiting).retain(|other| !Arc::ptr_eq(other, &me));
        let timed_out = me.state() == State::TimedOut;
        (lock(mutex), timed_out)
    }

    pub(crate) fn notify_one(&self) {
        self.point.fetch_add(1, Ordering::SeqCst);
        let mut waiting = host(&self.waiting);
        waiting.retain(|sleeper| sleeper.state() == State::Asleep);
        if !waiting.is_empty() {
            let chosen = if waiting.len() == 1 { 0 } else { pick(waiting.len()) };
            waiting.remove(chosen).wake(State::Notified);
        }
    }

    pub(crate) fn notify_all(&self) {
        self.point.fetch_add(1, Ordering::SeqCst);
        for sleeper in host(&self.waiting).drain(..) {
            sleeper.wake(State::Notified);
        }
    }
}

/// A number below `count` that the schedule chooses.
pub(crate) fn pick(count: usize) -> usize {
    use shuttle::rand::{Rng, thread_rng};
    thread_rng().gen_range(0..count)
}

/// A thread asleep on a condition variable.
#[derive(Default)]
struct Sleeper(std::sync::Mutex<(State, Option<Waker>)>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Asleep,
    Notified,
    TimedOut,
}

impl Sleeper {
    fn state(&self) -> State {
        host(&self.0).0
    }

    fn wake(&self, why: State) {
        let mut inner = host(&self.0);
        if inner.0 == State::Asleep {
            inner.0 = why;
            let waker = inner.1.take();
            drop(inner);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn sleep(&self) {
        shuttle::future::block_on(poll_fn(|context| {
            let mut inner = host(&self.0);
            if inner.0 != State::Asleep {
                return Poll::Ready(());
            }
            inner.1 = Some(context.waker().clone());
            Poll::Pending
        }));
    }
}

/// A time of the model's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Instant(Duration);

impl Instant {
    pub(crate) fn now() -> Self {
        Clock::with(|clock| clock.now)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(*self)
    }

    pub(crate) fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    pub(crate) fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(duration).map(Instant)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, duration: Duration) -> Instant {
        Instant(self.0 + duration)
    }
}

/// The time of one execution, which is one thread of the host; and how many workers it has.
struct Clock {
    now: Instant,
    alarms: BTreeMap<(Instant, u64), Arc<Sleeper>>,
    next: u64,
    ticker: Option<Waker>,
    stopped: bool,
    workers: usize,
}

std::thread_local! {
    static CLOCK: RefCell<Clock> = const { RefCell::new(Clock::new()) };
}

impl Clock {
    const fn new() -> Self {
        Clock {
            now: Instant(Duration::ZERO),
            alarms: BTreeMap::new(),
            next: 0,
            ticker: None,
            stopped: false,
            workers: 0,
        }
    }

    fn with<R>(run: impl FnOnce(&mut Clock) -> R) -> R {
        CLOCK.with_borrow_mut(run)
    }

    fn set(&mut self, limit: Duration, sleeper: &Arc<Sleeper>) -> (Instant, u64) {
        self.next += 1;
        let alarm = (self.now + limit, self.next);
        self.alarms.insert(alarm, Arc::clone(sleeper));
        if let Some(ticker) = self.ticker.take() {
            ticker.wake();
        }
        alarm
    }

    fn advance(&mut self) {
        if let Some(((at, _), sleeper)) = self.alarms.pop_first() {
            self.now = self.now.max(at);
            sleeper.wake(State::TimedOut);
        }
    }
}

/// Begins an execution. What an earlier one that failed left behind is forgotten.
pub(crate) fn begin() {
    Clock::with(|clock| *clock = Clock::new());
}

/// The earliest time limit of a sleeping thread.
pub(crate) fn next_alarm() -> Option<Instant> {
    Clock::with(|clock| clock.alarms.first_key_value().map(|((at, _), _)| *at))
}

/// Lets time pass, from one time limit of a sleeping thread to the next, until it is dropped.
pub(crate) struct Ticker(Option<thread::JoinHandle<()>>);

impl Ticker {
    /// For so many limits at the most.
    pub(crate) fn start(ticks: usize) -> Self {
        Clock::with(|clock| clock.stopped = false);
        Ticker(Some(thread::spawn(move || {
            let point = AtomicUsize::new(0);
            for _ in 0..ticks {
                shuttle::future::block_on(poll_fn(|context| {
                    Clock::with(|clock| {
                        if clock.stopped || !clock.alarms.is_empty() {
                            return Poll::Ready(());
                        }
                        clock.ticker = Some(context.waker().clone());
                        Poll::Pending
                    })
                }));
                if Clock::with(|clock| clock.stopped) {
                    break;
                }
                point.fetch_add(1, Ordering::SeqCst);
                Clock::with(Clock::advance);
            }
        })))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        let ticker = Clock::with(|clock| {
            clock.stopped = true;
            clock.ticker.take()
        });
        if let Some(ticker) = ticker {
            ticker.wake();
        }
        if let Some(thread) = self.0.take() {
            if !thread::panicking() {
                thread.join().expect("the clock");
            }
        }
    }
}

/// A lock of the host's, for what belongs to the model itself: nobody else runs meanwhile.
fn host<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
