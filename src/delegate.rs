//! The delegate: what a program is told while tasks run, and what it may decide.

use crate::body::Body;
use crate::challenge::{Challenge, ChallengeDisposition};
use crate::disposition::{CacheDecision, RedirectDecision, ResponseDisposition};
use crate::download::DownloadedFile;
use crate::engine::events::{Lane, Mode};
use crate::error::Error;
use crate::head::ResponseHead;
use crate::metrics::TaskMetrics;
use crate::request::Request;
use crate::storage::CachedResponse;
use crate::task::core::{Events, TaskCore};
use crate::task::{AnyTask, Task};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Is told what happens to the tasks of a session, and decides where there is something to decide.
/// `URLSessionDelegate`, `URLSessionTaskDelegate`, `URLSessionDataDelegate` and
/// `URLSessionDownloadDelegate` in one.
///
/// All methods have defaults. A task's own delegate ([`Task::set_delegate`]) comes first; what it
/// does not implement falls through to the session's. Methods run one at a time on the session's
/// [`DelegateQueue`], in order for each task, except [`did_create`](Delegate::did_create). Decisions
/// are return values; while one is awaited the task's idle timeout stands still, and its resource
/// timeout runs on.
///
/// The order for one task is: `did_create`; for each redirect `will_redirect`; `did_receive_informational`
/// for each 1xx; `did_send_body_data` while the body goes out; `did_receive_response`;
/// `did_receive_data` for each piece; `will_cache_response`; `did_finish_collecting`; `did_complete`.
/// Challenges come where they come. A download has
/// `did_resume_at_offset`, `did_write_data` and `did_finish_downloading` in place of the response and
/// its data. A task with a completion handler ([`Task::on_completion`]) or a reader
/// ([`DataTask::open`](crate::DataTask::open)) delivers its response there, and not through
/// `did_receive_response`, `did_receive_data` and `did_complete`.
///
/// A panic in a method is contained and logged; the session goes on with the default.
///
/// ```
/// use urlsession::{Configuration, Delegate, Error, Session, TaskEvent};
///
/// struct Log;
/// impl Delegate for Log {
///     fn did_complete(&self, event: &TaskEvent<'_>, error: Option<&Error>) {
///         println!("task {} ended: {error:?}", event.task().id());
///     }
/// }
///
/// let session = Session::builder().configuration(Configuration::ephemeral()).delegate(Log).build();
/// let task = session.data_task("http://127.0.0.1:1/");
/// assert!(task.wait().is_err());
/// session.finish_tasks_and_invalidate();
/// ```
pub trait Delegate: Send + Sync + 'static {
    /// The session is invalidated and its last task has ended: the last message of a session.
    /// `urlSession(_:didBecomeInvalidWithError:)`. The session lets go of its delegate after it.
    fn did_become_invalid(&self, error: Option<&Error>) {
        let _ = error;
    }

    /// A challenge about a connection: the server's certificate is to be judged, or it wants one of ours,
    /// or asks for NTLM or Negotiate. `urlSession(_:didReceive:completionHandler:)`.
    ///
    /// Only the session's delegate is asked. `None`, the default, is the same as not to implement it:
    /// [`did_receive_challenge`](Delegate::did_receive_challenge) is asked then.
    ///
    /// About a server's certificate it is asked once for each new TLS connection that is not resumed,
    /// before anything of ours leaves. [`Credential::for_trust`](crate::Credential::for_trust) of what the
    /// challenge shows accepts it, [`CancelChallenge`](ChallengeDisposition::CancelChallenge) cancels the
    /// task, and all else leaves it to the rules. Asked for a certificate of ours,
    /// [`Credential::with_identity`](crate::Credential::with_identity) shows that one, now and on later
    /// connections to the same origin.
    fn did_receive_session_challenge(&self, challenge: &Challenge) -> Option<ChallengeDisposition> {
        let _ = challenge;
        None
    }

    /// A task was made. Runs in the call that makes it, on its thread, before it returns.
    /// `urlSession(_:didCreateTask:)`.
    fn did_create(&self, event: &TaskEvent<'_>) {
        if let Some((next, core)) = event.next() {
            next.did_create(core);
        }
    }

    /// A redirect would be followed with `request`. `urlSession(_:task:willPerformHTTPRedirection:newRequest:)`.
    fn will_redirect(
        &self,
        event: &TaskEvent<'_>,
        response: &ResponseHead,
        request: Request,
    ) -> RedirectDecision {
        match event.next() {
            Some((next, core)) => next.will_redirect(core, response, request),
            None => RedirectDecision::Follow(request),
        }
    }

    /// Somebody wants to know who we are, for each attempt anew.
    /// `urlSession(_:task:didReceive:completionHandler:)`.
    ///
    /// A server that asks by several methods brings a challenge for each, the strongest first, until one
    /// is answered with something else than
    /// [`RejectProtectionSpace`](ChallengeDisposition::RejectProtectionSpace).
    fn did_receive_challenge(&self, event: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        match event.next() {
            Some((next, core)) => next.did_receive_challenge(core, challenge),
            None => ChallengeDisposition::PerformDefaultHandling,
        }
    }

    /// A body is needed: the first one of
    /// [`upload_task_with_streamed_request`](crate::Session::upload_task_with_streamed_request), or
    /// another one because the request has to be sent again and its body was a reader that is used up.
    /// `urlSession(_:task:needNewBodyStream:)`.
    ///
    /// `None`, the default, fails the task with
    /// [`RequestBodyStreamExhausted`](crate::ErrorKind::RequestBodyStreamExhausted). Bodies that can be
    /// sent again ([`Body::from_fn`], files, bytes) are not asked for.
    fn need_new_body_stream(&self, event: &TaskEvent<'_>) -> Option<Body> {
        let (next, core) = event.next()?;
        next.need_new_body_stream(core)
    }

    /// The rest of a body is needed, from that byte on: a
    /// [resumable upload](Request::resumable_upload) goes on there, and its body was a reader of which
    /// more was used than the server has got. `urlSession(_:task:needNewBodyStreamFrom:completionHandler:)`.
    ///
    /// `None`, the default, fails the task with
    /// [`RequestBodyStreamExhausted`](crate::ErrorKind::RequestBodyStreamExhausted), with resume data.
    fn need_new_body_stream_from(&self, event: &TaskEvent<'_>, offset: u64) -> Option<Body> {
        let (next, core) = event.next()?;
        next.need_new_body_stream_from(core, offset)
    }

    /// More of the request's body went out: so many bytes since the last time, so many in all, of so
    /// many if that is known. `urlSession(_:task:didSendBodyData:totalBytesSent:totalBytesExpectedToSend:)`.
    ///
    /// At least once for each body that is not empty, with several pieces in one call if the queue is
    /// busy. When the request is sent again the total begins anew; when a resumable upload goes on, at what
    /// the server has of it.
    fn did_send_body_data(
        &self,
        event: &TaskEvent<'_>,
        bytes_sent: u64,
        total_sent: u64,
        expected: Option<u64>,
    ) {
        if let Some((next, core)) = event.next() {
            next.did_send_body_data(core, bytes_sent, total_sent, expected);
        }
    }

    /// An informational response (1xx, but for 101) came. `urlSession(_:task:didReceiveInformationalResponse:)`.
    fn did_receive_informational(&self, event: &TaskEvent<'_>, response: &ResponseHead) {
        if let Some((next, core)) = event.next() {
            next.did_receive_informational(core, response);
        }
    }

    /// The head of the response is there. `urlSession(_:dataTask:didReceive:completionHandler:)`.
    fn did_receive_response(&self, event: &TaskEvent<'_>, response: &ResponseHead) -> ResponseDisposition {
        match event.next() {
            Some((next, core)) => next.did_receive_response(core, response),
            None => ResponseDisposition::Allow,
        }
    }

    /// A piece of the body, decoded, never empty. `urlSession(_:dataTask:didReceive:)`.
    ///
    /// What is returned was not wanted: it is collected for [`wait`](crate::DataTask::wait), whose
    /// response has the whole body if nothing of it was taken. A delegate that takes the pieces
    /// returns `None`, and `wait` then gives an empty body. While many pieces are undelivered the
    /// peer is held back.
    fn did_receive_data(&self, event: &TaskEvent<'_>, data: Bytes) -> Option<Bytes> {
        match event.next() {
            Some((next, core)) => next.did_receive_data(core, data),
            None => Some(data),
        }
    }

    /// A data task has become a download ([`ResponseDisposition::BecomeDownload`]). It is the same task:
    /// [`TaskEvent::task`] has it as a download too. `urlSession(_:dataTask:didBecome:)`.
    fn did_become_download(&self, event: &TaskEvent<'_>) {
        if let Some((next, core)) = event.next() {
            next.did_become_download(core);
        }
    }

    /// A download goes on where one had stopped, or starts over if `offset` is 0: then the resource
    /// has changed, the server sends no parts, or the file was gone. `expected` is the length of the
    /// whole in bytes, if known. `urlSession(_:downloadTask:didResumeAtOffset:expectedTotalBytes:)`.
    fn did_resume_at_offset(&self, event: &TaskEvent<'_>, offset: u64, expected: Option<u64>) {
        if let Some((next, core)) = event.next() {
            next.did_resume_at_offset(core, offset, expected);
        }
    }

    /// So many bytes of a download are in its file: since the last call, and in all, with what was
    /// there before. Not every write has its call; a download that succeeds ends with the last figure.
    /// `urlSession(_:downloadTask:didWriteData:totalBytesWritten:totalBytesExpectedToWrite:)`.
    fn did_write_data(&self, event: &TaskEvent<'_>, bytes: u64, total: u64, expected: Option<u64>) {
        if let Some((next, core)) = event.next() {
            next.did_write_data(core, bytes, total, expected);
        }
    }

    /// A download is complete, whatever its status. A temporary file is removed when the last copy of
    /// `file` and the last handle of the task are gone: move it, or clone `file`.
    /// `urlSession(_:downloadTask:didFinishDownloadingTo:)`.
    fn did_finish_downloading(&self, event: &TaskEvent<'_>, file: &DownloadedFile) {
        if let Some((next, core)) = event.next() {
            next.did_finish_downloading(core, file);
        }
    }

    /// The response is complete and would be stored in the cache: `response` is what a later request
    /// would get, its body decoded. Comes after the data. Not called for what comes from the cache, nor
    /// for downloads. `urlSession(_:dataTask:willCacheResponse:completionHandler:)`.
    fn will_cache_response(&self, event: &TaskEvent<'_>, response: &CachedResponse) -> CacheDecision {
        match event.next() {
            Some((next, core)) => next.will_cache_response(core, response),
            None => CacheDecision::Store,
        }
    }

    /// What was measured, once for each task, just before `did_complete`.
    /// `urlSession(_:task:didFinishCollecting:)`.
    fn did_finish_collecting(&self, event: &TaskEvent<'_>, metrics: &TaskMetrics) {
        if let Some((next, core)) = event.next() {
            next.did_finish_collecting(core, metrics);
        }
    }

    /// The task has completed: its last message. `urlSession(_:task:didCompleteWithError:)`.
    fn did_complete(&self, event: &TaskEvent<'_>, error: Option<&Error>) {
        if let Some((next, core)) = event.next() {
            next.did_complete(core, error);
        }
    }
}

