//! Claim and lend: one piece of work, carried on by one thread at a time, settled exactly once.
//!
//! A [`Claim`] holds the work while nobody runs it. Whoever wants to run it (a worker of the pool, a
//! thread that waits for the result and lends itself, the one who cancels) claims it, and so takes
//! it out; everybody else finds it gone. A notification that comes while it runs is remembered.
//!
//! ```text
//!            notify                 claim
//!   Resting ────────▶ Queued ─────────────────▶ Running ──▶ Finished
//!      ▲  └──────────────── claim ──────────────▶  │  ▲
//!      └──────────────── give_back ────────────────┘  │ give_back after a notification:
//!                                                     └─ the work stays with who runs it
//! ```
//!
//! The outcome is set once, by whoever comes first: the run that ended, or the one who cancels. It
//! is independent of who holds the work, so `cancel` takes effect at once even while another thread
//! sits in a system call with it.

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Instant, Mutex, MutexGuard, lock};
use std::task::Waker;

/// Why work rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It can go on: nobody has started it, or its runner had no more time. A thread that lends
    /// itself may take it.
    Ready,
    /// It is parked: a socket has to become ready. A thread that lends itself may take it over.
    Parked,
    /// It waits for an event (an answer, a turn, a name), until the deadline at most.
    Waiting(Option<Instant>),
    /// A reader owns it between two reads. Only the reader and the one who cancels may claim it.
    Held,
}

#[derive(Debug)]
enum Phase {
    Resting(Rest),
    Queued,
    Running { notified: bool },
    Finished,
}

/// What [`Claim::notify`] asks its caller to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Notify {
    /// Somebody takes care of it already.
    Nothing,
    /// Put the job into the pool's queue.
    Enqueue,
}

/// What a thread that lends itself gets.
pub(crate) enum Lend<W, O> {
    /// The work: run it.
    Work(W),
    /// It is over.
    Outcome(O),
    /// The time is up.
    Expired,
}

/// What is left to do for the last lender that leaves.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Leave {
    /// Nothing.
    Nothing,
    /// The work waits for an event, and nobody but the one who will notify it knows of it.
    Keep,
    /// The work can go on, or has a deadline, and only lenders looked after it: enqueue it.
    Enqueue,
}

/// See the module's documentation.
pub(crate) struct Claim<W, O> {
    state: Mutex<State<W, O>>,
    changed: Condvar,
    settled: AtomicBool,
}

struct State<W, O> {
    phase: Phase,
    work: Option<W>,
    outcome: Option<O>,
    lenders: usize,
    /// Lenders asleep on the condition variable: nobody is woken for nothing.
    asleep: usize,
    bells: Vec<Waker>,
}

impl<W, O: Clone> Claim<W, O> {
    pub(crate) fn new(work: W) -> Self {
        Claim {
            state: Mutex::new(State {
                phase: Phase::Resting(Rest::Ready),
                work: Some(work),
                outcome: None,
                lenders: 0,
                asleep: 0,
                bells: Vec::new(),
            }),
            changed: Condvar::new(),
            settled: AtomicBool::new(false),
        }
    }

