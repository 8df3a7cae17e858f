//! Waiting for tasks: for one, for all of them, for the first of them.

use super::core::{Outcome, within_own_event};
use super::{Pending, Task, TaskKind};
use crate::error::{Error, ErrorKind, Result};
use crate::response::Response;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Waiting, for every kind of task that ends with a response.
impl<K: TaskKind> Task<K> {
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
    pub fn wait(&self) -> Result<Response<K::Body>> {
        match self.core().wait(None) {
            Some(outcome) => typed::<K>(outcome),
            None => Err(Error::new(ErrorKind::Unknown, "waiting ended without a result")),
        }
    }

    /// Waits for the response so long at most. `None` if it is not there by then: the task goes on,
    /// and may be waited for again.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<Response<K::Body>>> {
        self.core().wait(Instant::now().checked_add(timeout)).map(typed::<K>)
    }

    /// Runs a handler with the result on the session's delegate queue. The task still has to be
    /// resumed. Returns the task, so that it can go on in the same line.
    ///
    /// ```no_run
    /// # use urlsession::Session;
    /// Session::shared().data_task("https://example.com/").on_completion(|result| println!("{result:?}")).resume();
    /// ```
    pub fn on_completion(&self, handler: impl FnOnce(Result<Response<K::Body>>) + Send + 'static) -> Self {
        self.core().on_completion(Box::new(move |outcome| handler(typed::<K>(outcome))));
        self.clone()
    }

    /// The result as a value of its own, for `select!` and for lists of operations.
    pub fn pending(&self) -> Pending<Response<K::Body>> {
        Pending::new(Arc::clone(self.core()), typed::<K>)
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
pub fn wait_all<'a, K: TaskKind>(
    tasks: impl IntoIterator<Item = &'a Task<K>>,
) -> Vec<Result<Response<K::Body>>> {
    let tasks: Vec<&Task<K>> = tasks.into_iter().collect();
    if tasks.len() > 1 {
        tasks.iter().for_each(|task| task.core().start());
    }
    tasks.into_iter().map(Task::wait).collect()
}

/// Starts all tasks and waits for the first that ends: its index and its result. `None` only if
/// there are no tasks. The others go on; cancel them if nobody wants them.
pub fn wait_any<'a, K: TaskKind>(
    tasks: impl IntoIterator<Item = &'a Task<K>>,
) -> Option<(usize, Result<Response<K::Body>>)> {
    let tasks: Vec<&Task<K>> = tasks.into_iter().collect();
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
                return Some((index, typed::<K>(outcome)));
            }
            if task.core().is_told_here() {
                return Some((index, Err(within_own_event())));
            }
            task.core().on_change(sleeper.waker());
        }
        sleeper.sleep();
    }
}

/// The outcome as a task of the kind gives it.
fn typed<K: TaskKind>(outcome: Outcome) -> Result<Response<K::Body>> {
    let (head, content) = outcome?.into_parts();
    Ok(Response::new(head, K::body(content)?))
}
