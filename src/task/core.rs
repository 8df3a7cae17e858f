//! What the handles of a task and whoever runs it share, and what the tasks of a session share.
//!
//! Knows how a task is started, run, suspended, cancelled and ended, and not what it does: that is
//! the [`Work`], which the loader implements. Knows when the delegate has to be told something, and
//! not how: that is [`Events`], which the delegate chain implements.
//!
//! Locks, each taken alone: `TaskCore::shared`, `TaskCore::interrupt`, `Context::registry`. None is
//! held while work runs, a callback runs, or another lock of the crate is taken.

use crate::configuration::Configuration;
use crate::connection::idle::Origins;
use crate::connection::resolve::Names;
#[cfg(feature = "tls")]
use crate::connection::tls::TlsSettings;
use crate::connection::transport::Buffers;
use crate::disposition::{RedirectDecision, ResponseDisposition};
use crate::engine::claim::{Claim, Leave, Lend, Notify, Rest, Terms};
use crate::engine::events::{Event, Lane, Subject, contain};
use crate::engine::pool::{Job, Pool};
use crate::engine::watch::{IdHasher, Sources};
use crate::error::{Error, ErrorKind};
use crate::head::ResponseHead;
use crate::metrics::TaskMetrics;
use crate::request::Request;
use crate::response::Response;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sync::thread::{self, Thread};
use crate::sync::{Arc, Instant, Mutex, lock};
use crate::sys::{self, Interest, Socket};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::Weak;
use std::task::{Wake, Waker};
use std::thread::ThreadId;
use std::time::Duration;

/// How a task ended.
pub(crate) type Outcome = Result<Response<Bytes>, Error>;

/// What a task does, as a value that is carried on by whoever has claimed it.
pub(crate) trait Work: Send {
    /// Carries it on as far as it goes.
    fn advance(&mut self, core: &Arc<TaskCore>, mode: Mode) -> Advance;
    /// Reads from the body, after [`Advance::Streaming`].
    fn read(&mut self, core: &Arc<TaskCore>, buffer: &mut [u8], mode: Mode) -> ReadStep;
    /// The sockets that it waits for, after [`Advance::Park`].
    fn sources(&self, each: &mut dyn FnMut(&Arc<Socket>, Interest));
    /// Lets go of everything it holds, and tells what was measured.
    fn end(self: Box<Self>, core: &Arc<TaskCore>) -> TaskMetrics;
}

/// Who runs the work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mode {
    /// A worker, which waits for nothing.
    Parking,
    /// A thread that lends itself, until then at most. It may block in `recv`.
    Blocking { until: Option<Instant> },
}

/// How far the work came.
pub(crate) enum Advance {
    /// It is over.
    Done(Outcome),
    /// A socket has to become ready, until the deadline at most.
    Park(Option<Instant>),
    /// An event has to happen (`TaskCore::wake`), until the deadline at most.
    Wait(Option<Instant>),
    /// It could go on, but others should have a turn, or the time of who waits is up.
    Yield,
    /// The head is there and the body waits for its reader.
    Streaming,
}

/// What a read of the body gave.
pub(crate) enum ReadStep {
    Bytes(usize),
    /// These were the last ones.
    Last(usize, Outcome),
    Done(Outcome),
    Park(Option<Instant>),
    Wait(Option<Instant>),
}

/// What a delegate is told and asked. Each is called on the delegate lane, but for `did_create`.
pub(crate) trait Events: Send + Sync {
    fn did_create(&self, core: &Arc<TaskCore>);
    fn will_redirect(&self, core: &Arc<TaskCore>, head: &ResponseHead, request: Request) -> RedirectDecision;
    fn did_receive_informational(&self, core: &Arc<TaskCore>, head: &ResponseHead);
    fn did_receive_response(&self, core: &Arc<TaskCore>, head: &ResponseHead) -> ResponseDisposition;
    /// Gives the data back if it was not wanted.
    fn did_receive_data(&self, core: &Arc<TaskCore>, data: Bytes) -> Option<Bytes>;
    fn did_finish_collecting(&self, core: &Arc<TaskCore>, metrics: &TaskMetrics);
    fn did_complete(&self, core: &Arc<TaskCore>, error: Option<&Error>);
}

