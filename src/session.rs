//! Sessions: what makes tasks, and what those share.

use crate::body::Body;
use crate::configuration::Configuration;
use crate::connection::idle::Origins;
use crate::connection::resolve::Names;
use crate::delegate::{Chain, Delegate, DelegateQueue};
use crate::download::{DownloadRequest, DownloadedFile};
use crate::engine::events::Subject;
use crate::error::Result;
use crate::loader::Loader;
use crate::proto::coding;
use crate::request::{IntoUrl, Request};
use crate::response::Response;
use crate::resume::ResumeData;
use crate::storage::Stores;
use crate::sync::{Arc, Mutex, lock};
use crate::task::core::{Context, Events, Kind, TaskCore};
use crate::task::{AnyTask, DataTask, DownloadTask, SessionProgress, Task, UploadTask};
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue, USER_AGENT};
use std::fmt;
use std::sync::{OnceLock, Weak};
use std::time::Duration;

/// Makes tasks that share connections, limits and a delegate. `URLSession`.
///
/// Cloning gives the same session. It lives until its last handle is dropped and its last task has
/// ended; dropping the handles cancels nothing. A session holds its delegate until it is invalidated
/// or dropped, so a delegate that holds its session keeps both alive until the session is invalidated.
///
/// ```no_run
/// use urlsession::Session;
///
/// let session = Session::shared();
/// let tasks: Vec<_> = ["https://example.com/a", "https://example.com/b"]
///     .into_iter()
///     .map(|url| {
///         let task = session.data_task(url);
///         task.resume();
///         task
///     })
///     .collect();
/// for task in &tasks {
///     println!("{}", task.wait()?.status());
/// }
/// # Ok::<(), urlsession::Error>(())
/// ```
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    delegate: Mutex<Option<Arc<dyn Delegate>>>,
    events: Mutex<Option<Arc<dyn Events>>>,
    queue: DelegateQueue,
    own_queue: bool,
    description: Mutex<Option<String>>,
    shared: bool,
}

/// The tasks of a session, by kind.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tasks {
    /// Data tasks.
    pub data: Vec<DataTask>,
    /// Upload tasks.
    pub uploads: Vec<UploadTask>,
    /// Download tasks.
    pub downloads: Vec<DownloadTask>,
}

impl Session {
    /// The session that all of the program shares, with the default configuration and without a
    /// delegate. Invalidating it has no effect. `URLSession.shared`.
    pub fn shared() -> Session {
        static SHARED: OnceLock<Session> = OnceLock::new();
        SHARED
            .get_or_init(|| {
                let stores = Stores::open(&Configuration::default());
                Session::builder().build_as(true, stores)
            })
            .clone()
    }

    /// A session with a configuration, which is copied.
    pub fn new(configuration: Configuration) -> Session {
        Session::builder().configuration(configuration).build()
    }

    /// A session with a delegate or a delegate queue.
    pub fn builder() -> SessionBuilder {
        SessionBuilder { configuration: Configuration::default(), delegate: None, queue: None }
    }

    /// A task that requests something, suspended. Takes a URL, or a [`Request`].
    ///
    /// Never fails and never blocks: what is wrong with the request is the error of the task.
    pub fn data_task(&self, request: impl Into<Request>) -> DataTask {
        self.make(Kind::Data, request.into(), Loader::new())
    }

    /// A task that sends a body, suspended. The body is the whole body: what the request has is not
    /// sent.
    ///
    /// Never fails and never blocks: what is wrong with the request or the body is the error of the
    /// task.
    pub fn upload_task(&self, request: impl Into<Request>, body: impl Into<Body>) -> UploadTask {
        self.make(Kind::Upload, request.into().body(body), Loader::new())
    }

    /// A task whose body the delegate gives when it is to be sent, suspended:
    /// [`need_new_body_stream`](crate::Delegate::need_new_body_stream). What the request has is not
    /// sent. `uploadTask(withStreamedRequest:)`.
    ///
    /// Never fails and never blocks. Without a delegate that gives a body the task fails with
    /// [`ErrorKind::RequestBodyStreamExhausted`](crate::ErrorKind::RequestBodyStreamExhausted).
    pub fn upload_task_with_streamed_request(&self, request: impl Into<Request>) -> UploadTask {
        self.make(Kind::Upload, request.into().body(Body::asked()), Loader::new())
    }