/// A shared delegate is a delegate.
impl<D: Delegate + ?Sized> Delegate for Arc<D> {
    fn did_become_invalid(&self, error: Option<&Error>) {
        (**self).did_become_invalid(error);
    }

    fn did_receive_session_challenge(&self, challenge: &Challenge) -> Option<ChallengeDisposition> {
        (**self).did_receive_session_challenge(challenge)
    }

    fn did_create(&self, event: &TaskEvent<'_>) {
        (**self).did_create(event);
    }

    fn will_redirect(
        &self,
        event: &TaskEvent<'_>,
        response: &ResponseHead,
        request: Request,
    ) -> RedirectDecision {
        (**self).will_redirect(event, response, request)
    }

    fn did_receive_challenge(&self, event: &TaskEvent<'_>, challenge: &Challenge) -> ChallengeDisposition {
        (**self).did_receive_challenge(event, challenge)
    }

    fn need_new_body_stream(&self, event: &TaskEvent<'_>) -> Option<Body> {
        (**self).need_new_body_stream(event)
    }

    fn need_new_body_stream_from(&self, event: &TaskEvent<'_>, offset: u64) -> Option<Body> {
        (**self).need_new_body_stream_from(event, offset)
    }

    fn did_send_body_data(
        &self,
        event: &TaskEvent<'_>,
        bytes_sent: u64,
        total_sent: u64,
        expected: Option<u64>,
    ) {
        (**self).did_send_body_data(event, bytes_sent, total_sent, expected);
    }

