//! Delegate lanes: where handlers and delegate methods run, one at a time, in order.
//!
//! A [`Lane`] is a queue of closures and a rule for who runs them: a thread of its own, whoever
//! posts, the program when it turns the pump, or an executor of the program's. At most one thread
//! runs events at a time; `wait()` called from within an event runs further events meanwhile, and
//! that is the only way in which two of them nest. Two of the same [`Subject`] never do.
//!
//! Lock: `state`. No event runs under it.

use crate::sync::thread::{self, ThreadId};
use crate::sync::{Arc, Condvar, Instant, Mutex, lock};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::task::{Wake, Waker};
use std::time::Duration;

/// Something to run on a lane.
pub(crate) type Event = Box<dyn FnOnce() + Send>;

/// What an event is about. Those of one task wait for each other, those about nothing for nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject(usize);

impl Subject {
    pub(crate) const NONE: Subject = Subject(0);

    /// The value behind this pointer, which the event has to keep alive.
    pub(crate) fn of<T>(value: &Arc<T>) -> Subject {
        Subject(Arc::as_ptr(value) as usize)
    }
}

/// An executor of the program's: it gets closures and runs each once, soon, on any thread.
pub(crate) type Executor = dyn Fn(Box<dyn FnOnce() + Send>) + Send + Sync;

/// Who runs the events.
pub(crate) enum Mode {
    /// A thread of the lane's own, which starts with the first event and ends when idle.
    Serial,
    /// The thread that posts, unless another one is at it.
    Inline,
    /// The program, by [`Lane::turn`].
    Manual,
    /// An executor of the program's.
    Executor(Box<Executor>),
}

/// See the module's documentation.
pub(crate) struct Lane {
    mode: Mode,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    events: VecDeque<(Subject, Event)>,
    /// Who runs events now.
    runner: Option<ThreadId>,
    /// What those that it runs are about, the innermost last.
    running: Vec<Subject>,
    /// Serial: whether the lane's thread exists. Executor: whether a run is scheduled.
    scheduled: bool,
    /// Counts what a thread in [`Lane::turn`] has to look at again.
    rung: u64,
    closed: bool,
}

/// How long the thread of a serial lane waits for another event before it ends.
const IDLE: Duration = Duration::from_secs(10);

impl Lane {
    pub(crate) fn new(mode: Mode) -> Arc<Self> {
        Arc::new(Lane { mode, state: Mutex::new(State::default()), changed: Condvar::new() })
    }

    /// Adds an event behind all others.
    pub(crate) fn post(self: &Arc<Self>, subject: Subject, event: Event) {
        let mut state = lock(&self.state);
        state.events.push_back((subject, event));
        match &self.mode {
            Mode::Serial => {
                if state.scheduled {
                    drop(state);
                    self.changed.notify_all();
                    return;
                }
                state.scheduled = true;
                drop(state);
                let lane = Arc::clone(self);
                let started =
                    thread::Builder::new().name("urlsession-delegate".into()).spawn(move || lane.serve());
                if let Err(error) = started {
                    log::error!("starting the delegate thread: {error}; its events run here");
                    lock(&self.state).scheduled = false;
                    self.drain();
                }
            }
            Mode::Inline => {
                let free = state.runner.is_none();
                drop(state);
                if free {
                    self.drain();
                } else {
                    self.changed.notify_all();
                }
            }
            Mode::Manual => {
                drop(state);
                self.changed.notify_all();
            }
            Mode::Executor(executor) => {
                let schedule = !state.scheduled;
                state.scheduled = true;
                drop(state);
                self.changed.notify_all();
                if schedule {
                    let lane = Arc::clone(self);
                    let run = Box::new(move || {
                        lock(&lane.state).scheduled = false;
                        lane.drain();
                    });
                    if contain(|| executor(run)).is_none() {
                        log::error!("the executor of a delegate queue panicked; its events run here");
                        lock(&self.state).scheduled = false;
                        self.drain();
                    }
                }
            }
        }
    }

    /// Whether events may run on whatever thread posts them.
    pub(crate) fn is_inline(&self) -> bool {
        matches!(self.mode, Mode::Inline | Mode::Executor(_))
    }

    /// Whether the calling thread has to turn the lane while it waits for something: it is inside an
    /// event, or nobody else would run them.
    pub(crate) fn is_mine(&self) -> bool {
        if matches!(self.mode, Mode::Manual) {
            return true;
        }
        self.is_run_here()
    }

    /// Whether the calling thread is inside an event.
    pub(crate) fn is_run_here(&self) -> bool {
        lock(&self.state).runner == Some(thread::current().id())
    }

