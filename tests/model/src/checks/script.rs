//! Work that does what a check wrote down, a session without a network around it, and the books
//! that both keep.

use crate::engine::events::{Lane, Mode as LaneMode, Subject};
use crate::engine::pool::Pool;
use crate::error::{Error, ErrorKind};
use crate::metrics::TaskMetrics;
use crate::response::Response;
use crate::resume::ResumeData;
use crate::storage::Stores;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Instant, pick, thread};
use crate::sys::{Interest, Socket, poll_sockets};
use crate::task::core::{Advance, Context, Kind, Mode, Outcome, ReadStep, TaskCore, Work};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// What the work does next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Waits until the event has happened.
    Event(usize),
    /// Asks on the delegate lane, and waits for the answer.
    Ask(usize),
    /// Waits until the time is there. Nobody wakes it.
    Until(Instant),
    /// Waits until the event has happened or a byte is there, until then at most.
    Listen(usize, Option<Instant>),
    /// Says that data has moved.
    Move,
    /// Fails, with something to go on with.
    Fail,
    /// Takes so many bytes from the socket.
    Receive(usize),
    /// Lets others have a turn.
    Yield,
    /// The body: for the reader if there is one.
    Body(usize),
}

/// What happens around a task, and what is counted.
pub(crate) struct World {
    pub(crate) socket: Arc<Socket>,
    events: [AtomicUsize; 4],
    awaited: [AtomicUsize; 4],
    pub(crate) ended: AtomicUsize,
    reported: AtomicUsize,
}

impl World {
    pub(crate) fn new() -> Arc<World> {
        Arc::new(World {
            socket: Socket::new(),
            events: Default::default(),
            awaited: Default::default(),
            ended: AtomicUsize::new(0),
            reported: AtomicUsize::new(0),
        })
    }

    /// Whether it has; and if not the task will be told.
    fn has_happened(&self, event: usize) -> bool {
        self.awaited[event].store(1, Ordering::SeqCst);
        self.events[event].load(Ordering::SeqCst) > 0
    }

    /// An event happens, and the task is told if it waits for it.
    pub(crate) fn happen(&self, event: usize, core: &Arc<TaskCore>) {
        self.events[event].fetch_add(1, Ordering::SeqCst);
        if self.awaited[event].load(Ordering::SeqCst) > 0 {
            core.wake();
        }
    }

    /// Whether the work was let go of, once, and the end reported, once.
    pub(crate) fn assert_ended(&self) {
        assert_eq!(self.ended.load(Ordering::SeqCst), 1, "the work ends exactly once");
        assert_eq!(self.reported.load(Ordering::SeqCst), 1, "the end is reported exactly once");
    }
}

/// Work that follows a list of steps.
struct Script {
    steps: VecDeque<Step>,
    asked: bool,
    world: Arc<World>,
}

impl Script {
    /// Receives up to so many bytes; `None` if nothing is there. A thread that lends itself may wait
    /// for them in the system call, as for a response, or leave that to its caller, as for a
    /// connection.
    fn receive(&self, core: &Arc<TaskCore>, most: usize, mode: Mode) -> Option<Result<usize, Error>> {
        let socket = &self.world.socket;
        if let (Mode::Blocking { until }, 0) = (mode, pick(2)) {
            core.set_interrupt(Some(socket));
            if core.is_settled() {
                return Some(Err(Error::cancelled()));
            }
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            poll_sockets(&[(socket, Interest::READ)], left).expect("sockets");
            core.set_interrupt(None);
        }
        match socket.recv(most) {
            Ok(0) => Some(Err(Error::new(ErrorKind::NetworkConnectionLost, "the end"))),
            Ok(count) => Some(Ok(count)),
            Err(_) => None,
        }
    }

    /// `None` if it is done with the step, else what to wait for.
    fn step(&mut self, step: Step, core: &Arc<TaskCore>, mode: Mode) -> Option<Advance> {
        match step {
            Step::Event(event) => (!self.world.has_happened(event)).then_some(Advance::Wait(None)),
            Step::Ask(event) => {
                if !std::mem::replace(&mut self.asked, true) {
                    let (world, asker) = (Arc::clone(&self.world), Arc::clone(core));
                    core.context.post(Subject::of(core), Box::new(move || world.happen(event, &asker)));
                }
                if self.world.has_happened(event) {
                    self.asked = false;
                    return None;
                }
                Some(Advance::Wait(None))
            }
            Step::Listen(event, until) => (!self.hears(event, until)).then_some(Advance::Listen(until)),
            Step::Fail => {
                let error = Error::new(ErrorKind::NetworkConnectionLost, "the end");
                Some(Advance::Done(Err(error.with_resume_data(ResumeData))))
            }
            Step::Move => {
                core.moved(Instant::now());
                core.moved_out(Instant::now());
                None
            }
            Step::Until(at) => (Instant::now() < at).then_some(Advance::Wait(Some(at))),
            Step::Yield => {
                self.steps.pop_front();
                Some(Advance::Yield)
            }
            Step::Body(_) if core.is_streaming() => Some(Advance::Streaming),
            Step::Receive(left) | Step::Body(left) => match self.receive(core, left, mode) {
                None => Some(Advance::Park(None)),
                Some(Err(error)) => Some(Advance::Done(Err(error))),
                Some(Ok(count)) if count == left => None,
                Some(Ok(count)) => {
                    self.received(count);
                    self.step(*self.steps.front()?, core, mode)
                }
            },
        }
    }