/// About what a piece of a body takes in memory besides its bytes, while it is on its way to the delegate.
const PIECE_COST: usize = 512;

/// What the tasks of one session share.
pub(crate) struct Context {
    pub(crate) configuration: Configuration,
    pub(crate) defaults: Vec<(HeaderName, HeaderValue)>,
    pub(crate) pool: Pool,
    pub(crate) lane: Arc<Lane>,
    /// The lane is this session's alone.
    own_lane: bool,
    pub(crate) origins: Origins,
    pub(crate) names: Names,
    pub(crate) buffers: Arc<Buffers>,
    #[cfg(feature = "tls")]
    tls: Mutex<Option<TlsSettings>>,
    pub(crate) registry: Mutex<Registry>,
    next_id: AtomicU64,
    /// Threads that wait for tasks.
    lenders: AtomicUsize,
}

/// The tasks of a session that have not completed.
#[derive(Default)]
pub(crate) struct Registry {
    tasks: HashMap<u64, Entry, BuildHasherDefault<IdHasher>>,
    invalidated: bool,
    /// Runs once, when the session is invalidated and its last task has ended.
    at_end: Option<Box<dyn FnOnce() + Send>>,
}

/// A task that nobody started is not kept alive by its session: nobody could start it.
enum Entry {
    Unstarted(Weak<TaskCore>),
    Started(Arc<TaskCore>),
}

impl Context {
    pub(crate) fn new(
        configuration: Configuration,
        defaults: Vec<(HeaderName, HeaderValue)>,
        pool: Pool,
        (lane, own_lane): (Arc<Lane>, bool),
        origins: Origins,
        names: Names,
    ) -> Self {
        Context {
            configuration,
            defaults,
            pool,
            lane,
            own_lane,
            origins,
            names,
            buffers: Arc::new(Buffers::new()),
            #[cfg(feature = "tls")]
            tls: Mutex::new(None),
            registry: Mutex::new(Registry::default()),
            next_id: AtomicU64::new(1),
            lenders: AtomicUsize::new(0),
        }
    }

    /// Has the delegate's queue run something. Where that means here and now, a worker that does it
    /// is stuck in the program's code, and others take its place.
    pub(crate) fn post(&self, subject: Subject, event: Event) {
        if self.lane.is_inline() {
            self.pool.shared().blocking(|| self.lane.post(subject, event));
        } else {
            self.lane.post(subject, event);
        }
    }

    /// The TLS settings, made when they are first needed.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(
        &self,
        make: impl FnOnce() -> Result<TlsSettings, Error>,
    ) -> Result<TlsSettings, Error> {
        if let Some(settings) = lock(&self.tls).as_ref() {
            return Ok(settings.clone());
        }
        let made = make()?;
        Ok(lock(&self.tls).get_or_insert(made).clone())
    }

    /// Forgets the TLS settings and with them the sessions that could be resumed.
    #[cfg(feature = "tls")]
    pub(crate) fn forget_tls(&self) {
        *lock(&self.tls) = None;
    }

    /// The tasks that have not completed, in the order in which they were made.
    pub(crate) fn tasks(&self) -> Vec<Arc<TaskCore>> {
        let registry = lock(&self.registry);
        let mut tasks: Vec<_> = registry
            .tasks
            .values()
            .filter_map(|entry| match entry {
                Entry::Unstarted(weak) => weak.upgrade(),
                Entry::Started(core) => Some(Arc::clone(core)),
            })
            .collect();
        drop(registry);
        tasks.sort_by_key(|core| core.id);
        tasks
    }

    pub(crate) fn is_invalidated(&self) -> bool {
        lock(&self.registry).invalidated
    }

    /// Takes no new tasks, and runs `at_end` when the last one has ended, unless it was so before.
    pub(crate) fn invalidate(&self, at_end: Box<dyn FnOnce() + Send>) {
        let mut registry = lock(&self.registry);
        if registry.invalidated {
            return;
        }
        registry.invalidated = true;
        registry.at_end = Some(at_end);
        let at_end = registry.ended();
        drop(registry);
        if let Some(at_end) = at_end {
            at_end();
        }
    }

    fn forget(&self, id: u64) {
        let mut registry = lock(&self.registry);
        let entry = registry.tasks.remove(&id);
        let at_end = registry.ended();
        drop(registry);
        drop(entry);
        if let Some(at_end) = at_end {
            at_end();
        }
    }
}