    /// Runs one event, or waits for one, or for the lane's [`waker`](Lane::waker) to be woken since
    /// `seen`, until the deadline at most. Returns what was seen, for the next call, and whether an
    /// event ran.
    pub(crate) fn turn(&self, seen: u64, until: Option<Instant>) -> (u64, bool) {
        let mut state = lock(&self.state);
        loop {
            if let Some((subject, event)) = state.next() {
                self.run(state, subject, event);
                return (seen, true);
            }
            if state.rung != seen {
                return (state.rung, false);
            }
            state = match until {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return (seen, false);
                    }
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// How many events are queued.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.state).events.len()
    }

    /// What [`turn`](Lane::turn) has to be given the first time.
    pub(crate) fn seen(&self) -> u64 {
        lock(&self.state).rung
    }

    /// Wakes a thread in [`turn`](Lane::turn).
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::new(Bell(Arc::clone(self))))
    }

    /// What is queued still runs; the lane's thread ends after that.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    /// Runs everything that is queued, unless somebody does already: another thread, or this one
    /// further up, when an executor runs what an event posts right there.
    fn drain(&self) {
        loop {
            let mut state = lock(&self.state);
            if state.runner.is_some() {
                return;
            }
            let Some((subject, event)) = state.next() else { return };
            self.run(state, subject, event);
        }
    }

    /// The life of a serial lane's thread.
    fn serve(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some((subject, event)) = state.next() {
                self.run(state, subject, event);
                state = lock(&self.state);
                continue;
            }
            if state.closed && state.events.is_empty() {
                break;
            }
            let (guard, waited) =
                self.changed.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            if waited.timed_out() && state.events.is_empty() {
                break;
            }
        }
        state.scheduled = false;
    }

    /// Runs one event without the lock. A panic is contained here.
    fn run(&self, mut state: crate::sync::MutexGuard<'_, State>, subject: Subject, event: Event) {
        state.runner = Some(thread::current().id());
        state.running.push(subject);
        drop(state);
        contain(event);
        let mut state = lock(&self.state);
        state.running.pop();
        if state.running.is_empty() {
            state.runner = None;
        }
        let more = state.runner.is_none() && !state.events.is_empty();
        drop(state);
        if more {
            self.changed.notify_all();
        }
    }
}

impl State {
    /// The next event that the calling thread may run now.
    fn next(&mut self) -> Option<(Subject, Event)> {
        match self.runner {
            None => self.events.pop_front(),
            Some(id) if id == thread::current().id() => {
                let free = |subject: Subject| subject == Subject::NONE || !self.running.contains(&subject);
                let index = self.events.iter().position(|(subject, _)| free(*subject))?;
                self.events.remove(index)
            }
            Some(_) => None,
        }
    }
}

struct Bell(Arc<Lane>);

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        lock(&self.0.state).rung += 1;
        self.0.changed.notify_all();
    }
}

/// Runs code of the user's; a panic in it is reported in the log and goes no further.
pub(crate) fn contain<T>(run: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Some(value),
        Err(panic) => {
            let what = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            log::error!("a callback panicked: {what}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::unbounded;

    #[test]
    fn a_serial_lane_keeps_the_order() {
        let lane = Lane::new(Mode::Serial);
        let (sender, receiver) = unbounded();
        for n in 0..100 {
            let sender = sender.clone();
            lane.post(Subject::NONE, Box::new(move || sender.send(n).expect("a receiver")));
        }
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        lane.close();
    }

    #[test]
    fn an_inline_lane_runs_on_the_poster_and_never_nests_by_itself() {
        let lane = Lane::new(Mode::Inline);
        let (sender, receiver) = unbounded();
        let (inner, inner_sender) = (Arc::clone(&lane), sender.clone());
        lane.post(
            Subject::NONE,
            Box::new(move || {
                let late = inner_sender.clone();
                inner.post(Subject::NONE, Box::new(move || late.send("second").expect("a receiver")));
                inner_sender.send("first").expect("a receiver");
            }),
        );
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["first", "second"]);
    }

    #[test]
    fn an_executor_that_runs_things_at_once_nests_nothing() {
        let lane = Lane::new(Mode::Executor(Box::new(|run| run())));
        let (sender, receiver) = unbounded();
        let (inner, inner_sender) = (Arc::clone(&lane), sender.clone());
        lane.post(
            Subject::NONE,
            Box::new(move || {
                let late = inner_sender.clone();
                inner.post(Subject::NONE, Box::new(move || late.send("second").expect("a receiver")));
                inner_sender.send("first").expect("a receiver");
            }),
        );
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["first", "second"]);
    }

    #[test]
    fn a_panic_of_the_executor_loses_no_event() {
        let lane = Lane::new(Mode::Executor(Box::new(|_| panic!("in an executor"))));
        let (sender, receiver) = unbounded();
        for n in 0..2 {
            let sender = sender.clone();
            lane.post(Subject::NONE, Box::new(move || sender.send(n).expect("a receiver")));
        }
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_panic_is_contained() {
        let lane = Lane::new(Mode::Inline);
        lane.post(Subject::NONE, Box::new(|| panic!("in a callback")));
        let (sender, receiver) = unbounded();
        lane.post(Subject::NONE, Box::new(move || sender.send(()).expect("a receiver")));
        assert_eq!(receiver.try_recv(), Ok(()));
    }

    #[test]
    fn what_is_run_meanwhile_is_about_something_else() {
        let lane = Lane::new(Mode::Inline);
        let (sender, receiver) = unbounded();
        let [one, other] = [Arc::new(1), Arc::new(2)];
        let (inner, outer_sender, subject) = (Arc::clone(&lane), sender.clone(), Subject::of(&one));
        let others = Subject::of(&other);
        lane.post(
            subject,
            Box::new(move || {
                for (subject, name) in [(subject, "the same"), (others, "another"), (Subject::NONE, "none")] {
                    let sender = outer_sender.clone();
                    inner.post(subject, Box::new(move || sender.send(name).expect("a receiver")));
                }
                while inner.turn(inner.seen(), Some(Instant::now())).1 {}
                outer_sender.send("outer").expect("a receiver");
            }),
        );
        assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["another", "none", "outer", "the same"]);
    }

    #[test]
    fn a_manual_lane_waits_for_its_pump() {
        let lane = Lane::new(Mode::Manual);
        let (sender, receiver) = unbounded();
        lane.post(Subject::NONE, Box::new(move || sender.send(()).expect("a receiver")));
        assert!(receiver.try_recv().is_err());
        let (_, ran) = lane.turn(lane.seen(), Some(Instant::now()));
        assert!(ran);
        assert_eq!(receiver.try_recv(), Ok(()));
    }
}