    fn did_receive_informational(&self, event: &TaskEvent<'_>, response: &ResponseHead) {
        (**self).did_receive_informational(event, response);
    }

    fn did_receive_response(&self, event: &TaskEvent<'_>, response: &ResponseHead) -> ResponseDisposition {
        (**self).did_receive_response(event, response)
    }

    fn did_receive_data(&self, event: &TaskEvent<'_>, data: Bytes) -> Option<Bytes> {
        (**self).did_receive_data(event, data)
    }

    fn did_become_download(&self, event: &TaskEvent<'_>) {
        (**self).did_become_download(event);
    }

    fn did_resume_at_offset(&self, event: &TaskEvent<'_>, offset: u64, expected: Option<u64>) {
        (**self).did_resume_at_offset(event, offset, expected);
    }

    fn did_write_data(&self, event: &TaskEvent<'_>, bytes: u64, total: u64, expected: Option<u64>) {
        (**self).did_write_data(event, bytes, total, expected);
    }

    fn did_finish_downloading(&self, event: &TaskEvent<'_>, file: &DownloadedFile) {
        (**self).did_finish_downloading(event, file);
    }

    fn will_cache_response(&self, event: &TaskEvent<'_>, response: &CachedResponse) -> CacheDecision {
        (**self).will_cache_response(event, response)
    }