impl Drop for Context {
    /// The session and its last task are gone.
    fn drop(&mut self) {
        if self.own_lane {
            self.lane.close();
        }
    }
}

impl Registry {
    fn ended(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        if self.invalidated && self.tasks.is_empty() { self.at_end.take() } else { None }
    }
}

/// What a task is, in Apple's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
}

/// The state of a task. `URLSessionTask.State`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// It runs, or waits for its turn to.
    Running,
    /// It is suspended: it has not been resumed as often as suspended. Tasks are born so.
    Suspended,
    /// It was cancelled, and its end has not been reported yet.
    Canceling,
    /// It is over, with or without an error.
    Completed,
}

/// See the module's documentation.
pub(crate) struct TaskCore {
    pub(crate) id: u64,
    pub(crate) kind: Kind,
    pub(crate) context: Arc<Context>,
    pub(crate) original: Request,
    pub(crate) created: Instant,
    claim: Claim<Box<dyn Work>, Outcome>,
    shared: Mutex<Shared>,
    interrupt: Mutex<Vec<Arc<Socket>>>,
    suspended: AtomicBool,
    /// It was resumed after a suspension, and whoever runs it has not seen that yet.
    resumed: AtomicBool,
    streaming: AtomicBool,
    /// A handler or a reader takes the response in the delegate's place (SPEC T18).
    bypass: AtomicBool,
    /// There is a delegate, so that asking for it is worth a lock.
    observed: AtomicBool,
    /// The delegate was told of the response before that.
    told: AtomicBool,
    /// Whether the watch may know the task.
    watched: AtomicBool,
    priority: AtomicU32,
    pub(crate) counts: Counts,
}

/// Body bytes, readable from any thread.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
    /// One more than the number, 0 for unknown.
    pub(crate) expected: AtomicU64,
}

struct Shared {
    suspends: u32,
    started: bool,
    /// Somebody waited for the task, which counts as one resume, however many wait.
    wanted: bool,
    /// The work is gone.
    ended: bool,
    /// The end was reported to the delegate, if there is one.
    completed: bool,
    started_at: Option<Instant>,
    suspended_at: Option<Instant>,
    suspended_for: Duration,
    description: Option<String>,
    current: Option<Request>,
    head: Option<Arc<ResponseHead>>,
    metrics: Option<Arc<TaskMetrics>>,
    events: Option<Arc<dyn Events>>,
    handlers: Vec<Handler>,
    collected: Vec<u8>,
    undelivered: usize,
    /// The thread on which the delegate is told or asked something.
    told_on: Option<ThreadId>,
}

enum Handler {
    /// Runs on the delegate lane.
    Lane(Box<dyn FnOnce(Outcome) + Send>),
    /// Runs where the task ended, and does nothing that takes time.
    Direct(Box<dyn FnOnce(Outcome) + Send>),
}