    /// A task that goes on with a [resumable upload](Request::resumable_upload), suspended. The body is
    /// given again, the whole of it, since resume data holds none; a body of another length than the
    /// one before is the error
    /// [`RequestBodyFailed`](crate::ErrorKind::RequestBodyFailed) of the task. The server is asked how
    /// much it has, and a reader is read past that. `uploadTask(withResumeData:)`.
    ///
    /// Data that was stored has no credentials: those that are needed have to be headers of the
    /// [configuration](crate::Configuration).
    ///
    /// Never fails and never blocks. Data of a download is the error
    /// [`CannotParseResumeData`](crate::ErrorKind::CannotParseResumeData) of the task.
    ///
    /// ```no_run
    /// use urlsession::{Body, Request, Session};
    ///
    /// let session = Session::shared();
    /// let request = Request::put("https://example.com/film").resumable_upload(true);
    /// let upload = session.upload_task(request, Body::file("film.mp4"));
    /// let response = match upload.wait() {
    ///     Err(error) => match error.resume_data() {
    ///         Some(data) => {
    ///             session.upload_task_with_resume_data(data.clone(), Body::file("film.mp4")).wait()?
    ///         }
    ///         None => return Err(error),
    ///     },
    ///     Ok(response) => response,
    /// };
    /// println!("{}", response.status());
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    pub fn upload_task_with_resume_data(&self, data: ResumeData, body: impl Into<Body>) -> UploadTask {
        let request = data.to_request().body(body).resumable_upload(true);
        let loader = Loader::resuming_upload(&request, data);
        self.make(Kind::Upload, request, loader)
    }

    /// A task whose response goes to a file, suspended. Takes a URL, a [`Request`], or a
    /// [`DownloadRequest`], which says where the file is to be.
    ///
    /// Never fails and never blocks: what is wrong with the request is the error of the task.
    pub fn download_task(&self, download: impl Into<DownloadRequest>) -> DownloadTask {
        let (request, options) = download.into().into_parts();
        self.make(Kind::Download, request, Loader::downloading(options))
    }

    /// A task that goes on with a download, suspended: the same as [`download_task`](Session::download_task)
    /// of [`DownloadRequest::resume`]. `downloadTask(withResumeData:)`.
    pub fn download_task_with_resume_data(&self, data: ResumeData) -> DownloadTask {
        self.download_task(DownloadRequest::resume(data))
    }

    fn make<K>(&self, kind: Kind, request: Request, loader: Loader) -> Task<K> {
        let events = lock(&self.0.events).clone();
        let core = TaskCore::new(&self.0.context, kind, request, Box::new(loader), events);
        if let Some(events) = core.events() {
            crate::engine::events::contain(|| events.did_create(&core));
        }
        Task::from_core(core)
    }

    /// The tasks that were made and have not completed, by kind.
    pub fn tasks(&self) -> Tasks {
        let all = self.all_tasks();
        Tasks {
            data: all.iter().filter_map(AnyTask::as_data).collect(),
            uploads: all.iter().filter_map(AnyTask::as_upload).collect(),
            downloads: all.iter().filter_map(AnyTask::as_download).collect(),
        }
    }

    /// The tasks that were made and have not completed, in the order in which they were made. A task
    /// that was never started is listed as long as somebody has a handle of it.
    pub fn all_tasks(&self) -> Vec<AnyTask> {
        let tasks = self.0.context.registry.tasks().into_iter();
        // What has its result is over, though its delegate may not have been told yet.
        tasks.filter(|core| !core.is_settled() && !core.is_hidden()).map(Task::from_core).collect()
    }

    /// How far the tasks of the session are together, as one progress bar for all of them shows it.
    /// What counts is described at [`SessionProgress`].
    pub fn progress(&self) -> SessionProgress {
        SessionProgress::of(&self.0.context)
    }

