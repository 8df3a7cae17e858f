//! What the handles of a task and whoever runs it share, and what the tasks of a session share.
//!
//! Knows how a task is started, run, suspended, cancelled and ended, and not what it does: that is
//! the [`Work`], which the loader implements. Knows when the delegate has to be told something, and
//! not how: that is [`Events`], which the delegate chain implements.
//!
//! Locks, each taken alone: `TaskCore::shared`, `TaskCore::interrupt`, `Following::state`, `Flow::state`,
//! `Context::registry`. None is
//! held while work runs, a callback runs, or another lock of the crate is taken.

mod counts;
mod ending;
mod family;
mod flow;
mod followers;
mod following;
mod meter;
mod registry;
mod running;
mod sleeper;
mod telling;

pub(crate) use running::Opened;
pub(crate) use sleeper::Sleeper;

use crate::body::Body;
use crate::challenge::{Challenge, ChallengeDisposition};
use crate::configuration::Configuration;
use crate::connection::idle::Origins;
use crate::connection::resolve::Names;
#[cfg(feature = "tls")]
use crate::connection::tls::SessionTls;
use crate::connection::transport::{Asker, Buffers};
use crate::disposition::{CacheDecision, RedirectDecision, ResponseDisposition};
use crate::download::DownloadedFile;
use crate::engine::claim::Claim;
use crate::engine::events::{Event, Lane, Subject};
use crate::engine::pool::Pool;
use crate::engine::starts::Starts;
use crate::error::{Error, ErrorKind};
use crate::head::ResponseHead;
use crate::metrics::TaskMetrics;
use crate::request::Request;
use crate::response::{Content, Response};
use crate::resume::ResumeData;
use crate::storage::{CachedResponse, Stores};
use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use crate::sync::thread::ThreadId;
use crate::sync::{Arc, Instant, Mutex, lock};
use crate::sys::{Interest, Socket};
use bytes::Bytes;
use counts::Counts;
use flow::Flow;
use following::Following;
use http::{HeaderName, HeaderValue};
use registry::Registry;
use std::collections::HashSet;
use std::time::Duration;

/// How a task ended.
pub(crate) type Outcome = Result<Response<Content>, Error>;

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
    /// A socket has to become ready or an event has to happen, until the deadline at most.
    Listen(Option<Instant>),
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
    Listen(Option<Instant>),
    Wait(Option<Instant>),
}

/// What a delegate is told and asked. Each is called on the delegate lane, but for `did_create`.
pub(crate) trait Events: Send + Sync {
    /// Who that is, for the room that knows.
    fn as_any(&self) -> Option<&dyn std::any::Any> {
        None
    }

    fn did_receive_session_challenge(&self, challenge: &Challenge) -> Option<ChallengeDisposition>;
    fn did_create(&self, core: &Arc<TaskCore>);
    fn will_redirect(&self, core: &Arc<TaskCore>, head: &ResponseHead, request: Request) -> RedirectDecision;
    fn did_receive_challenge(&self, core: &Arc<TaskCore>, challenge: &Challenge) -> ChallengeDisposition;
    fn need_new_body_stream(&self, core: &Arc<TaskCore>) -> Option<Body>;
    fn need_new_body_stream_from(&self, core: &Arc<TaskCore>, offset: u64) -> Option<Body>;
    fn did_send_body_data(&self, core: &Arc<TaskCore>, count: u64, total: u64, expected: Option<u64>);
    fn did_receive_informational(&self, core: &Arc<TaskCore>, head: &ResponseHead);
    fn did_receive_response(&self, core: &Arc<TaskCore>, head: &ResponseHead) -> ResponseDisposition;
    /// Gives the data back if it was not wanted.
    fn did_receive_data(&self, core: &Arc<TaskCore>, data: Bytes) -> Option<Bytes>;
    fn did_become_download(&self, core: &Arc<TaskCore>);
    fn did_resume_at_offset(&self, core: &Arc<TaskCore>, offset: u64, expected: Option<u64>);
    fn did_write_data(&self, core: &Arc<TaskCore>, since: u64, total: u64, expected: Option<u64>);
    fn did_finish_downloading(&self, core: &Arc<TaskCore>, file: &DownloadedFile);
    fn will_cache_response(&self, core: &Arc<TaskCore>, response: &CachedResponse) -> CacheDecision;
    fn did_finish_collecting(&self, core: &Arc<TaskCore>, metrics: &TaskMetrics);
    fn did_complete(&self, core: &Arc<TaskCore>, error: Option<&Error>);
}