    /// Whether there is an outcome. Cheap: asked before every step of the work.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Acquire)
    }

    /// The outcome, if there is one.
    pub(crate) fn outcome(&self) -> Option<O> {
        if self.is_settled() { lock(&self.state).outcome.clone() } else { None }
    }

    /// Sets the outcome. False if there is one already: it stays as it is.
    pub(crate) fn settle(&self, outcome: O) -> bool {
        let mut state = lock(&self.state);
        if state.outcome.is_some() {
            return false;
        }
        state.outcome = Some(outcome);
        self.settled.store(true, Ordering::Release);
        self.ring(state);
        true
    }

    /// Something happened that the work may be waiting for.
    pub(crate) fn notify(&self) -> Notify {
        let mut state = lock(&self.state);
        match &mut state.phase {
            // Its reader looks for itself.
            Phase::Resting(Rest::Held) => Notify::Nothing,
            Phase::Resting(_) => {
                state.phase = Phase::Queued;
                if state.lenders > 0 {
                    self.ring(state);
                    Notify::Nothing
                } else {
                    Notify::Enqueue
                }
            }
            Phase::Running { notified } => {
                *notified = true;
                Notify::Nothing
            }
            Phase::Queued | Phase::Finished => Notify::Nothing,
        }
    }

    /// Asks whoever runs the work to look up before it waits. Does nothing if nobody does.
    pub(crate) fn notify_running(&self) {
        if let Phase::Running { notified } = &mut lock(&self.state).phase {
            *notified = true;
        }
    }

    /// For a worker that met the job in the queue: the work, unless somebody else has it.
    pub(crate) fn claim_queued(&self) -> Option<W> {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Queued => state.take(),
            _ => None,
        }
    }

    /// For the reader of a body and the one who cancels: the work, unless it is running.
    pub(crate) fn claim_any(&self) -> Option<W> {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Queued | Phase::Resting(_) => state.take(),
            _ => None,
        }
    }

    /// Puts the work to rest. If a notification came meanwhile the work comes back: go on with it.
    pub(crate) fn give_back(&self, work: W, rest: Rest) -> Option<W> {
        let mut state = lock(&self.state);
        match state.phase {
            // Whoever settled it while we ran could not claim the work: it is ours to end.
            _ if state.outcome.is_some() => Some(work),
            Phase::Running { notified: true } => {
                state.phase = Phase::Running { notified: false };
                Some(work)
            }
            _ => {
                state.phase = Phase::Resting(rest);
                state.work = Some(work);
                if state.lenders > 0 {
                    self.ring(state);
                }
                None
            }
        }
    }

    /// The work is over and gone.
    pub(crate) fn finish(&self) {
        let mut state = lock(&self.state);
        state.phase = Phase::Finished;
        state.work = None;
    }

    /// A thread begins to wait for the outcome: from now on notifications are its business.
    pub(crate) fn enter(&self) {
        lock(&self.state).lenders += 1;
    }

    /// The thread waits no longer. What only lenders looked after is handed over.
    pub(crate) fn leave(&self) -> Leave {
        let mut state = lock(&self.state);
        state.lenders -= 1;
        if state.lenders > 0 {
            return Leave::Nothing;
        }
        match state.phase {
            Phase::Queued => Leave::Enqueue,
            // For a deadline a worker sees to it that it is watched. To do so here, after the lock,
            // could undo what a worker that was faster has arranged.
            Phase::Resting(Rest::Ready | Rest::Waiting(Some(_))) => {
                state.phase = Phase::Queued;
                Leave::Enqueue
            }
            Phase::Resting(Rest::Waiting(None)) => Leave::Keep,
            _ => Leave::Nothing,
        }
    }

    /// Waits until there is work to run, an outcome, or the time is up. `held`: work that is held for
    /// its reader may be claimed, because the caller is the reader.
    pub(crate) fn lend(&self, until: Option<Instant>, held: bool) -> Lend<W, O> {
        let mut state = lock(&self.state);
        loop {
            let deadline = match state.try_lend(until, held) {
                Ok(lend) => return lend,
                Err(deadline) => deadline,
            };
            state.asleep += 1;
            state = wait(&self.changed, state, deadline);
            state.asleep -= 1;
        }
    }

    /// As [`lend`](Claim::lend), without waiting: the waker is woken when it is worth asking again,
    /// and the deadline says when it is so at the latest.
    pub(crate) fn try_lend(
        &self,
        until: Option<Instant>,
        held: bool,
        bell: &Waker,
    ) -> Result<Lend<W, O>, Option<Instant>> {
        let mut state = lock(&self.state);
        let result = state.try_lend(until, held);
        match &result {
            Err(_) => state.add_bell(bell),
            // Who polls again and again brings another bell each time.
            Ok(_) => state.bells.retain(|known| !known.will_wake(bell)),
        }
        result
    }

    /// Has the waker woken when the outcome is set, or when it is worth looking again.
    pub(crate) fn on_change(&self, bell: &Waker) {
        let mut state = lock(&self.state);
        if state.outcome.is_some() {
            drop(state);
            bell.wake_by_ref();
        } else {
            state.add_bell(bell);
        }
    }

    /// Wakes everybody who waits, after the lock is let go.
    fn ring(&self, mut state: MutexGuard<'_, State<W, O>>) {
        let bells = std::mem::take(&mut state.bells);
        let asleep = state.asleep > 0;
        drop(state);
        if asleep {
            self.changed.notify_all();
        }
        bells.into_iter().for_each(Waker::wake);
    }
}

impl<W, O: Clone> State<W, O> {
    fn take(&mut self) -> Option<W> {
        let work = self.work.take();
        if work.is_some() {
            self.phase = Phase::Running { notified: false };
        }
        work
    }

    fn add_bell(&mut self, bell: &Waker) {
        if !self.bells.iter().any(|known| known.will_wake(bell)) {
            self.bells.push(bell.clone());
        }
    }

    /// What there is for a lender, or the time until which it may sleep.
    fn try_lend(&mut self, until: Option<Instant>, held: bool) -> Result<Lend<W, O>, Option<Instant>> {
        if let Some(outcome) = &self.outcome {
            return Ok(Lend::Outcome(outcome.clone()));
        }
        // First of all, or a thread whose time is up would take up again what it has just parked.
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(Lend::Expired);
        }
        let mut deadline = until;
        match self.phase {
            Phase::Queued | Phase::Resting(Rest::Ready | Rest::Parked) => {
                if let Some(work) = self.take() {
                    return Ok(Lend::Work(work));
                }
            }
            Phase::Resting(Rest::Held) if held => {
                if let Some(work) = self.take() {
                    return Ok(Lend::Work(work));
                }
            }
            Phase::Resting(Rest::Waiting(Some(at))) => {
                if Instant::now() >= at {
                    if let Some(work) = self.take() {
                        return Ok(Lend::Work(work));
                    }
                }
                deadline = Some(until.map_or(at, |until| until.min(at)));
            }
            _ => {}
        }
        Err(deadline)
    }
}

/// One wait on a condition variable, until the deadline at most.
fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, deadline: Option<Instant>) -> MutexGuard<'a, T> {
    use std::sync::PoisonError;
    match deadline {
        None => condvar.wait(guard).unwrap_or_else(PoisonError::into_inner),
        Some(at) => {
            let left = at.saturating_duration_since(Instant::now());
            condvar.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Arc;
    use std::task::Wake;

    struct Bell;

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn a_lender_that_leaves_takes_its_bell_along() {
        let claim: Claim<(), ()> = Claim::new(());
        let Some(()) = claim.claim_any() else { panic!("nobody has it") };
        let bell = Arc::new(Bell);
        let waker = Waker::from(Arc::clone(&bell));
        assert!(claim.try_lend(None, false, &waker).is_err());
        assert_eq!(Arc::strong_count(&bell), 3);
        assert!(matches!(claim.try_lend(Some(Instant::now()), false, &waker), Ok(Lend::Expired)));
        assert_eq!(Arc::strong_count(&bell), 2);
    }
}