impl TaskCore {
    pub(crate) fn new(
        context: &Arc<Context>,
        kind: Kind,
        original: Request,
        work: Box<dyn Work>,
        events: Option<Arc<dyn Events>>,
    ) -> Arc<Self> {
        let core = Arc::new(TaskCore {
            id: context.next_id.fetch_add(1, Ordering::Relaxed),
            kind,
            context: Arc::clone(context),
            observed: AtomicBool::new(events.is_some()),
            original,
            created: Instant::now(),
            claim: Claim::new(work),
            shared: Mutex::new(Shared {
                suspends: 1,
                started: false,
                wanted: false,
                ended: false,
                completed: false,
                started_at: None,
                suspended_at: None,
                suspended_for: Duration::ZERO,
                description: None,
                current: None,
                head: None,
                metrics: None,
                events,
                handlers: Vec::new(),
                collected: Vec::new(),
                undelivered: 0,
                told_on: None,
            }),
            interrupt: Mutex::new(Vec::new()),
            suspended: AtomicBool::new(true),
            resumed: AtomicBool::new(false),
            streaming: AtomicBool::new(false),
            bypass: AtomicBool::new(false),
            told: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            priority: AtomicU32::new(0.5f32.to_bits()),
            counts: Counts::default(),
        });
        let invalidated = {
            let mut registry = lock(&context.registry);
            if !registry.invalidated {
                registry.tasks.insert(core.id, Entry::Unstarted(Arc::downgrade(&core)));
            }
            registry.invalidated
        };
        if invalidated {
            // The last message of a session may be on its way to the delegate already.
            lock(&core.shared).events = None;
            core.settle_and_conclude(Err(Error::new(
                ErrorKind::SessionInvalidated,
                "the session was invalidated before the task was made; make tasks on another session",
            )));
        }
        core
    }

    // What a handle asks.

    pub(crate) fn state(&self) -> TaskState {
        match self.claim.outcome() {
            Some(Err(error)) if error.is_cancelled() && !lock(&self.shared).completed => TaskState::Canceling,
            Some(_) => TaskState::Completed,
            None if self.suspended.load(Ordering::Acquire) => TaskState::Suspended,
            None => TaskState::Running,
        }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.claim.outcome()
    }

    pub(crate) fn current_request(&self) -> Request {
        lock(&self.shared).current.clone().unwrap_or_else(|| self.original.clone())
    }

    pub(crate) fn head(&self) -> Option<Arc<ResponseHead>> {
        lock(&self.shared).head.clone()
    }

    pub(crate) fn metrics(&self) -> Option<Arc<TaskMetrics>> {
        lock(&self.shared).metrics.clone()
    }

    pub(crate) fn description(&self) -> Option<String> {
        lock(&self.shared).description.clone()
    }

    pub(crate) fn set_description(&self, description: Option<String>) {
        lock(&self.shared).description = description;
    }

    pub(crate) fn priority(&self) -> f32 {
        f32::from_bits(self.priority.load(Ordering::Relaxed))
    }

    pub(crate) fn set_priority(self: &Arc<Self>, priority: f32) {
        self.priority.store(priority.to_bits(), Ordering::Relaxed);
        // A task in the queue of its host takes its new place when it looks for it.
        if lock(&self.shared).started {
            self.wake();
        }
    }

    pub(crate) fn events(&self) -> Option<Arc<dyn Events>> {
        if !self.observed.load(Ordering::Acquire) {
            return None;
        }
        lock(&self.shared).events.clone()
    }

    /// Replaces the delegate chain, as long as the task has not been started.
    pub(crate) fn change_events(
        &self,
        change: impl FnOnce(Option<Arc<dyn Events>>) -> Arc<dyn Events>,
    ) -> bool {
        let mut shared = lock(&self.shared);
        let early = !shared.started && !shared.completed;
        if early {
            let old = shared.events.take();
            shared.events = Some(change(old));
            self.observed.store(true, Ordering::Release);
        }
        early
    }

    // Starting, suspending, cancelling.

    pub(crate) fn resume(self: &Arc<Self>) {
        if self.count_resume() {
            self.keep();
            self.wake();
        }
    }

    /// Starts the task if it has not been started.
    pub(crate) fn start(self: &Arc<Self>) {
        if self.count_start() {
            self.keep();
            self.wake();
        }
    }

    /// Counts the resume that is in the first wait. True if the task is to run now and was not before.
    fn count_start(&self) -> bool {
        let mut shared = lock(&self.shared);
        if shared.started || std::mem::replace(&mut shared.wanted, true) {
            return false;
        }
        drop(shared);
        self.count_resume()
    }