    fn did_finish_collecting(&self, event: &TaskEvent<'_>, metrics: &TaskMetrics) {
        (**self).did_finish_collecting(event, metrics);
    }

    fn did_complete(&self, event: &TaskEvent<'_>, error: Option<&Error>) {
        (**self).did_complete(event, error);
    }
}

/// What a delegate's method is about.
pub struct TaskEvent<'a> {
    task: AnyTask,
    next: Option<&'a dyn Events>,
}

impl TaskEvent<'_> {
    /// The task.
    pub fn task(&self) -> &AnyTask {
        &self.task
    }

    /// Who is told if this delegate does not want to be.
    fn next(&self) -> Option<(&dyn Events, &Arc<TaskCore>)> {
        Some((self.next?, self.task.core()))
    }
}

impl fmt::Debug for TaskEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskEvent").field("task", &self.task).finish_non_exhaustive()
    }
}

/// A delegate, and who comes after it: the session's after the task's own.
pub(crate) struct Chain {
    delegate: Arc<dyn Delegate>,
    next: Option<Arc<dyn Events>>,
    is_of_task: bool,
}

impl Chain {
    /// A session's, which has nobody after it.
    pub(crate) fn of_session(delegate: Arc<dyn Delegate>) -> Arc<dyn Events> {
        Arc::new(Chain { delegate, next: None, is_of_task: false })
    }

    fn event(&self, core: &Arc<TaskCore>) -> TaskEvent<'_> {
        TaskEvent { task: AnyTask::from_core(Arc::clone(core)), next: self.next.as_deref() }
    }
}

impl Events for Chain {
    fn as_any(&self) -> Option<&dyn std::any::Any> {
        Some(self)
    }

