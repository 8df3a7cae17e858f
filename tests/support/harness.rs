//! What the tests of the library share on the client's side: sessions that trust the test servers,
//! the same test over TCP and TLS, who carries a task out, and a delegate that writes down what it is
//! told.

use super::{Builder, PATIENCE, Server, Tls, ca, lock};
use bytes::Bytes;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use urlsession::{
    Certificate, Configuration, DataTask, Delegate, Error, ErrorKind, RedirectDecision, Request, Response,
    ResponseDisposition, ResponseHead, Result, Session, TaskEvent, TaskMetrics,
};

/// What is below HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Tls,
}

impl Transport {
    /// A server to be.
    pub fn builder(self) -> Builder {
        match self {
            Transport::Tcp => Server::builder(),
            Transport::Tls => Server::builder().tls(Tls::new()),
        }
    }
}

/// The same test over plain TCP and over TLS.
pub fn over_both(test: impl Fn(Transport)) {
    [Transport::Tcp, Transport::Tls].into_iter().for_each(test);
}

/// Who carries a task out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// A thread that waits for it, and lends itself.
    Lender,
    /// A worker of the session: the task was resumed.
    Worker,
}

/// Over both transports, carried out by both.
pub fn in_all_ways(test: impl Fn(Transport, Runner)) {
    over_both(|transport| {
        test(transport, Runner::Lender);
        test(transport, Runner::Worker);
    });
}

/// The same, all at once, for tests that wait for time to pass.
pub fn in_all_ways_at_once(test: impl Fn(Transport, Runner) + Sync) {
    thread::scope(|scope| {
        for transport in [Transport::Tcp, Transport::Tls] {
            for runner in [Runner::Lender, Runner::Worker] {
                let test = &test;
                scope.spawn(move || test(transport, runner));
            }
        }
    });
}

impl Runner {
    /// Starts a task. What is returned gives its result.
    pub fn start(self, task: &DataTask) -> Running {
        let waiter = match self {
            Runner::Lender => Some(waiting(task)),
            Runner::Worker => {
                task.resume();
                None
            }
        };
        Running { task: task.clone(), waiter }
    }
}

/// A task that was started by a [`Runner`].
pub struct Running {
    task: DataTask,
    waiter: Option<Waiting<Result<Response<Bytes>>>>,
}

impl Running {
    /// The result.
    #[track_caller]
    pub fn result(self) -> Result<Response<Bytes>> {
        match self.waiter {
            Some(waiter) => waiter.join(),
            None => waiting(&self.task).join(),
        }
    }
}

/// A thread of which something is expected within [`PATIENCE`].
pub struct Waiting<T>(crossbeam_channel::Receiver<T>);

/// A thread that waits for a task.
pub fn waiting(task: &DataTask) -> Waiting<Result<Response<Bytes>>> {
    let task = task.clone();
    aside(move || task.wait())
}

/// Does something on a thread of its own.
pub fn aside<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Waiting<T> {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    thread::spawn(move || sender.send(run()));
    Waiting(receiver)
}

impl<T> Waiting<T> {
    /// What came of it.
    ///
    /// # Panics
    ///
    /// When it is not there within [`PATIENCE`], or the thread panicked.
    #[track_caller]
    pub fn join(self) -> T {
        self.0.recv_timeout(PATIENCE).expect("a thread that comes to its end")
    }

    /// Whether it is not there yet.
    pub fn is_pending(&self) -> bool {
        self.0.is_empty()
    }
}

/// A configuration that trusts the test servers and is patient.
pub fn configuration() -> Configuration {
    Configuration::ephemeral()
        .timeout_for_request(PATIENCE)
        .add_root_certificate(Certificate::from_der(ca().der().to_vec()))
}

/// A session of that configuration.
pub fn session() -> Session {
    Session::new(configuration())
}

/// A session with a delegate.
pub fn session_with(delegate: &Recorder) -> Session {
    Session::builder().configuration(configuration()).delegate(delegate.clone()).build()
}

/// Waits until something is so that nobody tells of, by looking again and again.
///
/// # Panics
///
/// When it is not so within [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what} in vain");
        thread::sleep(Duration::from_micros(200));
    }
}

/// Checks that a result is the error of a cancelled task.
#[track_caller]
pub fn assert_cancelled<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.expect_err("a cancelled task");
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    assert_eq!(error.code(), -999);
}

/// Has every job that workers of the session were given before done, if it has one worker
/// ([`Configuration::maximum_workers`]): jobs are taken in order.
#[track_caller]
pub fn after_all_others(session: &Session) {
    let server = Server::start(|_| super::Reply::ok(""));
    let task = session.data_task(server.url("/"));
    task.resume();
    // Not wait(), which would carry it out on this thread.
    eventually("a task behind all others", || task.error().is_some() || task.metrics().is_some());
}

/// A delegate that writes down what it is told, and does what it is made to do.
///
/// Lines are `create`, `redirect 302 URL`, `informational 103`, `response 200`, `data`, `metrics`,
/// `complete`, `complete Cancelled` and `invalid`.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Record>);

type OnLine = Arc<dyn Fn(&DataTask, &str) + Send + Sync>;
type Hook<A, R> = Mutex<Option<Arc<dyn Fn(&DataTask, A) -> R + Send + Sync>>>;