    /// Counts one resume. True if the task is to run now and was not before.
    fn count_resume(&self) -> bool {
        let mut shared = lock(&self.shared);
        if shared.suspends == 0 || shared.completed {
            return false;
        }
        shared.suspends -= 1;
        if shared.suspends > 0 {
            return false;
        }
        let now = Instant::now();
        shared.started = true;
        shared.started_at.get_or_insert(now);
        if let Some(since) = shared.suspended_at.take() {
            shared.suspended_for += now.saturating_duration_since(since);
            self.resumed.store(true, Ordering::Release);
        }
        self.suspended.store(false, Ordering::Release);
        true
    }

    pub(crate) fn suspend(&self) {
        let mut shared = lock(&self.shared);
        shared.suspends = shared.suspends.saturating_add(1);
        if shared.suspends == 1 {
            shared.suspended_at = Some(Instant::now());
            self.suspended.store(true, Ordering::Release);
        }
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
    }

    /// Whether a suspension has ended since this was last asked.
    pub(crate) fn take_resumed(&self) -> bool {
        self.resumed.load(Ordering::Relaxed) && self.resumed.swap(false, Ordering::AcqRel)
    }

    /// When the task began, moved on by the time for which it was suspended since.
    pub(crate) fn effective_start(&self) -> Option<Instant> {
        let shared = lock(&self.shared);
        Some(shared.started_at? + shared.suspended_for)
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.claim.is_settled()
    }

    pub(crate) fn cancel(self: &Arc<Self>) {
        let error = Error::cancelled();
        let error = match self.current_url() {
            Some(url) => error.with_url(&url),
            None => error,
        };
        self.settle_and_conclude(Err(error));
    }

    fn current_url(&self) -> Option<url::Url> {
        let shared = lock(&self.shared);
        shared.current.as_ref().unwrap_or(&self.original).get_url().cloned()
    }

    /// Ends the task from outside: the outcome counts at once, and whoever runs the work finds out.
    fn settle_and_conclude(self: &Arc<Self>, outcome: Outcome) {
        if !self.claim.settle(outcome) {
            return;
        }
        for socket in lock(&self.interrupt).iter() {
            socket.shutdown();
        }
        if let Some(work) = self.claim.claim_any() {
            self.conclude(work, None);
        }
    }

    /// The sockets whose shutdown unblocks the thread that runs this task. None to take them back.
    /// The caller has to look at [`is_settled`](TaskCore::is_settled) afterwards.
    pub(crate) fn set_interrupt(&self, socket: Option<&Arc<Socket>>) {
        let mut sockets = lock(&self.interrupt);
        sockets.clear();
        sockets.extend(socket.cloned());
    }