    /// Whether what is listened for is there.
    fn hears(&self, event: usize, until: Option<Instant>) -> bool {
        self.world.has_happened(event)
            || self.world.socket.recv(1).is_ok()
            || until.is_some_and(|until| Instant::now() >= until)
    }

    fn received(&mut self, count: usize) {
        if let Some(Step::Receive(left) | Step::Body(left)) = self.steps.front_mut() {
            *left -= count;
        }
    }
}

impl Work for Script {
    fn advance(&mut self, core: &Arc<TaskCore>, mode: Mode) -> Advance {
        loop {
            if core.is_settled() {
                return Advance::Done(Err(Error::cancelled()));
            }
            if core.is_suspended() {
                return Advance::Wait(None);
            }
            let Some(&step) = self.steps.front() else {
                return Advance::Done(Ok(Response(Bytes::new())));
            };
            match self.step(step, core, mode) {
                None => drop(self.steps.pop_front()),
                Some(advance) => return advance,
            }
        }
    }

    fn read(&mut self, core: &Arc<TaskCore>, buffer: &mut [u8], mode: Mode) -> ReadStep {
        if core.is_suspended() {
            return ReadStep::Wait(None);
        }
        // A body may be followed by a pause and more of it.
        let left = loop {
            match self.steps.front() {
                None => return ReadStep::Done(Ok(Response(Bytes::new()))),
                Some(&Step::Body(left)) if left > 0 => break left,
                Some(&Step::Listen(event, until)) if !self.hears(event, until) => {
                    return ReadStep::Listen(until);
                }
                Some(Step::Body(_) | Step::Listen(..)) => drop(self.steps.pop_front()),
                Some(step) => panic!("read where there is no body, but {step:?}"),
            }
        };
        match self.receive(core, left.min(buffer.len()), mode) {
            None => ReadStep::Park(None),
            Some(Err(error)) => ReadStep::Done(Err(error)),
            Some(Ok(count)) => {
                self.received(count);
                ReadStep::Bytes(count)
            }
        }
    }

    fn sources(&self, each: &mut dyn FnMut(&Arc<Socket>, Interest)) {
        if let Some(Step::Receive(_) | Step::Body(_) | Step::Listen(..)) = self.steps.front() {
            each(&self.world.socket, Interest::READ);
        }
    }

    fn end(self: Box<Self>, core: &Arc<TaskCore>) -> TaskMetrics {
        if core.is_resume_wanted() {
            core.set_resume_data(Some(ResumeData));
        }
        self.world.ended.fetch_add(1, Ordering::SeqCst);
        TaskMetrics
    }
}

/// A session's inside.
pub(crate) fn context(mode: LaneMode, workers: usize) -> Arc<Context> {
    use crate::configuration::Configuration;
    use crate::connection::{idle::Origins, resolve::Names};
    let origins = Origins::new(6, Duration::from_secs(1), 6);
    let pool = Pool::new(workers, Box::new(|| {}));
    Arc::new(Context::new(
        Configuration,
        Vec::new(),
        Ok(Stores),
        pool,
        (Lane::new(mode), true),
        origins,
        Names,
    ))
}

/// A task that follows the steps.
pub(crate) fn task(context: &Arc<Context>, world: &Arc<World>, steps: &[Step]) -> Arc<TaskCore> {
    let script = Script { steps: steps.to_vec().into(), asked: false, world: Arc::clone(world) };
    let core = TaskCore::new(context, Kind::Data, crate::Request, Box::new(script), None);
    let reported = Arc::clone(world);
    core.on_end(Box::new(move |_| {
        reported.reported.fetch_add(1, Ordering::SeqCst);
    }));
    core
}

/// Waits for the end of a task without lending the thread.
pub(crate) fn completed(core: &Arc<TaskCore>) -> Outcome {
    let (sender, receiver) = shuttle::sync::mpsc::channel();
    core.on_end(Box::new(move |outcome| sender.send(outcome).expect("a receiver")));
    receiver.recv().expect("an outcome")
}

/// The session ends: nothing is left of its tasks, and all threads go.
pub(crate) fn finish(context: Arc<Context>) {
    context.pool.shared().close();
    while thread::workers() > 0 {
        thread::yield_now();
    }
    assert!(context.registry.tasks().is_empty(), "a task that ended is not kept");
    assert!(context.pool.watch().is_empty(), "a task that ended is not watched");
}
