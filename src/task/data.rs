//! Data tasks: a request, and its response in memory or through a reader.

use super::core::{Opened, TaskCore, within_own_event};
use super::{Pending, Task};
use crate::error::{Error, ErrorKind, Result};
use crate::response::Response;
use bytes::Bytes;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The kind of a [`DataTask`].
#[derive(Debug)]
pub enum Data {}

/// A request whose response is collected in memory, read, or handed to a delegate piece by piece.
/// `URLSessionDataTask`.
pub type DataTask = Task<Data>;

impl DataTask {
    /// Waits for the response, and starts the task if it has not been started.
    ///
    /// A task that nobody runs is run on the calling thread. `wait` may be called from any thread,
    /// from several at once, before or after the end, and inside a callback of the same session; each
    /// call gives the same result. Only a method of the delegate that is told something of this very
    /// task before its end cannot wait for it, and gets an error of
    /// [`ErrorKind::ResourceUnavailable`]; the task goes on. A response with an error status is a response, not an error
    /// ([`Response::error_for_status`]).
    ///
    /// # Errors
    /// Whatever kept the response from arriving: see [`ErrorKind`].
    pub fn wait(&self) -> Result<Response<Bytes>> {
        self.core()
            .wait(None)
            .unwrap_or_else(|| Err(Error::new(ErrorKind::Unknown, "waiting ended without a result")))
    }

    /// Waits for the response so long at most. `None` if it is not there by then: the task goes on,
    /// and may be waited for again.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<Response<Bytes>>> {
        self.core().wait(Instant::now().checked_add(timeout))
    }

    /// Runs a handler with the result on the session's delegate queue. The task still has to be
    /// resumed. Returns the task, so that it can go on in the same line.
    ///
    /// ```no_run
    /// # use urlsession::Session;
    /// Session::shared().data_task("https://example.com/").on_completion(|result| println!("{result:?}")).resume();
    /// ```
    pub fn on_completion(&self, handler: impl FnOnce(Result<Response<Bytes>>) + Send + 'static) -> Self {
        self.core().on_completion(Box::new(handler));
        self.clone()
    }

    /// Waits for the head of the response, and gives the body as a reader.
    ///
    /// The body is read by the thread that reads, as it reads: what it does not read stays with the
    /// peer (TCP back-pressure), and no more than a buffer is held in memory. Dropping the reader
    /// before the end cancels the task. The idle timeout counts only while a read waits.
    ///
    /// # Errors
    /// Whatever kept the head from arriving. [`ErrorKind::ResourceUnavailable`] if the body was
    /// already taken by another call.
    pub fn open(&self) -> Result<Response<BodyReader>> {
        match self.core().open() {
            Opened::Streaming => match self.core().head() {
                Some(head) => Ok(Response::new(
                    head,
                    BodyReader { core: Arc::clone(self.core()), source: Source::Task },
                )),
                None => Err(Error::new(ErrorKind::Unknown, "a body without a head")),
            },
            Opened::Outcome(outcome) => outcome.map(|response| {
                response
                    .map(|bytes| BodyReader { core: Arc::clone(self.core()), source: Source::Memory(bytes) })
            }),
            Opened::Taken => Err(Error::new(
                ErrorKind::ResourceUnavailable,
                "opening the body: it was opened before; a body has one reader",
            )),
        }
    }

    /// The result as a value of its own, for `select!` and for lists of operations.
    pub fn pending(&self) -> Pending<Response<Bytes>> {
        Pending::new(Arc::clone(self.core()), |outcome| outcome)
    }
}

/// The body of a response, read as it arrives.
pub struct BodyReader {
    core: Arc<TaskCore>,
    source: Source,
}

enum Source {
    Task,
    Memory(Bytes),
}

impl Read for BodyReader {
    /// Reads what is there, and waits if nothing is. Errors of the task are [`Error`]s inside the
    /// [`io::Error`] ([`io::Error::get_ref`]).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        match &mut self.source {
            Source::Task => self.core.read(buffer).map_err(io::Error::from),
            Source::Memory(bytes) => {
                let piece = bytes.split_to(bytes.len().min(buffer.len()));
                if let Some(target) = buffer.get_mut(..piece.len()) {
                    target.copy_from_slice(&piece);
                }
                Ok(piece.len())
            }
        }
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        if matches!(self.source, Source::Task) {
            self.core.close_reader();
        }
    }
}

impl fmt::Debug for BodyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyReader").field("task", &self.core.id).finish_non_exhaustive()
    }
}

/// Starts all tasks and waits for all of them. The results are in the order of the tasks.
///
/// ```no_run
/// # use urlsession::{Session, wait_all};
/// let session = Session::shared();
/// let tasks: Vec<_> = (1..=500).map(|n| session.data_task(format!("https://example.com/{n}"))).collect();
/// let failures = wait_all(&tasks).iter().filter(|result| result.is_err()).count();
/// ```
pub fn wait_all<'a>(tasks: impl IntoIterator<Item = &'a DataTask>) -> Vec<Result<Response<Bytes>>> {
    let tasks: Vec<&DataTask> = tasks.into_iter().collect();
    if tasks.len() > 1 {
        tasks.iter().for_each(|task| task.core().start());
    }
    tasks.into_iter().map(DataTask::wait).collect()
}

/// Starts all tasks and waits for the first that ends: its index and its result. `None` only if
/// there are no tasks. The others go on; cancel them if nobody wants them.
pub fn wait_any<'a>(
    tasks: impl IntoIterator<Item = &'a DataTask>,
) -> Option<(usize, Result<Response<Bytes>>)> {
    let tasks: Vec<&DataTask> = tasks.into_iter().collect();
    let first = *tasks.first()?;
    if tasks.len() == 1 {
        return Some((0, first.wait()));
    }
    tasks.iter().for_each(|task| task.core().start());
    let mut sleeper = first.core().sleeper();
    loop {
        for (index, task) in tasks.iter().enumerate() {
            if let Some(outcome) = task.core().outcome() {
                tasks.iter().for_each(|task| task.core().forget_change(sleeper.waker()));
                return Some((index, outcome));
            }
            if task.core().is_told_here() {
                return Some((index, Err(within_own_event())));
            }
            task.core().on_change(sleeper.waker());
        }
        sleeper.sleep();
    }
}