#[derive(Default)]
struct Record {
    lines: Mutex<Vec<(u64, String)>>,
    changed: Condvar,
    on_line: Mutex<Option<OnLine>>,
    on_redirect: Hook<Request, RedirectDecision>,
    on_response: Hook<u16, ResponseDisposition>,
    on_data: Hook<Bytes, Option<Bytes>>,
}

impl Recorder {
    pub fn new() -> Recorder {
        Recorder::default()
    }

    /// Does something whenever a line has been written, in the method that wrote it.
    pub fn on_line(self, run: impl Fn(&DataTask, &str) + Send + Sync + 'static) -> Recorder {
        *lock(&self.0.on_line) = Some(Arc::new(run));
        self
    }

    /// Decides on redirects.
    pub fn on_redirect(
        self,
        run: impl Fn(&DataTask, Request) -> RedirectDecision + Send + Sync + 'static,
    ) -> Recorder {
        *lock(&self.0.on_redirect) = Some(Arc::new(run));
        self
    }

    /// Decides on responses, by their status.
    pub fn on_response(
        self,
        run: impl Fn(&DataTask, u16) -> ResponseDisposition + Send + Sync + 'static,
    ) -> Recorder {
        *lock(&self.0.on_response) = Some(Arc::new(run));
        self
    }

    /// Takes the body, or gives it back.
    pub fn on_data(
        self,
        run: impl Fn(&DataTask, Bytes) -> Option<Bytes> + Send + Sync + 'static,
    ) -> Recorder {
        *lock(&self.0.on_data) = Some(Arc::new(run));
        self
    }

    /// The lines of a task, several pieces of data in a row as one.
    pub fn of(&self, task: &DataTask) -> Vec<String> {
        let lines = lock(&self.0.lines);
        let mut of_task: Vec<String> =
            lines.iter().filter(|(id, _)| *id == task.id()).map(|(_, line)| line.clone()).collect();
        of_task.dedup_by(|a, b| a == "data" && b == "data");
        of_task
    }

    /// All lines, with the number of their task; 0 is the session's.
    pub fn lines(&self) -> Vec<(u64, String)> {
        lock(&self.0.lines).clone()
    }

    /// Waits until the task's end was told, and returns its lines.
    #[track_caller]
    pub fn wait_for_end(&self, task: &DataTask) -> Vec<String> {
        self.wait("the end of a task", |lines| {
            lines.iter().any(|(id, line)| *id == task.id() && line.starts_with("complete"))
        });
        self.of(task)
    }

    /// Waits until there is a line that begins so, of any task.
    #[track_caller]
    pub fn wait_for(&self, start: &str) {
        self.wait(start, |lines| lines.iter().any(|(_, line)| line.starts_with(start)));
    }

    #[track_caller]
    fn wait(&self, what: &str, done: impl Fn(&[(u64, String)]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = lock(&self.0.lines);
        while !done(&lines) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited {PATIENCE:?} for {what} in vain: {:?}", *lines);
            lines = self.0.changed.wait_timeout(lines, left).unwrap().0;
        }
    }

    fn write(&self, event: &TaskEvent<'_>, line: String) -> DataTask {
        let task = event.task().as_data().expect("a data task");
        lock(&self.0.lines).push((task.id(), line.clone()));
        self.0.changed.notify_all();
        let hook = lock(&self.0.on_line).clone();
        if let Some(hook) = hook {
            hook(&task, &line);
        }
        task
    }
}

impl Delegate for Recorder {
    fn did_become_invalid(&self, error: Option<&Error>) {
        assert!(error.is_none());
        lock(&self.0.lines).push((0, "invalid".to_owned()));
        self.0.changed.notify_all();
    }

    fn did_create(&self, event: &TaskEvent<'_>) {
        self.write(event, "create".to_owned());
    }

    fn will_redirect(
        &self,
        event: &TaskEvent<'_>,
        response: &ResponseHead,
        request: Request,
    ) -> RedirectDecision {
        let url = request.get_url().map(ToString::to_string).unwrap_or_default();
        let task = self.write(event, format!("redirect {} {url}", response.status().as_u16()));
        let hook = lock(&self.0.on_redirect).clone();
        match hook {
            Some(hook) => hook(&task, request),
            None => RedirectDecision::Follow(request),
        }
    }

    fn did_receive_informational(&self, event: &TaskEvent<'_>, response: &ResponseHead) {
        self.write(event, format!("informational {}", response.status().as_u16()));
    }

    fn did_receive_response(&self, event: &TaskEvent<'_>, response: &ResponseHead) -> ResponseDisposition {
        let status = response.status().as_u16();
        let task = self.write(event, format!("response {status}"));
        let hook = lock(&self.0.on_response).clone();
        hook.map_or(ResponseDisposition::Allow, |hook| hook(&task, status))
    }

    fn did_receive_data(&self, event: &TaskEvent<'_>, data: Bytes) -> Option<Bytes> {
        assert!(!data.is_empty(), "no empty pieces");
        let task = self.write(event, "data".to_owned());
        let hook = lock(&self.0.on_data).clone();
        match hook {
            Some(hook) => hook(&task, data),
            None => Some(data),
        }
    }

    fn did_finish_collecting(&self, event: &TaskEvent<'_>, _: &TaskMetrics) {
        self.write(event, "metrics".to_owned());
    }

    fn did_complete(&self, event: &TaskEvent<'_>, error: Option<&Error>) {
        self.write(event, error.map_or("complete".to_owned(), |error| format!("complete {}", error.kind())));
    }
}