/// About what a piece of a body takes in memory besides its bytes, while it is on its way to the delegate.
const PIECE_COST: usize = 512;

/// What the tasks of one session share.
pub(crate) struct Context {
    pub(crate) configuration: Configuration,
    pub(crate) defaults: Vec<(HeaderName, HeaderValue)>,
    /// What outlives tasks, or why it could not be opened.
    stores: Result<Stores, Error>,
    pub(crate) pool: Pool,
    pub(crate) lane: Arc<Lane>,
    /// The lane is this session's alone.
    own_lane: bool,
    /// What is asked for to have it fresh in the cache.
    pub(crate) refreshing: Mutex<HashSet<String>>,
    pub(crate) origins: Origins,
    pub(crate) names: Names,
    pub(crate) starts: Starts,
    pub(crate) buffers: Arc<Buffers>,
    #[cfg(feature = "tls")]
    pub(crate) tls: SessionTls,
    pub(crate) registry: Registry<TaskCore>,
    pub(crate) flow: Flow,
    next_id: AtomicU64,
    /// Threads that wait for tasks.
    lenders: AtomicUsize,
}

impl Context {
    pub(crate) fn new(
        configuration: Configuration,
        defaults: Vec<(HeaderName, HeaderValue)>,
        stores: Result<Stores, Error>,
        pool: Pool,
        (lane, own_lane): (Arc<Lane>, bool),
        origins: Origins,
        names: Names,
    ) -> Self {
        Context {
            configuration,
            defaults,
            stores,
            pool,
            lane,
            own_lane,
            refreshing: Mutex::default(),
            origins,
            names,
            starts: Starts::default(),
            buffers: Arc::new(Buffers::new()),
            #[cfg(feature = "tls")]
            tls: SessionTls::default(),
            registry: Registry::new(),
            flow: Flow::new(),
            next_id: AtomicU64::new(1),
            lenders: AtomicUsize::new(0),
        }
    }

    /// What outlives the tasks of the session, or why it could not be opened.
    pub(crate) fn stores(&self) -> Result<&Stores, Error> {
        self.stores.as_ref().map_err(Clone::clone)
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
}

impl Drop for Context {
    /// The session and its last task are gone.
    fn drop(&mut self) {
        if self.own_lane {
            self.lane.close();
        }
    }
}

/// What a task is, in Apple's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Data,
    Upload,
    Download,
}