    /// Has a handler told how far the tasks of the session are together, on its delegate queue.
    ///
    /// It is called as data moves, no more often than once in `interval` nor than about ten times a
    /// second, and besides that when the last of its tasks has completed: then
    /// [`is_finished`](SessionProgress::is_finished). Nothing but data brings it about, no timer. It
    /// stays for the tasks that come after; the session lets go of it when it is invalidated, as of
    /// its delegate.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use urlsession::{Session, wait_all};
    ///
    /// let session = Session::new(Default::default());
    /// session.on_progress(Duration::from_millis(200), |progress| eprint!("\r{progress}\x1b[K"));
    /// let tasks: Vec<_> = (1..=20).map(|n| session.data_task(format!("https://example.com/{n}"))).collect();
    /// wait_all(&tasks);
    /// ```
    pub fn on_progress(&self, interval: Duration, handler: impl FnMut(SessionProgress) + Send + 'static) {
        let mut handler = handler;
        self.0
            .context
            .flow
            .follow(interval, Box::new(move |context, _| handler(SessionProgress::of(context))));
    }

    /// Takes no new tasks, lets those that are there end, and then lets go of the delegate, the
    /// threads and the connections. Returns at once. A suspended task ends when it is resumed or
    /// cancelled. Tasks made afterwards fail with
    /// [`ErrorKind::SessionInvalidated`](crate::ErrorKind::SessionInvalidated).
    pub fn finish_tasks_and_invalidate(&self) {
        self.invalidate();
    }

    /// Cancels all tasks, and does what [`finish_tasks_and_invalidate`](Session::finish_tasks_and_invalidate) does.
    pub fn invalidate_and_cancel(&self) {
        if self.0.shared {
            return;
        }
        self.invalidate();
        // The newest first: a connection that comes free is not to go to a task that is next to end.
        for task in self.0.context.registry.tasks().into_iter().rev() {
            task.cancel();
        }
    }

    /// Has cookies, credentials and who has asked for https put on the disk, as far as they are kept there, closes
    /// idle connections and forgets resolved names: later requests use new ones. Connections in use are not kept
    /// after their exchange. `flush(completionHandler:)`; here it is done when this returns.
    ///
    /// What is kept in files is there at once, and for other processes too, when it changes. This makes sure that it
    /// outlives a loss of power. A disk that cannot take it is told of in the log.
    pub fn flush(&self) {
        let context = &self.0.context;
        context.origins.flush();
        context.names.clear();
        context.buffers.clear();
        if let Ok(stores) = context.stores() {
            stores.flush();
        }
    }

    /// Forgets everything that the session remembers: its connections, names, TLS sessions, and the
    /// certificates that a delegate gave for servers which asked for one; and all that is in its storages of cookies,
    /// credentials, responses and who has asked for https, with their files. `reset(completionHandler:)`; here it is
    /// done when this returns.
    ///
    /// A storage that it shares with other sessions is empty for those too: that of
    /// [`Configuration::default`] is shared by all of the process. Tasks that run go on, and what they receive from
    /// then on may be kept.
    pub fn reset(&self) {
        let context = &self.0.context;
        context.origins.flush();
        context.names.clear();
        context.buffers.clear();
        #[cfg(feature = "tls")]
        context.tls.forget();
        if let Ok(stores) = context.stores() {
            stores.reset();
        }
    }

    /// The label that was given to the session.
    pub fn description(&self) -> Option<String> {
        lock(&self.0.description).clone()
    }

    /// Gives the session a label, of which nothing depends. `sessionDescription`.
    pub fn set_description(&self, description: impl Into<Option<String>>) {
        *lock(&self.0.description) = description.into();
    }

    /// A copy of the configuration. Its stores are those that the session uses, also where the
    /// configuration that it was made with left them to the session.
    ///
    /// ```
    /// use urlsession::{Configuration, Session};
    ///
    /// let session = Session::new(Configuration::ephemeral());
    /// let configuration = session.configuration();
    /// assert!(configuration.get_cookie_storage().unwrap().cookies().is_empty());
    /// ```
    pub fn configuration(&self) -> Configuration {
        self.0.context.configuration.clone()
    }

    /// The delegate. `None` once the session is invalid.
    pub fn delegate(&self) -> Option<Arc<dyn Delegate>> {
        lock(&self.0.delegate).clone()
    }

