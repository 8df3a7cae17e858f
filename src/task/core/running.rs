//! Running: the pool runs the work, a thread that waits lends itself, a reader pulls, and what has to
//! wait is parked.

use super::{Advance, Mode, Outcome, ReadStep, TaskCore, Work, internal, within_own_event};
use crate::engine::claim::{Leave, Lend, Notify, Rest, Terms};
use crate::engine::events::contain;
use crate::engine::pool::Job;
use crate::engine::watch::Sources;
use crate::error::{Error, ErrorKind};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, Instant, lock};
use crate::sys::{self, Interest, Socket};
use std::task::{Wake, Waker};

/// What `open` found.
pub(crate) enum Opened {
    /// The head is there; the body is read by [`TaskCore::read`].
    Streaming,
    /// It was over already.
    Outcome(Outcome),
    /// Somebody else has the body.
    Taken,
}

enum Lent {
    Outcome(Outcome),
    Streaming(Box<dyn Work>),
}

impl TaskCore {
    /// Something the task waits for happened.
    pub(crate) fn wake(self: &Arc<Self>) {
        if self.claim.notify() == Notify::Enqueue {
            self.context.pool.shared().push(Arc::clone(self) as Arc<dyn Job>);
        }
    }

    /// A waker for lower rooms, which do not know tasks.
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::new(Ring(Arc::clone(self))))
    }

    /// Waits for the outcome, and runs the work on this thread if nobody else does.
    pub(crate) fn wait(self: &Arc<Self>, until: Option<Instant>) -> Option<Outcome> {
        if let Some(outcome) = self.claim.outcome() {
            return Some(outcome);
        }
        if self.is_told_here() {
            return Some(Err(within_own_event()));
        }
        let fresh = self.count_start();
        self.lend(until, false, fresh).map(|lent| match lent {
            Lent::Outcome(outcome) => outcome,
            // Only asked for by `open`.
            Lent::Streaming(_) => Err(Error::new(ErrorKind::Unknown, "a body without a reader")),
        })
    }

    /// Waits for the head, with the body left to be read; or for the outcome if there is no more.
    pub(crate) fn open(self: &Arc<Self>) -> Opened {
        if self.is_told_here() {
            return Opened::Outcome(Err(within_own_event()));
        }
        self.bypass.store(true, Ordering::Release);
        if self.streaming.swap(true, Ordering::AcqRel) {
            return Opened::Taken;
        }
        let fresh = self.count_start();
        // A worker that collects the body has to be told to stop.
        self.wake_running();
        match self.lend(None, true, fresh) {
            Some(Lent::Streaming(work)) => {
                // From here to its drop the reader looks after the task, as a lender would.
                self.claim.enter();
                self.rest(work, Rest::Held);
                Opened::Streaming
            }
            Some(Lent::Outcome(outcome)) => Opened::Outcome(outcome),
            None => Opened::Taken,
        }
    }

    pub(super) fn wake_running(self: &Arc<Self>) {
        if !self.claim.is_settled() && lock(&self.shared).started {
            self.claim.notify_running();
        }
    }

    /// `fresh`: this call has started the task, so there is nobody to take it over from.
    fn lend(self: &Arc<Self>, until: Option<Instant>, held: bool, fresh: bool) -> Option<Lent> {
        if self.context.lane.is_mine() {
            return self.attend(until, held);
        }
        self.claim.enter();
        let lenders = self.context.lenders.fetch_add(1, Ordering::Relaxed) + 1;
        let lent = loop {
            // One thread that waits for one of very many leaves them to the workers, which serve
            // what is ready in one go. Where there are about as many threads as tasks each runs its
            // own, and the hop from a worker is saved.
            let take_over = fresh || self.context.pool.load() <= 2 * lenders;
            match self.claim.lend(Terms { until, reader: held, take_over }) {
                Lend::Outcome(outcome) => break Some(Lent::Outcome(outcome)),
                Lend::Expired => break None,
                Lend::Work(work) => match self.run_lent(work, until) {
                    Some(work) if held => break Some(Lent::Streaming(work)),
                    Some(work) => self.rest(work, Rest::Held),
                    None => {}
                },
            }
        };
        self.context.lenders.fetch_sub(1, Ordering::Relaxed);
        match self.claim.leave() {
            Leave::Nothing => {}
            Leave::Keep => self.keep(),
            Leave::Enqueue => {
                self.keep();
                self.context.pool.shared().push(Arc::clone(self) as Arc<dyn Job>);
            }
        }
        lent
    }

    /// Waits on the thread that runs the events of the session, and runs them meanwhile. It does not
    /// lend itself: sitting in a read, it would keep the events of other tasks waiting, on which
    /// this one may depend.
    fn attend(self: &Arc<Self>, until: Option<Instant>, held: bool) -> Option<Lent> {
        self.keep();
        self.wake();
        let lane = &self.context.lane;
        let (bell, mut seen) = (lane.waker(), lane.seen());
        loop {
            // The bell first, so that nothing is missed between the look and the sleep.
            self.claim.on_change(&bell);
            if let Some(outcome) = self.claim.outcome() {
                return Some(Lent::Outcome(outcome));
            }
            if held {
                if let Some(work) = self.claim.claim_held() {
                    return Some(Lent::Streaming(work));
                }
            }
            // However many events there are to run.
            if until.is_some_and(|until| Instant::now() >= until) {
                return None;
            }
            (seen, _) = lane.turn(seen, until);
        }
    }

    /// Runs the work on a thread that waits. Gives it back when the body waits for its reader.
    pub(super) fn run_lent(
        self: &Arc<Self>,
        mut work: Box<dyn Work>,
        until: Option<Instant>,
    ) -> Option<Box<dyn Work>> {
        loop {
            if self.claim.is_settled() {
                self.conclude(work, None);
                return None;
            }
            let step = contain(|| work.advance(self, Mode::Blocking { until }));
            match step.unwrap_or_else(|| Advance::Done(Err(internal()))) {
                Advance::Done(outcome) => {
                    self.conclude(work, Some(outcome));
                    return None;
                }
                Advance::Streaming => return Some(work),
                Advance::Yield => work = self.requeue(work)?,
                Advance::Wait(deadline) => work = self.claim.give_back(work, Rest::Waiting(deadline))?,
                Advance::Listen(deadline) => work = self.listen(work, deadline)?,
                Advance::Park(deadline) => {
                    if passed(until) {
                        // The caller leaves; a worker keeps the watch over it.
                        self.keep();
                        let parked = self.park_and_rest(work, deadline, Rest::Parked);
                        self.context.pool.shared().ensure_watch();
                        work = parked?;
                    } else {
                        self.poll(work.as_ref(), earliest(deadline, until));
                    }
                }
            }
        }
    }

    /// Reads from the body on the reader's thread.
    pub(crate) fn read(self: &Arc<Self>, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            let Some(mut work) = self.claim.claim_any() else {
                return match self.claim.outcome() {
                    Some(Ok(_)) => Ok(0),
                    Some(Err(error)) => Err(error),
                    None => {
                        Err(Error::new(ErrorKind::ResourceUnavailable, "the body is being read elsewhere"))
                    }
                };
            };
            loop {
                if self.claim.is_settled() {
                    self.conclude(work, None);
                    break;
                }
                let step = contain(|| work.read(self, buffer, Mode::Blocking { until: None }));
                match step.unwrap_or_else(|| ReadStep::Done(Err(internal()))) {
                    ReadStep::Bytes(count) => {
                        self.rest(work, Rest::Held);
                        return Ok(count);
                    }
                    ReadStep::Last(count, outcome) => {
                        self.conclude(work, Some(outcome));
                        return Ok(count);
                    }
                    ReadStep::Done(outcome) => {
                        self.conclude(work, Some(outcome));
                        break;
                    }
                    ReadStep::Park(deadline) => self.poll(work.as_ref(), deadline),
                    step @ (ReadStep::Wait(deadline) | ReadStep::Listen(deadline)) => {
                        let back = match step {
                            ReadStep::Wait(_) => self.claim.give_back(work, Rest::Waiting(deadline)),
                            _ => self.listen(work, deadline),
                        };
                        match back {
                            Some(back) => work = back,
                            None => {
                                match self.claim.lend(Terms { until: None, reader: true, take_over: true }) {
                                    Lend::Work(back) => work = back,
                                    _ => break,
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The reader is gone. What was not read is given up.
    pub(crate) fn close_reader(self: &Arc<Self>) {
        // What was read to its last byte is complete, though nobody asked for the end.
        if let Some(mut work) = self.claim.claim_any() {
            match contain(|| work.read(self, &mut [0], Mode::Parking)) {
                Some(ReadStep::Done(outcome @ Ok(_))) => self.conclude(work, Some(outcome)),
                _ => self.rest(work, Rest::Held),
            }
        }
        if !self.claim.is_settled() {
            self.cancel();
        }
        let _ = self.claim.leave();
    }

    /// Puts work to rest that nobody but its owner may carry on.
    pub(super) fn rest(self: &Arc<Self>, work: Box<dyn Work>, rest: Rest) {
        let mut work = Some(work);
        while let Some(back) = work.take() {
            if self.claim.is_settled() {
                self.conclude(back, None);
            } else {
                work = self.claim.give_back(back, rest);
            }
        }
    }

    /// Waits on this thread for the sockets of the work.
    pub(super) fn poll(&self, work: &dyn Work, deadline: Option<Instant>) {
        let mut sources: Vec<(Arc<Socket>, Interest)> = Vec::new();
        work.sources(&mut |socket, interest| sources.push((Arc::clone(socket), interest)));
        {
            let mut sockets = lock(&self.interrupt);
            sockets.clear();
            sockets.extend(sources.iter().map(|(socket, _)| Arc::clone(socket)));
        }
        if self.claim.is_settled() {
            return;
        }
        let borrowed: Vec<(&Socket, Interest)> =
            sources.iter().map(|(socket, interest)| (&**socket, *interest)).collect();
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if let Err(error) = sys::poll_sockets(&borrowed, timeout) {
            log::error!("waiting for sockets: {error}");
        }
    }

    pub(super) fn park(self: &Arc<Self>, sources: &mut Sources<'_>, deadline: Option<Instant>) {
        let job = Arc::clone(self) as Arc<dyn Job>;
        self.watched.store(true, Ordering::Release);
        if let Err(error) = self.context.pool.watch().park(self.id, job, sources, deadline) {
            // Out of file descriptors: without a watch the task would wait for ever.
            self.settle_and_conclude(Err(
                Error::new(ErrorKind::CannotConnectToHost, "watching a socket").with_source(error)
            ));
        }
    }

    pub(super) fn unpark(&self) {
        if self.watched.swap(false, Ordering::AcqRel) {
            self.context.pool.watch().unpark(self.id);
        }
    }

    /// Puts work to rest that waits for an event and for its sockets, on a thread that waits for it. A
    /// worker watches the sockets, because a thread sleeps in one place only.
    fn listen(self: &Arc<Self>, work: Box<dyn Work>, deadline: Option<Instant>) -> Option<Box<dyn Work>> {
        self.keep();
        self.park(&mut |each| work.sources(&mut |socket, interest| each(socket, interest)), deadline);
        let back = self.claim.give_back(work, Rest::Waiting(deadline));
        match back {
            Some(_) => self.unpark(),
            None => self.context.pool.shared().ensure_watch(),
        }
        back
    }

    /// Parks the work. It comes back if something happened meanwhile.
    pub(super) fn park_and_rest(
        self: &Arc<Self>,
        work: Box<dyn Work>,
        deadline: Option<Instant>,
        rest: Rest,
    ) -> Option<Box<dyn Work>> {
        let mut sources = |each: &mut dyn FnMut(&Socket, Interest)| {
            // What waits for an event has no use for its socket: a body whose delegate has no room.
            if rest == Rest::Parked {
                work.sources(&mut |socket, interest| each(socket, interest));
            }
        };
        self.park(&mut sources, deadline);
        let back = self.claim.give_back(work, rest);
        if back.is_some() {
            self.unpark();
        }
        back
    }

    /// Lets others go first. The work comes back if the task is over.
    pub(super) fn requeue(self: &Arc<Self>, work: Box<dyn Work>) -> Option<Box<dyn Work>> {
        match self.claim.requeue(work) {
            Err(work) => Some(work),
            Ok(Notify::Nothing) => None,
            Ok(Notify::Enqueue) => {
                self.context.pool.shared().push(Arc::clone(self) as Arc<dyn Job>);
                None
            }
        }
    }

    /// From now on the session keeps the task until it has completed.
    pub(super) fn keep(self: &Arc<Self>) {
        self.context.registry.keep(self.id, self);
    }
}

impl Job for TaskCore {
    fn run(self: Arc<Self>) {
        let Some(mut work) = self.claim.claim_queued() else { return };
        loop {
            if self.claim.is_settled() {
                return self.conclude(work, None);
            }
            let step = contain(|| work.advance(&self, Mode::Parking));
            let back = match step.unwrap_or_else(|| Advance::Done(Err(internal()))) {
                Advance::Done(outcome) => return self.conclude(work, Some(outcome)),
                Advance::Streaming => self.claim.give_back(work, Rest::Held),
                Advance::Park(deadline) | Advance::Listen(deadline) => {
                    self.park_and_rest(work, deadline, Rest::Parked)
                }
                Advance::Wait(Some(deadline)) => {
                    self.park_and_rest(work, Some(deadline), Rest::Waiting(Some(deadline)))
                }
                Advance::Wait(None) => self.claim.give_back(work, Rest::Waiting(None)),
                Advance::Yield => self.requeue(work),
            };
            match back {
                Some(back) => work = back,
                None => return,
            }
        }
    }

    fn notify(&self) -> bool {
        self.claim.notify() == Notify::Enqueue
    }
}

struct Ring(Arc<TaskCore>);

impl Wake for Ring {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.wake();
    }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn passed(at: Option<Instant>) -> bool {
    at.is_some_and(|at| Instant::now() >= at)
}