impl Kind {
    const ALL: [Kind; 3] = [Kind::Data, Kind::Upload, Kind::Download];
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

/// Whose task it is.
enum Place {
    /// The user's.
    Listed,
    /// Another task's.
    Under(Arc<TaskCore>),
    /// The session's, for itself.
    Hidden,
}

/// See the module's documentation.
pub(crate) struct TaskCore {
    pub(crate) id: u64,
    /// It is a data task which becomes a download, or stays what it was made as.
    kind: AtomicU8,
    pub(crate) context: Arc<Context>,
    pub(crate) original: Request,
    pub(crate) created: Instant,
    /// Whose connection it is, if it is not a task of its own.
    parent: Option<Arc<TaskCore>>,
    /// It works for its session, whose user does not see it.
    hidden: bool,
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
    /// The delegate that is asked first is the task's own.
    has_own_delegate: AtomicBool,
    /// The delegate was told of the response before that.
    told: AtomicBool,
    /// Whether the watch may know the task.
    watched: AtomicBool,
    /// Who cancelled wants to go on later.
    resume_wanted: AtomicBool,
    /// The delegate will be told how much was written.
    telling_written: AtomicBool,
    priority: AtomicU32,
    pub(crate) counts: Counts,
    following: Following,
}

struct Shared {
    suspends: u32,
    started: bool,
    /// The session counts it among those that were started.
    listed: bool,
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
    /// How much the delegate knows to be written.
    told_written: u64,
    resume_data: Option<ResumeData>,
    /// Those who work for it.
    children: Vec<Arc<TaskCore>>,
    /// How much of the request's body went out, and of how much the delegate was told.
    sent: u64,
    sent_told: u64,
    /// The delegate is about to be told of more.
    sent_queued: bool,
    /// The thread on which the delegate is told or asked something.
    told_on: Option<ThreadId>,
    /// The threads that carry the task on, while they run what is on an inline lane: with several
    /// connections there are several.
    posting_on: Vec<ThreadId>,
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
        let core = TaskCore::make(context, kind, original, work, events, Place::Listed);
        if !context.registry.insert(core.id, &core) {
            // The last message of a session may be on its way to the delegate already.
            lock(&core.shared).events = None;
            core.settle_and_conclude(Err(Error::new(
                ErrorKind::SessionInvalidated,
                "the session was invalidated before the task was made; make tasks on another session",
            )));
        }
        core
    }

    fn make(
        context: &Arc<Context>,
        kind: Kind,
        original: Request,
        work: Box<dyn Work>,
        events: Option<Arc<dyn Events>>,
        place: Place,
    ) -> Arc<Self> {
        let hidden = matches!(place, Place::Hidden);
        let parent = match place {
            Place::Under(parent) => Some(parent),
            Place::Listed | Place::Hidden => None,
        };
        Arc::new(TaskCore {
            id: context.next_id.fetch_add(1, Ordering::Relaxed),
            kind: AtomicU8::new(kind as u8),
            context: Arc::clone(context),
            observed: AtomicBool::new(events.is_some()),
            original,
            created: Instant::now(),
            parent,
            hidden,
            claim: Claim::new(work),
            shared: Mutex::new(Shared {
                suspends: 1,
                started: false,
                listed: false,
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
                told_written: 0,
                resume_data: None,
                children: Vec::new(),
                sent: 0,
                sent_told: 0,
                sent_queued: false,
                told_on: None,
                posting_on: Vec::new(),
            }),
            interrupt: Mutex::new(Vec::new()),
            suspended: AtomicBool::new(true),
            resumed: AtomicBool::new(false),
            streaming: AtomicBool::new(false),
            bypass: AtomicBool::new(false),
            has_own_delegate: AtomicBool::new(false),
            told: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            resume_wanted: AtomicBool::new(false),
            telling_written: AtomicBool::new(false),
            priority: AtomicU32::new(0.5f32.to_bits()),
            counts: Counts::default(),
            following: Following::default(),
        })
    }

    // What a handle asks.

    pub(crate) fn kind(&self) -> Kind {
        Kind::ALL
            .into_iter()
            .find(|kind| *kind as u8 == self.kind.load(Ordering::Acquire))
            .unwrap_or(Kind::Data)
    }

