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
    /// Nobody has started it. A thread that lends itself may take it.
    Unstarted,
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

/// What a thread that lends itself may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Until when it stays.
    pub(crate) until: Option<Instant>,
    /// It is the reader, for whom work is held.
    pub(crate) reader: bool,
    /// Work that a worker is about to carry on, too: queued or parked.
    pub(crate) take_over: bool,
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
    /// Lenders were told that it is queued, and the pool was not.
    entrusted: bool,
    /// Lenders asleep on the condition variable: nobody is woken for nothing.
    asleep: usize,
    /// Those of them that take work over.
    takers: usize,
    bells: Vec<Waker>,
}

impl<W, O: Clone> Claim<W, O> {
    pub(crate) fn new(work: W) -> Self {
        Claim {
            state: Mutex::new(State {
                phase: Phase::Resting(Rest::Unstarted),
                work: Some(work),
                outcome: None,
                lenders: 0,
                entrusted: false,
                asleep: 0,
                takers: 0,
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
                state.entrusted = state.lenders > 0;
                if state.entrusted {
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

    /// For the reader of a body that has not got it yet: the work, if it waits for its reader.
    pub(crate) fn claim_held(&self) -> Option<W> {
        let mut state = lock(&self.state);
        match state.phase {
            Phase::Resting(Rest::Held) => state.take(),
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
                // Parked work is looked after by a worker: only who would take it over is woken. A
                // reader may be waiting for what is held without lending itself.
                let wanted = match rest {
                    Rest::Parked => state.takers > 0 || !state.bells.is_empty(),
                    Rest::Held => true,
                    Rest::Unstarted | Rest::Waiting(_) => state.lenders > 0,
                };
                if wanted {
                    self.ring(state);
                }
                None
            }
        }
    }

    /// Puts the work behind what else is queued, notified or not. It comes back if there is an outcome.
    pub(crate) fn requeue(&self, work: W) -> Result<Notify, W> {
        let mut state = lock(&self.state);
        if state.outcome.is_some() {
            return Err(work);
        }
        state.phase = Phase::Queued;
        state.work = Some(work);
        state.entrusted = state.lenders > 0;
        if state.entrusted {
            self.ring(state);
            return Ok(Notify::Nothing);
        }
        Ok(Notify::Enqueue)
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
            Phase::Resting(Rest::Unstarted | Rest::Waiting(Some(_))) => {
                state.phase = Phase::Queued;
                Leave::Enqueue
            }
            Phase::Resting(Rest::Waiting(None)) => Leave::Keep,
            _ => Leave::Nothing,
        }
    }

    /// Waits until there is work to run, an outcome, or the time is up.
    pub(crate) fn lend(&self, terms: Terms) -> Lend<W, O> {
        let mut state = lock(&self.state);
        loop {
            let deadline = match state.try_lend(terms) {
                Ok(lend) => return lend,
                Err(deadline) => deadline,
            };
            let takes = usize::from(terms.take_over);
            state.asleep += 1;
            state.takers += takes;
            state = wait(&self.changed, state, deadline);
            state.asleep -= 1;
            state.takers -= takes;
        }
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

    /// The waker is not interested any more.
    pub(crate) fn forget(&self, bell: &Waker) {
        lock(&self.state).bells.retain(|known| !known.will_wake(bell));
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
    fn try_lend(&mut self, terms: Terms) -> Result<Lend<W, O>, Option<Instant>> {
        let Terms { until, reader, take_over } = terms;
        if let Some(outcome) = &self.outcome {
            return Ok(Lend::Outcome(outcome.clone()));
        }
        let mut deadline = until;
        match self.phase {
            // However short the wait is to be, it starts what nobody has started.
            Phase::Resting(Rest::Unstarted) => {
                if let Some(work) = self.take() {
                    return Ok(Lend::Work(work));
                }
            }
            // What this thread has just put to rest it must not take up again for ever.
            _ if until.is_some_and(|until| Instant::now() >= until) => return Ok(Lend::Expired),
            // What was notified while a lender looked after it is in nobody's queue.
            Phase::Queued if take_over || self.entrusted => {
                if let Some(work) = self.take() {
                    return Ok(Lend::Work(work));
                }
            }
            Phase::Resting(Rest::Parked) if take_over => {
                if let Some(work) = self.take() {
                    return Ok(Lend::Work(work));
                }
            }
            Phase::Resting(Rest::Held) if reader => {
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
    use std::time::Duration;

    fn until(until: Option<Instant>) -> Terms {
        Terms { until, reader: false, take_over: true }
    }

    #[test]
    fn a_lender_whose_time_is_up_leaves_parked_work_alone() {
        let claim: Claim<&str, ()> = Claim::new("work");
        claim.enter();
        let past = Some(Instant::now() - Duration::from_secs(1));
        let Lend::Work(work) = claim.lend(until(past)) else { panic!("what is unstarted is started") };
        assert!(claim.give_back(work, Rest::Parked).is_none());
        assert!(matches!(claim.lend(until(past)), Lend::Expired));
        assert_eq!(claim.leave(), Leave::Nothing);
    }

    #[test]
    fn what_only_an_impatient_lender_was_told_goes_to_the_pool() {
        let claim: Claim<&str, ()> = Claim::new("work");
        claim.enter();
        let past = Some(Instant::now() - Duration::from_secs(1));
        let Lend::Work(work) = claim.lend(until(past)) else { panic!("what is unstarted is started") };
        assert!(claim.give_back(work, Rest::Waiting(None)).is_none());
        assert_eq!(claim.notify(), Notify::Nothing);
        assert!(matches!(claim.lend(until(past)), Lend::Expired));
        assert_eq!(claim.leave(), Leave::Enqueue);
        assert_eq!(claim.claim_queued(), Some("work"));
    }

    #[test]
    fn work_that_yields_goes_to_a_lender_that_takes_nothing_over() {
        let claim: Claim<&str, ()> = Claim::new("work");
        assert_eq!(claim.notify(), Notify::Enqueue);
        claim.enter();
        let Some(work) = claim.claim_queued() else { panic!("a worker takes it") };
        assert_eq!(claim.requeue(work), Ok(Notify::Nothing));
        let lent =
            claim.lend(Terms { take_over: false, ..until(Some(Instant::now() + Duration::from_secs(10))) });
        assert!(matches!(lent, Lend::Work("work")), "the lender was told and the pool was not");
    }
}