    /// The queue on which handlers and delegate methods run.
    pub fn delegate_queue(&self) -> DelegateQueue {
        self.0.queue.clone()
    }

    fn invalidate(&self) {
        if self.0.shared {
            return;
        }
        // The context runs this when the last task has ended, and may outlive this handle.
        let session = Arc::clone(&self.0);
        self.0.context.registry.invalidate(Box::new(move || {
            // Whoever turns the delegate's queue may take his time.
            session.close_connections();
            let lane = Arc::clone(&session.queue.0);
            lane.post(
                Subject::NONE,
                Box::new(move || {
                    let delegate = lock(&session.delegate).clone();
                    if let Some(delegate) = &delegate {
                        crate::engine::events::contain(|| delegate.did_become_invalid(None));
                    }
                    // Their drop is the user's code, which may ask this session something.
                    let delegate = (delegate, lock(&session.delegate).take());
                    let events = lock(&session.events).take();
                    let followers = session.context.flow.close();
                    crate::engine::events::contain(|| drop((delegate, events, followers)));
                    session.close();
                }),
            );
        }));
        // What works for nobody is not waited for.
        for task in self.0.context.registry.tasks().iter().filter(|task| task.is_hidden()) {
            task.cancel();
        }
    }
}

impl Inner {
    fn close_connections(&self) {
        self.context.origins.flush();
        self.context.buffers.clear();
    }

    fn close(&self) {
        self.close_connections();
        self.context.pool.shared().close();
        if self.own_queue {
            self.queue.0.close();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Tasks hold the context, not this: those that run go on, and their threads end with them.
        if self.own_queue && self.context.registry.tasks().is_empty() {
            self.close();
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("description", &self.description())
            .field("tasks", &self.all_tasks().len())
            .field("invalidated", &self.0.context.registry.is_invalidated())
            .finish_non_exhaustive()
    }
}

/// Makes a [`Session`].
#[must_use]
pub struct SessionBuilder {
    configuration: Configuration,
    delegate: Option<Arc<dyn Delegate>>,
    queue: Option<DelegateQueue>,
}

impl SessionBuilder {
    /// The configuration; [`Configuration::default`] without.
    pub fn configuration(mut self, configuration: Configuration) -> Self {
        self.configuration = configuration;
        self
    }

    /// The delegate.
    pub fn delegate(mut self, delegate: impl Delegate) -> Self {
        self.delegate = Some(Arc::new(delegate));
        self
    }

    /// Where handlers and delegate methods run; [`DelegateQueue::serial`] without.
    pub fn delegate_queue(mut self, queue: DelegateQueue) -> Self {
        self.queue = Some(queue);
        self
    }

    /// The session. Never fails: what is wrong with the configuration, and a directory that cannot be
    /// used, is the error of every task; see [`try_build`](SessionBuilder::try_build).
    pub fn build(self) -> Session {
        let stores = Stores::open(&self.configuration);
        self.build_as(false, stores)
    }

    /// The session, if its configuration is sound and what it keeps can be kept.
    ///
    /// # Errors
    ///
    /// What [`Configuration::check`] says, and why a directory of the configuration cannot be used:
    /// [`ErrorKind::CannotCreateFile`](crate::ErrorKind::CannotCreateFile) or a kin of it.
    pub fn try_build(self) -> Result<Session> {
        self.configuration.check()?;
        let stores = Stores::open(&self.configuration)?;
        Ok(self.build_as(false, Ok(stores)))
    }

    fn build_as(self, shared: bool, stores: Result<Stores>) -> Session {
        let SessionBuilder { configuration, delegate, queue } = self;
        let own_queue = queue.is_none();
        let queue = queue.unwrap_or_else(DelegateQueue::serial);
        let context = context(configuration, stores, &queue, own_queue);
        let events = delegate.as_ref().map(|delegate| Chain::of_session(Arc::clone(delegate)));
        Session(Arc::new(Inner {
            context,
            delegate: Mutex::new(delegate),
            events: Mutex::new(events),
            queue,
            own_queue,
            description: Mutex::new(None),
            shared,
        }))
    }
}

impl fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBuilder").field("configuration", &self.configuration).finish_non_exhaustive()
    }
}