    fn did_receive_session_challenge(&self, challenge: &Challenge) -> Option<ChallengeDisposition> {
        match &self.next {
            Some(next) => next.did_receive_session_challenge(challenge),
            None if self.is_of_task => None,
            None => self.delegate.did_receive_session_challenge(challenge),
        }
    }

    fn did_create(&self, core: &Arc<TaskCore>) {
        self.delegate.did_create(&self.event(core));
    }

    fn will_redirect(&self, core: &Arc<TaskCore>, head: &ResponseHead, request: Request) -> RedirectDecision {
        self.delegate.will_redirect(&self.event(core), head, request)
    }

    fn did_receive_challenge(&self, core: &Arc<TaskCore>, challenge: &Challenge) -> ChallengeDisposition {
        self.delegate.did_receive_challenge(&self.event(core), challenge)
    }

    fn need_new_body_stream(&self, core: &Arc<TaskCore>) -> Option<Body> {
        self.delegate.need_new_body_stream(&self.event(core))
    }

    fn need_new_body_stream_from(&self, core: &Arc<TaskCore>, offset: u64) -> Option<Body> {
        self.delegate.need_new_body_stream_from(&self.event(core), offset)
    }

    fn did_send_body_data(&self, core: &Arc<TaskCore>, count: u64, total: u64, expected: Option<u64>) {
        self.delegate.did_send_body_data(&self.event(core), count, total, expected);
    }

    fn did_receive_informational(&self, core: &Arc<TaskCore>, head: &ResponseHead) {
        self.delegate.did_receive_informational(&self.event(core), head);
    }

    fn did_receive_response(&self, core: &Arc<TaskCore>, head: &ResponseHead) -> ResponseDisposition {
        self.delegate.did_receive_response(&self.event(core), head)
    }

    fn did_receive_data(&self, core: &Arc<TaskCore>, data: Bytes) -> Option<Bytes> {
        self.delegate.did_receive_data(&self.event(core), data)
    }

    fn did_become_download(&self, core: &Arc<TaskCore>) {
        self.delegate.did_become_download(&self.event(core));
    }

    fn did_resume_at_offset(&self, core: &Arc<TaskCore>, offset: u64, expected: Option<u64>) {
        self.delegate.did_resume_at_offset(&self.event(core), offset, expected);
    }

    fn did_write_data(&self, core: &Arc<TaskCore>, since: u64, total: u64, expected: Option<u64>) {
        self.delegate.did_write_data(&self.event(core), since, total, expected);
    }

    fn did_finish_downloading(&self, core: &Arc<TaskCore>, file: &DownloadedFile) {
        self.delegate.did_finish_downloading(&self.event(core), file);
    }

    fn will_cache_response(&self, core: &Arc<TaskCore>, response: &CachedResponse) -> CacheDecision {
        self.delegate.will_cache_response(&self.event(core), response)
    }

    fn did_finish_collecting(&self, core: &Arc<TaskCore>, metrics: &TaskMetrics) {
        self.delegate.did_finish_collecting(&self.event(core), metrics);
    }

    fn did_complete(&self, core: &Arc<TaskCore>, error: Option<&Error>) {
        self.delegate.did_complete(&self.event(core), error);
    }
}

/// Where handlers and delegate methods of a session run, one at a time. Cloning gives the same queue;
/// sessions may share one. The `delegateQueue` of `URLSession`.
#[derive(Clone)]
pub struct DelegateQueue(pub(crate) Arc<Lane>);

impl DelegateQueue {
    /// A thread of its own, which starts with the first event and ends after ten seconds without
    /// one. This is what a session has by default.
    pub fn serial() -> Self {
        DelegateQueue(Lane::new(Mode::Serial))
    }