    /// The task goes on as one of another kind (`becomeDownload`).
    pub(crate) fn become_kind(&self, kind: Kind) {
        self.kind.store(kind as u8, Ordering::Release);
    }

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
        if let Some(parent) = &self.parent {
            return parent.priority();
        }
        f32::from_bits(self.priority.load(Ordering::Relaxed))
    }

    pub(crate) fn set_priority(self: &Arc<Self>, priority: f32) {
        self.priority.store(priority.to_bits(), Ordering::Relaxed);
        // A task in the queue of its host takes its new place when it looks for it.
        if lock(&self.shared).started {
            self.wake();
            self.wake_children();
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
            self.has_own_delegate.store(true, Ordering::Release);
            self.observed.store(true, Ordering::Release);
        }
        early
    }

    /// The task as who asks for a connection. What works for another task asks for that one.
    pub(crate) fn asker(&self) -> Asker {
        let task = self.parent.as_deref().unwrap_or(self);
        Asker { task: task.id, has_own_delegate: task.has_own_delegate.load(Ordering::Acquire) }
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
        // Under the same lock: another one who waits would find the task suspended, and nobody wakes it
        // when it is not any more.
        self.count(|shared| !shared.started && !std::mem::replace(&mut shared.wanted, true))
    }

    /// Counts one resume. True if the task is to run now and was not before.
    fn count_resume(&self) -> bool {
        self.count(|_| true)
    }

    fn count(&self, is_wanted: impl FnOnce(&mut Shared) -> bool) -> bool {
        let mut shared = lock(&self.shared);
        if !is_wanted(&mut shared) || shared.suspends == 0 || shared.completed {
            return false;
        }
        shared.suspends -= 1;
        if shared.suspends > 0 {
            return false;
        }
        let now = Instant::now();
        let mut alone = None;
        if !std::mem::replace(&mut shared.started, true)
            && !shared.ended
            && self.parent.is_none()
            && !self.hidden
        {
            shared.listed = true;
            alone = Some(self.context.registry.begin());
        }
        shared.started_at.get_or_insert(now);
        if let Some(since) = shared.suspended_at.take() {
            shared.suspended_for += now.saturating_duration_since(since);
            self.resumed.store(true, Ordering::Release);
        }
        let children = shared.children.clone();
        // Before they can see that they are not suspended any more: the idle time of each begins anew.
        for child in &children {
            child.resumed.store(true, Ordering::Release);
        }
        self.suspended.store(false, Ordering::Release);
        drop(shared);
        children.iter().for_each(TaskCore::wake);
        if let Some(alone) = alone {
            self.context.flow.begin(now, alone);
        }
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

    /// Whether it is none of the tasks that the session's user knows.
    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Whether it was started before it ended.
    pub(crate) fn is_listed(&self) -> bool {
        lock(&self.shared).listed
    }

    /// The session has nothing to do with the task any more.
    fn forget(&self) {
        if self.parent.is_some() {
            return;
        }
        let moved = self.is_listed().then(|| self.counts.completed());
        self.context.registry.forget(self.id, moved, || self.context.flow_out());
    }

    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended.load(Ordering::Acquire)
            || self.parent.as_ref().is_some_and(|parent| parent.is_suspended())
    }

    /// Whether a suspension has ended since this was last asked.
    pub(crate) fn take_resumed(&self) -> bool {
        self.resumed.load(Ordering::Relaxed) && self.resumed.swap(false, Ordering::AcqRel)
    }

    /// When the task began, moved on by the time for which it was suspended since.
    pub(crate) fn effective_start(&self) -> Option<Instant> {
        if let Some(parent) = &self.parent {
            return parent.effective_start();
        }
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

    /// Cancels, and has the work say what it takes to go on later.
    pub(crate) fn cancel_to_resume(self: &Arc<Self>) {
        self.resume_wanted.store(true, Ordering::Release);
        self.cancel();
    }

    pub(crate) fn is_resume_wanted(&self) -> bool {
        self.resume_wanted.load(Ordering::Acquire)
    }

    pub(crate) fn set_resume_data(&self, data: Option<ResumeData>) {
        lock(&self.shared).resume_data = data;
    }

    pub(crate) fn resume_data(&self) -> Option<ResumeData> {
        lock(&self.shared).resume_data.clone()
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
}

impl Drop for TaskCore {
    /// A task that nobody started and nobody can start any more is none of the session's tasks.
    fn drop(&mut self) {
        if !self.claim.is_settled() {
            self.forget();
        }
    }
}

/// The error of waiting for oneself.
pub(crate) fn within_own_event() -> Error {
    Error::new(
        ErrorKind::ResourceUnavailable,
        "waiting for a task inside a method of its own delegate, or on the thread that carries it on, which \
         would wait for itself; return from the method first",
    )
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