    // Running.

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
        self.count_start();
        self.lend(until, false).map(|lent| match lent {
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
        self.count_start();
        // A worker that collects the body has to be told to stop.
        self.wake_running();
        match self.lend(None, true) {
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

    fn wake_running(self: &Arc<Self>) {
        if !self.claim.is_settled() && lock(&self.shared).started {
            self.claim.notify_running();
        }
    }

    fn lend(self: &Arc<Self>, until: Option<Instant>, held: bool) -> Option<Lent> {
        if self.context.lane.is_mine() {
            return self.attend(until, held);
        }
        self.claim.enter();
        let lenders = self.context.lenders.fetch_add(1, Ordering::Relaxed) + 1;
        let lent = loop {
            // One thread that waits for one of very many leaves them to the workers, which serve
            // what is ready in one go. Where there are about as many threads as tasks each runs its
            // own, and the hop from a worker is saved.
            let take_over = self.context.pool.load() <= 2 * lenders;
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
    fn run_lent(self: &Arc<Self>, mut work: Box<dyn Work>, until: Option<Instant>) -> Option<Box<dyn Work>> {
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
                    ReadStep::Wait(deadline) => match self.claim.give_back(work, Rest::Waiting(deadline)) {
                        Some(back) => work = back,
                        None => match self.claim.lend(Terms { until: None, reader: true, take_over: true }) {
                            Lend::Work(back) => work = back,
                            _ => break,
                        },
                    },
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
    fn rest(self: &Arc<Self>, work: Box<dyn Work>, rest: Rest) {
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
    fn poll(&self, work: &dyn Work, deadline: Option<Instant>) {
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

    fn park(self: &Arc<Self>, sources: &mut Sources<'_>, deadline: Option<Instant>) {
        let job = Arc::clone(self) as Arc<dyn Job>;
        self.watched.store(true, Ordering::Release);
        if let Err(error) = self.context.pool.watch().park(self.id, job, sources, deadline) {
            // Out of file descriptors: without a watch the task would wait for ever.
            self.settle_and_conclude(Err(
                Error::new(ErrorKind::CannotConnectToHost, "watching a socket").with_source(error)
            ));
        }
    }

    fn unpark(&self) {
        if self.watched.swap(false, Ordering::AcqRel) {
            self.context.pool.watch().unpark(self.id);
        }
    }

    /// Parks the work. It comes back if something happened meanwhile.
    fn park_and_rest(
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
    fn requeue(self: &Arc<Self>, work: Box<dyn Work>) -> Option<Box<dyn Work>> {
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
    fn keep(self: &Arc<Self>) {
        let mut registry = lock(&self.context.registry);
        if let Some(entry) = registry.tasks.get_mut(&self.id) {
            *entry = Entry::Started(Arc::clone(self));
        }
    }

    // Ending.

    /// The end of the task: the work lets go of everything, and everybody is told. Called once, by
    /// whoever has the work.
    fn conclude(self: &Arc<Self>, work: Box<dyn Work>, outcome: Option<Outcome>) {
        lock(&self.interrupt).clear();
        // Whoever took the work over from the watch, or was woken by something else than it, left
        // the entry there; with it the task would be kept until the deadline.
        if self.watched.load(Ordering::Acquire) {
            self.context.pool.watch().unpark(self.id);
        }
        let metrics = Arc::new(work.end(self));
        lock(&self.shared).metrics = Some(Arc::clone(&metrics));
        if let Some(outcome) = outcome {
            self.claim.settle(outcome);
        }
        self.claim.finish();
        // Somebody may have taken the work over from the watch, which would keep the task.
        self.unpark();
        let (handlers, events) = {
            let mut shared = lock(&self.shared);
            shared.ended = true;
            shared.completed = shared.events.is_none();
            shared.collected = Vec::new();
            (std::mem::take(&mut shared.handlers), shared.events.take())
        };
        let (direct, handlers): (Vec<_>, Vec<_>) =
            handlers.into_iter().partition(|handler| matches!(handler, Handler::Direct(_)));
        self.deliver_all(direct);
        self.suspended.store(false, Ordering::Release);
        let bypass = self.bypass.load(Ordering::Acquire) && !self.told.load(Ordering::Acquire);
        match events {
            None => self.report(handlers),
            Some(events) => {
                let core = Arc::clone(self);
                self.post(Box::new(move || {
                    lock(&core.shared).completed = true;
                    contain(|| events.did_finish_collecting(&core, &metrics));
                    if !bypass {
                        let error = core.claim.outcome().and_then(Result::err);
                        contain(|| events.did_complete(&core, error.as_ref()));
                    }
                    // It may be the last to have the delegate of the task, whose drop is the user's code.
                    contain(|| drop(events));
                    // Those who came while the end was on its way to the delegate.
                    let late = std::mem::take(&mut lock(&core.shared).handlers);
                    core.report(handlers.into_iter().chain(late).collect());
                }));
            }
        }
    }

    fn report(&self, handlers: Vec<Handler>) {
        self.deliver_all(handlers);
        self.context.forget(self.id);
    }

    fn deliver_all(&self, handlers: Vec<Handler>) {
        if handlers.is_empty() {
            return;
        }
        if let Some(outcome) = self.claim.outcome() {
            for handler in handlers {
                self.deliver(handler, outcome.clone());
            }
        }
    }

    fn deliver(&self, handler: Handler, outcome: Outcome) {
        match handler {
            Handler::Lane(handler) => {
                self.context.post(Subject::NONE, Box::new(move || handler(outcome)));
            }
            Handler::Direct(handler) => handler(outcome),
        }
    }

    /// Runs a handler on the delegate lane when the task has completed.
    pub(crate) fn on_completion(self: &Arc<Self>, handler: Box<dyn FnOnce(Outcome) + Send>) {
        self.bypass.store(true, Ordering::Release);
        self.add_handler(Handler::Lane(handler));
    }

    /// Runs a handler where the task ends, which must take no time.
    pub(crate) fn on_end(self: &Arc<Self>, handler: Box<dyn FnOnce(Outcome) + Send>) {
        self.add_handler(Handler::Direct(handler));
    }

    fn add_handler(&self, handler: Handler) {
        let mut shared = lock(&self.shared);
        let over = match handler {
            Handler::Lane(_) => shared.completed,
            Handler::Direct(_) => shared.ended,
        };
        if !over {
            shared.handlers.push(handler);
            return;
        }
        drop(shared);
        if let Some(outcome) = self.claim.outcome() {
            self.deliver(handler, outcome);
        }
    }

    /// Has the waker woken when the outcome is there.
    pub(crate) fn on_change(&self, waker: &Waker) {
        self.claim.on_change(waker);
    }

    /// A way for this thread to sleep until a waker is woken. A thread that would have to run the
    /// events of the session does so meanwhile.
    pub(crate) fn sleeper(&self) -> Sleeper {
        let lane = &self.context.lane;
        if lane.is_mine() {
            return Sleeper::Lane { lane: Arc::clone(lane), seen: lane.seen(), waker: lane.waker() };
        }
        let bell = Arc::new(Bell { thread: thread::current(), rung: AtomicBool::new(false) });
        Sleeper::Thread { waker: Waker::from(Arc::clone(&bell)), bell }
    }

    // What the work tells.

    /// Whether the body goes to a reader.
    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming.load(Ordering::Acquire)
    }

    /// The delegate, if the response is for it: then a handler or a reader that comes later changes
    /// that no more.
    pub(crate) fn take_response(&self) -> Option<Arc<dyn Events>> {
        let events = if self.bypass.load(Ordering::Acquire) { None } else { self.events() };
        self.told.store(events.is_some(), Ordering::Release);
        events
    }

    pub(crate) fn set_current(&self, request: Request) {
        lock(&self.shared).current = Some(request);
    }

    pub(crate) fn set_head(&self, head: Option<Arc<ResponseHead>>) {
        lock(&self.shared).head = head;
    }

    /// Whether the delegate is still to be told what happened before the end: not after a cancel, when
    /// nobody wants to know.
    fn is_told(&self) -> bool {
        if lock(&self.shared).completed {
            return false;
        }
        !matches!(self.claim.outcome(), Some(Err(error)) if error.is_cancelled())
    }

    /// Tells the delegate something on its lane, unless the task has completed by then.
    pub(crate) fn tell(
        self: &Arc<Self>,
        events: Arc<dyn Events>,
        tell: impl FnOnce(&dyn Events, &Arc<TaskCore>) + Send + 'static,
    ) {
        let core = Arc::clone(self);
        self.post(Box::new(move || {
            if core.is_told() {
                contain(|| core.within_event(|| tell(events.as_ref(), &core)));
            }
        }));
    }

    /// Runs an event of this task on the delegate lane.
    pub(crate) fn post(self: &Arc<Self>, event: Event) {
        self.context.post(Subject::of(self), event);
    }

    /// Hands a piece of the body to the delegate. What it does not want is collected.
    pub(crate) fn tell_data(self: &Arc<Self>, events: Arc<dyn Events>, data: Bytes, limit: usize) {
        // What it costs, which is more than its bytes if there are few of them.
        let size = data.len() + PIECE_COST;
        lock(&self.shared).undelivered += size;
        let core = Arc::clone(self);
        self.post(Box::new(move || {
            let mut unwanted = None;
            if core.is_told() {
                let receive = || core.within_event(|| events.did_receive_data(&core, data));
                unwanted = contain(receive).flatten();
            }
            let mut shared = lock(&core.shared);
            shared.undelivered -= size;
            let mut too_large = false;
            if let Some(data) = unwanted {
                too_large = shared.collected.len() + data.len() > limit;
                if !too_large {
                    shared.collected.extend_from_slice(&data);
                }
            }
            drop(shared);
            if too_large {
                core.settle_and_conclude(Err(too_large_error(limit)));
            } else {
                core.wake();
            }
        }));
    }

    /// Runs a method of the delegate, which cannot wait for this task: it is not over before the
    /// method has returned.
    pub(crate) fn within_event<T>(&self, run: impl FnOnce() -> T) -> T {
        struct Left<'a>(&'a TaskCore);
        impl Drop for Left<'_> {
            fn drop(&mut self) {
                lock(&self.0.shared).told_on = None;
            }
        }
        lock(&self.shared).told_on = Some(std::thread::current().id());
        let _left = Left(self);
        run()
    }

    /// Whether this thread is in such a method.
    pub(crate) fn is_told_here(&self) -> bool {
        lock(&self.shared).told_on == Some(std::thread::current().id()) && !self.claim.is_settled()
    }

    /// How many bytes of memory are on their way to the delegate.
    pub(crate) fn undelivered(&self) -> usize {
        if self.observed.load(Ordering::Acquire) { lock(&self.shared).undelivered } else { 0 }
    }

    pub(crate) fn take_collected(&self) -> Vec<u8> {
        std::mem::take(&mut lock(&self.shared).collected)
    }
}

impl Drop for TaskCore {
    /// A task that nobody started and nobody can start any more is none of the session's tasks.
    fn drop(&mut self) {
        if !self.claim.is_settled() {
            self.context.forget(self.id);
        }
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
                Advance::Park(deadline) => self.park_and_rest(work, deadline, Rest::Parked),
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

enum Lent {
    Outcome(Outcome),
    Streaming(Box<dyn Work>),
}

/// What `open` found.
pub(crate) enum Opened {
    /// The head is there; the body is read by [`TaskCore::read`].
    Streaming,
    /// It was over already.
    Outcome(Outcome),
    /// Somebody else has the body.
    Taken,
}

/// See [`TaskCore::sleeper`].
pub(crate) enum Sleeper {
    Thread { bell: Arc<Bell>, waker: Waker },
    Lane { lane: Arc<Lane>, seen: u64, waker: Waker },
}

impl Sleeper {
    pub(crate) fn waker(&self) -> &Waker {
        match self {
            Sleeper::Thread { waker, .. } | Sleeper::Lane { waker, .. } => waker,
        }
    }

    /// Sleeps until the waker has been woken since the last sleep, or an event was run.
    pub(crate) fn sleep(&mut self) {
        match self {
            Sleeper::Thread { bell, .. } => {
                while !bell.rung.swap(false, Ordering::AcqRel) {
                    thread::park();
                }
            }
            Sleeper::Lane { lane, seen, .. } => (*seen, _) = lane.turn(*seen, None),
        }
    }
}

pub(crate) struct Bell {
    thread: Thread,
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.thread.unpark();
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

/// The error of waiting for oneself.
pub(crate) fn within_own_event() -> Error {
    Error::new(
        ErrorKind::ResourceUnavailable,
        "waiting for a task inside a method of its own delegate, which would wait for itself; \
         return from the method first",
    )
}

fn passed(at: Option<Instant>) -> bool {
    at.is_some_and(|at| Instant::now() >= at)
}

fn internal() -> Error {
    Error::new(ErrorKind::Unknown, "an internal error (a panic, see the log); please report it")
}

/// The error of a body that is larger than may be held in memory.
pub(crate) fn too_large_error(limit: usize) -> Error {
    Error::new(
        ErrorKind::DataLengthExceedsMaximum,
        format!(
            "receiving the body: it is larger than the {limit} bytes that may be held in memory; \
             read it with open(), or raise Configuration::maximum_body_in_memory"
        ),
    )
}