/// Puts together what the tasks of a session share.
fn context(
    mut configuration: Configuration,
    stores: Result<Stores>,
    queue: &DelegateQueue,
    own_queue: bool,
) -> Arc<Context> {
    if let Ok(stores) = &stores {
        stores.name_in(&mut configuration);
    }
    Arc::new_cyclic(|weak: &Weak<Context>| {
        let weak = weak.clone();
        let pool = crate::engine::pool::Pool::new(
            configuration.maximum_workers,
            Box::new(move || {
                if let Some(context) = weak.upgrade() {
                    context.origins.prune();
                    context.buffers.clear();
                }
            }),
        );
        let threads = Arc::clone(pool.shared());
        let names = Names::new(
            configuration.resolver.clone(),
            std::sync::Arc::new(move |lookup: Box<dyn FnOnce() + Send>| threads.call(lookup)),
        );
        let origins = Origins::new(
            configuration.maximum_connections_per_host,
            configuration.idle_connection_timeout,
            configuration.get_maximum_idle_connections_per_host(),
        );
        let defaults = defaults(&configuration);
        Context::new(configuration, defaults, stores, pool, (Arc::clone(&queue.0), own_queue), origins, names)
    })
}

/// The headers that requests get which do not have them.
fn defaults(configuration: &Configuration) -> Vec<(HeaderName, HeaderValue)> {
    let mut defaults: Vec<(HeaderName, HeaderValue)> = Vec::new();
    let additional = &configuration.additional_headers;
    defaults.extend(additional.iter().map(|(name, value)| (name.clone(), value.clone())));
    let mut add = |name: HeaderName, value: Option<HeaderValue>| {
        if let Some(value) = value {
            if !additional.contains_key(&name) {
                defaults.push((name, value));
            }
        }
    };
    add(USER_AGENT, configuration.user_agent.clone());
    add(ACCEPT, Some(HeaderValue::from_static("*/*")));
    if configuration.automatic_decoding {
        add(ACCEPT_ENCODING, coding::ACCEPT_ENCODING.map(HeaderValue::from_static));
    }
    defaults
}

macro_rules! shorthand {
    ($($(#[$doc:meta])* $name:ident = $constructor:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// Whatever kept the response from arriving. An error status is a response, not an error.
            pub fn $name(url: impl IntoUrl) -> Result<Response<Bytes>> {
                Session::shared().data_task(Request::$constructor(url)).wait()
            }
        )*
    };
}

shorthand! {
    /// GETs a URL on the shared session and waits for the response.
    ///
    /// ```no_run
    /// let page = urlsession::get("https://example.com/")?;
    /// println!("{} {}", page.status(), page.text()?);
    /// # Ok::<(), urlsession::Error>(())
    /// ```
    get = get;
    /// Requests the head of a URL on the shared session and waits for the response.
    head = head;
    /// DELETEs a URL on the shared session and waits for the response.
    delete = delete;
}

/// Downloads a URL to a file, on the shared session, and waits until it is there. It is a temporary file,
/// or one at the [`destination`](DownloadRequest::destination) of the download.
///
/// ```
/// let file = urlsession::download("data:,hello")?.error_for_status()?.into_body();
/// assert_eq!(file.len(), 5);
/// # Ok::<(), urlsession::Error>(())
/// ```
///
/// # Errors
/// Whatever kept the file from being complete. An error status is a response, not an error.
pub fn download(download: impl Into<DownloadRequest>) -> Result<Response<DownloadedFile>> {
    Session::shared().download_task(download).wait()
}

/// POSTs a body to a URL on the shared session and waits for the response.
///
/// # Errors
/// Whatever kept the response from arriving. An error status is a response, not an error.
pub fn post(url: impl IntoUrl, body: impl Into<crate::Body>) -> Result<Response<Bytes>> {
    Session::shared().data_task(Request::post(url).body(body)).wait()
}

/// PUTs a body to a URL on the shared session and waits for the response.
///
/// # Errors
/// Whatever kept the response from arriving. An error status is a response, not an error.
pub fn put(url: impl IntoUrl, body: impl Into<crate::Body>) -> Result<Response<Bytes>> {
    Session::shared().data_task(Request::put(url).body(body)).wait()
}
