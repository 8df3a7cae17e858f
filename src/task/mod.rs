//! Handles of tasks. Cloning one gives the same task; dropping one does not cancel it.

pub(crate) mod core;
mod data;
mod download;
mod figures;
mod kind;
mod pending;
mod progress;
mod upload;
mod wait;

pub use self::core::TaskState;
pub use data::{BodyReader, DataTask};
pub use download::DownloadTask;
pub use kind::{Data, Download, TaskKind, Upload};
pub use pending::Pending;
pub use progress::{Progress, SessionProgress};
pub use upload::UploadTask;
pub use wait::{wait_all, wait_any};

use crate::error::Error;
use crate::head::ResponseHead;
use crate::metrics::TaskMetrics;
use crate::request::Request;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// A handle of a task of kind `K`. What all kinds have in common; `URLSessionTask`.
///
/// Tasks are made by a [`Session`](crate::Session) and are born suspended.
pub struct Task<K> {
    core: Arc<core::TaskCore>,
    kind: PhantomData<fn() -> K>,
}

/// A handle of a task of any kind, as in listings and delegate methods.
pub type AnyTask = Task<Any>;

/// The kind of an [`AnyTask`].
#[derive(Debug)]
pub enum Any {}

impl<K> Task<K> {
    pub(crate) fn from_core(core: Arc<core::TaskCore>) -> Self {
        Task { core, kind: PhantomData }
    }

    pub(crate) fn core(&self) -> &Arc<core::TaskCore> {
        &self.core
    }

    /// A positive number that identifies the task within its session. `taskIdentifier`.
    pub fn id(&self) -> u64 {
        self.core.id
    }

    /// The state. Once it is [`TaskState::Completed`], [`error`](Task::error) tells how it ended.
    pub fn state(&self) -> TaskState {
        self.core.state()
    }

    /// Starts the task, or undoes one [`suspend`](Task::suspend). Further calls do nothing.
    pub fn resume(&self) {
        self.core.resume();
    }

    /// Suspends the task: it reads no more, its peer is held back, and its timeouts stand still.
    /// Suspending nests: so many calls need as many of [`resume`](Task::resume).
    pub fn suspend(&self) {
        self.core.suspend();
    }

    /// Cancels the task, in whatever state it is. It ends at once with
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), unless it has ended already.
    pub fn cancel(&self) {
        self.core.cancel();
    }

    /// How the task failed, once it has.
    pub fn error(&self) -> Option<Error> {
        self.core.outcome().and_then(Result::err)
    }

    /// The request the task was made with.
    pub fn original_request(&self) -> &Request {
        &self.core.original
    }

    /// The request that is being carried out now, after redirects.
    pub fn current_request(&self) -> Request {
        self.core.current_request()
    }

    /// The head of the response, once it is there.
    pub fn response(&self) -> Option<Arc<ResponseHead>> {
        self.core.head()
    }

    /// What was measured, once the task has completed.
    pub fn metrics(&self) -> Option<Arc<TaskMetrics>> {
        self.core.metrics()
    }

    /// How far the task is.
    pub fn progress(&self) -> Progress {
        Progress::of(&self.core)
    }

    /// Bytes of the request's body that were handed to the socket. `countOfBytesSent`.
    pub fn bytes_sent(&self) -> u64 {
        self.core.counts.sent()
    }

    /// Bytes of the response's body that were received, before content decoding.
    /// `countOfBytesReceived`.
    pub fn bytes_received(&self) -> u64 {
        self.core.counts.received()
    }

    /// Bytes of the request's body, if known. `countOfBytesExpectedToSend`.
    pub fn bytes_expected_to_send(&self) -> Option<u64> {
        self.core.expected_to_send()
    }

    /// Bytes that the response's body will have before content decoding, if known.
    /// `countOfBytesExpectedToReceive`.
    pub fn bytes_expected_to_receive(&self) -> Option<u64> {
        self.core.counts.expected()
    }

    /// The priority, 0.5 unless it was set.
    pub fn priority(&self) -> f32 {
        self.core.priority()
    }

    /// Sets the priority, from 0.0 (low) to 1.0 (high). Among the tasks that wait for a connection
    /// to the same host those with a higher one come first. It may change at any time.
    pub fn set_priority(&self, priority: f32) {
        self.core.set_priority(priority);
    }

    /// The label that was given to the task.
    pub fn description(&self) -> Option<String> {
        self.core.description()
    }

    /// Gives the task a label, of which nothing depends. `taskDescription`.
    pub fn set_description(&self, description: impl Into<Option<String>>) {
        self.core.set_description(description.into());
    }

    /// The same task as one of any kind.
    pub fn as_any(&self) -> AnyTask {
        Task::from_core(Arc::clone(&self.core))
    }
}

impl AnyTask {
    /// The same task as a data task, if it is one.
    pub fn as_data(&self) -> Option<DataTask> {
        self.as_kind(core::Kind::Data)
    }

    /// The same task as an upload task, if it is one.
    pub fn as_upload(&self) -> Option<UploadTask> {
        self.as_kind(core::Kind::Upload)
    }

    /// The same task as a download task, if it is one, or has become one.
    pub fn as_download(&self) -> Option<DownloadTask> {
        self.as_kind(core::Kind::Download)
    }

    fn as_kind<K>(&self, kind: core::Kind) -> Option<Task<K>> {
        (self.core.kind() == kind).then(|| Task::from_core(Arc::clone(&self.core)))
    }
}

impl<K> Clone for Task<K> {
    fn clone(&self) -> Self {
        Task::from_core(Arc::clone(&self.core))
    }
}

impl<K> PartialEq for Task<K> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }
}

impl<K> Eq for Task<K> {}

impl<K> fmt::Debug for Task<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id())
            .field("kind", &self.core.kind())
            .field("state", &self.state())
            .field("description", &self.description())
            .finish_non_exhaustive()
    }
}