    /// Whatever thread an event occurs on, at once: a worker, or the thread that waits. The fastest;
    /// what blocks in there holds up other tasks. To wait in there for the very task that the thread
    /// carries on, which may be another one than the event is about, is an error of
    /// [`ErrorKind::ResourceUnavailable`](crate::ErrorKind::ResourceUnavailable); and to write to the
    /// [`BodyWriter`](crate::BodyWriter) of that task may block for ever.
    pub fn inline() -> Self {
        DelegateQueue(Lane::new(Mode::Inline))
    }

    /// The program, when it calls [`run_pending`](DelegateQueue::run_pending) or
    /// [`run_for`](DelegateQueue::run_for), for example once a frame. A thread that waits for a task
    /// of such a session runs events meanwhile.
    pub fn manual() -> Self {
        DelegateQueue(Lane::new(Mode::Manual))
    }

    /// An executor of the program's, such as a thread pool or the queue of a user interface. It is
    /// given closures, one at a time, and has to run each once.
    ///
    /// ```
    /// use urlsession::DelegateQueue;
    ///
    /// let queue = DelegateQueue::from_fn(|run| {
    ///     std::thread::spawn(run);
    /// });
    /// ```
    pub fn from_fn(executor: impl Fn(Box<dyn FnOnce() + Send>) + Send + Sync + 'static) -> Self {
        DelegateQueue(Lane::new(Mode::Executor(Box::new(executor))))
    }

    /// Runs the events that are queued, and returns how many there were. Does nothing while another
    /// thread runs them.
    pub fn run_pending(&self) -> usize {
        let mut count = 0;
        // Those that they bring about are for the next time.
        for _ in 0..self.0.waiting() {
            let (_, ran) = self.0.turn(self.0.seen(), Some(std::time::Instant::now()));
            count += usize::from(ran);
        }
        count
    }

    /// Runs the next event, and waits for one so long at most. False if none came. For programs that
    /// do something of their own in between, or go on until something has happened.
    ///
    /// ```
    /// use std::time::Duration;
    /// use urlsession::{DelegateQueue, Session};
    ///
    /// let queue = DelegateQueue::manual();
    /// let session = Session::builder().delegate_queue(queue.clone()).build();
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// session.data_task("http://127.0.0.1:1/").on_completion(move |result| sender.send(result).unwrap()).resume();
    /// let result = loop {
    ///     match receiver.try_recv() {
    ///         Ok(result) => break result,
    ///         Err(_) => queue.run_next(Duration::from_secs(1)),
    ///     };
    /// };
    /// assert!(result.is_err());
    /// ```
    pub fn run_next(&self, timeout: Duration) -> bool {
        let until = std::time::Instant::now().checked_add(timeout);
        let mut seen = self.0.seen();
        loop {
            let (now_seen, ran) = self.0.turn(seen, until);
            if ran || now_seen == seen {
                return ran;
            }
            seen = now_seen;
        }
    }

    /// Runs events, waiting for more, until the time has passed; returns how many there were.
    pub fn run_for(&self, time: Duration) -> usize {
        let until = std::time::Instant::now().checked_add(time);
        let mut seen = self.0.seen();
        let mut count = 0;
        while until.is_none_or(|until| std::time::Instant::now() < until) {
            let (now_seen, ran) = self.0.turn(seen, until);
            count += usize::from(ran);
            seen = now_seen;
        }
        count
    }
}

impl fmt::Debug for DelegateQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DelegateQueue")
    }
}

impl<K> Task<K> {
    /// Gives the task a delegate of its own, which comes before the session's. False if the task was
    /// started already: then it is too late. The task lets go of it when it has completed.
    pub fn set_delegate(&self, delegate: impl Delegate) -> bool {
        self.core().change_events(|next| {
            Arc::new(Chain { delegate: Arc::new(delegate), next, is_of_task: true }) as Arc<dyn Events>
        })
    }

    /// The task's own delegate, if it was given one and has not completed. `URLSessionTask.delegate`.
    pub fn delegate(&self) -> Option<Arc<dyn Delegate>> {
        let events = self.core().events()?;
        let chain = events.as_any()?.downcast_ref::<Chain>()?;
        chain.is_of_task.then(|| Arc::clone(&chain.delegate))
    }
}
